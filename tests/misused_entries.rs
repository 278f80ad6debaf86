//! Entering and leaving by hand, and wrongly: `Registry` forgives it, so nothing of ours may crash,
//! hang, or attach later spans to ones that are long gone.

use spandrel_tests::prelude::*;
use tracing::span::Id;

/// Calls the subscriber as `Span::enter` does, but keeps no handle.
fn bare(span: &Span) -> (Id, Dispatch) {
    span.with_subscriber(|(id, dispatch)| (id.clone(), dispatch.clone())).unwrap()
}

#[test]
fn spans_that_close_while_a_thread_is_in_them() {
    let (scratch, profiler) = recording_for(30);
    let dispatch = dispatch(&profiler);
    within(&dispatch, || {
        for n in 0..200 {
            let outer = info_span!("outer", n);
            let (id, subscriber) = bare(&outer);
            subscriber.enter(&id);
            subscriber.enter(&id);
            drop(outer);
            // It is gone, and yet the thread is in it.
            info_span!("inside nothing", n).in_scope(|| info!("inside nothing"));
            if n % 2 == 0 {
                subscriber.exit(&id);
                subscriber.exit(&id);
            }
            drop(info_span!("after", n));
        }
    });
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!(report.recorded, 600);
    assert_eq!(db.count("SELECT count(*) FROM span WHERE parent_id IS NOT NULL"), 0);
}

#[test]
fn leaving_what_was_never_entered_or_elsewhere() {
    let (scratch, profiler) = recording_for(30);
    let dispatch = dispatch(&profiler);
    within(&dispatch, || {
        let span = info_span!("span");
        let (id, subscriber) = bare(&span);
        subscriber.exit(&id);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                within(&dispatch, || {
                    subscriber.exit(&id);
                    subscriber.enter(&id);
                });
            });
        });
        // Entered there and left here.
        subscriber.exit(&id);
        span.in_scope(|| drop(info_span!("below")));
        subscriber.exit(&id);
        drop(info_span!("after"));
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let span = db.span("span");
    assert_eq!(db.span("below").parent_id, Some(span.id));
    assert_eq!(db.span("after").parent_id, None);
    assert!((1..=2).contains(&span.entries) && span.busy_ns > 0, "{span:?}");
}
