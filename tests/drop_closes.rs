//! Dropping the last clone closes; dropping an earlier one does not.

use spandrel_tests::prelude::*;

#[test]
fn the_last_clone_dropped_without_close_stores_everything() {
    let (scratch, profiler) = recording_for(30);
    let dispatch = dispatch(&profiler);
    let clone = profiler.clone();
    within(&dispatch, || (0..100).for_each(|n| drop(info_span!("early", n))));
    drop(profiler);
    within(&dispatch, || (0..100).for_each(|n| drop(info_span!("late", n))));
    assert_eq!(clone.stats().recorded, 200, "still recording");
    clone.flush(Duration::from_secs(20)).unwrap();
    let open = within(&dispatch, || info_span!("open"));
    drop(clone);
    let db = Database::open(scratch.db());
    ledger::whole(&db, 1);
    assert_eq!(db.count("SELECT count(*) FROM span"), 201);
    assert_eq!(db.count("SELECT count(*) FROM run WHERE ended_unix_ns IS NOT NULL"), 1);
    assert_eq!(db.span("open").status, "unfinished");
    within(&dispatch, || drop(open));
}

#[test]
fn the_last_clone_may_go_on_another_thread() {
    let (scratch, profiler) = recording_for(30);
    within(&dispatch(&profiler), || drop(info_span!("work")));
    std::thread::spawn(move || drop(profiler)).join().unwrap();
    let db = Database::open(scratch.db());
    ledger::whole(&db, 1);
    assert_eq!(db.count("SELECT count(*) FROM span"), 1);
    assert_eq!(db.count("SELECT count(*) FROM run WHERE ended_unix_ns IS NOT NULL"), 1);
}

#[test]
fn the_last_clone_dropped_while_unwinding_closes_all_the_same() {
    let (scratch, profiler) = recording_for(30);
    let dispatch = dispatch(&profiler);
    let unwound = std::thread::spawn(move || {
        let _profiler = profiler;
        within(&dispatch, || {
            let _span = info_span!("doomed").entered();
            std::panic::resume_unwind(Box::new(()))
        })
    })
    .join();
    assert!(unwound.is_err());
    let db = Database::open(scratch.db());
    ledger::whole(&db, 1);
    assert_eq!(db.span("doomed").status, "panicked");
}

#[test]
fn flush_after_close_says_that_it_is_closed() {
    let (scratch, profiler) = recording_for(30);
    let report = profiler.close().unwrap();
    let error = profiler.flush(Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    ledger::check_complete(scratch.db(), &report);
}
