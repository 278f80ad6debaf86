//! Numbers of two classes, and the threshold that tells the classes apart best.
//!
//! Numbers fall into bins of a relative width of 1/64, at first; when there are too many bins, pairs
//! are put together. A bin knows its smallest number, so that a threshold between bins is exact.

use std::collections::BTreeMap;

use super::significance;

/// Bins at most.
const BINS_MAX: usize = 2_048;
/// So many bits of a number are dropped at first: all but sign, exponent and six of the mantissa.
const DROPPED_BITS: u32 = 46;

#[derive(Debug, Clone, Copy)]
struct Bin {
    counts: [u64; 2],
    smallest: f64,
}

#[derive(Debug)]
pub(super) struct Numbers {
    bins: BTreeMap<u64, Bin>,
    dropped_bits: u32,
}

/// A threshold, and how many numbers of each class are on the named side of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Threshold {
    pub(super) at: f64,
    /// At least `at`; else less.
    pub(super) is_at_least: bool,
    pub(super) counts: [u64; 2],
    pub(super) p_value: f64,
}

/// Bits that sort as the numbers do.
fn ordered(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

impl Numbers {
    pub(super) fn new() -> Self {
        Self { bins: BTreeMap::new(), dropped_bits: DROPPED_BITS }
    }

    pub(super) fn add(&mut self, number: f64, class: usize) {
        if number.is_nan() {
            return;
        }
        let key = ordered(number) >> self.dropped_bits;
        let bin = self.bins.entry(key).or_insert(Bin { counts: [0; 2], smallest: number });
        bin.smallest = bin.smallest.min(number);
        if let Some(count) = bin.counts.get_mut(class) {
            *count += 1;
        }
        while self.bins.len() > BINS_MAX {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.dropped_bits += 1;
        for (key, bin) in std::mem::take(&mut self.bins) {
            let wide = self.bins.entry(key >> 1).or_insert(Bin { counts: [0; 2], ..bin });
            wide.smallest = wide.smallest.min(bin.smallest);
            wide.counts = [wide.counts[0] + bin.counts[0], wide.counts[1] + bin.counts[1]];
        }
    }

    /// The threshold that a larger share of the first class is beyond than of the second; shares are
    /// of `all` spans of a class, whether they have a number or not.
    pub(super) fn threshold(&self, all: [u64; 2]) -> Option<Threshold> {
        let of = |class: usize| self.bins.values().map(move |bin| bin.counts[class]).sum::<u64>();
        let numbers = [of(0), of(1)];
        let share = |counts: [u64; 2], class: usize| counts[class] as f64 / all[class] as f64;
        let difference = |counts: [u64; 2]| share(counts, 0) - share(counts, 1);
        let mut below = [0, 0];
        let mut best: Option<(f64, Threshold)> = None;
        for bin in self.bins.values() {
            let above = [numbers[0] - below[0], numbers[1] - below[1]];
            if below != [0, 0] {
                for (is_at_least, counts) in [(true, above), (false, below)] {
                    let apart = difference(counts);
                    if best.is_none_or(|(most, _)| apart > most) {
                        let at = bin.smallest;
                        best = Some((apart, Threshold { at, is_at_least, counts, p_value: 1.0 }));
                    }
                }
            }
            below = [below[0] + bin.counts[0], below[1] + bin.counts[1]];
        }
        let (apart, threshold) = best?;
        Some(Threshold { p_value: significance::kolmogorov(apart, all), ..threshold })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_threshold_is_where_the_classes_part() {
        let mut numbers = Numbers::new();
        for n in 0..1_000 {
            numbers.add(f64::from(n % 100), 1);
            numbers.add(f64::from(4_096 + n), 0);
        }
        let threshold = numbers.threshold([1_000, 1_000]).unwrap();
        assert_eq!((threshold.at, threshold.is_at_least), (4_096.0, true));
        assert_eq!(threshold.counts, [1_000, 0]);
        assert!(threshold.p_value < 1e-9);
        assert_eq!(Numbers::new().threshold([1, 1]), None);
    }

    proptest! {
        #[test]
        fn what_a_threshold_says_is_exact(
            values in vec((prop::num::f64::NORMAL | prop::num::f64::ZERO, 0_usize..2), 2..300),
        ) {
            let mut numbers = Numbers::new();
            values.iter().for_each(|(value, class)| numbers.add(*value, *class));
            if let Some(threshold) = numbers.threshold([300, 300]) {
                for class in 0..2 {
                    let inside = values.iter().filter(|(value, of)| {
                        *of == class && (*value >= threshold.at) == threshold.is_at_least
                    });
                    prop_assert_eq!(inside.count() as u64, threshold.counts[class]);
                }
            }
        }
    }

    #[test]
    fn bins_stay_bounded_and_in_order() {
        let mut numbers = Numbers::new();
        let mut value = 1e-300;
        while value < 1e300 {
            numbers.add(value, 0);
            numbers.add(-value, 1);
            value *= 1.1;
        }
        assert!(numbers.bins.len() <= BINS_MAX);
        let smallest: Vec<f64> = numbers.bins.values().map(|bin| bin.smallest).collect();
        assert!(smallest.is_sorted());
    }
}
