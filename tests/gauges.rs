//! A gauge that any thread sets is in the file: once an interval in which it was set, with the last value, and with exact
//! counts of how often it was set.

use std::sync::mpsc::channel;

use spandrel::{Gauge, Ledger};
use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(2);

/// Rows of a gauge, in their order: value, version and updates.
fn rows(db: &Database, name: &str) -> Vec<(Option<f64>, u64, u64)> {
    db.rows(
        "SELECT value, version, updates FROM gauge WHERE name = ?1 AND run_id = 1 ORDER BY id",
        [name],
        |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64)),
    )
}

/// That each row says what came since the one before, and the last one how often it was set.
fn assert_counts(rows: &[(Option<f64>, u64, u64)], sets: u64) {
    let mut before = 0;
    for (_, version, updates) in rows {
        assert!(*updates > 0 && *version == before + updates, "{rows:?}");
        before = *version;
    }
    assert_eq!(before, sets, "{rows:?}");
}

#[test]
fn eight_threads_set_their_own_and_one_of_all() {
    const THREADS: u64 = 8;
    const SETS: u64 = 20_000;
    let scratch = scratch_for(120);
    let profiler = small(scratch.db()).gauge_interval(SHORT).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let profiler = &profiler;
            scope.spawn(move || {
                let own = profiler.gauge(&format!("own {thread}"));
                for n in 1..=SETS {
                    own.set(n);
                    profiler.gauge("of all").set(n * THREADS + thread);
                    profiler.gauge("sum").add(1);
                }
            });
        }
    });
    assert_eq!(profiler.gauge("sum").get(), Some((THREADS * SETS) as f64));
    let report = profiler.close().unwrap();
    let db = ledger::check_complete(scratch.db(), &report);
    for thread in 0..THREADS {
        let rows = rows(&db, &format!("own {thread}"));
        assert_counts(&rows, SETS);
        assert_eq!(rows.last().unwrap().0, Some(SETS as f64), "the last one wins");
        assert!(rows.is_sorted_by(|a, b| a.0 <= b.0), "{rows:?}");
    }
    let of_all = rows(&db, "of all");
    assert_counts(&of_all, THREADS * SETS);
    let last = of_all.last().unwrap().0.unwrap() as u64;
    assert!(last / THREADS >= 1 && last / THREADS <= SETS && of_all.len() > 1, "{of_all:?}");
    let sum = rows(&db, "sum");
    assert_counts(&sum, THREADS * SETS);
    assert_eq!(sum.last().unwrap().0, Some((THREADS * SETS) as f64));
    assert_eq!(report.gauges.stored, db.count("SELECT count(*) FROM gauge"));
    assert_eq!((report.gauges.dropped.total(), report.gauges_refused), (0, 0));
    assert_eq!(db.count("SELECT report ->> '$.gauges.stored' FROM run"), report.gauges.stored);
}

#[test]
fn a_flush_covers_the_values_before_it() {
    let scratch = scratch_for(60);
    // So that nothing but the flush can be the reason for a sample, or a commit.
    let builder = small(scratch.db()).flush_interval(HOUR).gauge_interval(HOUR);
    let profiler = builder.build().unwrap();
    let db = Database::open(scratch.db());
    let gauge = profiler.gauge("level");
    for n in 1..=20_u64 {
        (0..n).for_each(|value| gauge.set(value));
        profiler.flush(LONG).unwrap();
        let rows = rows(&db, "level");
        assert_eq!(rows.len() as u64, n);
        assert_eq!(rows.last(), Some(&(Some((n - 1) as f64), n * (n + 1) / 2, n)));
        assert_eq!((profiler.stats().gauges.stored, profiler.stats().gauges.in_flight), (n, 0));
    }
    profiler.flush(LONG).unwrap();
    assert_eq!(rows(&db, "level").len(), 20, "it was not set");
    let in_order = "SELECT count(*) FROM gauge a JOIN gauge b ON b.id = a.id + 1
        WHERE b.at_ns < a.at_ns OR a.at_ns < 0";
    assert_eq!(db.count(in_order), 0);
}

#[test]
fn what_waits_is_written_by_close_and_nothing_after_it() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).gauge_interval(HOUR).build().unwrap();
    let (first, second) = (profiler.gauge("first"), profiler.gauge("second"));
    first.set(1);
    second.set(2.5);
    let clone = second.clone();
    let report = profiler.close().unwrap();
    assert_eq!((report.gauges.recorded, report.gauges.stored), (2, 2));
    clone.set(9);
    assert!(!profiler.gauge("late").is_recorded());
    profiler.gauge("late").set(1);
    profiler.sample(|gauges| gauges.set("later", 1));
    assert_eq!(profiler.close().unwrap().gauges, report.gauges);
    drop(profiler);
    clone.set(10);
    let db = ledger::check_complete(scratch.db(), &report);
    let all: Vec<(String, f64)> =
        db.rows("SELECT name, value FROM gauge ORDER BY name", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
    assert_eq!(all, [("first".to_owned(), 1.0), ("second".to_owned(), 2.5)]);
}

#[test]
fn what_is_no_number_is_null_and_a_long_name_is_cut() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).build().unwrap();
    profiler.gauge("none").set(f64::NAN);
    profiler.gauge("most").set(f64::INFINITY);
    profiler.gauge("").set(true);
    profiler.gauge("time").set(Duration::from_millis(250));
    let long = "\u{e9}".repeat(1_000);
    profiler.gauge(&long).set(-7_i64);
    profiler.gauge(&long[..300]).add(1_u8);
    let report = profiler.close().unwrap();
    let db = ledger::check_complete(scratch.db(), &report);
    assert_eq!(rows(&db, "none"), [(None, 1, 1)]);
    assert_eq!(rows(&db, "most"), [(Some(f64::INFINITY), 1, 1)]);
    assert_eq!(rows(&db, ""), [(Some(1.0), 1, 1)]);
    assert_eq!(rows(&db, "time"), [(Some(0.25), 1, 1)]);
    assert_eq!(rows(&db, &long[..256]), [(Some(-6.0), 2, 2)], "both are the same gauge");
}

#[test]
fn too_many_are_refused_and_counted() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).build().unwrap();
    let gauges: Vec<Gauge> = (0..1_100).map(|n| profiler.gauge(&format!("gauge {n}"))).collect();
    gauges.iter().for_each(|gauge| gauge.set(1));
    assert_eq!(gauges.iter().filter(|gauge| gauge.is_recorded()).count(), 1_024);
    assert_eq!((gauges[1_024].get(), gauges[1_023].get()), (None, Some(1.0)));
    let report = profiler.close().unwrap();
    assert_eq!((report.gauges_refused, report.gauges.stored), (76, 1_024));
    let db = ledger::check_complete(scratch.db(), &report);
    assert_eq!(db.count("SELECT report ->> '$.gauges_refused' FROM run"), 76);
    assert_eq!(db.count("SELECT count(DISTINCT name) FROM gauge"), 1_024);
}

#[test]
fn a_profiler_that_is_switched_off_takes_any() {
    let profiler = Profiler::disabled();
    let gauge = profiler.gauge("nothing");
    gauge.set(1);
    gauge.add(1);
    profiler.sample(|_| panic!("it is not called"));
    assert!(!gauge.is_recorded() && gauge.get().is_none());
    assert_eq!(profiler.close().unwrap().gauges.recorded, 0);
}

#[test]
fn samplers_are_called_every_interval_and_one_that_panics_holds_up_no_other() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).gauge_interval(SHORT).build().unwrap();
    let (calls, called) = channel();
    let mut panics = 0;
    profiler.sample(move |gauges| {
        panics += 1;
        gauges.set("before a panic", panics);
        panic!("on purpose");
    });
    let mut n = 0_u64;
    profiler.sample(move |gauges| {
        n += 1;
        gauges.set("calls", n);
        // Nobody listens after the test.
        _ = calls.send(n);
    });
    while called.recv_timeout(LONG).unwrap() < 5 {}
    let report = profiler.close().unwrap();
    let last = called.try_iter().last().unwrap_or(5);
    let db = ledger::check_complete(scratch.db(), &report);
    let calls = rows(&db, "calls");
    assert_counts(&calls, last);
    assert!(
        calls
            .iter()
            .all(|(value, version, updates)| { *value == Some(*version as f64) && *updates == 1 })
    );
    assert_eq!(rows(&db, "before a panic"), [(Some(1.0), 1, 1)], "it is not called again");
}

#[test]
fn a_sampler_that_hangs_holds_up_neither_flush_nor_close() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).gauge_interval(SHORT).build().unwrap();
    let (hangs, hung) = channel();
    let (let_go, held) = channel::<()>();
    profiler.sample(move |_| {
        _ = hangs.send(());
        _ = held.recv();
    });
    hung.recv_timeout(LONG).unwrap();
    let db = Database::open(scratch.db());
    let gauge = profiler.gauge("level");
    for n in 1..=3 {
        gauge.set(n);
        profiler.flush(LONG).unwrap();
        assert_eq!(rows(&db, "level").len(), n);
    }
    gauge.set(4);
    let report = profiler.close().unwrap();
    assert_eq!(rows(&db, "level").last(), Some(&(Some(4.0), 4, 1)));
    assert_eq!(report.gauges.stored, 4);
    drop(let_go);
}

#[test]
fn samples_give_way_to_spans_and_are_counted() {
    let scratch = scratch_for(60);
    // A ring that is full of spans, as nothing is committed.
    let builder = Profiler::builder().database(scratch.db()).ring_capacity(64).partitions(1);
    let profiler = builder.max_open_spans(64).gauge_interval(HOUR).build().unwrap();
    let other = rusqlite::Connection::open(scratch.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let gauge = profiler.gauge("level");
    let mut n = 0_u64;
    within(&dispatch(&profiler), || {
        while profiler.stats().gauges.dropped.total() == 0 {
            (0..100).for_each(|_| drop(info_span!("work")));
            n += 1;
            gauge.set(n);
            profiler.flush(Duration::from_millis(1)).unwrap_err();
        }
    });
    other.execute_batch("ROLLBACK").unwrap();
    // Now there is room again.
    profiler.flush(LONG).unwrap();
    gauge.set(n + 1);
    let report = profiler.close().unwrap();
    assert!(report.balances(), "{report:?}");
    let Ledger { recorded, stored, dropped, .. } = report.gauges;
    assert_eq!((recorded, stored, dropped.total()), (n + 1, n, 1), "{report:?}");
    let db = Database::open(scratch.db());
    let rows = rows(&db, "level");
    assert_eq!(rows.last(), Some(&(Some((n + 1) as f64), n + 1, 1)));
    assert_eq!(rows.len() as u64, n, "the version tells of the one that is lost");
}

#[test]
#[cfg(target_os = "linux")]
fn the_process_is_watched_if_that_is_wanted() {
    let scratch = scratch_for(60);
    let builder = small(scratch.db()).gauge_interval(SHORT).process_gauges(true);
    let profiler = builder.build().unwrap();
    let db = Database::open(scratch.db());
    // Processor time is known from the second look on.
    while rows(&db, "process.cpu_percent").len() < 2 {
        profiler.flush(LONG).unwrap();
    }
    let report = profiler.close().unwrap();
    let db = ledger::check_complete(scratch.db(), &report);
    let names: Vec<String> =
        db.rows("SELECT DISTINCT name FROM gauge ORDER BY name", [], |row| row.get(0));
    let wanted = ["cpu_percent", "open_files", "resident_bytes", "threads"];
    assert_eq!(names, wanted.map(|name| format!("process.{name}")));
    let least =
        |name: &str| rows(&db, name).iter().filter_map(|row| row.0).fold(f64::MAX, f64::min);
    // The test, the writer, and two for the gauges.
    assert!(least("process.threads") >= 4.0 && least("process.open_files") >= 3.0);
    assert!(least("process.resident_bytes") >= 1e6 && least("process.cpu_percent") >= 0.0);
}

#[test]
fn a_copy_of_the_profile_has_them() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).build().unwrap();
    profiler.gauge("level").set(3);
    profiler.snapshot(scratch.path("copy.db")).unwrap();
    let copy = Database::open(&scratch.path("copy.db"));
    assert_eq!(rows(&copy, "level"), [(Some(3.0), 1, 1)]);
}
