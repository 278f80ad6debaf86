//! What the recorder's own threads do is not recorded, from their first moment on: neither by another
//! profiler nor, while it is still being started, by the same one.

#![allow(unsafe_code)] // an allocator cannot be had without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_tests::prelude::*;

static ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether the thread is in here already.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Observing;

#[global_allocator]
static ALLOCATOR: Observing = Observing;

// SAFETY: hands every call on unchanged.
unsafe impl GlobalAlloc for Observing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Relaxed: sooner or later.
        if ON.load(Ordering::Relaxed) && INSIDE.try_with(|inside| inside.replace(true)) == Ok(false)
        {
            drop(info_span!("allocation"));
            _ = INSIDE.try_with(|inside| inside.set(false));
        }
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// One test: allocator and subscriber are the whole program's.
#[test]
fn what_a_profiler_allocates_to_start_is_in_no_profile() {
    let _limit = time_limit(60);
    let (watching, started) = (scratch(), scratch());
    let profiler = small(watching.db()).ring_capacity(1 << 16).build().unwrap();
    profiler.subscriber().init().unwrap();
    info_span!("allocation").in_scope(|| ()); // the callsite is met
    ON.store(true, Ordering::Relaxed);
    let empty = std::thread::Builder::new().name("empty".into()).spawn(|| ()).unwrap();
    empty.join().unwrap();
    let other = small(started.db()).build().unwrap();
    other.flush(Duration::MAX).unwrap();
    let report = other.close().unwrap();
    ON.store(false, Ordering::Relaxed);
    assert_eq!(report.recorded, 0);
    let report = profiler.close().unwrap();
    ledger::check(watching.db(), &report);
    let database = Database::open(watching.db());
    let of = |thread: &str| {
        database.count(&format!("SELECT count(*) FROM spans WHERE thread = '{thread}'"))
    };
    let empty = of("empty");
    // What the standard library allocates before a thread is anybody's. The writer of the first profiler may
    // begin late, too.
    for (ours, threads) in [("spandrel-build", 1), ("spandrel-writer", 2)] {
        let (found, most) = (of(ours), threads * empty);
        assert!(found <= most, "{ours}: {found}, as many empty threads: {most}");
    }
}
