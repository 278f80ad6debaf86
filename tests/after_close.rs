//! After `close` the layer is a no-op that counts: no crash, no row, no memory.

use spandrel_tests::prelude::*;

#[test]
fn spans_and_events_after_close_are_counted_and_cost_nothing_else() {
    let (scratch, profiler) = recording_for(60);
    let dispatch = dispatch(&profiler);
    let during = within(&dispatch, || info_span!("during", late = field::Empty));
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored, report.unfinished), (1, 1, 1));
    within(&dispatch, || {
        for n in 0..10_000_u32 {
            let span = info_span!("after", n, late = field::Empty);
            let _entered = span.enter();
            span.record("late", n);
            info!(n, "after");
            error!("after");
        }
        // A span from before: stored as unfinished already, so its end is no news.
        during.record("late", 1);
        during.in_scope(|| drop(info_span!("after, below an older one")));
        drop(during);
    });
    let stats = profiler.stats();
    ledger::identity(&stats);
    assert_eq!(stats.dropped.already_shutdown, 10_001);
    assert_eq!(stats.recorded, 10_002);
    assert_eq!(stats.events.dropped.already_shutdown, 20_000);
    assert_eq!(stats.events.recorded, 20_000);
    assert_eq!((stats.open, stats.in_flight, stats.stored), (0, 0, 1));
    let db = ledger::check_complete(scratch.db(), &report);
    assert_eq!(db.span("during").fields.raw("late"), None);
}
