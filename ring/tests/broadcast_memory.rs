//! How much memory a slot takes, as the allocator sees it.

#![cfg(feature = "broadcast")]
#![allow(unsafe_code, clippy::unwrap_used)] // an allocator that counts; a test fails by panicking

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use spandrel_ring::broadcast::{self, Builder, Producers};

struct Counting;

std::thread_local! {
    /// Of this thread, so that whoever runs the tests does not count.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.with(|bytes| bytes.set(bytes.get().wrapping_add(layout.size())));
        // SAFETY: as of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // What another thread has allocated may be given back here.
        BYTES.with(|bytes| bytes.set(bytes.get().wrapping_sub(layout.size())));
        // SAFETY: as of the caller.
        unsafe { System.dealloc(at, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of a ring, of so many slots of 64.
fn bytes<P: Producers>(builder: impl FnOnce() -> Builder<[u64; 8], P>) -> usize {
    let before = BYTES.get();
    let ring = builder().build().unwrap();
    let bytes = BYTES.get().wrapping_sub(before);
    drop(ring);
    bytes
}

#[test]
fn a_slot_of_64_bytes_takes_at_most_72() {
    const SLOTS: usize = if cfg!(miri) { 256 } else { 65_536 };
    let (small, large) = (bytes(|| broadcast::ring(2)), bytes(|| broadcast::ring(2 * SLOTS)));
    assert!((large - small).div_ceil(2 * SLOTS - 2) <= 72, "{small}, {large}");
    let single = |slots| bytes(|| broadcast::ring(slots).single());
    let (small, large) = (single(2), single(2 * SLOTS));
    assert!((large - small).div_ceil(2 * SLOTS - 2) <= 64, "{small}, {large}");
    assert!(small <= 6 * 1024, "a ring by itself: {small}");
}
