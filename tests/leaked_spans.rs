//! Spans that are leaked with `mem::forget` never close: they are stored as unfinished, and hurt
//! nobody else.

use spandrel_tests::prelude::*;

#[test]
fn leaked_spans_are_stored_as_unfinished() {
    let (scratch, profiler) = recording_for(30);
    within(&dispatch(&profiler), || {
        for n in 0..500 {
            std::mem::forget(info_span!("leaked", n));
        }
        for n in 0..100 {
            drop(info_span!("after", n));
        }
        // The thread stays in this one for ever.
        std::mem::forget(info_span!("entered").entered());
        drop(info_span!("below"));
    });
    let stats = profiler.stats();
    ledger::identity(&stats);
    assert_eq!((stats.open, stats.recorded), (501, 101));
    let report = profiler.close().unwrap();
    assert_eq!((report.unfinished, report.stored), (501, 602));
    let db = ledger::check_complete(scratch.db(), &report);
    let leaked = "SELECT count(*) FROM spans WHERE name = 'leaked' AND status = 'unfinished'";
    assert_eq!(db.count(leaked), 500);
    assert_eq!(db.span("below").parent_id, Some(db.span("entered").id));
}
