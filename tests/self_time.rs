//! Self time is that up to the last exit less the union of the children: also of children that overlap, that
//! close on other threads, that are many, or that come in another partition than their parent.
//!
//! The exact figures follow from the rows; `ledger::check_complete` computes them again in every
//! test. Here are the shapes that make it hard, and one with times that are known.

use spandrel_tests::prelude::*;

/// The last exit of a span, and its end.
fn leave(span: Span) {
    span.in_scope(|| ());
}

const MS: i64 = 1_000_000;

#[test]
fn a_known_shape() {
    let _limit = time_limit(30);
    let db = recorded(dispatch, || {
        let parent = info_span!("parent").entered();
        spin(Duration::from_millis(10));
        let first = info_span!("first");
        spin(Duration::from_millis(10));
        let second = info_span!("second");
        spin(Duration::from_millis(10));
        leave(first);
        spin(Duration::from_millis(10));
        leave(second);
        let never = info_span!("never");
        spin(Duration::from_millis(10));
        drop(never);
        info_span!("third").in_scope(|| spin(Duration::from_millis(5)));
        drop(parent);
    });
    let works = self_times::works(&db);
    let of = |name: &str| works[&db.span(name).id];
    let parent = db.span("parent");
    let covered = of("parent").end_ns - parent.start_ns - parent.self_ns.unwrap();
    // first and second overlap: 30 ms of union, not 40; and the third 5.
    let union = of("second").end_ns - of("first").start_ns + of("third").length_ns();
    assert_eq!(covered, union);
    assert!(union >= 35 * MS && parent.self_ns.unwrap() >= 20 * MS);
    for leaf in ["first", "second", "third"] {
        assert_eq!(db.span(leaf).self_ns, Some(of(leaf).length_ns()));
    }
    let (never, third) = (db.span("never"), db.span("third"));
    assert_eq!((never.busy_ns, never.entries, never.self_ns), (0, 0, Some(0)));
    assert!(never.duration_ns >= Some(10 * MS));
    assert!(third.busy_ns >= 5 * MS && third.entries == 1);
}

#[test]
fn children_that_close_on_other_threads() {
    let rounds = rounds(1);
    let _limit = time_limit(60 * rounds);
    (0..rounds).for_each(|_| close_children_elsewhere());
}

fn close_children_elsewhere() {
    let scratch = scratch();
    // Small batches, so that parents and children often fall into different ones.
    let profiler = small(scratch.db())
        .ring_capacity(65_536)
        .partitions(3)
        .batch_size(64)
        .flush_interval(Duration::from_millis(1))
        .build()
        .unwrap();
    let dispatch = dispatch(&profiler);
    std::thread::scope(|scope| {
        let (send, spans) = std::sync::mpsc::sync_channel::<Span>(32);
        let closer = dispatch.clone();
        scope.spawn(move || within(&closer, || spans.into_iter().for_each(drop)));
        for thread in 0..3 {
            let (send, dispatch) = (send.clone(), &dispatch);
            scope.spawn(move || {
                within(dispatch, || {
                    for n in 0..700 {
                        let parent = info_span!("parent", thread, n);
                        for _ in 0..3 {
                            let child = info_span!(parent: &parent, "child");
                            child.in_scope(|| leave(info_span!("grandchild")));
                            send.send(child).unwrap();
                        }
                        // Closes with its last child, there.
                        leave(parent);
                    }
                });
            });
        }
    });
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 3 * 700 * 7, "{report}");
    let db = ledger::check_complete(scratch.db(), &report);
    let with_children = "self_ns < first_entry_ns + busy_ns"; // they were entered once
    assert!(db.count(&format!("SELECT count(*) FROM span WHERE {with_children}")) > 2_000);
}

#[test]
fn many_children_side_by_side() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).ring_capacity(65_536).build().unwrap();
    within(&dispatch(&profiler), || {
        let parent = info_span!("parent");
        // In order, in reverse order, nested into each other, and with gaps between them.
        let mut children: Vec<_> =
            (0..400).map(|n| info_span!(parent: &parent, "child", n)).collect();
        while let Some(child) = children.pop() {
            leave(child);
        }
        for n in 0..400 {
            children.push(info_span!(parent: &parent, "child", n));
            if n % 3 == 0 {
                leave(children.swap_remove(n / 5 % children.len()));
            }
        }
        children.into_iter().for_each(leave);
        (0..3_000).for_each(|n| leave(info_span!(parent: &parent, "child", n)));
        leave(parent);
    });
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 3_801);
    ledger::check_complete(scratch.db(), &report);
}
