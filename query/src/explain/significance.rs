//! How likely a difference is by chance alone.
//!
//! Shares by the two-proportion test, with the correction for continuity; means by Welch's; the
//! largest difference of two distributions by Kolmogorov and Smirnov, and over all windows of a line by
//! Kuiper ("Tests concerning random points on a circle", 1960), whose statistic is that very
//! difference, so that having chosen the best window is accounted for.

use crate::statistics::normal::normal_tails;

/// For two classes: `counts` of `all` in each.
pub(super) fn proportions(counts: [u64; 2], all: [u64; 2]) -> f64 {
    let [n, m] = all.map(|all| all as f64);
    let [a, b] = counts.map(|count| count as f64);
    let pooled = (a + b) / (n + m);
    let spread = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let apart = ((a / n - b / m).abs() - 0.5 * (1.0 / n + 1.0 / m)).max(0.0);
    if spread > 0.0 { normal_tails(apart / spread) } else { 1.0 }
}

/// Count, sum and sum of squares of the values of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    pub(super) fn mean(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }

    /// The variance of the mean.
    fn uncertainty(&self) -> f64 {
        let variance = (self.squares - self.sum * self.mean()) / (self.count - 1.0);
        variance.max(0.0) / self.count
    }
}

/// Whether two classes have the same mean.
pub(super) fn means(one: Moments, other: Moments) -> f64 {
    if one.count < 2.0 || other.count < 2.0 {
        return 1.0;
    }
    let apart = one.mean() - other.mean();
    let spread = (one.uncertainty() + other.uncertainty()).sqrt();
    // Rounding leaves a little of what is the same value again and again.
    if spread > 1e-9 {
        normal_tails(apart / spread)
    } else if apart.abs() > 1e-6 {
        0.0
    } else {
        1.0
    }
}

/// The largest difference between two distributions.
pub(super) fn kolmogorov(apart: f64, all: [u64; 2]) -> f64 {
    let size = effective(all).sqrt();
    let lambda = (size + 0.12 + 0.11 / size) * apart;
    series(lambda, |term, lambda| {
        let sign = if term % 2.0 == 1.0 { 2.0 } else { -2.0 };
        sign * (-2.0 * term * term * lambda * lambda).exp()
    })
}

/// The largest difference between two distributions in any window.
pub(super) fn kuiper(apart: f64, all: [u64; 2]) -> f64 {
    let size = effective(all).sqrt();
    let lambda = (size + 0.155 + 0.24 / size) * apart;
    series(lambda, |term, lambda| {
        let square = term * term * lambda * lambda;
        2.0 * (4.0 * square - 1.0) * (-2.0 * square).exp()
    })
}

fn effective([n, m]: [u64; 2]) -> f64 {
    let (n, m) = (n as f64, m as f64);
    (n * m / (n + m)).max(1e-9)
}

/// Sums up; below 0.4 the series does not settle, and the probability is one to many places.
fn series(lambda: f64, term: impl Fn(f64, f64) -> f64) -> f64 {
    if lambda < 0.4 {
        return 1.0;
    }
    (1..=100).map(|n| term(f64::from(n), lambda)).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64) {
        assert!((got - expected).abs() <= expected.abs() * 0.01 + 1e-12, "{got} {expected}");
    }

    #[test]
    fn known_tests() {
        // 45 of 50 against 30 of 50, corrected: z = 3.233.
        near(proportions([45, 30], [50, 50]), 0.001_224);
        assert_eq!(proportions([5, 50], [10, 100]), 1.0);
        // Published critical values at 5 %, for samples of unlimited size: 1.358 and 1.747.
        for size in [4_000, 400_000] {
            let root = (size as f64 / 2.0).sqrt();
            for p in [kolmogorov(1.358 / root, [size; 2]), kuiper(1.747 / root, [size; 2])] {
                assert!((0.047..0.051).contains(&p), "{p}");
            }
        }
        assert_eq!([kolmogorov(0.0, [1, 1]), kuiper(0.0, [1, 1])], [1.0, 1.0]);
    }

    #[test]
    fn means_that_differ() {
        let of = |values: &[f64]| {
            let mut moments = Moments::default();
            values.iter().for_each(|value| moments.add(*value));
            moments
        };
        assert_eq!(means(of(&[0.3; 9]), of(&[0.3; 5])), 1.0);
        assert_eq!(means(of(&[0.9; 9]), of(&[0.3; 5])), 0.0);
        assert!(means(of(&[0.1, 0.9, 0.2, 0.8]), of(&[0.2, 0.8, 0.3, 0.9])) > 0.5);
        assert_eq!(means(of(&[1.0]), of(&[0.0])), 1.0);
    }
}
