//! When to make the file for requests anew, after it was damaged: soon, so that others can ask again;
//! but later each time that it is damaged again, so that somebody who damages it all the time costs the
//! writer nothing.

use std::time::{Duration, Instant};

/// Between the first damage and the second attempt; each further pause is twice as long ...
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// ... up to this.
const PAUSE_MAX: Duration = Duration::from_secs(16);
/// After so long without damage, earlier ones are forgotten.
const STANDS: Duration = Duration::from_secs(60);

/// When to make the file anew, if at all.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    due: Option<Instant>,
    /// The pause after the next damage.
    pause: Duration,
    begun: Option<Instant>,
}

impl Renewal {
    /// The file is of no use any more, or could not be made.
    pub(super) fn harmed(&mut self, now: Instant) {
        if self.begun.take().is_some_and(|begun| now.duration_since(begun) >= STANDS) {
            self.pause = Duration::ZERO;
        }
        self.due = now.checked_add(self.pause);
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
    }

    /// Whether it is time to make another file.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// The file was made anew.
    pub(super) fn begun(&mut self, now: Instant) {
        (self.due, self.begun) = (None, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_spoiled_all_the_time_is_begun_anew_more_and_more_rarely() {
        let start = Instant::now();
        let mut renewal = Renewal::default();
        assert!(!renewal.is_due(start), "nothing has happened");
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            renewal.harmed(now);
            let since = now;
            while !renewal.is_due(now) {
                now += Duration::from_secs(1);
            }
            pauses.push((now - since).as_secs());
            renewal.begun(now);
            assert!(!renewal.is_due(now + STANDS));
        }
        assert_eq!(pauses, [0, 2, 4, 8, 16, 16, 16]);
        renewal.harmed(now + STANDS);
        assert!(renewal.is_due(now + STANDS), "it has stood for long");
    }

    #[test]
    fn what_cannot_be_made_is_tried_again_and_not_all_the_time() {
        let start = Instant::now();
        let mut renewal = Renewal::default();
        renewal.harmed(start);
        assert!(renewal.is_due(start));
        renewal.harmed(start);
        assert!(!renewal.is_due(start + PAUSE_MIN / 2) && renewal.is_due(start + PAUSE_MIN));
    }
}
