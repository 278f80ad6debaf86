//! What a thread does while there is nothing to read, or no room.
//!
//! | strategy | a waiting thread | what the other side pays to end the wait |
//! |---|---|---|
//! | [`Spin`] | burns its processor | nothing |
//! | [`SpinYield`] | spins for a moment, then lets others run | nothing |
//! | [`Yield`] | lets others run | nothing |
//! | [`Sleep`] | sleeps for an interval at a time | nothing |
//! | [`Park`] | spins for a moment, then sleeps until it is woken | one read-modify-write instruction for each publication (two with several producers) and each release; a system call if somebody sleeps |
//!
//! Where there are more threads than processors, whoever spins keeps those from running that it waits for.
//! [`SpinYield`] is what a ring has if nothing else is said.

use std::fmt;
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, is_past, lock, spin_loop, wait, yield_now};
use crate::sync::{AtomicU64, Ordering};

/// Looks at a condition before anybody sleeps.
const SPINS: u32 = if cfg!(miri) { 1 } else { 64 };

/// How threads wait; one's own can be added.
///
/// A ring has two of them, made by `clone`: consumers and readers wait for one, producers for the other.
pub trait WaitStrategy: Clone + fmt::Debug + Send + Sync + 'static {
    /// Waits until `ready` has something, or until the deadline has passed; for ever, if there is none. `ready` may
    /// call [`signal`](Self::signal), so no lock is to be held around it.
    fn wait<R>(&self, deadline: Option<Instant>, ready: &mut dyn FnMut() -> Option<R>)
    -> Option<R>;

    /// Called after each change that somebody may be waiting for.
    fn signal(&self) {}
}

/// Looks all the time. For threads that have a processor each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spin;

/// Looks for a moment, then lets other threads run between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpinYield;

/// Lets other threads run between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Yield;

/// Sleeps between two looks. Producers pay nothing, and what is published waits so long at most.
#[derive(Debug, Clone, Copy)]
pub struct Sleep(pub Duration);

impl Default for Sleep {
    /// 100 microseconds.
    fn default() -> Self {
        Self(Duration::from_micros(100))
    }
}

/// Sleeps until it is woken.
#[derive(Debug)]
pub struct Park {
    /// Threads that sleep or are about to, below [`SIGNAL`], and how often something has changed.
    state: AtomicU64,
    /// Held between the last look at the state and the sleep, and to wake; never while a condition is looked at,
    /// which may signal itself.
    lock: Mutex<()>,
    changed: Condvar,
}

/// One change, in a state.
const SIGNAL: u64 = 1 << 16;

impl Default for Park {
    fn default() -> Self {
        Self { state: AtomicU64::new(0), lock: Mutex::new(()), changed: Condvar::new() }
    }
}

impl Clone for Park {
    /// Another one, for which nobody waits.
    fn clone(&self) -> Self {
        Self::default()
    }
}

fn spin<R>(ready: &mut dyn FnMut() -> Option<R>) -> Option<R> {
    for _ in 0..SPINS {
        if let Some(found) = ready() {
            return Some(found);
        }
        spin_loop();
    }
    None
}

impl WaitStrategy for Spin {
    fn wait<R>(
        &self,
        deadline: Option<Instant>,
        ready: &mut dyn FnMut() -> Option<R>,
    ) -> Option<R> {
        loop {
            if let Some(found) = spin(ready) {
                return Some(found);
            }
            if is_past(deadline) {
                return None;
            }
        }
    }
}

impl WaitStrategy for SpinYield {
    fn wait<R>(
        &self,
        deadline: Option<Instant>,
        ready: &mut dyn FnMut() -> Option<R>,
    ) -> Option<R> {
        spin(ready).or_else(|| Yield.wait(deadline, ready))
    }
}

impl WaitStrategy for Yield {
    fn wait<R>(
        &self,
        deadline: Option<Instant>,
        ready: &mut dyn FnMut() -> Option<R>,
    ) -> Option<R> {
        loop {
            if let Some(found) = ready() {
                return Some(found);
            }
            if is_past(deadline) {
                return None;
            }
            yield_now();
        }
    }
}

impl WaitStrategy for Sleep {
    fn wait<R>(
        &self,
        deadline: Option<Instant>,
        ready: &mut dyn FnMut() -> Option<R>,
    ) -> Option<R> {
        loop {
            if let Some(found) = ready() {
                return Some(found);
            }
            if is_past(deadline) {
                return None;
            }
            let left = deadline.map_or(self.0, |end| end.saturating_duration_since(Instant::now()));
            std::thread::sleep(self.0.min(left));
        }
    }
}

impl WaitStrategy for Park {
    fn wait<R>(
        &self,
        deadline: Option<Instant>,
        ready: &mut dyn FnMut() -> Option<R>,
    ) -> Option<R> {
        // Loom lets whoever yields wait for the others, so that nobody would ever be seen asleep.
        if !cfg!(spandrel_loom)
            && let Some(found) = spin(ready)
        {
            return Some(found);
        }
        loop {
            // AcqRel, here and in `signal`: of the two read-modify-writes one comes second. If it is this one, what
            // was published before the other is seen by `ready` below. If it is the other, it finds a sleeper.
            let before = self.state.fetch_add(1, Ordering::AcqRel) / SIGNAL;
            let found = ready();
            let is_over = found.is_some() || is_past(deadline);
            if !is_over {
                let guard = lock(&self.lock);
                // Relaxed: who changes it takes the lock afterwards, and wakes. If it had it before, this sees the
                // change.
                if self.state.load(Ordering::Relaxed) / SIGNAL == before {
                    drop(wait(&self.changed, guard, deadline));
                }
            }
            // Relaxed: no more than a number that sinks.
            self.state.fetch_sub(1, Ordering::Relaxed);
            if is_over {
                return found;
            }
        }
    }

    fn signal(&self) {
        // AcqRel: as above.
        let sleepers = self.state.fetch_add(SIGNAL, Ordering::AcqRel) & (SIGNAL - 1);
        if sleepers > 0 {
            drop(lock(&self.lock));
            self.changed.notify_all();
        }
    }
}
