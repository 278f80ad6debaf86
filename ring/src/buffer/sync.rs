//! Locks, threads and time, so that loom can stand in for them. (Atomics come from [`crate::sync`].)

use std::time::Duration;

/// Nanoseconds since the buffer was made.
pub(crate) type Time = u64;

/// What never comes.
pub(crate) const NEVER: Time = Time::MAX;

/// A length of time that is too long for the clock is for ever.
pub(crate) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(NEVER)
}

#[cfg(not(spandrel_loom))]
mod imp {
    use std::io;
    use std::time::{Duration, Instant};

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

    use super::{NEVER, Time, nanos};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    /// Sleeps until it is notified, or that time has come.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
        clock: &Clock,
        until: Time,
    ) -> MutexGuard<'a, T> {
        match (until != NEVER).then(|| clock.0.checked_add(Duration::from_nanos(until))).flatten() {
            // Whether it came to that is for the caller to look at again.
            Some(until) => _ = condvar.wait_until(&mut guard, until),
            None => condvar.wait(&mut guard),
        }
        guard
    }

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Clock(Instant);

    impl Clock {
        pub(crate) fn new() -> Self {
            Self(Instant::now())
        }

        pub(crate) fn now(&self) -> Time {
            nanos(self.0.elapsed())
        }
    }

    pub(crate) type Thread = std::thread::JoinHandle<()>;

    pub(crate) fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        std::thread::Builder::new().name(name).spawn(run)
    }
}

#[cfg(spandrel_loom)]
mod imp {
    use std::io;

    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    use super::Time;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Loom has no time: a sleep ends when somebody notifies.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _clock: &Clock,
        _until: Time,
    ) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Clock;

    impl Clock {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn now(&self) -> Time {
            0
        }
    }

    pub(crate) type Thread = loom::thread::JoinHandle<()>;

    pub(crate) fn spawn(_name: String, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        Ok(loom::thread::spawn(run))
    }
}

pub(crate) use imp::*;
