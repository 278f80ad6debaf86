//! Threads and time, so that loom can stand in for them. (Atomics come from [`crate::sync`], locks from [`crate::locks`].)

use std::time::Duration;

use crate::locks;

pub(crate) use crate::locks::{Condvar, Mutex, MutexGuard, lock};

/// Nanoseconds since the buffer was made.
pub(crate) type Time = u64;

/// What never comes.
pub(crate) const NEVER: Time = Time::MAX;

/// A length of time that is too long for the clock is for ever.
pub(crate) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(NEVER)
}

/// Sleeps until it is notified, or that time has come.
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    clock: &Clock,
    until: Time,
) -> MutexGuard<'a, T> {
    locks::wait(condvar, guard, clock.moment(until))
}

#[cfg(not(spandrel_loom))]
mod imp {
    use std::io;
    use std::time::{Duration, Instant};

    use super::{NEVER, Time, nanos};

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Clock(Instant);

    impl Clock {
        pub(crate) fn new() -> Self {
            Self(Instant::now())
        }

        pub(crate) fn now(&self) -> Time {
            nanos(self.0.elapsed())
        }

        /// None of a time that never comes.
        pub(super) fn moment(&self, at: Time) -> Option<Instant> {
            (at != NEVER).then(|| self.0.checked_add(Duration::from_nanos(at))).flatten()
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
    use std::time::Instant;

    use super::Time;

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Clock;

    impl Clock {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn now(&self) -> Time {
            0
        }

        pub(super) fn moment(&self, _at: Time) -> Option<Instant> {
            None
        }
    }

    pub(crate) type Thread = loom::thread::JoinHandle<()>;

    pub(crate) fn spawn(_name: String, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        Ok(loom::thread::spawn(run))
    }
}

pub(crate) use imp::*;
