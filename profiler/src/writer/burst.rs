//! Bursts: for a moment, records come faster than they can be stored.
//!
//! During a burst the writer only takes records out of the ring. The ring is full in a millisecond or
//! two, and a commit takes longer than that. The records are converted when the burst is over, or when
//! there is no more room for them.

use std::time::{Duration, Instant};

/// In a burst a record comes every 250 ns, or more often: twice as fast as records without fields are
/// stored.
const FAST_NS: u128 = 250;
/// A burst is over after so long without records. A shorter pause may mean only that the thread was
/// suspended.
const QUIET: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Burst {
    ring_slots: u64,
    /// The last look at the ring.
    looked: Instant,
    /// When the present burst began, if there is one.
    began: Option<Instant>,
    /// When it was last seen to go on.
    seen: Instant,
    /// After a long rest there were so many records that a burst may just have begun. The next look will
    /// tell.
    perhaps: bool,
}

impl Burst {
    pub(super) fn new(ring_slots: usize, now: Instant) -> Self {
        Self { ring_slots: ring_slots as u64, looked: now, began: None, seen: now, perhaps: false }
    }

    /// Tells how many slots were just taken out of the ring.
    pub(super) fn drained(&mut self, slots: u64, now: Instant) {
        let since = now.saturating_duration_since(self.looked).as_nanos();
        self.looked = now;
        let is_fast = slots > self.ring_slots / 64 && u128::from(slots) * FAST_NS >= since;
        // So many have come while the writer did something else; perhaps all of them just now.
        if is_fast || slots > self.ring_slots / 4 {
            self.seen = now;
            self.began.get_or_insert(now);
            self.perhaps = false;
            return;
        }
        self.perhaps = slots > self.ring_slots / 16 && !self.perhaps;
        if now.saturating_duration_since(self.seen) >= QUIET {
            self.began = None;
        }
    }

    /// Whether there is a burst, which began less than so long ago.
    pub(super) fn goes_on(&self, less_than: Duration) -> bool {
        let is_young = |began| self.looked.saturating_duration_since(began) < less_than;
        self.perhaps || self.began.is_some_and(is_young)
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
            let now = began + n * 10_000 * MICROSECOND;
            burst.drained(10_000, now);
            assert!(burst.goes_on(LONG), "it may have begun just now");
            burst.drained(200, now + 200 * MICROSECOND);
            assert!(!burst.goes_on(LONG));
        }
        // A few at once are no burst either.
        burst.drained(1_000, began + 990_201 * MICROSECOND);
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
        // It begins at the end of a rest, then runs at full speed; then its thread is suspended; then
        // the writer is, and the ring is full.
        assert!(drain(&mut burst, 8_192, 50_000));
        assert!(drain(&mut burst, 2_000, 200));
        assert!(drain(&mut burst, 0, 9_000));
        assert!(drain(&mut burst, 2_000, 200));
        assert!(drain(&mut burst, 40_000, 100_000));
        assert!(drain(&mut burst, 10, 9_000));
        assert!(!drain(&mut burst, 10, 1_000));
        // A burst without end.
        assert!((0..2_500).all(|_| drain(&mut burst, 2_000, 200)));
        assert!((0..2_500).all(|_| !drain(&mut burst, 2_000, 200)));
        assert!(!drain(&mut burst, 0, 10_000));
        assert!(drain(&mut burst, 2_000, 200));
    }
}
