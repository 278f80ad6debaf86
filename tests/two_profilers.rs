//! Two profilers in one process, each with its file: nothing goes astray, and one closing does not
//! touch the other. A second profiler on the same file is refused.

use spandrel_storage::ErrorKind as StorageError;
use spandrel_tests::prelude::*;

#[test]
fn two_profilers_in_one_subscriber_record_the_same() {
    let _limit = time_limit(30);
    let (left, right) = (scratch(), scratch());
    let first = small(left.db()).build().unwrap();
    let second = small(right.db()).build().unwrap();
    let registry = tracing_subscriber::registry();
    let dispatch = Dispatch::new(registry.with(first.layer()).with(second.layer()));
    let work = |from: u32, to: u32| {
        for n in from..to {
            info_span!("outer", n).in_scope(|| info_span!("inner").in_scope(|| info!(n)));
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (dispatch, work) = (&dispatch, &work);
            scope.spawn(move || within(dispatch, || work(thread * 50, thread * 50 + 50)));
        }
    });
    let report = first.close().unwrap();
    ledger::check_complete(left.db(), &report);
    assert_eq!((report.recorded, report.events.recorded), (400, 200));
    within(&dispatch, || work(200, 250));
    assert_eq!(first.stats().dropped.already_shutdown, 100);
    let report = second.close().unwrap();
    ledger::check_complete(right.db(), &report);
    assert_eq!((report.recorded, report.events.recorded), (500, 250));
}

#[test]
fn two_profilers_on_one_file() {
    let scratch = scratch_for(30);
    let first = small(scratch.db()).build().unwrap();
    let error = small(scratch.db()).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage(StorageError::InUse), "{error}");
    within(&spandrel_tests::dispatch(&first), || drop(info_span!("work")));
    ledger::check_complete(scratch.db(), &first.close().unwrap());
    // Once it is closed, the file is free, though the first is still alive.
    let second = small(scratch.db()).build().unwrap();
    within(&spandrel_tests::dispatch(&second), || drop(info_span!("work")));
    ledger::check_complete(scratch.db(), &second.close().unwrap());
    drop(first);
}
