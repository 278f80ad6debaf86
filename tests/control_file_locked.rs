//! Somebody who asks keeps the lock of the file for requests: the recording goes on as if nobody had,
//! and answers when the lock is free.

use rusqlite::Connection;
use spandrel_storage::ErrorKind;
use spandrel_tests::asking::{mark, mark_within, sidecar};
use spandrel_tests::prelude::*;

/// In the child: takes the lock, and gives it back when told.
fn hold_the_lock() {
    let _limit = time_limit(100);
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    child::say("locked");
    child::listen();
    connection.execute_batch("ROLLBACK").unwrap();
    child::say("free");
    child::listen();
}

#[test]
fn a_lock_on_the_file_for_requests_disturbs_nobody() {
    if child::role().is_some() {
        return hold_the_lock();
    }
    let scratch = scratch_for(100);
    let profiler = small(scratch.db()).flush_interval(Duration::from_millis(5)).build().unwrap();
    let path = sidecar(scratch.db());
    let mut holder = child::plan("lock").env("SPANDREL_TEST_PATH", &path).start();
    holder.expect("locked");
    let db = Database::open(scratch.db());
    let mut n = 0_u64;
    // Until the ledger tells of it; the recording goes on all the time.
    while profiler.stats().control_error.is_none() {
        within(&dispatch(&profiler), || drop(info_span!("work", n)));
        profiler.mark("inside").unwrap();
        profiler.flush(Duration::from_secs(10)).unwrap();
        n += 1;
        assert_eq!(db.count("SELECT count(*) FROM span"), n);
    }
    let error = mark_within(scratch.db(), Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnswering, "{error}");
    let error = profiler.stats().control_error.unwrap();
    assert!(error.contains("profile.db-ctl") && error.contains("lock"), "{error}");
    holder.tell("enough");
    holder.expect("free");
    mark(scratch.db(), "outside");
    assert_eq!(profiler.stats().control_error, None);
    // And a lock does not keep the recording from ending in order.
    let mut second = child::plan("lock").env("SPANDREL_TEST_PATH", &path).start();
    second.expect("locked");
    let report = profiler.close().unwrap();
    assert!(!report.timed_out);
    assert_eq!((report.recorded, report.marks, report.marks_dropped), (n, n + 1, 0));
    assert!(!path.exists());
    ledger::check_complete(scratch.db(), &report);
    second.tell("enough");
    holder.succeed();
    second.succeed();
}
