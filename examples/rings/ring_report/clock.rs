//! The clock that operations are timed by: the processor's counter, where there is one.

use std::time::{Duration, Instant};

use spandrel_ring::timestamp;

/// What a tick is, and what it takes to read the clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    ns_per_tick: f64,
    /// Of two readings, one behind the other: the median. Each duration has it in it.
    pub reading_ns: f64,
}

impl Clock {
    /// Compares the counter with the system's clock for a moment.
    pub fn new() -> Self {
        let mut clock = Self { began: Instant::now(), ns_per_tick: 1.0, reading_ns: 0.0 };
        if timestamp::AVAILABLE {
            let (began, first) = (Instant::now(), timestamp::read());
            while began.elapsed() < Duration::from_millis(50) {
                std::hint::spin_loop();
            }
            let ticks = timestamp::read().wrapping_sub(first).max(1);
            clock.ns_per_tick = began.elapsed().as_nanos() as f64 / ticks as f64;
        }
        let mut between: Vec<u64> = (0..10_001).map(|_| clock.since(clock.now())).collect();
        between.sort_unstable();
        clock.reading_ns = clock.ns(between[between.len() / 2]);
        clock
    }

    #[inline(always)]
    pub fn now(&self) -> u64 {
        if timestamp::AVAILABLE {
            timestamp::read()
        } else {
            self.began.elapsed().as_nanos() as u64
        }
    }

    /// Ticks since a reading. None if a thread has moved to a processor whose counter is behind.
    #[inline(always)]
    pub fn since(&self, before: u64) -> u64 {
        self.now().saturating_sub(before)
    }

    pub fn ns(&self, ticks: u64) -> f64 {
        ticks as f64 * self.ns_per_tick
    }

    pub fn mean_ns(&self, ticks: f64) -> f64 {
        ticks * self.ns_per_tick
    }
}
