//! What is recorded. A span is create, enter, exit and close.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use tracing::{Instrument, Span, info, info_span, trace};

/// A way to make spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// One span without fields after the other.
    NoFields,
    /// The same that nobody enters.
    NeverEntered,
    /// One span with three fields after the other: `u64`, `f64` and a string of eight bytes.
    ThreeFields,
    /// Spans without fields, three of them inside each other; counted singly.
    Nested,
    /// A future that is ready at its third poll, instrumented with a span without fields and
    /// polled by hand.
    Async,
    /// Eight such futures at once, polled in turns.
    AsyncTurns,
    /// A future as in `Async` that is ready at its eleventh poll.
    AsyncLonger,
    /// No spans, but as many entries of one that was entered more than a thousand times: each is recorded by
    /// spandrel.
    LongLived,
    /// The same inside another span that is not its parent, as systems are entered in frames.
    LongLivedAside,
    /// Scopes without fields.
    Scopes,
    /// The same with three fields.
    ScopesWithFields,
    /// Scopes in each other.
    NestedScopes,
    /// No spans, but as many events with a message and a field, outside of all spans.
    Events,
    /// No spans, but as many events that are below all levels.
    Unwanted,
}

impl Case {
    /// Those that make spans, in the order of the tables.
    pub const ALL: [Self; 5] =
        [Self::NoFields, Self::ThreeFields, Self::Nested, Self::Async, Self::AsyncTurns];

    /// The name in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoFields => "no_fields",
            Self::NeverEntered => "never_entered",
            Self::ThreeFields => "3_fields",
            Self::Nested => "nested",
            Self::Async => "async",
            Self::AsyncTurns => "async_turns",
            Self::AsyncLonger => "async_longer",
            Self::LongLived => "long_lived",
            Self::LongLivedAside => "long_lived_aside",
            Self::Scopes => "scopes",
            Self::ScopesWithFields => "scopes_3_fields",
            Self::NestedScopes => "scopes_nested",
            Self::Events => "events",
            Self::Unwanted => "unwanted",
        }
    }

    /// The case of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .chain([Self::NeverEntered, Self::AsyncLonger, Self::LongLived, Self::LongLivedAside])
            .chain([Self::Scopes, Self::ScopesWithFields, Self::NestedScopes])
            .chain([Self::Events, Self::Unwanted])
            .find(|case| case.name() == name)
    }

    /// Makes so many spans, rounded up to whole nests and turns. Of a program, `scripts/instructions.sh` counts
    /// what happens in here.
    #[inline(never)]
    pub fn run(self, spans: u64) {
        match self {
            Self::NoFields => no_fields(spans),
            Self::NeverEntered => never_entered(spans),
            Self::ThreeFields => three_fields(spans),
            Self::Nested => nested(spans.div_ceil(3)),
            Self::Async => polled(spans, 3),
            Self::AsyncLonger => polled(spans, 11),
            Self::AsyncTurns => polled_in_turns(spans.div_ceil(TURNS)),
            Self::LongLived => entered(spans),
            Self::LongLivedAside => entered_aside(spans),
            Self::Scopes => scopes(spans),
            Self::ScopesWithFields => scopes_with_fields(spans),
            Self::NestedScopes => nested_scopes(spans.div_ceil(3)),
            Self::Events => events(spans),
            Self::Unwanted => unwanted(spans),
        }
    }

    /// Whether there is anything in it to be stored.
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        !matches!(self, Self::Unwanted)
    }
}

#[inline(never)]
fn no_fields(spans: u64) {
    for n in 0..spans {
        let span = info_span!("work");
        let _entered = span.enter();
        black_box(n);
    }
}

#[inline(never)]
fn never_entered(spans: u64) {
    for n in 0..spans {
        let _span = info_span!("work");
        black_box(n);
    }
}

/// The span lives longer than the program: each call goes on with it.
#[inline(never)]
fn entered(entries: u64) {
    static SPAN: OnceLock<Span> = OnceLock::new();
    let span = SPAN.get_or_init(|| {
        let span = info_span!("system");
        (0..1_000).for_each(|_| span.in_scope(|| {}));
        span
    });
    for n in 0..entries {
        let _entered = span.enter();
        black_box(n);
    }
}

#[inline(never)]
fn entered_aside(entries: u64) {
    // The span is made outside.
    entered(0);
    let frame = info_span!("frame");
    let _entered = frame.enter();
    entered(entries);
}

#[inline(never)]
fn events(events: u64) {
    for n in 0..events {
        info!(n, "this is kept");
        black_box(n);
    }
}

#[inline(never)]
fn unwanted(events: u64) {
    for n in 0..events {
        trace!(n, "nobody wants this");
        black_box(n);
    }
}

#[inline(never)]
fn scopes(spans: u64) {
    for n in 0..spans {
        let _scope = spandrel::scope!("work");
        black_box(n);
    }
}

#[inline(never)]
fn scopes_with_fields(spans: u64) {
    for n in 0..spans {
        let _scope = spandrel::scope!("work", id = n, ratio = 0.5, kind = "checkout");
        black_box(n);
    }
}

#[inline(never)]
fn nested_scopes(nests: u64) {
    for n in 0..nests {
        let _outer = spandrel::scope!("outer");
        let _middle = spandrel::scope!("middle");
        let _inner = spandrel::scope!("inner");
        black_box(n);
    }
}

#[inline(never)]
fn three_fields(spans: u64) {
    for n in 0..spans {
        let span = info_span!("work", id = n, ratio = 0.5, kind = "checkout");
        let _entered = span.enter();
        black_box(n);
    }
}

#[inline(never)]
fn nested(nests: u64) {
    for n in 0..nests {
        let outer = info_span!("outer");
        let _in_outer = outer.enter();
        let middle = info_span!("middle");
        let _in_middle = middle.enter();
        let inner = info_span!("inner");
        let _in_inner = inner.enter();
        black_box(n);
    }
}

#[inline(never)]
fn polled(spans: u64, polls: u32) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..spans {
        let mut future = pin!(ReadyAfter(polls).instrument(info_span!("work")));
        while black_box(future.as_mut().poll(&mut context)).is_pending() {}
    }
}

/// Futures that are polled in turns.
const TURNS: u64 = 8;

#[inline(never)]
fn polled_in_turns(rounds: u64) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..rounds {
        let mut futures: [_; TURNS as usize] =
            std::array::from_fn(|_| ReadyAfter(3).instrument(info_span!("work")));
        for _ in 0..3 {
            for future in &mut futures {
                let _ready = black_box(Pin::new(future).poll(&mut context));
            }
        }
    }
}

/// A future that is ready when it has been polled so many times.
struct ReadyAfter(u32);

impl Future for ReadyAfter {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0 -= 1;
        if black_box(self.0) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}
