//! Corrections of intervals that come from few runs or few blocks of time.
//!
//! Drawing with replacement from `n` values makes too narrow an interval: the variance of what is drawn is too small
//! by `n / (n - 1)`, and is itself estimated, so that Student's t replaces the normal distribution.

use crate::statistics::normal::{normal_quantile, normal_tails};
use crate::statistics::student::{student_quantile, student_tails};

/// The quantile of the upper end of an interval with this confidence.
pub(super) fn upper(confidence: f64) -> f64 {
    0.5 + confidence.clamp(0.0, 0.999_999) / 2.0
}

/// The factor by which an interval from `n` values is widened; 1 for very many.
pub(super) fn widening(n: usize, confidence: f64) -> f64 {
    let normal = normal_quantile(upper(confidence));
    if n < 2 || normal <= 0.0 {
        return 1.0;
    }
    let count = n as f64;
    (count / (count - 1.0)).sqrt() * student_quantile(upper(confidence), n - 1) / normal
}

/// Probability of a ratio at least as far from one as `measured` by chance alone, where `low` and `high` are its
/// interval from `n` values: by how many of its widths the two differ.
pub(super) fn chance(measured: f64, (low, high): (f64, f64), n: usize, confidence: f64) -> f64 {
    let nearest = if measured > 1.0 { low } else { high };
    if measured <= 0.0 || nearest <= 0.0 {
        return 1.0;
    }
    let (distance, width) = (measured.ln().abs(), (measured / nearest).ln().abs());
    if distance == 0.0 {
        return 1.0;
    }
    // With a single value the interval was not widened.
    if n < 2 {
        return normal_tails(distance / width * normal_quantile(upper(confidence)));
    }
    student_tails(distance / width * student_quantile(upper(confidence), n - 1), n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_things_make_wide_intervals() {
        let all: Vec<f64> = [2, 3, 5, 8, 64, 10_000].map(|n| widening(n, 0.95)).into();
        assert!(all.windows(2).all(|two| two[0] > two[1]), "{all:?}");
        assert!((all[5] - 1.0).abs() < 0.001 && widening(1, 0.95) == 1.0);
    }

    #[test]
    fn an_interval_that_ends_at_nothing_is_one_chance_in_twenty() {
        for n in [1, 2, 3, 5, 64, 10_000] {
            for (measured, interval) in [(1.2, (1.0, 1.44)), (0.8, (0.64, 1.0))] {
                let chance = chance(measured, interval, n, 0.95);
                assert!((chance / 0.05 - 1.0).abs() < 0.03, "{n}: {chance}");
            }
        }
        assert_eq!(chance(1.0, (0.9, 1.1), 5, 0.95), 1.0);
        assert_eq!(chance(1.5, (0.0, 3.0), 5, 0.95), 1.0, "it may be anything");
        assert_eq!(chance(1.5, (1.5, 1.5), 64, 0.95), 0.0, "it is always so");
        // The farther, the less likely; and from few things more likely than from many.
        let twice = |n: usize| chance(1.44, (1.2, 1.728), n, 0.95);
        assert!(twice(3) > twice(5) && twice(5) > twice(64) && twice(64) > 1e-5, "{}", twice(64));
        assert!(twice(64) < 0.001);
    }
}
