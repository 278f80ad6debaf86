//! Our own subscriber, without `Registry`: what it records, and what it answers.

use std::thread;

use spandrel_tests::prelude::*;

fn recorded(program: impl FnOnce()) -> Database {
    let (scratch, profiler) = recording();
    within(&Dispatch::new(profiler.subscriber()), program);
    let report = profiler.close().unwrap();
    assert_eq!(report.stats.open, 0, "{report:?}");
    ledger::check_complete(scratch.db(), &report)
}

#[test]
fn a_tree_with_fields_events_and_links() {
    let _limit = time_limit(30);
    let db = recorded(|| {
        let outer = info_span!("outer", n = 1, text = "some text", later = field::Empty);
        let _in_outer = outer.enter();
        outer.record("later", true);
        info!(n = 2, "in outer");
        let inner = info_span!("inner", flag = true);
        inner.in_scope(|| error!("it failed"));
        inner.follows_from(&outer);
        let lone = info_span!(parent: None, "lone");
        let named = info_span!(parent: &lone, "named");
        info!(parent: &named, "in named");
        debug_span!("plain").in_scope(|| ());
    });
    let (outer, inner) = (db.span("outer"), db.span("inner"));
    assert_eq!(outer.fields.names(), ["later", "n", "text"]);
    assert_eq!((inner.parent_id, inner.root_id), (Some(outer.id), outer.id));
    assert_eq!((outer.status.as_str(), inner.status.as_str()), ("ok", "error"));
    let (lone, named) = (db.span("lone"), db.span("named"));
    assert_eq!((lone.parent_id, lone.root_id), (None, lone.id));
    assert_eq!((named.parent_id, named.root_id), (Some(lone.id), lone.id));
    assert_eq!(db.span("plain").parent_id, Some(outer.id));
    assert_eq!(db.event("in outer").span_id, Some(outer.id));
    assert_eq!(db.event("in named").span_id, Some(named.id));
    assert_eq!(db.links(), [(inner.id, outer.id)]);
}

#[test]
fn a_span_ends_when_its_last_handle_is_dropped() {
    let (scratch, profiler) = recording_for(30);
    within(&Dispatch::new(profiler.subscriber()), || {
        let first = info_span!("cloned");
        let handles: Vec<_> = (0..5).map(|_| first.clone()).collect();
        drop(first);
        thread::scope(|scope| {
            for handle in handles {
                assert_eq!(profiler.stats().recorded, 0);
                let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
                scope.spawn(move || within(&dispatch, || drop(handle))).join().unwrap();
            }
        });
        assert_eq!(profiler.stats().recorded, 1);
        // A child does not keep its parent open.
        let parent = info_span!("parent");
        let child = info_span!(parent: &parent, "outlives it");
        parent.in_scope(|| ());
        drop(parent);
        assert_eq!(profiler.stats().recorded, 2);
        child.in_scope(|| ());
        drop(child);
        assert_eq!(profiler.stats().recorded, 3);
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let (parent, child) = (db.span("parent"), db.span("outlives it"));
    assert_eq!(child.parent_id, Some(parent.id));
    let work = self_times::works(&db)[&parent.id];
    assert!(child.end_ns() > parent.end_ns() && parent.self_ns == Some(work.length_ns()));
}

#[test]
fn the_current_span_can_be_had_and_kept() {
    let _limit = time_limit(30);
    let db = recorded(|| {
        assert!(Span::current().is_none());
        let kept = info_span!("outer").in_scope(|| {
            let current = Span::current();
            assert_eq!(current.metadata().map(|metadata| metadata.name()), Some("outer"));
            info_span!("inner").in_scope(|| {
                assert_eq!(
                    Span::current().metadata().map(|metadata| metadata.name()),
                    Some("inner")
                );
            });
            assert_eq!(Span::current(), current);
            current
        });
        assert!(Span::current().is_none());
        kept.in_scope(|| info!("again"));
        let future = async { Span::current().metadata().map(|metadata| metadata.name()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(future.instrument(kept)), Some("outer"));
    });
    let outer = db.span("outer");
    // `Instrumented` enters once more to drop the future.
    assert_eq!((outer.entries, db.event("again").span_id), (4, Some(outer.id)));
    assert_eq!(db.span("inner").parent_id, Some(outer.id));
}

#[test]
fn an_id_that_is_used_after_its_span_is_nothing() {
    let (scratch, profiler) = recording_for(30);
    let dispatch = Dispatch::new(profiler.subscriber());
    within(&dispatch, || {
        let span = info_span!("gone");
        let id = span.id().unwrap();
        drop(span);
        let next = info_span!("next"); // in the same place
        dispatch.enter(&id);
        assert!(Span::current().is_none());
        dispatch.exit(&id);
        assert_eq!(dispatch.clone_span(&id), id);
        assert!(!dispatch.try_close(id.clone()) && !dispatch.try_close(id.clone()));
        dispatch.record_follows_from(&next.id().unwrap(), &id);
        drop(info_span!(parent: id.clone(), "orphan"));
        info!(parent: id, "nowhere");
        next.in_scope(|| ());
    });
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!((report.recorded, db.span("next").entries), (3, 1));
    assert_eq!((db.span("orphan").parent_id, db.event("nowhere").span_id), (None, None));
    assert_eq!(db.span("gone").entries, 0);
}

#[test]
fn there_is_one_global_subscriber() {
    let (_scratch, profiler) = recording_for(30);
    profiler.subscriber().init().unwrap();
    let error = profiler.subscriber().init().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyInstalled);
    assert!(error.to_string().contains("as a layer"), "{error}");
    drop(info_span!("recorded"));
    assert_eq!(profiler.close().unwrap().stored, 1);
    drop(info_span!("late"));
    let late = profiler.stats();
    assert_eq!((late.recorded, late.dropped.already_shutdown), (2, 1));
}

#[test]
fn one_that_is_switched_off_enables_nothing() {
    let dispatch = Dispatch::new(Profiler::disabled().subscriber());
    within(&dispatch, || {
        assert!(!tracing::enabled!(Level::ERROR) && info_span!("nothing").is_disabled());
        error!("nothing");
    });
}
