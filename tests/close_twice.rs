//! Closing again does nothing and returns the same report.

use spandrel_tests::prelude::*;

#[test]
fn close_twice_returns_the_same_report() {
    alone!();
    let (scratch, profiler) = recording_for(30);
    let dispatch = dispatch(&profiler);
    within(&dispatch, || drop(info_span!("before")));
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored), (1, 1));
    assert_eq!(profiler.close().unwrap(), report);
    assert_eq!(profiler.clone().close().unwrap(), report);
    ledger::check_complete(scratch.db(), &report);
    // The same, and what has been counted since.
    within(&dispatch, || drop(info_span!("since")));
    let later = profiler.close().unwrap();
    ledger::check(scratch.db(), &later);
    assert_eq!((later.recorded, later.stored, later.took), (2, 1, report.took));
    assert_eq!(later.dropped.already_shutdown, 1);
    drop(profiler);
    ledger::check_complete(scratch.db(), &report);
}
