//! A recording with a size limit, far above the rate at which old rows could once be deleted: the file
//! passes its limit by one batch at most, at any moment, and keeps to it when it is closed.

use spandrel_tests::prelude::*;

#[test]
fn a_size_limit_is_kept_however_fast_spans_come() {
    const MAX: u64 = 2 << 20;
    /// The largest batch: four times as many as usual, and 100 bytes a span at most.
    const BATCH: u64 = 4 * 2_048 * 2 * 100;
    let scratch = scratch_for(120);
    let profiler = Profiler::builder()
        .database(scratch.db())
        .batch_size(2_048)
        .max_bytes(MAX)
        .build()
        .unwrap();
    let bytes = || scratch.db().metadata().unwrap().len();
    let mut recorded = 0;
    within(&dispatch(&profiler), || {
        for round in 0..100 {
            for n in 0..2_000 {
                info_span!("work", round, n).in_scope(|| info!("inside"));
            }
            recorded += 2_000;
            // The ring holds more than twice as much.
            if round % 4 == 3 {
                profiler.flush(Duration::from_secs(60)).unwrap();
                assert!(bytes() <= MAX + BATCH, "{} bytes after {recorded} spans", bytes());
            }
        }
    });
    let report = profiler.close().unwrap();
    ledger::settled(&report);
    assert_eq!((report.recorded, report.stored), (recorded, recorded), "{report:?}");
    assert!(bytes() <= MAX, "{} bytes after close", bytes());
    assert_eq!(report.file_bytes, bytes());
    let db = Database::open(scratch.db());
    assert_eq!(db.count("SELECT spans - pruned_spans = (SELECT count(*) FROM span) FROM run"), 1);
    assert_eq!(
        db.count("SELECT events - pruned_events = (SELECT count(*) FROM event) FROM run"),
        1
    );
    assert!(db.count("SELECT count(*) FROM span") > 2_000, "the newest are there");
    assert_eq!(db.count("SELECT report ->> 'file_bytes' FROM run"), bytes());
}
