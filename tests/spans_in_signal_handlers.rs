//! The handler of a signal opens spans while its thread is anywhere in our callbacks: no id is given
//! twice, nothing is mixed up, and every span is stored or counted.
//!
//! The subscriber is the program's global one, and the layer sits on a front end that is itself safe
//! there: `Registry`, and a scoped default subscriber, are not.

#![cfg(target_os = "linux")]

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel::scope;
use spandrel_tests::interrupts;
use spandrel_tests::prelude::*;
use tracing::field::Empty;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Metadata, Subscriber};
use tracing_subscriber::registry::{Extensions, ExtensionsMut, LookupSpan, SpanData};

/// Times that the handler has opened spans.
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Times that it may, so that the ring has room for all between two flushes, and no flush is
/// interrupted, which allocates.
static ALLOWED: AtomicU64 = AtomicU64::new(0);
/// Signals that have come, of which each `EACH`th opens spans.
static SIGNALS: AtomicU64 = AtomicU64::new(0);
static EACH: AtomicU64 = AtomicU64::new(1);
/// Spans that each of them opens.
const SPANS_OF_A_CALL: u64 = 6;
/// The span that the last one has left open.
static LEFT: Mutex<Option<Span>> = Mutex::new(None);

extern "C" fn handler(_signal: libc::c_int) {
    let n = CALLS.load(Ordering::Relaxed);
    let signals = SIGNALS.load(Ordering::Relaxed);
    SIGNALS.store(signals + 1, Ordering::Relaxed);
    let is_left_out = !signals.is_multiple_of(EACH.load(Ordering::Relaxed));
    if is_left_out || n >= ALLOWED.load(Ordering::Relaxed) {
        return;
    }
    CALLS.store(n + 1, Ordering::Relaxed);
    let outer = info_span!("handler", n);
    let in_outer = outer.enter();
    let scope = scope!("scope of it", n);
    let inner = scope!("plain scope");
    drop(inner);
    drop(scope);
    let plain = info_span!("plain");
    let other = info_span!("other", text = "longer than a word", last = Empty);
    plain.in_scope(|| info!(n, "tick"));
    other.record("last", n);
    // Not in the order in which free places are taken.
    drop(plain);
    drop(other);
    drop(in_outer);
    let left = info_span!("left");
    if let Ok(mut slot) = LEFT.try_lock() {
        drop(slot.replace(left));
    }
}

/// Its code runs inside our callbacks.
struct Formatted(u64);

impl fmt::Debug for Formatted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some spans and an event, in all ways, in parts of which each is run by `part`.
fn work(n: u64, part: &dyn Fn(&mut dyn FnMut())) {
    let (mut outer, mut inner, mut again) = (Span::none(), Span::none(), Span::none());
    part(&mut || outer = info_span!("outer", n, text = "some text", later = Empty));
    let in_outer = outer.enter();
    part(&mut || inner = info_span!("inner"));
    part(&mut || inner.in_scope(|| info!(n, "work")));
    part(&mut || _ = inner.follows_from(&outer));
    part(&mut || drop(std::mem::replace(&mut inner, Span::none())));
    part(&mut || _ = outer.record("later", n));
    part(&mut || drop(info_span!("formatted", n = ?Formatted(n))));
    part(&mut || {
        let _scope = scope!("scope", n);
        drop(scope!("in scope"));
    });
    drop(in_outer);
    part(&mut || again = outer.clone());
    part(&mut || drop(std::mem::replace(&mut outer, Span::none())));
    part(&mut || again.in_scope(|| ()));
    part(&mut || drop(std::mem::replace(&mut again, Span::none())));
}

fn at_once(part: &mut dyn FnMut()) {
    part();
}

const SPANS_OF_A_WORK: u64 = 5;

#[test]
fn spans_opened_in_a_signal_handler_are_stored_or_counted() {
    alone!();
    let Some(role) = child::role() else {
        let _limit = time_limit(1_200 * rounds(1));
        for round in 0..rounds(1) {
            for front in ["subscriber", "layer"] {
                child::plan(&format!("{front} signals {round}")).start().succeed();
                if interrupts::CAN_STEP {
                    child::plan(&format!("{front} steps {round}")).start().succeed();
                }
            }
        }
        return;
    };
    let (scratch, profiler) = recording_for(600);
    let [front, way, round] = role.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let dispatch = match front {
        "subscriber" => Dispatch::new(profiler.subscriber()),
        _ => Dispatch::new(SignalSafe::default().with(profiler.layer())),
    };
    tracing::dispatcher::set_global_default(dispatch).unwrap();
    // A thread's first span allocates, and a callsite's first use takes a lock of `tracing`'s.
    work(0, &at_once);
    ALLOWED.store(1, Ordering::Relaxed);
    handler(0);
    let works = 1 + match way {
        "signals" => interrupted_by_signals(&profiler),
        _ => interrupted_everywhere(&profiler, round.parse().unwrap()),
    };
    drop(LEFT.lock().unwrap().take());
    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    all_is_told(&db, &report, works);
    nothing_is_mixed_up(&db, works);
}

/// Signals come all the time.
fn interrupted_by_signals(profiler: &Profiler) -> u64 {
    const BATCHES: u64 = 8;
    /// Spans between two flushes: the ring holds them.
    const WORKS: u64 = 1_500;
    const SIGNALS: u64 = 400;
    interrupts::handle(libc::SIGUSR1, handler).unwrap();
    let _timer = interrupts::Timer::start(libc::SIGUSR1, 20_000).unwrap();
    let mut works = 0;
    for _ in 0..BATCHES {
        let before = (works, CALLS.load(Ordering::Relaxed));
        ALLOWED.store(before.1 + SIGNALS, Ordering::Relaxed);
        while works < before.0 + WORKS && CALLS.load(Ordering::Relaxed) < before.1 + SIGNALS {
            works += 1;
            work(works, &at_once);
        }
        ALLOWED.store(0, Ordering::Relaxed);
        profiler.flush(Duration::from_secs(60)).unwrap();
    }
    works
}

/// A signal comes after each single instruction; the handler opens spans at each fourth of them, at others
/// in the next round.
fn interrupted_everywhere(profiler: &Profiler, round: u64) -> u64 {
    const WORKS: u64 = 1;
    interrupts::handle(libc::SIGTRAP, handler).unwrap();
    ALLOWED.store(u64::MAX, Ordering::Relaxed);
    SIGNALS.store(round, Ordering::Relaxed);
    EACH.store(4, Ordering::Relaxed);
    for n in 1..=WORKS {
        work(n, &|part| {
            interrupts::step(part);
            // In parts that the ring has room for: some thousand instructions each.
            profiler.flush(Duration::from_secs(60)).unwrap();
        });
    }
    WORKS
}

fn all_is_told(db: &Database, report: &Report, works: u64) {
    let calls = CALLS.load(Ordering::Acquire);
    assert!(calls > 100, "the handler has run {calls} times only");
    let stats = &report.stats;
    let opened = works * SPANS_OF_A_WORK + calls * SPANS_OF_A_CALL;
    assert_eq!(stats.recorded, opened, "{report:?}");
    for (what, ledger) in [("spans", &stats.spans()), ("events", &stats.events)] {
        assert_eq!(ledger.dropped.total(), ledger.dropped.reentrant, "{what}: {report:?}");
    }
    assert_eq!((stats.unfinished, stats.open), (0, 0), "{report:?}");
    // Most of them find the thread where they can be recorded.
    assert!(stats.dropped.reentrant * 2 < stats.recorded, "{report:?}");
    let twice = "SELECT count(*) - count(DISTINCT id) FROM
                 (SELECT id FROM span UNION ALL SELECT id FROM event)";
    assert_eq!(db.count(twice), 0, "ids that were given twice");
}

/// What the thread itself recorded is all there and as if nothing had interrupted it.
fn nothing_is_mixed_up(db: &Database, works: u64) {
    let spans = db.spans();
    let named = |name: &'static str| spans.iter().filter(move |span| span.name == name);
    let by_id: std::collections::HashMap<_, _> = spans.iter().map(|span| (span.id, span)).collect();
    let parent = |span: &spandrel_tests::database::Span| {
        span.parent_id.map(|id| by_id.get(&id).map_or("lost", |parent| parent.name.as_str()))
    };
    let mut ns: Vec<_> = named("outer").map(|span| span.n()).collect();
    ns.sort_unstable();
    assert_eq!(ns, (0..works as i64).collect::<Vec<_>>());
    for outer in named("outer") {
        assert_eq!(
            (outer.parent_id, outer.entries, outer.root_id),
            (None, 2, outer.id),
            "{outer:?}"
        );
        assert_eq!(outer.fields.text("text"), "some text");
    }
    for (name, entries) in [("inner", 1), ("formatted", 0)] {
        assert_eq!(named(name).count() as u64, works, "{name}");
        for span in named(name) {
            assert_eq!((parent(span), span.entries), (Some("outer"), entries), "{span:?}");
            assert_eq!(Some(span.root_id), span.parent_id);
        }
    }
    for (name, expected) in [("scope", "outer"), ("in scope", "scope")] {
        assert_eq!(named(name).count() as u64, works, "{name}");
        for span in named(name) {
            assert_eq!((parent(span), span.entries), (Some(expected), 1), "{span:?}");
        }
    }
    for name in ["plain", "other"] {
        for span in named(name) {
            assert_eq!(parent(span), Some("handler"), "{span:?}");
        }
    }
    for span in named("handler").chain(named("left")) {
        let parent = parent(span);
        assert!(
            matches!(parent, None | Some("outer" | "inner" | "formatted" | "scope" | "in scope")),
            "{span:?}"
        );
    }
    for span in &spans {
        let is_inside = span.duration_ns.is_some_and(|ns| ns >= 0 && span.busy_ns <= ns);
        assert!(is_inside && span.status == "ok", "{span:?}");
    }
}

/// A subscriber for the layer: hands out ids, and knows nothing of its spans.
#[derive(Default)]
struct SignalSafe {
    last_id: AtomicU64,
    /// The only span that has two handles.
    cloned: AtomicU64,
}

impl Subscriber for SignalSafe {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }
    fn clone_span(&self, id: &Id) -> Id {
        self.cloned.store(id.into_u64(), Ordering::Relaxed);
        id.clone()
    }
    fn try_close(&self, id: Id) -> bool {
        let (cloned, order) = (id.into_u64(), Ordering::Relaxed);
        self.cloned.compare_exchange(cloned, 0, order, order).is_err()
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl<'a> LookupSpan<'a> for SignalSafe {
    type Data = Nothing;
    fn span_data(&'a self, _: &Id) -> Option<Nothing> {
        None
    }
}

/// What it knows of them.
enum Nothing {}

impl<'a> SpanData<'a> for Nothing {
    fn id(&self) -> Id {
        match *self {}
    }
    fn metadata(&self) -> &'static Metadata<'static> {
        match *self {}
    }
    fn parent(&self) -> Option<&Id> {
        match *self {}
    }
    fn extensions(&self) -> Extensions<'_> {
        match *self {}
    }
    fn extensions_mut(&self) -> ExtensionsMut<'_> {
        match *self {}
    }
}
