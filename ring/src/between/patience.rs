//! How long somebody who is in the way is waited for, before he is asked for, and before he is passed over.

use std::time::{Duration, Instant};

pub(super) use crate::broadcast::sync::is_past;
use crate::broadcast::sync::{spin_loop, yield_now};

/// How long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until it is asked whether he lives: that takes system calls.
    pub(super) ask_after: Duration,
    /// Until it is asked again.
    pub(super) ask_every: Duration,
    /// Until he is passed over.
    pub(super) pass_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ask_after: Duration::from_millis(1),
            ask_every: Duration::from_millis(10),
            pass_after: Duration::from_millis(20),
        }
    }
}

/// Who is in the way, and since when.
#[derive(Debug)]
pub(super) struct Patience {
    limits: Limits,
    what: u64,
    since: Option<Instant>,
    asked: Option<Instant>,
}

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) asks: bool,
    pub(super) is_over: bool,
}

impl Patience {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, what: 0, since: None, asked: None }
    }

    /// This is in the way, now.
    pub(super) fn look(&mut self, what: u64) -> Seen {
        let now = Instant::now();
        let since = match self.since {
            Some(since) if self.what == what => since,
            _ => {
                (self.what, self.since, self.asked) = (what, Some(now), None);
                now
            }
        };
        let passed = now.saturating_duration_since(since);
        let asks = match self.asked {
            None => passed >= self.limits.ask_after,
            Some(asked) => now.saturating_duration_since(asked) >= self.limits.ask_every,
        };
        if asks {
            self.asked = Some(now);
        }
        Seen { asks, is_over: passed >= self.limits.pass_after }
    }

    /// Whether it is time to ask for something that may change while nobody is in the way.
    pub(super) fn is_time(&mut self) -> bool {
        self.look(0).asks
    }
}

/// Waits between two looks: for a moment on the processor, then lets others run, then sleeps.
#[derive(Debug, Default)]
pub(super) struct Pause(u32);

impl Pause {
    const SPINS: u32 = if cfg!(any(miri, spandrel_loom)) { 1 } else { 64 };
    const YIELDS: u32 = 192;
    const SLEEP_MAX: u32 = 16;

    /// Waits a little, and no longer than until the deadline.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) {
        self.0 = self.0.saturating_add(1);
        if self.0 <= Self::SPINS {
            spin_loop();
        } else if self.0 <= Self::SPINS + Self::YIELDS || cfg!(spandrel_loom) {
            yield_now();
        } else {
            // 50 us, and up to a millisecond.
            let turns = (self.0 - Self::SPINS - Self::YIELDS).min(Self::SLEEP_MAX);
            let pause = Duration::from_micros(60) * turns;
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            std::thread::sleep(left.map_or(pause, |left| pause.min(left)));
        }
    }
}

/// The moment in which a wait ends; none if that is beyond all clocks.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
