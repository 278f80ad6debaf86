//! When a request is sent again: waits that grow from try to try, and differ by chance, so that clients that
//! a receiver has turned away together do not come back together. A receiver's own wait is respected.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first wait at most.
const FIRST: Duration = Duration::from_millis(500);

/// A wait at most, unless the receiver asks for a longer one.
const LONGEST: Duration = Duration::from_secs(15);

/// The tries of one request.
#[derive(Debug)]
pub(super) struct Backoff {
    tries: u32,
    /// For how long it is tried.
    patience: Duration,
}

impl Backoff {
    pub(super) fn new(patience: Duration) -> Self {
        Self { tries: 0, patience }
    }

    /// How long to wait for the next try, if there is to be one: `since` the first one so much time has
    /// passed, and the receiver has `asked` for a wait, perhaps.
    pub(super) fn next(
        &mut self,
        since: Duration,
        asked: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        let longest = FIRST.saturating_mul(1 << self.tries.min(16)).min(LONGEST);
        self.tries += 1;
        let wait = asked.unwrap_or_else(|| longest.mul_f64(0.5 + chance / 2.0));
        (since.saturating_add(wait) <= self.patience).then_some(wait)
    }
}

/// From 0 to 1.
pub(super) fn chance() -> f64 {
    // Its keys are random.
    (RandomState::new().build_hasher().finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let mut backoff = Backoff::new(Duration::from_secs(60));
        let mut since = Duration::ZERO;
        let mut waits = Vec::new();
        while let Some(wait) = backoff.next(since, None, 1.0) {
            waits.push(wait.as_millis());
            since += wait;
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        let half = Backoff::new(LONGEST).next(Duration::ZERO, None, 0.0);
        assert_eq!(half, Some(FIRST / 2), "by chance as little as half");
    }

    #[test]
    fn a_receiver_that_says_when_is_heeded_as_far_as_patience_goes() {
        let mut backoff = Backoff::new(Duration::from_secs(60));
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(backoff.next(Duration::ZERO, asked(0), 0.3), asked(0));
        assert_eq!(backoff.next(Duration::ZERO, asked(59), 0.3), asked(59));
        assert_eq!(backoff.next(Duration::from_secs(2), asked(59), 0.3), None);
        assert_eq!(Backoff::new(Duration::ZERO).next(Duration::ZERO, None, 0.0), None);
    }

    #[test]
    fn chance_is_between_0_and_1_and_differs() {
        let some: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(some.iter().all(|chance| (0.0..1.0).contains(chance)), "{some:?}");
        assert!(some.iter().any(|chance| *chance != some[0]));
    }
}
