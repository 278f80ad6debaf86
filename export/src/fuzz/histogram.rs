//! Encoded histograms, as a rollup of a file holds them.

use spandrel_storage::Histogram;

/// All buckets that there are.
const BUCKETS_MAX: usize = 3_776;

/// The first byte says how long the first encoding is; the second is what follows. And all of it is eight
/// bytes a duration.
pub fn histogram(data: &[u8]) {
    let Some((&len, rest)) = data.split_first() else { return };
    let (first, second) = rest.split_at(usize::from(len).min(rest.len()));
    if let Some(first) = decoded(first) {
        if let Some(second) = decoded(second) {
            let mut sum = first.clone();
            sum.merge(&second);
            let mut other_way = second.clone();
            other_way.merge(&first);
            assert_eq!(sum, other_way);
            assert_eq!(sum.count(), first.count().saturating_add(second.count()));
            check(&sum);
            assert_eq!(Histogram::decode(&sum.encode()).as_ref(), Ok(&sum), "a merged one is read");
        }
        let mut more = first;
        let before = more.count();
        more.record(u64::from(len));
        assert_eq!(more.count(), before.saturating_add(1));
        assert_eq!(Histogram::decode(&more.encode()).as_ref(), Ok(&more), "a longer one is read");
    }
    durations(rest);
}

fn decoded(bytes: &[u8]) -> Option<Histogram> {
    let histogram = match Histogram::decode(bytes) {
        Ok(histogram) => histogram,
        Err(error) => {
            assert!(error.to_string().starts_with("not a histogram: "));
            return None;
        }
    };
    assert_eq!(histogram.encode(), bytes, "one encoding for each");
    check(&histogram);
    Some(histogram)
}

fn check(histogram: &Histogram) {
    let buckets: Vec<_> = histogram.buckets().collect();
    assert!(buckets.len() <= BUCKETS_MAX);
    assert!(buckets.iter().all(|bucket| bucket.low <= bucket.high && bucket.count > 0));
    assert!(buckets.is_sorted_by(|a, b| a.high < b.low));
    let mut before = 0;
    for q in [f64::NEG_INFINITY, 0.0, 1e-9, 0.5, 0.95, 0.99, 1.0, 7.0] {
        let Some(value) = histogram.percentile(q) else {
            assert!(histogram.is_empty());
            continue;
        };
        assert!(value >= before, "percentiles ascend");
        assert!(buckets.iter().any(|bucket| (bucket.low..=bucket.high).contains(&value)));
        before = value;
    }
    {
        use spandrel_query::{bars, modes};
        for rows in [1, 8, 40] {
            let sum =
                bars(histogram, rows).iter().fold(0, |sum: u64, bar| sum.saturating_add(bar.count));
            assert_eq!(sum, histogram.count(), "each value is in a bar");
        }
        modes(histogram);
    }
}

/// Percentiles beside those of the sorted values.
fn durations(bytes: &[u8]) {
    let mut values: Vec<u64> =
        bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let mut histogram = Histogram::new();
    values.iter().for_each(|value| histogram.record(*value));
    assert_eq!(histogram.count(), values.len() as u64);
    assert_eq!(Histogram::decode(&histogram.encode()).as_ref(), Ok(&histogram));
    values.sort_unstable();
    for q in [0.0, 0.25, 0.5, 0.95, 1.0] {
        let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len().max(1));
        let exact = values.get(rank - 1);
        assert_eq!(exact.is_some(), histogram.percentile(q).is_some());
        if let (Some(exact), Some(about)) = (exact, histogram.percentile(q)) {
            assert!(exact.abs_diff(about) as f64 <= *exact as f64 * 0.01, "{exact} {about}");
        }
    }
}
