//! The database refuses for a while: that is told as long as it does so, and afterwards is no error any
//! more, but still the reason for what was lost meanwhile.

use rusqlite::Connection;
use spandrel_tests::prelude::*;

#[test]
fn the_last_error_is_cleared_when_the_store_accepts_again() {
    let scratch = scratch_for(60);
    let profiler =
        small(scratch.db()).ring_capacity(256).partitions(1).batch_size(64).build().unwrap();
    let dispatch = dispatch(&profiler);
    let other = Connection::open(scratch.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    within(&dispatch, || {
        while profiler.stats().dropped.store_error == 0 {
            drop(info_span!("work"));
        }
    });
    let error = profiler.stats().last_error.expect("the reason is told");
    assert!(error.contains("another connection holds a lock"), "{error}");
    assert_eq!(profiler.stats().last_refusal, Some(error.clone()));
    other.execute_batch("ROLLBACK").unwrap();
    while profiler.flush(Duration::from_secs(10)).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(profiler.stats().last_error, None);
    assert_eq!(profiler.stats().last_refusal, Some(error.clone()));
    let report = profiler.close().unwrap();
    assert_eq!((&report.last_error, &report.last_refusal), (&None, &Some(error.clone())));
    let db: Database = ledger::check(scratch.db(), &report);
    let stored = "SELECT report ->> 'last_refusal' FROM run";
    assert_eq!(db.value::<String>(stored), error);
    assert_eq!(db.count("SELECT report ->> 'last_error' IS NULL FROM run"), 1);
}
