//! Bursts: records come faster than anybody can store them, for a moment.
//!
//! While one lasts, the writer does nothing but to take records out of the ring, which is full in a millisecond or
//! two; a commit takes longer than that. What it has taken it converts when the burst is over, or when there is no
//! more room for it.

use std::time::{Duration, Instant};

/// A record comes each so many nanoseconds, or more often: twice as fast as records without fields are stored.
const FAST_NS: u128 = 250;
/// A burst is over when it was quiet for so long: its thread may only have been sent away for a moment.
const QUIET: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Burst {
    ring_slots: u64,
    /// The last look at the ring.
    looked: Instant,
    /// When the burst began that goes on.
    began: Option<Instant>,
    /// When it was last seen.
    seen: Instant,
}

impl Burst {
    pub(super) fn new(ring_slots: usize, now: Instant) -> Self {
        Self { ring_slots: ring_slots as u64, looked: now, began: None, seen: now }
    }

    /// So many slots were taken out of the ring by now.
    pub(super) fn drained(&mut self, slots: u64, now: Instant) {
        let since = now.saturating_duration_since(self.looked).as_nanos();
        self.looked = now;
        let is_fast = slots > self.ring_slots / 64 && u128::from(slots) * FAST_NS >= since;
        // So many have come while the writer was somewhere else, perhaps all of them just now.
        if is_fast || slots > self.ring_slots / 4 {
            self.seen = now;
            self.began.get_or_insert(now);
        } else if now.saturating_duration_since(self.seen) >= QUIET {
            self.began = None;
        }
    }

    /// Whether one goes on that began less than so long ago.
    pub(super) fn goes_on(&self, less_than: Duration) -> bool {
        self.began.is_some_and(|began| self.looked.saturating_duration_since(began) < less_than)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);
    const LONG: Duration = Duration::from_millis(500);

    #[test]
    fn what_the_writer_keeps_up_with_is_no_burst() {
        let began = Instant::now();
        let mut burst = Burst::new(65_536, began);
        // A million a second, and a commit each ten milliseconds.
        for n in 1..100 {
            burst.drained(10_000, began + n * 10_000 * MICROSECOND);
            assert!(!burst.goes_on(LONG));
        }
        // A few at once are none either.
        burst.drained(1_000, began + 990_001 * MICROSECOND);
        assert!(!burst.goes_on(LONG));
    }

    #[test]
    fn a_burst_is_over_when_it_was_quiet_and_holds_nothing_up_for_longer_than_it_may() {
        let began = Instant::now();
        let mut burst = Burst::new(65_536, began);
        let mut now = began;
        let mut drain = |burst: &mut Burst, slots: u64, us: u32| {
            now += us * MICROSECOND;
            burst.drained(slots, now);
            burst.goes_on(LONG)
        };
        // As fast as it gets; then its thread is sent away; then the writer is, and the ring is full.
        assert!(drain(&mut burst, 2_000, 200));
        assert!(drain(&mut burst, 0, 9_000));
        assert!(drain(&mut burst, 2_000, 200));
        assert!(drain(&mut burst, 40_000, 100_000));
        assert!(drain(&mut burst, 10, 9_000));
        assert!(!drain(&mut burst, 10, 1_000));
        // One that does not end.
        assert!((0..2_500).all(|_| drain(&mut burst, 2_000, 200)));
        assert!((0..2_500).all(|_| !drain(&mut burst, 2_000, 200)));
        assert!(!drain(&mut burst, 0, 10_000));
        assert!(drain(&mut burst, 2_000, 200));
    }
}
