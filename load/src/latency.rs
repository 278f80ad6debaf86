//! Many durations, and what share of them is below which.

use std::time::Duration;

use spandrel_storage::Histogram;

/// Many durations in nanoseconds, each told to within 1 %, and the largest to the nanosecond.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    histogram: Histogram,
    max_ns: u64,
}

impl Latencies {
    pub(crate) fn add(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.record(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The latency in nanoseconds that the share `q` (0 to 1) is not above; 0 if there are none.
    #[must_use]
    pub fn quantile_ns(&self, q: f64) -> u64 {
        // The middle of the bucket of the largest may be above it.
        self.histogram.percentile(q).unwrap_or(0).min(self.max_ns)
    }

    /// The largest in nanoseconds; 0 if there are none.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_any_size_are_told_to_within_one_per_cent() {
        let mut latencies = Latencies::default();
        for ns in [1, 1_000_000, 3_600_000_000_000] {
            latencies.add(Duration::from_nanos(ns));
        }
        latencies.add(Duration::MAX);
        let found = [0.0, 0.5, 0.75].map(|q| latencies.quantile_ns(q));
        for (found, expected) in found.into_iter().zip([1.0, 1e6, 3.6e12]) {
            assert!((found as f64 / expected - 1.0).abs() < 1e-2, "{found} for {expected}");
        }
        assert_eq!((latencies.count(), latencies.max_ns()), (4, u64::MAX));
        let mut sum = Latencies::default();
        sum.merge(&latencies);
        sum.merge(&latencies);
        assert_eq!((sum.count(), sum.max_ns()), (8, u64::MAX));
    }

    #[test]
    fn no_quantile_is_above_the_largest_and_none_of_nothing() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.quantile_ns(0.5), latencies.max_ns(), latencies.count()), (0, 0, 0));
        // The first value of its bucket, the middle of which is above it.
        latencies.add(Duration::from_nanos(1 << 20));
        assert_eq!(latencies.quantile_ns(1.0), 1 << 20);
    }
}
