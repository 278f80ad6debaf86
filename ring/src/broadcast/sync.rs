//! Locks, pauses and time, so that loom can stand in for them, and words that only grow. (Atomics come from [`crate::sync`].)

use crate::sync::{AtomicU64, Ordering};

#[cfg(not(spandrel_loom))]
mod imp {
    use std::time::Instant;

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    /// Sleeps until it is notified or the deadline has passed; without one, until it is notified.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        match deadline {
            // Whether it came to that is for the caller to look at again.
            Some(deadline) => _ = condvar.wait_until(&mut guard, deadline),
            None => condvar.wait(&mut guard),
        }
        guard
    }

    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::thread::yield_now;

    pub(crate) fn is_past(deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

#[cfg(spandrel_loom)]
mod imp {
    use std::time::Instant;

    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Loom has no time: a sleep ends when somebody notifies.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

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
