//! Which of many differences are significant.
//!
//! Of a hundred differences that are none, chance makes five look significant at a level of 5 %. The significant ones
//! are chosen by Benjamini and Hochberg ("Controlling the false discovery rate", 1995).

/// The largest p-value that counts as significant, such that the expected share of false discoveries is about `rate`.
/// `None`: none is significant.
pub(crate) fn limit(p_values: &[f64], rate: f64) -> Option<f64> {
    let mut sorted = p_values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let all = sorted.len() as f64;
    let passes = |at: usize, p: f64| p <= (at + 1) as f64 / all * rate;
    let last = sorted.iter().enumerate().rposition(|(at, p)| passes(at, *p))?;
    sorted.get(last).copied()
}

#[cfg(test)]
mod tests {
    use super::limit;

    #[test]
    fn one_of_a_hundred_must_be_surer_than_one_alone() {
        let mut p_values = vec![0.5; 99];
        p_values.push(0.001);
        assert_eq!(limit(&p_values, 0.01), None);
        assert_eq!(limit(&p_values, 0.1), Some(0.001));
        p_values.push(0.000_01);
        assert_eq!(limit(&p_values, 0.01), Some(0.000_01));
        assert_eq!((limit(&[0.04], 0.05), limit(&[], 0.05)), (Some(0.04), None));
    }
}
