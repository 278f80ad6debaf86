//! What the runs of one case gave.

use crate::clock::Clock;
use crate::histogram::Histogram;
use crate::run::Run;

/// Shares of operations that took no longer than a figure of the report says.
const SHARES: [f64; 4] = [0.5, 0.99, 0.999, 0.9999];

#[derive(Debug, Clone)]
pub struct Figures {
    /// Million items a second: the mean over the runs.
    pub mops: f64,
    /// Of the rates, in per cent of their mean.
    pub deviation: f64,
    pub mean_ns: f64,
    /// p50, p99, p99.9, p99.99, and the longest.
    pub ns: [f64; 5],
    /// Operations that were timed.
    pub samples: u64,
}

impl Figures {
    pub fn of(runs: &[Run], clock: Clock) -> Self {
        let rate = |run: &Run| run.items as f64 / run.took.as_secs_f64() / 1e6;
        let rates: Vec<f64> = runs.iter().map(rate).collect();
        let (mops, deviation) = mean_and_deviation(&rates);
        let mut times = Histogram::new();
        runs.iter().for_each(|run| times.join(&run.times));
        let [p50, p99, p999, p9999] = SHARES.map(|share| clock.ns(times.at(share)));
        let ns = [p50, p99, p999, p9999, clock.ns(times.longest())];
        let mean_ns = clock.mean_ns(times.mean());
        Self { mops, deviation, mean_ns, ns, samples: times.samples() }
    }
}

/// The deviation is that of a sample, in per cent of the mean.
fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt() * 100.0 / mean)
}

#[test]
fn a_deviation_is_in_per_cent_of_the_mean() {
    let (mean, deviation) = mean_and_deviation(&[8.0, 10.0, 12.0]);
    assert!((mean - 10.0).abs() < 1e-9 && (deviation - 20.0).abs() < 1e-9, "{mean} {deviation}");
}
