//! A lock that does not hang a forked child.
//!
//! `fork` copies memory with the locks that other threads hold, but not those threads: a child that
//! waits for such a lock waits for ever. Instead it goes on without the data that the lock guards: only its
//! parent needs them.

use std::sync::{MutexGuard, PoisonError, TryLockError};

/// The standard library's lock: all of its state is in it, so a `fork` cannot copy half of it.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    inner: std::sync::Mutex<T>,
    /// The process that it was made in.
    pid: u32,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { inner: std::sync::Mutex::new(value), pid: std::process::id() }
    }

    /// Waits for the lock. `None` in a forked child, if another thread had it at the fork.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.inner.try_lock() {
            Ok(guard) => Some(guard),
            // A panic under one of our locks leaves nothing half-done.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if std::process::id() != self.pid => None,
            Err(TryLockError::WouldBlock) => {
                Some(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_does_not_wait() {
        let mut lock = Mutex::new(7);
        lock.pid = 0; // as in a child: the process is another one
        {
            let _held_by_a_thread_that_is_not_there = lock.inner.lock().unwrap();
            assert!(lock.lock().is_none());
        }
        assert_eq!(*lock.lock().unwrap(), 7, "nobody held it");
    }

    #[test]
    fn others_wait_for_their_turn() {
        let lock = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        *lock.lock().unwrap() += 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock().unwrap(), 4_000);
    }

    #[test]
    fn a_panic_under_the_lock_leaves_it_usable() {
        let lock = Mutex::new(1);
        let _panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = lock.lock();
            panic!("on purpose");
        }));
        assert_eq!(*lock.lock().unwrap(), 1);
    }
}
