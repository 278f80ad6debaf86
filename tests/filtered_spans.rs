//! Per-layer filters: spans that are filtered out for us are nobody's parent; what is below them
//! attaches to the nearest recorded ancestor, events too.

use spandrel_tests::layers::SeesAll;
use spandrel_tests::prelude::*;
use tracing::Metadata;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, Registry};

fn record(install: impl FnOnce(&Profiler) -> Dispatch, body: impl FnOnce()) -> Database {
    let scratch = scratch();
    let profiler = small(scratch.db()).events(LevelFilter::TRACE).build().unwrap();
    within(&install(&profiler), body);
    ledger::check_complete(scratch.db(), &profiler.close().unwrap())
}

fn only_info(profiler: &Profiler) -> Dispatch {
    let registry = tracing_subscriber::registry().with(SeesAll);
    Dispatch::new(registry.with(profiler.layer().with_filter(LevelFilter::INFO)))
}

#[test]
fn children_of_filtered_spans_attach_to_the_nearest_recorded_ancestor() {
    let _limit = time_limit(30);
    let db = record(only_info, || {
        let _outer = info_span!("outer").entered();
        let _filtered = debug_span!("filtered").entered();
        let _again = debug_span!("filtered again").entered();
        info!("event");
        debug!("filtered event");
        let _inner = info_span!("inner").entered();
        let _between = debug_span!("filtered below").entered();
        info!("deeper event");
        drop(info_span!("innermost"));
    });
    let outer = db.span("outer");
    let inner = db.span("inner");
    assert_eq!(inner.parent_id, Some(outer.id));
    assert_eq!(db.span("innermost").parent_id, Some(inner.id));
    assert_eq!(db.span("innermost").root_id, outer.id);
    assert_eq!(db.event("event").span_id, Some(outer.id));
    assert_eq!(db.event("deeper event").span_id, Some(inner.id));
    assert_eq!((db.spans().len(), db.events().len()), (3, 2));
}

#[test]
fn an_explicit_parent_that_is_filtered_out() {
    let _limit = time_limit(30);
    let db = record(only_info, || {
        let outer = info_span!("outer");
        let filtered = outer.in_scope(|| debug_span!("filtered"));
        let again = debug_span!(parent: &filtered, "filtered again");
        // None of them is entered.
        drop(info_span!(parent: &again, "inner"));
        info!(parent: &again, "event");
        let lonely = debug_span!("filtered root");
        drop(info_span!(parent: &lonely, "root"));
        info!(parent: &lonely, "event in none");
    });
    let outer = db.span("outer");
    assert_eq!(db.span("inner").parent_id, Some(outer.id));
    assert_eq!(db.event("event").span_id, Some(outer.id));
    assert_eq!(db.span("root").parent_id, None);
    assert_eq!(db.event("event in none").span_id, None);
}

#[test]
fn everything_is_filtered_out() {
    let _limit = time_limit(30);
    let off = |profiler: &Profiler| {
        let registry = tracing_subscriber::registry().with(SeesAll);
        Dispatch::new(registry.with(profiler.layer().with_filter(LevelFilter::OFF)))
    };
    let db = record(off, || info_span!("outer").in_scope(|| info!("event")));
    assert_eq!((db.spans().len(), db.events().len()), (0, 0));
}

#[test]
fn a_filter_for_events_only_keeps_the_error_of_the_span_out() {
    let _limit = time_limit(30);
    let spans_only = |profiler: &Profiler| {
        let registry = tracing_subscriber::registry().with(SeesAll);
        Dispatch::new(
            registry.with(profiler.layer().with_filter(filter_fn(|metadata| metadata.is_span()))),
        )
    };
    let db = record(spans_only, || info_span!("outer").in_scope(|| error!("event")));
    // We never see the event.
    assert_eq!((db.span("outer").status.as_str(), db.events().len()), ("ok", 0));
}

#[test]
fn a_dynamic_filter_that_changes_its_mind() {
    let _limit = time_limit(30);
    /// Lets spans through unless the current one is named `silent`.
    struct NotBelowSilent;
    impl tracing_subscriber::layer::Filter<Registry> for NotBelowSilent {
        fn enabled(&self, _: &Metadata<'_>, context: &Context<'_, Registry>) -> bool {
            context.lookup_current().is_none_or(|span| span.name() != "silent")
        }
    }
    let install = |profiler: &Profiler| {
        let layer = profiler.layer().with_filter(NotBelowSilent);
        Dispatch::new(tracing_subscriber::registry().with(layer))
    };
    let db = record(install, || {
        for _ in 0..100 {
            let _outer = info_span!("outer").entered();
            let _silent = info_span!("silent").entered();
            drop(info_span!("inner"));
            info!("event");
        }
        drop(info_span!("inner"));
    });
    assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'outer'"), 100);
    assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'inner'"), 1);
    assert_eq!(db.events().len(), 0);
}
