//! An allocator that counts: calls by thread, and the bytes that all threads have.

#![allow(unsafe_code)] // an allocator cannot be had without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    // Const and without a destructor: reading it allocates nothing and works to the thread's end.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Bytes given out, and bytes given back.
static GIVEN: AtomicU64 = AtomicU64::new(0);
static RETURNED: AtomicU64 = AtomicU64::new(0);

/// The system's allocator; install it with `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// Relaxed: figures of their own. A call that fails ends the test.
fn give(bytes: usize) {
    GIVEN.fetch_add(bytes as u64, Ordering::Relaxed);
}

fn take_back(bytes: usize) {
    RETURNED.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: hands every call on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        give(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        take_back(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        give(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        give(size);
        take_back(layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How often this thread called the allocator while `body` ran, freeing included.
pub fn during(body: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    body();
    COUNT.with(Cell::get) - before
}

/// Bytes that the program has from the allocator now.
pub fn live_bytes() -> u64 {
    // In this order: more may be given out meanwhile, but never less than was given back before.
    let returned = RETURNED.load(Ordering::Relaxed);
    GIVEN.load(Ordering::Relaxed).saturating_sub(returned)
}
