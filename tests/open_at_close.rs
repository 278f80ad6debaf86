//! Spans that are open when the profiler closes are stored as unfinished: what is known of them is
//! there, and no end is invented.

use spandrel_tests::prelude::*;

#[test]
fn spans_that_are_open_at_close_are_stored_as_unfinished() {
    let (scratch, profiler) = recording_for(30);
    within(&dispatch(&profiler), || {
        let outer = info_span!("outer", n = 1, late = field::Empty);
        let inner = outer.in_scope(|| info_span!("inner"));
        outer.in_scope(|| ());
        outer.record("late", "known");
        let entered = inner.clone().entered();
        info!("inside");
        error!("an error does not make it an end");
        drop(info_span!("done"));
        let report = profiler.close().unwrap();
        assert_eq!((report.recorded, report.stored, report.unfinished), (3, 3, 2));
        drop(entered);
        drop((outer, inner));

        let db = ledger::check_complete(scratch.db(), &report);
        let (outer, inner, done) = (db.span("outer"), db.span("inner"), db.span("done"));
        for span in [&outer, &inner] {
            assert_eq!(span.status, "unfinished");
            assert_eq!((span.duration_ns, span.self_ns), (None, None));
        }
        assert_eq!((outer.entries, inner.entries), (2, 1));
        assert!(outer.busy_ns > 0, "the time inside so far is known");
        assert_eq!(outer.fields.text("late"), "known");
        assert_eq!(outer.fields.number("n"), 1);
        assert_eq!((inner.parent_id, done.parent_id), (Some(outer.id), Some(inner.id)));
        assert_eq!(done.root_id, outer.id);
        assert_eq!(db.event("inside").span_id, Some(inner.id));
        // Their real end came too late to be told, and is no second span.
        let stats = profiler.stats();
        assert_eq!((stats.recorded, stats.unfinished, stats.open), (3, 2, 0));
        ledger::identity(&stats);
    });
}
