//! An allocator that opens a span whenever it is called, as one that profiles allocations does. It meets no
//! lock of ours that its own caller holds, whatever that is in the middle of.

#![allow(unsafe_code)] // an allocator cannot be had without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use spandrel_tests::made::{make, use_callsite};
use spandrel_tests::prelude::*;
use tracing::metadata::{Kind, Metadata};

static ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether the thread is in here already: what a span takes is not recorded once more.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

struct Observing;

#[global_allocator]
static ALLOCATOR: Observing = Observing;

/// Callsites that nobody has met, for the moments that [`ARMED`] marks: the first span of a callsite has the
/// most to do.
static FRESH: OnceLock<Vec<&'static Metadata<'static>>> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn observe() {
    // Relaxed: sooner or later.
    if !ON.load(Ordering::Relaxed) || INSIDE.try_with(|inside| inside.replace(true)) != Ok(false) {
        return;
    }
    if ARMED.try_with(Cell::get) == Ok(true)
        && let Some(fresh) =
            FRESH.get().and_then(|all| all.get(NEXT.fetch_add(1, Ordering::Relaxed)))
    {
        tracing::dispatcher::get_default(|dispatch| use_callsite(dispatch, fresh));
    } else {
        drop(info_span!("allocation"));
        info!("allocated");
    }
    _ = INSIDE.try_with(|inside| inside.set(false));
}

// SAFETY: hands every call on unchanged.
unsafe impl GlobalAlloc for Observing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        observe();
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        observe();
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        observe();
        // SAFETY: the caller's promise, handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Threads that come and go, with callsites that nobody has met before, while the filter changes.
fn program(dispatch: &Dispatch) {
    ON.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    within(dispatch, || {
                        info_span!("work", text = %"some text".repeat(9))
                            .in_scope(|| info!("in it"));
                    });
                });
            }
        });
    }
    ON.store(false, Ordering::Relaxed);
}

/// Callsites are met for the first time, and whatever is allocated on the way meets one more.
fn meet(dispatch: &Dispatch) {
    let fresh =
        |of: &str| (0..600).map(|n| make(format!("{of} {n}"), Level::INFO, Kind::SPAN)).collect();
    let ours: Vec<_> = fresh("ours");
    FRESH.get_or_init(|| fresh("of an allocation"));
    within(dispatch, || {
        for metadata in ours {
            ON.store(true, Ordering::Relaxed);
            ARMED.set(true);
            assert!(!dispatch.register_callsite(metadata).is_never());
            ARMED.set(false);
            ON.store(false, Ordering::Relaxed);
            use_callsite(dispatch, metadata);
        }
    });
}

/// `Registry` itself panics if a span is opened while it enters another one, so with it there is no more
/// than that.
fn check(on_registry: bool, install: impl FnOnce(&Profiler) -> (Dispatch, spandrel::FilterHandle)) {
    let scratch = scratch();
    let profiler = small(scratch.db()).ring_capacity(1 << 18).build().unwrap();
    let (dispatch, filter) = install(&profiler);
    meet(&dispatch);
    if on_registry {
        let report = profiler.close().unwrap();
        ledger::check(scratch.db(), &report);
        return assert!(report.stored >= 600, "{report}");
    }
    program(&dispatch);
    ON.store(true, Ordering::Relaxed);
    within(&dispatch, || {
        for _ in 0..20 {
            filter.set("warn,no_such_target=trace,another=off".parse().unwrap());
            filter.set_max_level(Level::TRACE);
        }
    });
    let stats = profiler.stats();
    ON.store(false, Ordering::Relaxed);
    assert!(stats.balances(), "{stats}");
    program(&dispatch);
    let report = profiler.close().unwrap();
    ledger::check(scratch.db(), &report);
    assert!(report.stored >= 160, "{report}");
}

/// One test: the allocator is the whole program's.
#[test]
fn an_allocator_that_opens_spans_meets_no_lock_that_is_held() {
    let _limit = time_limit(120);
    check(true, |profiler| {
        let layer = profiler.layer();
        let filter = layer.filter_handle();
        (Dispatch::new(tracing_subscriber::registry().with(layer)), filter)
    });
    NEXT.store(0, Ordering::Relaxed); // for this recording they are fresh once more
    check(false, |profiler| {
        let subscriber = profiler.subscriber();
        let filter = subscriber.filter_handle();
        (Dispatch::new(subscriber), filter)
    });
}
