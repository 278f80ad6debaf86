//! Many durations, and what share of them is below which.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::Error;

/// Many durations in nanoseconds, to three digits; memory grows with the largest.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Result<Self, Error> {
        Histogram::new(3).map(Self).map_err(|error| Error::generator("make a histogram", error))
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if self.0.record(ns).is_err() {
            // Larger than the histogram can grow for: it counts as the largest that there is.
            self.0.saturating_record(ns);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.0.add(&other.0).map_err(|error| Error::generator("add histograms up", error))
    }

    /// The latency in nanoseconds that the share `q` (0 to 1) is not above; 0 if there are none.
    #[must_use]
    pub fn quantile_ns(&self, q: f64) -> u64 {
        self.0.value_at_quantile(q)
    }

    /// The largest in nanoseconds; 0 if there are none.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.0.max()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_any_size_are_told_apart_to_three_digits() {
        let mut latencies = Latencies::new().unwrap();
        for ns in [1, 1_000_000, 3_600_000_000_000] {
            latencies.add(Duration::from_nanos(ns));
        }
        latencies.add(Duration::MAX);
        let found = [0.0, 0.5, 0.75].map(|q| latencies.quantile_ns(q));
        for (found, expected) in found.into_iter().zip([1.0, 1e6, 3.6e12]) {
            assert!((found as f64 / expected - 1.0).abs() < 1e-3, "{found} for {expected}");
        }
        assert_eq!((latencies.count(), latencies.max_ns()), (4, u64::MAX));
        let mut sum = Latencies::new().unwrap();
        sum.merge(&latencies).unwrap();
        sum.merge(&latencies).unwrap();
        assert_eq!((sum.count(), sum.max_ns()), (8, u64::MAX));
    }
}
