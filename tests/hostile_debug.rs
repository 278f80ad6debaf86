//! A field's `Debug` may panic, open spans, emit events, record on its own span or recurse: the
//! program goes on, the span is kept, and what was made inside our callback is counted.
//!
//! With a global subscriber, because there `tracing` has no guard of its own against re-entry.

use std::fmt;
use std::sync::OnceLock;

use spandrel_tests::prelude::*;

static PROFILER: OnceLock<Profiler> = OnceLock::new();

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half a va")?;
        std::panic::resume_unwind(Box::new("no message on the terminal"))
    }
}

/// Returns an error instead of panicking.
struct Refuses;

impl fmt::Debug for Refuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half a va")?;
        Err(fmt::Error)
    }
}

struct OpensSpans;

impl fmt::Debug for OpensSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = info_span!("inside Debug", late = field::Empty).entered();
        span.record("late", 1);
        info!("inside Debug");
        error!("inside Debug");
        info_span!("deeper inside Debug").in_scope(|| f.write_str("opened"))
    }
}

/// Formats itself again through a span, without end if nobody stops it.
struct Recurses;

impl fmt::Debug for Recurses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        drop(info_span!("recursion", value = ?Recurses));
        f.write_str("recursed")
    }
}

/// Opens a span and keeps it, so that it is entered and closed outside of our callback.
struct Smuggles;

thread_local! {
    static SMUGGLED: std::cell::RefCell<Vec<Span>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl fmt::Debug for Smuggles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SMUGGLED.with_borrow_mut(|spans| spans.push(info_span!("smuggled", late = field::Empty)));
        f.write_str("smuggled")
    }
}

/// Asks the profiler from inside its own callback.
struct Asks;

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profiler = PROFILER.get().expect("it is set");
        ledger::identity(&profiler.stats());
        profiler.flush(std::time::Duration::from_secs(10)).expect("it flushes");
        f.write_str("asked")
    }
}

#[test]
fn a_hostile_debug_harms_nobody() {
    alone!();
    let _limit = time_limit(60);
    let scratch: Scratch = scratch();
    let profiler = small(scratch.db()).build().unwrap();
    PROFILER.set(profiler.clone()).unwrap();
    tracing_subscriber::registry().with(profiler.layer()).init();

    {
        let span =
            info_span!("panics", before = 1, value = ?Panics, after = 2, late = field::Empty);
        span.record("late", field::debug(Panics));
        span.in_scope(|| info!(value = ?Panics, "event with a panic"));
        info!("{:?}", Panics);
    }
    drop(info_span!("refuses", value = ?Refuses, after = 2));
    let reentrant = || profiler.stats().dropped.reentrant;
    assert_eq!(reentrant(), 0);

    drop(info_span!("opens", value = ?OpensSpans, after = 2));
    assert_eq!((reentrant(), profiler.stats().events.dropped.reentrant), (2, 2));
    info!(value = ?OpensSpans, "event that opens");
    let span = info_span!("opens late", value = field::Empty);
    span.record("value", field::debug(OpensSpans));
    drop(span);
    assert_eq!((reentrant(), profiler.stats().events.dropped.reentrant), (6, 6));

    drop(info_span!("recurses", value = ?Recurses));
    assert!(reentrant() > 6);

    drop(info_span!("smuggles", value = ?Smuggles));
    SMUGGLED.with_borrow_mut(|spans| {
        let span = spans.pop().unwrap();
        span.record("late", 1);
        span.in_scope(|| drop(info_span!("below the smuggled")));
    });
    drop(info_span!("asks", value = ?Asks));
    // A panic that unwinds through open spans, after all this.
    let unwound = std::panic::catch_unwind(|| {
        let _span = info_span!("unwound", value = ?Panics).entered();
        std::panic::resume_unwind(Box::new(()))
    });
    assert!(unwound.is_err());
    drop(info_span!("last"));

    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    assert_eq!(report.dropped.total(), report.dropped.reentrant, "{}", report.dropped);
    let panics = db.span("panics");
    assert_eq!(panics.status, "ok");
    for name in ["value", "late"] {
        assert_eq!(panics.fields.text(name), "<panicked>");
    }
    assert_eq!((panics.fields.number("before"), panics.fields.number("after")), (1, 2));
    let event = db.event("event with a panic");
    assert_eq!(
        (event.fields.text("value").as_str(), event.span_id),
        ("<panicked>", Some(panics.id))
    );
    let messages = "SELECT count(*) FROM event WHERE message = '<panicked>'";
    assert_eq!(db.count(messages), 1);
    assert_eq!(db.span("refuses").fields.number("after"), 2);
    let opens = db.span("opens").fields;
    assert_eq!((opens.text("value").as_str(), opens.number("after")), ("opened", 2));
    assert_eq!(db.span("opens").status, "ok", "an error inside Debug is not inside the span");
    assert_eq!(db.event("event that opens").fields.text("value"), "opened");
    assert_eq!(db.span("opens late").fields.text("value"), "opened");
    assert_eq!(db.span("recurses").fields.text("value"), "recursed");
    assert_eq!(db.span("asks").fields.text("value"), "asked");
    assert_eq!(db.span("below the smuggled").parent_id, None, "nearest recorded ancestor: none");
    assert_eq!(db.span("unwound").status, "panicked");
    assert_eq!(db.span("last").status, "ok");
}
