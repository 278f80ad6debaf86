//! The normal distribution.

/// Probability that a normal variable is at least that far from its mean, on either side.
pub(crate) fn normal_tails(z: f64) -> f64 {
    // Abramowitz and Stegun, 7.1.26 would do near the middle; this one (W. J. Cody's form by Press and
    // others, "Numerical Recipes", erfc with a relative error below 1.2e-7) holds in the tails.
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let coefficients = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let polynomial = coefficients.iter().rev().fold(0.0, |sum, c| sum * t + c);
    (t * (polynomial - x * x).exp()).clamp(0.0, 1.0)
}

/// The normal distribution above its middle, within 0.0005 (Abramowitz and Stegun, 26.2.23).
pub(crate) fn normal_quantile(upper: f64) -> f64 {
    let t = (-2.0 * (1.0 - upper).max(f64::MIN_POSITIVE).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails() {
        for (z, p) in [(0.0, 1.0), (1.0, 0.317_311), (-1.959_964, 0.05), (5.0, 5.733e-7)] {
            let found = normal_tails(z);
            assert!((found - p).abs() <= p * 0.01, "{z}: {found} for {p}");
        }
        assert!(normal_tails(50.0) < 1e-300);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (upper, z) in [(0.95, 1.6449), (0.975, 1.9600), (0.995, 2.5758)] {
            assert!((normal_quantile(upper) - z).abs() < 0.001, "{upper}");
        }
    }
}
