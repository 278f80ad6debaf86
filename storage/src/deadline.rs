//! Moments in the future, however far.

use std::time::{Duration, Instant};

/// Longer than any program runs. Longer times are cut to this, because the system's clock may not have
/// moments that far in the future.
pub const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The moment so long after `start`; if that is too far in the future, one that never comes.
pub fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time.min(FOREVER)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_without_end_is_far_away() {
        let now = Instant::now();
        assert_eq!(after(now, Duration::from_millis(5)) - now, Duration::from_millis(5));
        assert_eq!(after(now, Duration::MAX) - now, FOREVER);
        assert!(after(after(now, Duration::MAX), Duration::MAX) > now);
    }
}
