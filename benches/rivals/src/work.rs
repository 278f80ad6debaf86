//! The cases, made with `tracing`; and the futures that are polled by hand.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tracing::{Instrument, info_span};

use crate::case::{Case, TREE_CHILDREN};

/// Makes so many spans, rounded up to whole pieces, and says how many.
pub fn run(case: Case, spans: u64) -> u64 {
    let pieces = spans.div_ceil(case.piece());
    match case {
        Case::NoFields => no_fields(pieces),
        Case::ThreeFields => three_fields(pieces),
        Case::Nested => nested(pieces),
        Case::Async => polled(pieces),
        Case::Tree => trees(pieces),
    }
    pieces * case.piece()
}

/// One span without fields, for those that are timed singly.
#[inline]
pub fn one() {
    let span = info_span!("work");
    let _entered = span.enter();
    black_box(&span);
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
fn polled(spans: u64) {
    for _ in 0..spans {
        poll_to_end(ReadyAfter(POLLS).instrument(info_span!("work")));
    }
}

#[inline(never)]
fn trees(trees: u64) {
    for _ in 0..trees {
        let root = info_span!("root");
        let _in_root = root.enter();
        no_fields(TREE_CHILDREN);
    }
}

/// How often the futures are polled.
pub const POLLS: u32 = 3;
/// How often the span of such a future is entered: `tracing` drops the future inside it, too.
pub const ENTRIES: u64 = POLLS as u64 + 1;

/// Polls a future until it is ready.
#[inline]
pub fn poll_to_end(future: impl Future<Output = ()>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    while black_box(future.as_mut().poll(&mut context)).is_pending() {}
}

/// A future that is ready when it has been polled so many times.
#[derive(Debug)]
pub struct ReadyAfter(pub u32);

impl Future for ReadyAfter {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0 -= 1;
        if black_box(self.0) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}
