//! Another process holds the write lock for five seconds: nobody is held up, what the ring can hold
//! is kept, and the rest is counted.

use std::time::Instant;

use rusqlite::Connection;
use spandrel_tests::child::{self, Child};
use spandrel_tests::prelude::*;

/// In the child: takes the lock, and gives it back when told.
fn hold_the_lock() {
    let _limit = time_limit(60);
    let connection = Connection::open(std::env::var("SPANDREL_TEST_PATH").unwrap()).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    child::say("locked");
    child::listen();
    connection.execute_batch("ROLLBACK").unwrap();
    child::say("free");
}

fn lock(path: &Path) -> Child {
    let mut child = child::plan("lock").env("SPANDREL_TEST_PATH", path).start();
    child.expect("locked");
    child
}

/// Records for so long, `spans` in all, and returns the longest time that one of them took.
fn record_for(profiler: &Profiler, time: Duration, spans: u32) -> Duration {
    let began = Instant::now();
    let mut worst = Duration::ZERO;
    within(&dispatch(profiler), || {
        for n in 0..spans {
            while began.elapsed() < time * n / spans {
                std::thread::yield_now();
            }
            let start = Instant::now();
            drop(info_span!("work", n));
            worst = worst.max(start.elapsed());
            ledger::identity(&profiler.stats());
        }
    });
    worst
}

#[test]
fn a_lock_held_for_five_seconds_loses_nothing_that_the_ring_can_hold() {
    if child::role().is_some() {
        return hold_the_lock();
    }
    let scratch = scratch_for(100);
    let profiler = Profiler::builder().database(scratch.db()).build().unwrap();
    let mut child = lock(scratch.db());
    let worst = record_for(&profiler, Duration::from_secs(5), 5_000);
    assert!(worst < Duration::from_secs(2), "a span took {worst:?} while the file was locked");
    let stats = profiler.stats();
    assert_eq!((stats.stored, stats.in_flight), (0, 5_000), "{stats}");
    // A flush cannot do it either, and says so.
    profiler.flush(Duration::from_millis(300)).unwrap_err();
    child.tell("enough");
    child.expect("free");
    while profiler.flush(Duration::from_secs(10)).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(profiler.stats().stored, 5_000);
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    child.succeed();
}

#[test]
fn what_the_ring_cannot_hold_is_counted_as_the_stores_fault() {
    if child::role().is_some() {
        return hold_the_lock();
    }
    let scratch = scratch_for(100);
    let profiler = Profiler::builder()
        .database(scratch.db())
        .ring_capacity(256)
        .partitions(1)
        .batch_size(64)
        .build()
        .unwrap();
    let mut child = lock(scratch.db());
    let dispatch = dispatch(&profiler);
    let mut recorded = 0_u64;
    within(&dispatch, || {
        while profiler.stats().dropped.store_error < 1_000 {
            drop(info_span!("work", recorded));
            recorded += 1;
        }
    });
    child.tell("enough");
    child.expect("free");
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, recorded);
    ledger::check(scratch.db(), &report);
    child.succeed();
}

#[test]
fn close_gives_up_in_time_and_counts() {
    if child::role().is_some() {
        return hold_the_lock();
    }
    let scratch = scratch_for(100);
    let profiler = Profiler::builder()
        .database(scratch.db())
        .close_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let mut child = lock(scratch.db());
    let open = within(&dispatch(&profiler), || {
        (0..100).for_each(|n| drop(info_span!("work", n)));
        info_span!("open")
    });
    let began = Instant::now();
    let report: Report = profiler.close().unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "close took {took:?}");
    ledger::settled(&report);
    assert!(report.timed_out, "{report:?}");
    assert_eq!((report.recorded, report.stored), (101, 0));
    assert_eq!(report.dropped.store_error, 101);
    child.tell("enough");
    child.succeed();
    within(&dispatch(&profiler), || drop(open));
    // The file is sound, and the next run finds it so.
    let next = Profiler::builder().database(scratch.db()).build().unwrap();
    ledger::check_complete(scratch.db(), &next.close().unwrap());
}
