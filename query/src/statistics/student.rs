//! Student's t: how far a sample's mean may be from the true mean, if the spread is only estimated, too ("The
//! probable error of a mean", Biometrika 6, 1908).

use std::f64::consts::PI;

use super::normal::{normal_quantile, normal_tails};

/// Beyond this the normal distribution is the same to three digits.
const FREEDOM_MAX: usize = 1_000;

/// The quantile at `upper`: exact for one and two degrees of freedom, else the expansion of Cornish and
/// Fisher (Abramowitz and Stegun, "Handbook of mathematical functions", 26.7.5), within 1 %.
pub(crate) fn student_quantile(upper: f64, freedom: usize) -> f64 {
    match freedom {
        0 | 1 => return (PI * (upper - 0.5)).tan(),
        2 => return (2.0 * upper - 1.0) / (2.0 * upper * (1.0 - upper)).sqrt(),
        _ => {}
    }
    let (z, freedom) = (normal_quantile(upper), freedom as f64);
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    terms.iter().zip(1..).fold(z, |sum, (term, power)| sum + term / freedom.powi(power))
}

/// Probability of a value at least this far from the middle, on either side: the finite series of
/// Abramowitz and Stegun, 26.7.3 and 26.7.4.
pub(crate) fn student_tails(t: f64, freedom: usize) -> f64 {
    if freedom > FREEDOM_MAX {
        return normal_tails(t);
    }
    let freedom = freedom.max(1);
    let angle = (t.abs() / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let is_odd = !freedom.is_multiple_of(2);
    // Each term is the one before it times cos^2 and a ratio: 2/3, 4/5 ... or 1/2, 3/4 ...
    let mut term = if is_odd { cosine } else { 1.0 };
    let mut sum = if freedom == 1 { 0.0 } else { term };
    for above in ((if is_odd { 2 } else { 1 })..).step_by(2).take_while(|n| n + 2 < freedom) {
        term *= cosine * cosine * above as f64 / (above + 1) as f64;
        sum += term;
    }
    let inside = if is_odd { 2.0 / PI * (angle + sine * sum) } else { sine * sum };
    (1.0 - inside).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the tables, at 2.5 % on either side.
    const TABLE: [(usize, f64); 8] = [
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (5, 2.571),
        (9, 2.262),
        (60, 2.000),
        (1_000, 1.962),
    ];

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, t) in TABLE {
            let found = student_quantile(0.975, freedom);
            assert!((found / t - 1.0).abs() < 0.01, "{freedom}: {found} for {t}");
        }
    }

    #[test]
    fn tails_are_those_of_the_tables() {
        for (freedom, t) in TABLE {
            let found = student_tails(-t, freedom);
            assert!((found / 0.05 - 1.0).abs() < 0.005, "{freedom}: {found} for 0.05");
        }
        for (t, freedom, p) in [(4.604, 4, 0.01), (8.610, 4, 0.001), (31.599, 2, 0.001)] {
            let found = student_tails(t, freedom);
            assert!((found / p - 1.0).abs() < 0.005, "{freedom}: {found} for {p}");
        }
        for freedom in [1, 2, 3, 8, 999, 1_000, 1_001] {
            assert!((student_tails(0.0, freedom) - 1.0).abs() < 1e-6);
            assert!(student_tails(f64::INFINITY, freedom) < 1e-9);
        }
        // Where it gives way to the normal distribution there is no step.
        let [here, beyond] = [1_000, 1_001].map(|freedom| student_tails(3.0, freedom));
        assert!((here / beyond - 1.0).abs() < 0.03, "{here} {beyond}");
    }
}
