//! Intervals by drawing blocks of time with replacement.

use super::blocks::{InBlock, Samples};
use super::small_samples::{chance, upper, widening};
use crate::statistics::normal::normal_quantile;
use spandrel_storage::Histogram;

/// A change, B over A less one, with its interval: 0.1 is 10 % more.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// As measured.
    pub change: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// How likely chance alone makes a change as far from nothing as this one.
    pub p_value: f64,
}

/// How intervals are found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bootstrap {
    /// How many recordings are drawn for each side.
    pub draws: usize,
    /// The share of them that the interval holds, such as 0.95.
    pub confidence: f64,
    /// The standard deviation of a run, as a share of one: how much it differs from the next one, whatever
    /// changed. Of sides that have several runs each it is measured; where one has but one, its
    /// interval tells nothing of it, and is made wider by so much.
    pub between_runs: f64,
    /// Where the drawing starts: the same seed gives the same interval.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 1_000, confidence: 0.95, between_runs: 0.02, seed: 0x5350_414E_4452_454C }
    }
}

/// Blocks of a run that make a long one.
const LONG: usize = 8;

/// One side as a table: a row for each block, a column for each bucket that either side uses.
pub(super) struct Blocks {
    /// By run, then by block.
    runs: Vec<Vec<Row>>,
    columns: usize,
    /// Whether counts of anything that is drawn fit into half of the bits: then twice as many are added at once.
    are_small: bool,
}

/// The spans of a block.
#[derive(Clone)]
struct Row {
    /// By column.
    counts: Vec<u32>,
    busy_ns: u64,
}

impl Row {
    /// Nothing, by so many columns.
    fn of(columns: usize) -> Self {
        Self { counts: vec![0; columns], busy_ns: 0 }
    }
}

/// The spans of several blocks.
#[derive(Default)]
pub(super) struct Sum {
    /// By column.
    pub(super) counts: Vec<u64>,
    /// By column while blocks are added that are small; else nothing.
    small: Vec<u32>,
    /// The same with all columns before.
    up_to: Vec<u64>,
    pub(super) busy_ns: u64,
    /// How often each block of a run was drawn.
    times: Vec<u32>,
}

impl Sum {
    /// Nothing, by so many columns.
    fn clear(&mut self, columns: usize) {
        self.counts.clear();
        self.counts.resize(columns, 0);
        self.small.clear();
        self.busy_ns = 0;
    }

    /// Adds a block so often, where all that is added fits.
    fn add_small(&mut self, block: &Row, times: u32) {
        self.small.resize(self.counts.len(), 0);
        let counts = self.small.iter_mut().zip(&block.counts);
        // A block is mostly drawn once, and a multiplication takes longer than all else.
        match times {
            1 => counts.for_each(|(sum, count)| *sum = sum.wrapping_add(*count)),
            2 => counts.for_each(|(sum, count)| *sum = sum.wrapping_add(count << 1)),
            3 => counts.for_each(|(sum, count)| {
                *sum = sum.wrapping_add(*count).wrapping_add(count << 1);
            }),
            _ => counts.for_each(|(sum, count)| *sum = sum.wrapping_add(count.wrapping_mul(times))),
        }
        self.busy_ns = self.busy_ns.saturating_add(block.busy_ns.saturating_mul(times.into()));
    }

    fn add(&mut self, block: &Row, times: u32) {
        let times = u64::from(times);
        for (sum, count) in self.counts.iter_mut().zip(&block.counts) {
            *sum += u64::from(*count) * times;
        }
        self.busy_ns = self.busy_ns.saturating_add(block.busy_ns.saturating_mul(times));
    }

    /// To be called once all is added.
    fn finish(&mut self) {
        for (sum, small) in self.counts.iter_mut().zip(&self.small) {
            *sum += u64::from(*small);
        }
        let mut below = 0;
        self.up_to.clear();
        self.up_to.extend(self.counts.iter().map(|count| {
            below += count;
            below
        }));
    }

    /// How many calls there are.
    pub(super) fn calls(&self) -> u64 {
        self.up_to.last().copied().unwrap_or(0)
    }
}

/// How many things an interval is drawn from; what is drawn of each side is the least of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DrawCount(pub(super) usize);

/// The buckets of two sides, as columns.
pub(super) struct Buckets {
    /// Smallest and largest value.
    bounds: Vec<(u64, u64)>,
    /// The middles.
    middles: Vec<f64>,
}

impl Buckets {
    pub(super) fn of(sides: [&Samples; 2]) -> Self {
        let buckets = sides.iter().flat_map(|side| side.counts());
        let mut bounds: Vec<_> = buckets.map(|(bucket, _)| Histogram::bounds_of(bucket)).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let middle = |(low, high): &(u64, u64)| *low as f64 / 2.0 + *high as f64 / 2.0;
        let middles = bounds.iter().map(middle).collect();
        Self { bounds, middles }
    }

    pub(super) fn blocks(&self, side: &Samples) -> Blocks {
        // A run without a span of this name is a run all the same, a block without one a block.
        let rows = |length: usize| vec![Row::of(self.bounds.len()); length];
        let mut runs: Vec<Vec<Row>> = side.lengths().into_iter().map(rows).collect();
        for (run, block, known) in side.by_block() {
            let Some(row) = runs.get_mut(run).and_then(|rows| rows.get_mut(block)) else {
                continue;
            };
            match known {
                InBlock::Busy { ns } => row.busy_ns = ns,
                InBlock::Spans { bucket, count } => {
                    let column = self.bounds.binary_search(&Histogram::bounds_of(bucket)).ok();
                    if let Some(known) = column.and_then(|at| row.counts.get_mut(at)) {
                        *known = u32::try_from(count).unwrap_or(u32::MAX);
                    }
                }
            }
        }
        Blocks::new(runs, self.bounds.len())
    }

    /// The quantile at `q` of counts by column; between the ends of its bucket by rank, so that a
    /// change below the width of a bucket is not lost. `None` when nothing was counted.
    pub(super) fn quantile(&self, sum: &Sum, q: f64) -> Option<f64> {
        let all = sum.calls();
        let rank = (q * all as f64).max(0.5);
        let at = sum.up_to.partition_point(|up_to| (*up_to as f64) < rank);
        let (low, high) = self.bounds.get(at)?;
        let count = sum.counts.get(at).copied().unwrap_or(0);
        let below = sum.up_to.get(at)?.saturating_sub(count) as f64;
        let width = (high - low) as f64 + 1.0;
        Some(*low as f64 + width * (rank - below) / count as f64)
    }

    /// The mean of counts by column, from the middles of the buckets.
    pub(super) fn mean(&self, sum: &Sum) -> Option<f64> {
        let all = sum.calls();
        let counts = sum.counts.iter().map(|count| *count as f64);
        let total: f64 =
            self.middles.iter().zip(counts).map(|(middle, count)| middle * count).sum();
        (all > 0).then(|| total / all as f64)
    }
}

impl Blocks {
    fn new(runs: Vec<Vec<Row>>, columns: usize) -> Self {
        let longest = runs.iter().map(Vec::len).max().unwrap_or(0);
        let counts = runs.iter().flatten().flat_map(|row| &row.counts);
        let largest = counts.max().copied().unwrap_or(0);
        let drawn = (longest as u64).saturating_mul(runs.len() as u64);
        let are_small = u64::from(largest).saturating_mul(drawn) <= u64::from(u32::MAX);
        Self { runs, columns, are_small }
    }

    /// The sum of all blocks: what was measured.
    pub(super) fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        sum.clear(self.columns);
        self.runs.iter().flatten().for_each(|block| sum.add(block, 1));
        sum.finish();
        sum
    }

    /// The same side in long blocks.
    pub(super) fn long(&self) -> Self {
        let join = |blocks: &[Row]| {
            let mut joined = Row { counts: vec![0; self.columns], busy_ns: 0 };
            for block in blocks {
                for (sum, count) in joined.counts.iter_mut().zip(&block.counts) {
                    *sum = sum.saturating_add(*count);
                }
                joined.busy_ns = joined.busy_ns.saturating_add(block.busy_ns);
            }
            joined
        };
        let runs = self.runs.iter().map(|blocks| blocks.chunks(LONG).map(join).collect());
        Self::new(runs.collect(), self.columns)
    }

    /// What a draw draws first: runs, or the blocks of the only one.
    pub(super) fn drawn(&self) -> DrawCount {
        match self.runs.as_slice() {
            [only] => DrawCount(only.len()),
            runs => DrawCount(runs.len()),
        }
    }

    /// A recording that could have been: runs drawn with replacement, and blocks of each.
    pub(super) fn draw(&self, random: &mut Random, sum: &mut Sum) {
        sum.clear(self.columns);
        let mut times = std::mem::take(&mut sum.times);
        for _ in 0..self.runs.len() {
            let Some(blocks) = self.runs.get(random.below(self.runs.len())) else { continue };
            // A block that is drawn again is added with the others of it.
            times.clear();
            times.resize(blocks.len(), 0);
            for _ in 0..blocks.len() {
                if let Some(times) = times.get_mut(random.below(blocks.len())) {
                    *times += 1;
                }
            }
            for (block, times) in blocks.iter().zip(&times).filter(|(_, times)| **times > 0) {
                if self.are_small {
                    sum.add_small(block, *times);
                } else {
                    sum.add(block, *times);
                }
            }
        }
        sum.times = times;
        sum.finish();
    }
}

impl Bootstrap {
    /// With intervals that hold this share, from 0 to 1.
    #[must_use]
    pub fn confidence(self, confidence: f64) -> Self {
        Self { confidence, ..self }
    }

    /// With sides of one run that differ from the next one by this share, whatever changed.
    #[must_use]
    pub fn between_runs(self, between_runs: f64) -> Self {
        Self { between_runs, ..self }
    }

    /// How far two single runs may lie apart, as a share of one.
    fn spread(&self) -> f64 {
        self.between_runs.max(0.0) * 2_f64.sqrt() * normal_quantile(upper(self.confidence))
    }

    /// The interval of a ratio of two sides, of which one is a single run. What differs within runs and
    /// what differs between them has nothing to do with each other: so squares are added up.
    pub(super) fn of_single_runs(&self, measured: f64, (low, high): (f64, f64)) -> (f64, f64) {
        let wider = |end: f64| {
            let by = (end / measured).ln().hypot(self.spread().ln_1p());
            if measured > 0.0 && end > 0.0 { by.exp() } else { 1.0 + self.spread() }
        };
        (measured / wider(low), measured * wider(high))
    }

    /// How likely chance alone makes a ratio as far from one as `measured`, of which this is the interval.
    pub(super) fn chance(
        &self,
        measured: f64,
        interval: (f64, f64),
        DrawCount(things): DrawCount,
    ) -> f64 {
        chance(measured, interval, things, self.confidence)
    }

    pub(super) fn random(&self) -> Random {
        Random(self.seed)
    }

    /// The part of the drawn `values` that the interval around what was measured holds, made wider
    /// for what few things it was drawn from. Ratios: all are greater than nothing.
    pub(super) fn interval(
        &self,
        measured: f64,
        values: &mut [f64],
        DrawCount(things): DrawCount,
    ) -> Option<(f64, f64)> {
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.confidence.clamp(0.0, 1.0)) / 2.0;
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| values.get((share * last as f64).round() as usize).copied();
        let (low, high) = (at(tail)?.min(measured), at(1.0 - tail)?.max(measured));
        let by = widening(things, self.confidence);
        let wider = |end: f64| {
            if measured > 0.0 && end > 0.0 { measured * (end / measured).powf(by) } else { end }
        };
        Some((wider(low), wider(high)))
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, 0 if that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_ends_of_their_bucket() {
        let values: Vec<u64> = (1..=10_000).map(|value| value * 1_000).collect();
        let side = Samples::of_run_of_blocks(&[&values]);
        let buckets = Buckets::of([&side, &side]);
        let sum = buckets.blocks(&side).sum();
        for q in [0.1, 0.5, 0.95, 0.99] {
            let exact = q * 1e7;
            let found = buckets.quantile(&sum, q).unwrap();
            assert!((found / exact - 1.0).abs() < 0.002, "{q}: {found} for {exact}");
        }
        assert!((buckets.mean(&sum).unwrap() / 5_000_500.0 - 1.0).abs() < 0.001);
        let nothing = buckets.blocks(&Samples { runs: 1, ..Samples::default() }).sum();
        assert_eq!((buckets.quantile(&nothing, 0.5), buckets.mean(&nothing)), (None, None));
    }

    #[test]
    fn counts_that_are_small_add_up_to_what_all_counts_do() {
        let blocks: Vec<Vec<u64>> =
            (0..64).map(|block| (0..200).map(|n| (n * n + block * 31) % 9_000).collect()).collect();
        for runs in [1, 3] {
            let side = Samples::of_run_of_blocks(&blocks).repeated(runs);
            let buckets = Buckets::of([&side, &side]);
            let small = buckets.blocks(&side);
            let large = Blocks { are_small: false, runs: small.runs.clone(), ..small };
            assert!(small.are_small);
            let mut random = [Random(1), Random(1)];
            let (mut one, mut other) = (Sum::default(), Sum::default());
            for _ in 0..100 {
                small.draw(&mut random[0], &mut one);
                large.draw(&mut random[1], &mut other);
                assert_eq!((&one.counts, &one.up_to), (&other.counts, &other.up_to));
                assert_eq!((one.busy_ns, one.calls()), (other.busy_ns, 200 * 64 * runs as u64));
            }
        }
        let row = |count| Row { counts: vec![count], busy_ns: 0 };
        assert!(Blocks::new(vec![vec![row(1 << 30); 3]], 1).are_small);
        assert!(!Blocks::new(vec![vec![row(1 << 30); 4]], 1).are_small);
        assert!(!Blocks::new(vec![vec![row(1 << 30); 1]; 4], 1).are_small);
    }

    #[test]
    fn a_draw_has_as_many_blocks_as_there_are() {
        let side = Samples { runs: 2, ..Samples::of_run_of_blocks(&[[7]; 5]) };
        let buckets = Buckets::of([&side, &side]);
        let blocks = buckets.blocks(&side);
        let (mut random, mut sum, mut seen) = (Random(1), Sum::default(), Vec::new());
        for _ in 0..200 {
            blocks.draw(&mut random, &mut sum);
            seen.push(sum.counts[0]);
        }
        seen.sort_unstable();
        seen.dedup();
        // Both runs are empty of it, one is not, or both are not.
        assert_eq!(seen, [0, 5, 10]);
    }
}
