//! Pauses and time, so that loom can stand in for them, and words that only grow. (Atomics come from [`crate::sync`], locks
//! from [`crate::locks`].)

use crate::sync::{AtomicU64, Ordering};

pub(crate) use crate::locks::{Condvar, Mutex, lock, wait};

#[cfg(not(spandrel_loom))]
mod imp {
    use std::time::Instant;

    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::thread::yield_now;

    pub(crate) fn is_past(deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

#[cfg(spandrel_loom)]
mod imp {
    use std::time::Instant;

    pub(crate) use loom::thread::{yield_now, yield_now as spin_loop};

    pub(crate) fn is_past(_deadline: Option<Instant>) -> bool {
        false
    }
}

pub(crate) use imp::*;

/// Makes a word at least so large. All that was done before is handed over to whoever finds it so large, if it was this
/// call that made it so; and the caller has what whoever else did handed over.
///
/// No `fetch_max`: ThreadSanitizer does not know it, and takes what it orders for a race.
pub(crate) fn raise(word: &AtomicU64, to: u64) {
    // Acquire, Release: pair with each other, in other calls and in whatever loads the word.
    let mut now = word.load(Ordering::Acquire);
    while now < to {
        match word.compare_exchange_weak(now, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(found) => now = found,
        }
    }
}
