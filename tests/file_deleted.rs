//! The database is deleted, or another file put in its place, while it is recorded into: it is
//! noticed, nothing is claimed to be stored that nobody can find, and nobody else's file is touched.

use std::time::Instant;

use spandrel_tests::prelude::*;

/// How many rows of `span` can be found at the path.
fn findable(path: &Path) -> u64 {
    if path.exists() { Database::open(path).count("SELECT count(*) FROM span") } else { 0 }
}

fn remove(db: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = db.as_os_str().to_owned();
        name.push(suffix);
        // The sidecars need not be there.
        let _ = std::fs::remove_file(name);
    }
    assert!(!db.exists());
}

/// A recording whose first hundred spans are in the file.
fn hundred_stored() -> (Scratch, Profiler, Dispatch) {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).flush_interval(Duration::from_millis(20)).build().unwrap();
    let dispatch = dispatch(&profiler);
    within(&dispatch, || (0..100).for_each(|n| drop(info_span!("before", n))));
    profiler.flush(Duration::from_secs(10)).unwrap();
    (scratch, profiler, dispatch)
}

/// Records until the writer has noticed; how many spans there are then.
fn record_while(profiler: &Profiler, dispatch: &Dispatch, is_blind: impl Fn() -> bool) -> u64 {
    let began = Instant::now();
    let mut recorded = 100_u64;
    while is_blind() {
        within(dispatch, || drop(info_span!("after", recorded)));
        recorded += 1;
        ledger::identity(&profiler.stats());
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(20), "not noticed: {:?}", profiler.stats());
        let _ = profiler.flush(Duration::from_secs(1));
    }
    recorded
}

#[test]
fn a_deleted_file_is_noticed_and_counted() {
    let (scratch, profiler, dispatch) = hundred_stored();
    assert_eq!((profiler.stats().stored, findable(scratch.db())), (100, 100));
    remove(scratch.db());
    let recorded =
        record_while(&profiler, &dispatch, || profiler.stats().dropped.file_removed == 0);
    let error = profiler.stats().last_error.expect("the reason is told");
    assert!(error.contains(scratch.db().to_str().unwrap()), "{error}");
    within(&dispatch, || (0..100).for_each(|n| drop(info_span!("later", n))));
    let report = profiler.close().unwrap();
    ledger::settled(&report);
    assert_eq!(report.recorded, recorded + 100);
    assert_eq!(report.stored, findable(scratch.db()), "{report}");
}

#[test]
fn a_deleted_file_is_noticed_at_close_at_the_latest() {
    let scratch = scratch_for(60);
    let hour = Duration::from_secs(3_600);
    let profiler = small(scratch.db()).flush_interval(hour).build().unwrap();
    within(&dispatch(&profiler), || (0..100).for_each(|n| drop(info_span!("work", n))));
    remove(scratch.db());
    let report = profiler.close().unwrap();
    ledger::settled(&report);
    assert_eq!(report.recorded, 100);
    assert_eq!(report.stored, findable(scratch.db()), "{report}");
}

#[test]
fn a_file_put_in_its_place_is_not_touched() {
    let (scratch, profiler, dispatch) = hundred_stored();
    remove(scratch.db());
    let theirs = b"somebody else's file".as_slice();
    std::fs::write(scratch.db(), theirs).unwrap();
    within(&dispatch, || (0..100).for_each(|n| drop(info_span!("after", n))));
    let _ = profiler.flush(Duration::from_secs(5));
    let report = profiler.close().unwrap();
    assert_eq!(std::fs::read(scratch.db()).unwrap(), theirs);
    ledger::settled(&report);
    assert_eq!((report.recorded, report.stored), (200, 0), "{report}");
}

#[test]
fn a_renamed_file_keeps_what_it_has() {
    let (scratch, profiler, dispatch) = hundred_stored();
    let elsewhere = scratch.path("elsewhere.db");
    std::fs::rename(scratch.db(), &elsewhere).unwrap();
    // Until it is noticed, rows go to the old file; afterwards to a new one.
    let recorded = record_while(&profiler, &dispatch, || !scratch.db().exists());
    within(&dispatch, || (0..100).for_each(|n| drop(info_span!("later", n))));
    let report = profiler.close().unwrap();
    ledger::settled(&report);
    assert_eq!(report.recorded, recorded + 100);
    let found = findable(&elsewhere) + findable(scratch.db());
    assert_eq!(report.stored, found, "{report}");
    assert!(findable(&elsewhere) >= 100 && findable(scratch.db()) >= 100);
}
