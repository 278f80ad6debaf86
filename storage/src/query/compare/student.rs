//! How much wider an interval must be when few runs, or few blocks of time, are all that is known.
//!
//! Drawing with replacement from few things makes too narrow an interval: what was drawn varies less
//! than what there is, by `n / (n - 1)`, and how much it varies is itself a guess, for which Student's
//! t stands in place of the normal distribution ("The probable error of a mean", Biometrika 6, 1908).

use std::f64::consts::PI;

/// By what the ends of an interval from `n` things are farther from its middle; 1 for very many.
pub(super) fn widening(n: usize, confidence: f64) -> f64 {
    if n < 2 {
        return 1.0;
    }
    let (count, upper) = (n as f64, 0.5 + confidence.clamp(0.0, 0.999_999) / 2.0);
    let normal = normal_quantile(upper);
    if normal <= 0.0 {
        return 1.0;
    }
    (count / (count - 1.0)).sqrt() * student_quantile(upper, count - 1.0) / normal
}

/// Student's t: exact for one and two degrees of freedom, else the expansion of Cornish and Fisher
/// (Abramowitz and Stegun, "Handbook of mathematical functions", 26.7.5), within 1 %.
fn student_quantile(upper: f64, freedom: f64) -> f64 {
    if freedom < 1.5 {
        return (PI * (upper - 0.5)).tan();
    }
    if freedom < 2.5 {
        return (2.0 * upper - 1.0) / (2.0 * upper * (1.0 - upper)).sqrt();
    }
    let z = normal_quantile(upper);
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    terms.iter().zip(1..).fold(z, |sum, (term, power)| sum + term / freedom.powi(power))
}

/// The normal distribution above its middle, within 0.0005 (Abramowitz and Stegun, 26.2.23).
pub(super) fn normal_quantile(upper: f64) -> f64 {
    let t = (-2.0 * (1.0 - upper).max(f64::MIN_POSITIVE).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (upper, z) in [(0.95, 1.6449), (0.975, 1.9600), (0.995, 2.5758)] {
            assert!((normal_quantile(upper) - z).abs() < 0.001, "{upper}");
        }
        for (freedom, t) in
            [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (4.0, 2.776), (9.0, 2.262), (60.0, 2.000)]
        {
            let found = student_quantile(0.975, freedom);
            assert!((found / t - 1.0).abs() < 0.01, "{freedom}: {found} for {t}");
        }
    }

    #[test]
    fn few_things_make_wide_intervals() {
        let all: Vec<f64> = [2, 3, 5, 8, 64, 10_000].map(|n| widening(n, 0.95)).into();
        assert!(all.windows(2).all(|two| two[0] > two[1]), "{all:?}");
        assert!((all[5] - 1.0).abs() < 0.001 && widening(1, 0.95) == 1.0);
    }
}
