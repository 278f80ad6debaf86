//! The handler of a signal enters the very span that its thread is just entering or leaving: the thread goes on,
//! is in no span afterwards, and neither this span nor the next one is spoiled.

#![cfg(target_os = "linux")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel_tests::interrupts;
use spandrel_tests::prelude::*;

static SPAN: OnceLock<Span> = OnceLock::new();
static CALLS: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_signal: libc::c_int) {
    if let Some(span) = SPAN.get() {
        CALLS.store(CALLS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        span.in_scope(|| ());
    }
}

#[test]
fn a_handler_enters_the_span_that_it_has_interrupted() {
    alone!();
    if !interrupts::CAN_STEP {
        return;
    }
    let (scratch, profiler) = recording_for(120);
    tracing::subscriber::set_global_default(profiler.subscriber()).unwrap();
    // A thread's first span allocates, and a callsite's first use takes a lock of `tracing`'s.
    let make = || [info_span!("same"), info_span!("next"), info_span!("last")];
    drop(make());
    let [same, next, last] = make();
    let same = SPAN.get_or_init(|| same);
    interrupts::handle(libc::SIGTRAP, handler).unwrap();
    // The first entry, the second one and further ones are each on a way of their own.
    for _ in 0..4 {
        interrupts::step(|| same.in_scope(|| ()));
        interrupts::step(|| next.in_scope(|| same.in_scope(|| ())));
    }
    let calls = CALLS.load(Ordering::Relaxed);
    assert!(calls > 100, "the handler was called {calls} times only");
    assert!(Span::current().is_none(), "the thread is in {:?}", Span::current());
    drop(next);
    last.in_scope(|| last.in_scope(|| ()));
    drop(last);
    drop(info_span!("after"));
    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    assert_eq!(report.dropped.total(), 0, "{report}");
    for span in db.spans() {
        assert_eq!(span.parent_id, None, "{span:?}");
        assert!(span.name != "last" || span.entries <= 1, "{span:?}");
    }
}
