//! The shape of a distribution: bars on a logarithmic scale, and whether there are several groups.
//!
//! Both come from a histogram of durations, so that ten million spans cost what a thousand do. Bars
//! begin and end where buckets of the histogram do, within 1 % of the round numbers that they stand
//! for: so their counts are exact.

use spandrel_storage::{Bucket, Histogram};

/// Bars per octave that are tried, the finest first.
const FINENESS: [u32; 5] = [16, 8, 4, 2, 1];
/// A bar begins here; the others are counted from it.
const ORIGIN_NS: f64 = 1e6;

/// Bars per octave when looking for groups.
const GROUP_FINENESS: u32 = 4;
/// A valley between two groups is lower than this share of the lower peak.
const VALLEY_MAX: f64 = 0.25;
/// Spans in a group at least.
const GROUP_COUNT_MIN: u64 = 10;
/// Share of all spans in a group at least.
const GROUP_SHARE_MIN: f64 = 0.005;
/// Groups that are told apart at most.
const GROUPS_MAX: usize = 4;

/// Durations from `from_ns` to before `to_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bar {
    /// The shortest duration that counts here.
    pub from_ns: u64,
    /// The shortest duration that counts in the next bar.
    pub to_ns: u64,
    /// How many there are.
    pub count: u64,
}

/// Bars of equal width on a logarithmic scale, as fine as `rows_max` allows, from the first that is
/// not empty to the last. Two or more empty ones beside each other need one row together.
pub fn bars(histogram: &Histogram, rows_max: usize) -> Vec<Bar> {
    let finest = FINENESS.into_iter().map(|fineness| bars_of(histogram, fineness));
    let mut coarsest = Vec::new();
    for bars in finest {
        if rows(&bars) <= rows_max {
            return bars;
        }
        coarsest = bars;
    }
    coarsest
}

/// Rows of output that bars take: empty bars beside each other share one.
fn rows(bars: &[Bar]) -> usize {
    let runs = bars.chunk_by(|one, other| (one.count == 0) == (other.count == 0));
    runs.map(|run| if run.iter().all(|bar| bar.count == 0) { 1 } else { run.len() }).sum()
}

fn bars_of(histogram: &Histogram, fineness: u32) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for Bucket { low, count, .. } in histogram.buckets() {
        let mut number = number_of(low, fineness);
        // Add the empty bars before it. Among the shortest durations, a bar may be narrower than a bucket: there is
        // none.
        while let Some(last) = bars.last().copied()
            && last.to_ns <= low
        {
            let to_ns = (1..).map(|next| edge(number_of(last.to_ns, fineness) + next, fineness));
            let to_ns = to_ns.take(256).find(|to| *to > last.to_ns).unwrap_or(u64::MAX);
            bars.push(Bar { from_ns: last.to_ns, to_ns, count: 0 });
        }
        if bars.is_empty() {
            let from_ns = edge(number, fineness).min(low);
            while edge(number + 1, fineness) <= low {
                number += 1;
            }
            let to_ns = edge(number + 1, fineness);
            bars.push(Bar { from_ns, to_ns, count: 0 });
        }
        if let Some(last) = bars.last_mut() {
            last.count = last.count.saturating_add(count);
        }
    }
    bars
}

/// The number of the bar of a duration, give or take one.
fn number_of(ns: u64, fineness: u32) -> i64 {
    ((ns.max(1) as f64 / ORIGIN_NS).log2() * f64::from(fineness)).floor() as i64
}

/// Where a bar begins: the edge of a bucket of the histogram.
fn edge(number: i64, fineness: u32) -> u64 {
    let exact = ORIGIN_NS * (number as f64 / f64::from(fineness)).exp2();
    Histogram::edge_near(exact.round() as u64)
}

/// Spans whose durations lie together, apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mode {
    /// The shortest duration.
    pub from_ns: u64,
    /// All are shorter than this.
    pub to_ns: u64,
    /// How many there are.
    pub count: u64,
}

/// The groups that are separated by valleys; a single group if there is no valley. A valley must be far
/// lower than both sides, and by more than chance explains.
pub fn modes(histogram: &Histogram) -> Vec<Mode> {
    let bars = bars_of(histogram, GROUP_FINENESS);
    let all = histogram.count();
    let mut cuts = vec![0, bars.len()];
    while cuts.len() <= GROUPS_MAX {
        let parts = cuts.windows(2).filter_map(|pair| match pair {
            [from, to] => Some(*from + valley(bars.get(*from..*to)?, all)?),
            _ => None,
        });
        let Some(cut) = parts.min() else { break };
        cuts.push(cut);
        cuts.sort_unstable();
    }
    let parts = cuts.windows(2).filter_map(|pair| match pair {
        [from, to] => bars.get(*from..*to),
        _ => None,
    });
    parts.filter_map(|part| mode(histogram, part)).collect()
}

/// The group within some bars, without empty bars at both ends.
fn mode(histogram: &Histogram, bars: &[Bar]) -> Option<Mode> {
    let (first, last) = (bars.first()?.from_ns, bars.last()?.to_ns);
    let inside = histogram.buckets().filter(|bucket| bucket.low >= first && bucket.low < last);
    inside.fold(None, |mode, bucket| {
        let (from_ns, count) = mode.map_or((bucket.low, 0), |m: Mode| (m.from_ns, m.count));
        let to_ns = bucket.high.saturating_add(1);
        Some(Mode { from_ns, to_ns, count: count.saturating_add(bucket.count) })
    })
}

/// The bar at which the second group begins.
fn valley(bars: &[Bar], all: u64) -> Option<usize> {
    let smooth: Vec<f64> = (0..bars.len())
        .map(|at| {
            let count = |at: Option<usize>| {
                at.and_then(|at| bars.get(at)).map_or(0.0, |bar| bar.count as f64)
            };
            (count(at.checked_sub(1)) + 2.0 * count(Some(at)) + count(Some(at + 1))) / 4.0
        })
        .collect();
    let peak = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let group_min = (all as f64 * GROUP_SHARE_MIN).max(GROUP_COUNT_MIN as f64);
    let mut best: Option<(f64, usize)> = None;
    for at in 1..bars.len() {
        let (left, right) = smooth.split_at(at);
        let (Some(here), Some((low, high))) = (smooth.get(at), bars.split_at_checked(at)) else {
            continue;
        };
        let lower_peak = peak(left).min(peak(right));
        let smaller = [low, high].map(|side| side.iter().map(|bar| bar.count as f64).sum::<f64>());
        let by_chance = 3.0 * (lower_peak + here + 1.0).sqrt();
        let depth = here / lower_peak;
        let is_valley = depth <= VALLEY_MAX
            && lower_peak - here >= by_chance
            && smaller.iter().all(|count| *count >= group_min);
        if is_valley && best.is_none_or(|(deepest, _)| depth < deepest) {
            best = Some((depth, at));
        }
    }
    best.map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    /// Values around a middle, as a bell on the logarithmic scale.
    fn bell(middle: f64, width: f64, count: usize) -> Vec<u64> {
        let of_rank = |rank: usize| {
            let p = (rank as f64 + 0.5) / count as f64;
            // A logistic bell has a simple inverse.
            (middle * (width * (p / (1.0 - p)).ln()).exp()) as u64
        };
        (0..count).map(of_rank).collect()
    }

    #[test]
    fn counts_beyond_all_numbers_are_no_overflow() {
        let mut bytes = vec![1];
        for _ in 0..3 {
            bytes.push(0);
            bytes.extend([0xFF; 9]);
            bytes.push(1);
        }
        let histogram = Histogram::decode(&bytes).unwrap();
        let counts: Vec<_> = modes(&histogram).iter().map(|mode| mode.count).collect();
        assert_eq!(counts, [u64::MAX]);
    }

    #[test]
    fn nothing_has_no_bar_and_no_group() {
        assert_eq!(bars(&Histogram::new(), 16), []);
        assert_eq!(modes(&Histogram::new()), []);
    }

    #[test]
    fn one_bell_is_one_group() {
        for count in [1, 5, 50, 1_000, 100_000] {
            for width in [0.01, 0.1, 0.5] {
                let histogram = of(bell(3e6, width, count));
                assert_eq!(modes(&histogram).len(), 1, "{count} {width}");
                assert_eq!(modes(&histogram)[0].count, count as u64);
            }
        }
    }

    #[test]
    fn a_slow_group_is_found_and_counted() {
        let histogram = of([bell(3e6, 0.05, 3_792), bell(3e7, 0.08, 208)].concat());
        let modes = modes(&histogram);
        assert_eq!(modes.iter().map(|mode| mode.count).collect::<Vec<_>>(), [3_792, 208]);
        assert!(modes[0].to_ns < 7_000_000 && modes[1].from_ns > 14_000_000, "{modes:?}");
    }

    #[test]
    fn three_groups_are_three_and_a_few_odd_spans_are_none() {
        let three = [bell(1e5, 0.05, 500), bell(3e6, 0.05, 500), bell(1e8, 0.05, 500)].concat();
        assert_eq!(modes(&of(three)).len(), 3);
        let few = [bell(3e6, 0.05, 4_000), vec![50_000_000, 51_000_000, 400_000_000]].concat();
        assert_eq!(modes(&of(few)).len(), 1);
    }

    #[test]
    fn bars_are_as_fine_as_there_is_room() {
        let histogram = of(bell(3e6, 0.2, 10_000));
        let (few, many) = (bars(&histogram, 6).len(), bars(&histogram, 40).len());
        assert!(few < many && many <= 40, "{few} {many}");
    }

    proptest! {
        #[test]
        fn bars_tile_and_count_all(
            values in vec((0_u32..64, any::<u64>()).prop_map(|(bits, v)| v >> bits), 1..200),
            rows_max in 1_usize..40,
        ) {
            let histogram = of(values.iter().copied());
            let bars = bars(&histogram, rows_max);
            prop_assert!(bars.windows(2).all(|pair| pair[0].to_ns == pair[1].from_ns));
            prop_assert!(bars.iter().all(|bar| bar.from_ns < bar.to_ns));
            for bar in &bars {
                let inside = |v: &&u64| {
                    **v >= bar.from_ns && (**v < bar.to_ns || bar.to_ns == u64::MAX)
                };
                prop_assert_eq!(values.iter().filter(inside).count() as u64, bar.count);
            }
            prop_assert!(bars[0].count > 0 && bars[bars.len() - 1].count > 0);
            let counted: u64 = modes(&histogram).iter().map(|mode| mode.count).sum();
            prop_assert_eq!(counted, values.len() as u64);
        }
    }
}
