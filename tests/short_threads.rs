//! A hundred thousand threads that live for three spans each: all is stored, each thread has its
//! row, and the memory of one that has ended is used again.

use spandrel_tests::prelude::*;

#[test]
fn a_hundred_thousand_short_threads() {
    alone!();
    const THREADS: u64 = 100_000;
    let scratch = scratch_for(120);
    let profiler = spandrel::Profiler::builder().database(scratch.db()).build().unwrap();
    let dispatch = dispatch(&profiler);
    let mut memory = None;
    // Some at once, some after each other.
    for round in 0..THREADS / 10 {
        std::thread::scope(|scope| {
            for thread in 0..10 {
                let dispatch = &dispatch;
                scope.spawn(move || {
                    within(dispatch, || {
                        let n = round * 10 + thread;
                        info_span!("outer", n).in_scope(|| {
                            drop(info_span!("inner"));
                            drop(info_span!("inner"));
                        });
                    });
                });
            }
        });
        if round % 50 != 0 {
            continue;
        }
        let stats = profiler.stats();
        ledger::identity(&stats);
        if stats.in_flight > stats.ring_capacity / 4 {
            // Losing some would be honest too, but then they could not all be counted.
            profiler.flush(Duration::from_secs(60)).unwrap();
        }
        if round == THREADS / 100 {
            memory = resident_kib();
        }
    }
    if let (Some(early), Some(late)) = (memory, resident_kib()) {
        let bytes_per_thread = late.saturating_sub(early) * 1024 * 10 / (THREADS * 9);
        // What has to stay of a thread is its number and its name in the writer's table.
        assert!(bytes_per_thread < 512, "{bytes_per_thread} bytes stay of each thread");
    }
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 3 * THREADS);
    // Not `check_complete`, which would read all the rows.
    let db = ledger::check(scratch.db(), &report);
    assert_eq!((report.stored, report.dropped.total()), (3 * THREADS, 0), "{report}");
    let threads = db.count("SELECT count(*) FROM thread");
    // A ring file has room for the names of some sixty thousand; the others have a number in common.
    let is_enough = if report.stats.is_crash_proof { threads > 50_000 } else { threads == THREADS };
    assert!(is_enough, "{threads}");
    assert_eq!(db.count("SELECT count(DISTINCT fields ->> 'n') FROM span"), THREADS);
}

/// Memory in use, where the system tells.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
