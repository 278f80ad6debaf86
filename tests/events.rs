//! Events: inside spans, outside, below an explicit parent; the level from which they are kept; what
//! an ERROR says about its span.

use spandrel_tests::prelude::*;
use tracing::{event, trace};

fn record(threshold: impl Into<LevelFilter>, body: impl FnOnce()) -> Database {
    let scratch = scratch();
    let profiler = small(scratch.db()).events(threshold).build().unwrap();
    within(&dispatch(&profiler), body);
    ledger::check_complete(scratch.db(), &profiler.close().unwrap())
}

#[test]
fn an_event_belongs_to_the_span_that_it_happens_in() {
    let _limit = time_limit(30);
    let db = record(LevelFilter::INFO, || {
        info!("before all");
        let outer = info_span!("outer");
        let entered = outer.enter();
        info!("in outer");
        let inner = info_span!("inner");
        inner.in_scope(|| info!("in inner"));
        info!(parent: &inner, "below inner, by name");
        info!(parent: None, "below none, by name");
        info!("in outer again");
        drop(entered);
        info!("outside");
        std::thread::scope(|scope| {
            // Another thread is in no span.
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            scope.spawn(move || within(&dispatch, || info!("on another thread")));
        });
    });
    let (outer, inner) = (db.span("outer").id, db.span("inner").id);
    let span_of = |message| db.event(message).span_id;
    assert_eq!(span_of("before all"), None);
    assert_eq!(span_of("in outer"), Some(outer));
    assert_eq!(span_of("in inner"), Some(inner));
    assert_eq!(span_of("below inner, by name"), Some(inner));
    assert_eq!(span_of("below none, by name"), None);
    assert_eq!(span_of("in outer again"), Some(outer));
    assert_eq!(span_of("outside"), None);
    assert_eq!(span_of("on another thread"), None);
    let threads = db.count("SELECT count(DISTINCT thread_id) FROM event");
    assert_eq!(threads, 2);
    // An event lies inside the time of its span.
    let outer = db.span("outer");
    for event in db.events().iter().filter(|event| event.span_id == Some(outer.id)) {
        assert!((outer.start_ns..=outer.end_ns()).contains(&event.at_ns));
    }
}

#[test]
fn the_message_has_a_column_of_its_own() {
    let _limit = time_limit(30);
    let db = record(LevelFilter::INFO, || {
        info!(n = 1, text = "some", "formatted {}", 1);
        info!(n = 2);
        event!(Level::WARN, n = 3, message = "given by name");
        warn!(n = 4, message = 42);
        info!("only a message");
        info!(n = 6, late = field::Empty, "an empty field");
    });
    let events = db.events();
    let messages: Vec<_> = events.iter().map(|event| event.message.as_deref()).collect();
    let expected = [
        Some("formatted 1"),
        None,
        Some("given by name"),
        Some("42"),
        Some("only a message"),
        Some("an empty field"),
    ];
    assert_eq!(messages, expected);
    assert_eq!(events[0].fields.names(), ["n", "text"]);
    for (at, n) in [(1, 2), (2, 3), (3, 4), (5, 6)] {
        assert_eq!((events[at].fields.names(), events[at].fields.number("n")), (vec!["n"], n));
    }
    let without = "SELECT count(*) FROM event WHERE message = 'only a message' AND fields IS NULL";
    assert_eq!(db.count(without), 1);
    assert_eq!(events[0].target, module_path!());
}

#[test]
fn events_below_the_threshold_are_neither_kept_nor_counted() {
    let _limit = time_limit(30);
    let filters = [
        LevelFilter::OFF,
        LevelFilter::ERROR,
        LevelFilter::WARN,
        LevelFilter::INFO,
        LevelFilter::DEBUG,
        LevelFilter::TRACE,
    ];
    for (kept, threshold) in filters.into_iter().enumerate() {
        let db = record(threshold, || {
            info_span!("outer").in_scope(|| {
                error!("1");
                warn!("2");
                info!("3");
                debug!("4");
                trace!("5");
            });
        });
        let messages: Vec<_> = db.events().into_iter().filter_map(|event| event.message).collect();
        assert_eq!(messages, ["1", "2", "3", "4", "5"][..kept], "{threshold}");
        // Kept or not, an error happened in it.
        assert_eq!(db.span("outer").status, "error", "{threshold}");
    }
}

#[test]
fn the_default_keeps_info_and_above() {
    let (scratch, profiler) = recording_for(30);
    within(&dispatch(&profiler), || {
        info!("kept");
        debug!("not kept");
    });
    let report = profiler.close().unwrap();
    assert_eq!((report.events.recorded, report.events.stored), (1, 1));
    ledger::check_complete(scratch.db(), &report);
}
