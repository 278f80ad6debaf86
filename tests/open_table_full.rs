//! More open spans than the table holds: those beyond are dropped and counted, while their children
//! are recorded and attach to the nearest ancestor that is.

use spandrel_tests::prelude::*;

/// More than the default table can hold, whatever it has to spare.
const CROWD: u64 = 40_000;

#[test]
fn spans_beyond_the_table_are_counted_and_their_children_kept() {
    let scratch = scratch_for(60);
    // The default table: 16,384 open spans. The ring holds all that is recorded here, so that nothing
    // depends on when the writer comes.
    let profiler = spandrel::Profiler::builder()
        .database(scratch.db())
        .ring_capacity(1 << 18)
        .build()
        .unwrap();
    let report = within(&dispatch(&profiler), || {
        let root = info_span!("root").entered();
        let mut crowd: Vec<_> = (1..16_384_u64).map(|n| info_span!("crowd", n)).collect();
        assert_eq!(profiler.stats().dropped.total(), 0, "as many as were asked for");
        assert_eq!(profiler.stats().open, 16_384);
        // There is some room to spare, but not without end.
        crowd.extend((16_384..CROWD).map(|n| info_span!("crowd", n)));
        let stats = profiler.stats();
        ledger::identity(&stats);
        let refused = stats.dropped.open_spans_full;
        assert!((1_000..CROWD - 16_384).contains(&refused), "{stats}");
        assert_eq!(stats.open, CROWD - refused);
        assert_eq!(stats.recorded, refused, "what had to be dropped counts at once");

        // Some room again, and then a child below each of the last, of which many were refused.
        drop(crowd.drain(..100));
        for (span, n) in crowd.iter().zip(100..).skip(CROWD as usize - 2_000) {
            span.in_scope(|| info_span!("below", n).in_scope(|| info!(n, "inside")));
        }
        drop(crowd);
        drop(root);
        profiler.close().unwrap()
    });
    let db = ledger::check(scratch.db(), &report);
    let dropped = report.dropped;
    let lost = dropped.open_spans_full + dropped.ring_full;
    assert_eq!(dropped.total(), lost, "{dropped}");
    assert_eq!(report.recorded, CROWD + 1_899);
    let root = db.span("root");
    let ids: std::collections::HashMap<_, _> =
        db.spans().into_iter().map(|span| (span.id, span)).collect();
    let mut orphans_of_the_crowd = 0;
    for span in ids.values().filter(|span| span.name == "below") {
        // Its parent in the program, or if that was refused, the parent's parent.
        let parent = &ids[&span.parent_id.unwrap()];
        if parent.id == root.id {
            orphans_of_the_crowd += 1;
        } else {
            assert_eq!(parent.fields.number("n"), span.fields.number("n"));
        }
        assert_eq!(span.root_id, root.id);
    }
    assert!(orphans_of_the_crowd > 0, "some parents were refused");
    assert_eq!(report.events.dropped.total(), 0, "events need no place in the table");
}

#[test]
fn a_table_of_one_place_serves_one_span_at_a_time() {
    let scratch = scratch_for(30);
    let profiler = spandrel::Profiler::builder()
        .database(scratch.db())
        .ring_capacity(1_024)
        .max_open_spans(1)
        .build()
        .unwrap();
    within(&dispatch(&profiler), || {
        for n in 0..100 {
            info_span!("one", n).in_scope(|| assert!(!Span::current().is_disabled()));
        }
    });
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored), (100, 100));
    ledger::check_complete(scratch.db(), &report);
}
