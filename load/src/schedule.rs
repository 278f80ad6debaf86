//! When each tree is due, whatever became of the ones before.
//!
//! A generator that waits for one tree to end before it plans the next asks less when the system
//! is slow, and so hides the slowness it should measure (coordinated omission). Here the moments
//! are fixed beforehand, and a late tree counts from the moment it was due.

use std::thread;
use std::time::{Duration, Instant};

use crate::settings::Load;

/// Sleeping overshoots by about half of this; the rest is spent in yields, which leave the
/// processor to whoever wants it.
const SLEEP_SHORT_OF: Duration = Duration::from_micros(100);
/// What is due so soon is waited for without a system call: yielding takes about as long.
const SPIN_SHORT_OF: Duration = Duration::from_micros(5);
/// A generator that has fallen behind may catch up for so long after the end.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    end: Instant,
    /// Nanoseconds from tree to tree over all lanes; `None`: no pace.
    spacing_ns: Option<f64>,
    trees: u64,
}

impl Schedule {
    /// A load that begins in a moment, when the threads are up.
    pub(crate) fn new(load: &Load, length: Duration) -> Self {
        let start = Instant::now() + Duration::from_millis(20);
        let trees = load.trees_due(length).unwrap_or(u64::MAX);
        Self { start, end: start + length, spacing_ns: load.spacing_ns(), trees }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn length(&self) -> Duration {
        self.end - self.start
    }

    /// Waits until tree `n` is due and returns that moment; `None` when the load is over.
    pub(crate) fn wait_for(&self, n: u64) -> Option<Instant> {
        let Some(spacing_ns) = self.spacing_ns else {
            let now = wait_until(self.start);
            return (now < self.end).then_some(now);
        };
        let due = self.start + Duration::from_nanos((n as f64 * spacing_ns) as u64);
        let over = n >= self.trees || wait_until(due) > self.end + GRACE;
        (!over).then_some(due)
    }
}

/// Returns the time at which it stopped waiting.
fn wait_until(due: Instant) -> Instant {
    loop {
        let now = Instant::now();
        let left = due.saturating_duration_since(now);
        if left.is_zero() {
            return now;
        } else if left > SLEEP_SHORT_OF {
            thread::sleep(left - SLEEP_SHORT_OF);
        } else if left > SPIN_SHORT_OF {
            thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
