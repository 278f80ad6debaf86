//! Locks, so that loom can stand in for them. (Atomics come from [`crate::sync`].)

use std::time::Instant;

#[cfg(not(spandrel_loom))]
mod imp {
    use super::Instant;

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
}

#[cfg(spandrel_loom)]
mod imp {
    use super::Instant;

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
}

pub(crate) use imp::*;
