//! Moments that lie a while ahead, however long the while is.

use std::time::{Duration, Instant};

/// Longer than any program runs: what is longer is cut to this, because a moment so far ahead need not
/// be one that the system's clock can name.
pub const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// `start` and so much later; of a time that is too long to be told, the end of all times.
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
