//! Samples of gauges that were published outlive their process, as spans do: in a ring file that is recovered, and in one
//! that is collected.

use spandrel::recover::recover;
use spandrel_tests::prelude::*;

const PATH: &str = "SPANDREL_TEST_PATH";
const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn what_was_sampled_before_a_kill_is_recovered() {
    if child::role().is_some() {
        let builder = Profiler::builder().database(std::env::var(PATH).unwrap());
        // Nothing is committed: all comes out of the ring.
        return set_until_killed(builder.crash_proof(true).flush_interval(HOUR));
    }
    let scratch = scratch_for(60);
    let sampled = kill_one(scratch.db());
    let recovered = recover(scratch.db(), false).unwrap();
    let [ring] = &recovered.rings[..] else { panic!("{recovered:?}") };
    assert!(ring.gauges >= sampled && ring.damaged == 0, "{ring:?}");
    assert_is_there(&Database::open(scratch.db()), ring.gauges);
}

#[test]
#[cfg(feature = "collected")]
fn what_was_sampled_before_a_kill_is_collected() {
    use spandrel_tests::collecting::{assert_no_files, collect_once, rings, small_in};
    if child::role().is_some() {
        return set_until_killed(small_in(Path::new(&std::env::var(PATH).unwrap())));
    }
    let (scratch, rings) = (scratch_for(60), rings());
    let sampled = kill_one(rings.path());
    let (done, told) = collect_once(rings.path(), scratch.db());
    assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
    let db = Database::open(scratch.db());
    let stored = db.count("SELECT count(*) FROM gauge");
    assert!(stored >= sampled);
    assert_is_there(&db, stored);
    assert_no_files(rings.path());
}

#[test]
#[cfg(feature = "collected")]
fn what_is_collected_while_it_goes_on_is_exact() {
    use spandrel_tests::collecting::{Collector, LONG, rings, small_in};
    let (scratch, rings) = (scratch_for(60), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let names: Vec<_> = (0..3).map(|run| format!("level {run}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let rings = rings.path();
            scope.spawn(move || {
                let profiler = small_in(rings).label(name).build().unwrap();
                for n in 1..=50 {
                    profiler.gauge(name).set(n);
                    profiler.gauge("of each").add(0.5);
                    profiler.flush(LONG).unwrap();
                    assert_eq!(profiler.stats().gauges.stored, 2 * n);
                }
                profiler.gauge(name).set(51);
                let report = profiler.close().unwrap();
                assert_eq!((report.gauges.recorded, report.gauges_refused), (101, 0));
            });
        }
    });
    let (done, told) = collector.stop();
    assert_eq!(done.ended, 3, "{told:?}");
    let db = Database::open(scratch.db());
    for name in &names {
        let said: (i64, i64, f64, i64) = db
            .rows(
                "SELECT count(*), sum(updates), max(value), max(version) FROM gauge
                 WHERE name = ?1 AND run_id = (SELECT id FROM run WHERE label = ?1)",
                [name],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .remove(0);
        assert_eq!(said, (51, 51, 51.0, 51));
    }
    let of_each = "SELECT count(*) FROM gauge WHERE name = 'of each' AND value * 2 = version";
    assert_eq!(db.count(of_each), 150);
    let told = "SELECT count(*) FROM run WHERE report ->> '$.gauges.stored' = 101
        AND report ->> '$.gauges.recorded' = 101";
    assert_eq!(
        db.count(told),
        3,
        "{:?}",
        db.rows("SELECT report FROM run", [], |row| row.get::<_, String>(0))
    );
}

/// In the child: says how many samples were published.
fn set_until_killed(builder: spandrel::ProfilerBuilder) {
    let _limit = time_limit(60);
    let profiler = builder.gauge_interval(Duration::from_millis(1)).build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    let (first, second) = (profiler.gauge("first"), profiler.gauge("second"));
    let mut n = 0_u64;
    while profiler.stats().gauges.recorded < 20 {
        n += 1;
        first.set(n);
        second.set(-1);
        std::thread::yield_now();
    }
    child::say(profiler.stats().gauges.recorded);
    child::listen();
}

/// Kills a child once it has said that, and returns what it has said.
fn kill_one(path: &Path) -> u64 {
    let mut child = child::plan("sets").env(PATH, path).start();
    let said = child.hear().unwrap();
    child.kill();
    said.parse().unwrap()
}

fn assert_is_there(db: &Database, samples: u64) {
    for name in ["first", "second"] {
        let rows: Vec<(u64, u64)> = db.rows(
            "SELECT version, updates FROM gauge WHERE name = ?1 ORDER BY id",
            [name],
            |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)),
        );
        let mut before = 0;
        for (version, updates) in &rows {
            assert!(*updates > 0 && *version == before + updates, "{name}: {rows:?}");
            before = *version;
        }
        assert!(!rows.is_empty(), "{name}");
    }
    let values =
        "SELECT count(*) FROM gauge WHERE value = CASE name WHEN 'second' THEN -1 ELSE value END
        AND at_ns >= 0";
    assert_eq!(db.count(values), samples);
    let told = db.count("SELECT report ->> '$.gauges.stored' FROM run");
    assert_eq!(told, samples);
    assert_eq!(db.count("SELECT report ->> '$.gauges.recorded' FROM run"), samples);
}
