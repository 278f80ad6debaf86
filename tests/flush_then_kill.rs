//! A process is killed with signal 9 while it records. All that was flushed is in the file, whole
//! batches only, and the file is sound; the next process goes on in it.
//!
//! `SPANDREL_TEST_KILLS` sets how many are killed (default 12); scripts/kills.sh kills a thousand.

use std::collections::HashMap;

use spandrel_tests::prelude::*;

/// So many processes record into one file, one after the other.
const RUNS_PER_FILE: u64 = 6;

#[test]
fn what_was_flushed_survives_a_kill() {
    if child::role().is_some() {
        return record_until_killed();
    }
    let kills = std::env::var("SPANDREL_TEST_KILLS").ok().and_then(|n| n.parse().ok());
    let kills: u64 = kills.unwrap_or(12);
    let _limit = time_limit(60 + kills);
    let mut scratch = scratch();
    let mut flushed = Vec::new();
    let mut tally = Tally::default();
    for kill in 0..kills {
        if kill % RUNS_PER_FILE == 0 {
            scratch = spandrel_tests::scratch();
            flushed.clear();
        }
        flushed.push(kill_one(scratch.db(), kill));
        tally.add(inspect(scratch.db(), &flushed));
    }
    println!("{kills} kills: {tally:?}");
    assert_eq!((tally.unsound_files, tally.torn_batches, tally.flushed_but_missing), (0, 0, 0));
    assert!(tally.flushed_spans > 0, "nothing was ever flushed");
}

/// What the kills did.
#[derive(Debug, Default)]
struct Tally {
    unsound_files: u64,
    torn_batches: u64,
    flushed_but_missing: u64,
    flushed_spans: u64,
    stored_spans: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.unsound_files += other.unsound_files;
        self.torn_batches += other.torn_batches;
        self.flushed_but_missing += other.flushed_but_missing;
        self.flushed_spans += other.flushed_spans;
        self.stored_spans += other.stored_spans;
    }
}

/// In the child: four threads record numbered spans; one of them flushes now and then and says up to
/// which number.
fn record_until_killed() {
    let _limit = time_limit(60);
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    let profiler = small(Path::new(&path))
        .batch_size(100)
        .flush_interval(Duration::from_millis(2))
        .build()
        .unwrap();
    let dispatch = dispatch(&profiler);
    std::thread::scope(|scope| {
        for thread in 1..=3_u64 {
            let (dispatch, profiler) = (&dispatch, &profiler);
            scope.spawn(move || {
                within(dispatch, || {
                    for n in 1.. {
                        // Not to fill the ring: what is dropped cannot be missing.
                        while profiler.stats().in_flight > 300 {
                            std::thread::yield_now();
                        }
                        work(thread, n);
                    }
                })
            });
        }
        within(&dispatch, || {
            for n in 1.. {
                work(0, n);
                if n % 20 == 0 {
                    profiler.flush(Duration::from_secs(20)).unwrap();
                    child::say(n);
                }
            }
        });
    });
}

fn work(thread: u64, n: u64) {
    let check = n.wrapping_mul(0x9E37_79B9) % 1_000_003;
    info_span!("outer", thread, n, check).in_scope(|| {
        info!(n, "inside");
        drop(info_span!("inner", thread, n, check));
    });
}

/// Lets a child run for a while, kills it, and returns up to which number it had flushed.
fn kill_one(path: &Path, kill: u64) -> u64 {
    let mut child = child::plan("record").env("SPANDREL_TEST_PATH", path).start();
    let mut flushed = 0;
    for _ in 0..1 + kill % 5 {
        flushed = child.hear().expect("the child records").parse().unwrap();
    }
    // Not to wait for something, but so that the kill comes at any moment of a commit.
    std::thread::sleep(Duration::from_micros(kill * 7_919 % 13_000));
    let unheard = child.kill();
    unheard.last().map_or(flushed, |word| word.parse().unwrap())
}

/// Looks at each run in the file. Ring and tables of a killed child are gone, so the thread that
/// did not flush may have lost spans: only what was flushed must be there.
fn inspect(path: &Path, flushed: &[u64]) -> Tally {
    let db = Database::open(path);
    let mut tally = Tally::default();
    if db.value::<String>("PRAGMA integrity_check") != "ok" {
        tally.unsound_files += 1;
        return tally;
    }
    // Only the last run is new; the earlier ones must still be as they were.
    for (run, flushed) in (1..).zip(flushed) {
        ledger::whole(&db, run);
        tally.torn_batches += db.count(&format!(
            "SELECT (spans <> (SELECT count(*) FROM span WHERE run_id = {run}))
               + (events <> (SELECT count(*) FROM event WHERE run_id = {run}))
               + ((SELECT coalesce(sum(calls), 0) FROM rollup WHERE run_id = {run})
                 <> (SELECT count(*) FROM span WHERE run_id = {run} AND duration_ns IS NOT NULL))
             FROM run WHERE id = {run}"
        ));
        let torn_spans = db.count(&format!(
            "SELECT count(*) FROM span WHERE run_id = {run}
             AND fields ->> 'check' IS NOT ((fields ->> 'n') * 2654435769 % 1000003)"
        ));
        assert_eq!(torn_spans, 0, "spans whose fields are not those of one span");
        let dropped = db.count(&format!("SELECT dropped_spans FROM run WHERE id = {run}"));
        assert_eq!(dropped, 0, "the ring is large enough for what four threads do in between");
        let rows: HashMap<(String, i64), i64> = db
            .rows(
                "SELECT c.name, s.fields ->> 'n', s.duration_ns FROM span AS s
                 JOIN callsite AS c ON c.id = s.callsite_id
                 WHERE s.run_id = ?1 AND s.fields ->> 'thread' = 0",
                [run],
                |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
            )
            .into_iter()
            .collect();
        for n in 1..=*flushed as i64 {
            for name in ["outer", "inner"] {
                tally.flushed_but_missing += u64::from(!rows.contains_key(&(name.to_owned(), n)));
            }
        }
    }
    tally.flushed_spans = 2 * flushed.last().copied().unwrap_or(0);
    tally.stored_spans = db.count("SELECT spans FROM run ORDER BY id DESC LIMIT 1");
    tally
}
