//! How long after a span ended it is committed.
//!
//! Seen from outside: every so often the ledger says how many spans were recorded, and a later look
//! finds that as many are settled (stored or dropped). So a lag is known to within the pause between
//! two looks, and is never understated by more than that.

use std::collections::VecDeque;
use std::time::Instant;

use spandrel::Stats;

use crate::latency::Latencies;

#[derive(Debug, Default)]
pub(crate) struct Lag {
    /// Spans recorded at a moment, which are not settled yet.
    waiting: VecDeque<(Instant, u64)>,
    pub(crate) latencies: Latencies,
}

impl Lag {
    pub(crate) fn look(&mut self, now: Instant, stats: &Stats) {
        self.see(now, stats.recorded, stats.recorded.saturating_sub(stats.in_flight));
    }

    fn see(&mut self, now: Instant, recorded: u64, settled: u64) {
        if self.waiting.back().is_none_or(|(_, last)| *last < recorded) {
            self.waiting.push_back((now, recorded));
        }
        while let Some((then, _)) = self.waiting.front().filter(|(_, spans)| *spans <= settled) {
            self.latencies.add(now.saturating_duration_since(*then));
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lag_lasts_until_what_was_recorded_is_settled() {
        let mut lag = Lag::default();
        let start = Instant::now();
        for (ms, recorded, settled) in [(0, 10, 0), (20, 20, 0), (40, 30, 15), (60, 30, 30)] {
            lag.see(start + Duration::from_millis(ms), recorded, settled);
        }
        assert_eq!(lag.latencies.count(), 3);
        let ms = |q| (lag.latencies.quantile_ns(q) + 500_000) / 1_000_000;
        assert_eq!([ms(0.0), ms(0.5), ms(1.0)], [20, 40, 40]);
        assert!(lag.waiting.is_empty());
    }
}
