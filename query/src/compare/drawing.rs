//! Resampled recordings: blocks of a real one, drawn with replacement.
//!
//! A resampled recording is a number for each block: how often it was drawn. Every figure is then a sum over blocks
//! of that number times a value of the block. For quantiles, which need the calls up to a bucket, the table holds for
//! each block the calls up to each bucket; a look at one bucket is one such sum, and starting from the bucket of the
//! previous draw, few looks are needed. Adding up all buckets of all drawn blocks would take about fifteen times as
//! long.
//!
//! Sums are floating-point numbers of whole values, exact up to 2^53.

use super::blocks::{InBlock, Samples};
use spandrel_storage::Histogram;

/// Blocks in a long block.
const LONG: usize = 8;

/// How many blocks or runs an interval is drawn from; the smaller number of the two sides counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DrawCount(pub(super) usize);

/// The buckets that at least one of two sides uses, in order.
pub(super) struct Buckets {
    /// Smallest and largest value.
    bounds: Vec<(u64, u64)>,
    /// For each bucket number its index in `bounds`; meaningless for unused buckets.
    index_of: Vec<u16>,
}

impl Buckets {
    pub(super) fn of(sides: [&Samples; 2]) -> Self {
        let mut index_of: Vec<u16> = Vec::new();
        let mut bounds = Vec::new();
        for (bucket, _) in sides.iter().flat_map(|side| side.counts()) {
            let bucket = usize::from(bucket);
            if bucket >= index_of.len() {
                index_of.resize(bucket + 1, 0);
            }
            if let Some(is_used) = index_of.get_mut(bucket) {
                *is_used = 1;
            }
        }
        for (bucket, index) in (0..).zip(&mut index_of) {
            let is_used = *index > 0;
            *index = bounds.len() as u16;
            if is_used {
                bounds.push(Histogram::bounds_of(bucket));
            }
        }
        Self { bounds, index_of }
    }

    /// The middle value of each bucket.
    fn middles(&self) -> impl Iterator<Item = f64> {
        self.bounds.iter().map(|(low, high)| *low as f64 / 2.0 + *high as f64 / 2.0)
    }

    /// The table of one side.
    pub(super) fn blocks(&self, side: &Samples) -> Blocks {
        // Runs and blocks without calls of this name count, too.
        let runs = side.lengths();
        let before: Vec<usize> = runs
            .iter()
            .scan(0, |next, length| Some(std::mem::replace(next, *next + length)))
            .collect();
        let all: usize = runs.iter().sum();
        let mut blocks = Blocks::of_nothing(runs, self.bounds.len());
        for (run, block, known) in side.by_block() {
            let Some(at) = before.get(run).map(|before| before + block) else { continue };
            match known {
                InBlock::Busy { ns } => {
                    if let Some(busy_ns) = blocks.busy_ns.get_mut(at) {
                        *busy_ns = ns as f64;
                    }
                }
                InBlock::Spans { bucket, count } => {
                    let index = self.index_of.get(usize::from(bucket)).copied().unwrap_or(u16::MAX);
                    if let Some(known) = blocks.up_to.get_mut(usize::from(index) * all + at) {
                        *known = count as f64;
                    }
                }
            }
        }
        blocks.add_up(self);
        blocks
    }
}

/// One side as a table.
pub(super) struct Blocks {
    /// How many blocks each run has.
    runs: Vec<usize>,
    /// Blocks of all runs.
    count: usize,
    /// By bucket, then by run and block: calls up to and including the bucket.
    up_to: Vec<f64>,
    /// By run and block, like the next field: busy time.
    busy_ns: Vec<f64>,
    /// Sum of durations, each rounded to the middle of its bucket.
    sum_ns: Vec<f64>,
}

impl Blocks {
    fn of_nothing(runs: Vec<usize>, buckets: usize) -> Self {
        let count = runs.iter().sum();
        let none = || vec![0.0; count];
        let (up_to, busy_ns, sum_ns) = (vec![0.0; count * buckets], none(), none());
        Self { runs, count, up_to, busy_ns, sum_ns }
    }

    /// Turns counts per bucket into cumulative counts.
    fn add_up(&mut self, buckets: &Buckets) {
        let mut below = vec![0.0; self.count];
        for (row, middle) in self.up_to.chunks_exact_mut(self.count.max(1)).zip(buckets.middles()) {
            let sums = below.iter_mut().zip(&mut self.sum_ns);
            for (calls, (below, sum_ns)) in row.iter_mut().zip(sums) {
                *sum_ns += middle * *calls;
                *calls += *below;
                *below = *calls;
            }
        }
    }

    /// The same side in long blocks.
    pub(super) fn long(&self) -> Self {
        let join = |blocks: &[f64]| -> Vec<f64> {
            let (mut joined, mut rest) = (Vec::with_capacity(blocks.len() / LONG + 1), blocks);
            for length in &self.runs {
                let (run, others) = rest.split_at(*length.min(&rest.len()));
                joined.extend(run.chunks(LONG).map(|blocks| blocks.iter().sum::<f64>()));
                rest = others;
            }
            joined
        };
        let runs: Vec<usize> = self.runs.iter().map(|length| length.div_ceil(LONG)).collect();
        let up_to = self.up_to.chunks_exact(self.count.max(1)).flat_map(join).collect();
        let count = runs.iter().sum();
        Self { runs, count, up_to, busy_ns: join(&self.busy_ns), sum_ns: join(&self.sum_ns) }
    }

    /// The number of runs, or of the blocks of a single run: what a draw draws first.
    pub(super) fn drawn(&self) -> DrawCount {
        match self.runs.as_slice() {
            [only] => DrawCount(*only),
            runs => DrawCount(runs.len()),
        }
    }

    /// The recording as it was measured: each block once.
    pub(super) fn recording(&self) -> Recording<'_> {
        let times = vec![1.0; self.count];
        let mut recording = Recording { blocks: self, times, calls: 0.0, found: Vec::new() };
        recording.calls = recording.count_calls();
        recording
    }
}

/// The measured recording, or a resampled one.
pub(super) struct Recording<'a> {
    blocks: &'a Blocks,
    /// How often each block was drawn.
    times: Vec<f64>,
    calls: f64,
    /// For each quantile, the bucket in which it was found last.
    found: Vec<(f64, usize)>,
}

impl Recording<'_> {
    /// Resamples: draws runs with replacement, and blocks of each.
    pub(super) fn draw(&mut self, random: &mut Random) {
        let runs = &self.blocks.runs;
        self.times.fill(0.0);
        for _ in 0..runs.len() {
            let run = random.below(runs.len());
            let before: usize = runs.iter().take(run).sum();
            let length = runs.get(run).copied().unwrap_or(0);
            let Some(times) = self.times.get_mut(before..before + length) else { continue };
            for _ in 0..length {
                if let Some(times) = times.get_mut(random.below(length)) {
                    *times += 1.0;
                }
            }
        }
        self.calls = self.count_calls();
    }

    fn count_calls(&self) -> f64 {
        let last = self.blocks.up_to.len().saturating_sub(self.blocks.count);
        self.blocks.up_to.get(last..).map_or(0.0, |calls| product(&self.times, calls))
    }

    /// How many calls there are.
    pub(super) fn calls(&self) -> f64 {
        self.calls
    }

    /// The mean time inside; `None` if there are no calls.
    pub(super) fn mean_busy_ns(&self) -> Option<f64> {
        self.mean(&self.blocks.busy_ns)
    }

    /// The mean duration; `None` if there are no calls.
    pub(super) fn mean_ns(&self) -> Option<f64> {
        self.mean(&self.blocks.sum_ns)
    }

    fn mean(&self, by_block: &[f64]) -> Option<f64> {
        (self.calls > 0.0).then(|| product(&self.times, by_block) / self.calls)
    }

    /// Calls in the first `buckets` buckets.
    fn up_to(&self, buckets: usize) -> f64 {
        let Some(before) = buckets.checked_sub(1) else { return 0.0 };
        let from = before * self.blocks.count;
        let calls = self.blocks.up_to.get(from..from + self.blocks.count);
        calls.map_or(f64::INFINITY, |calls| product(&self.times, calls))
    }

    /// The quantile `q`, interpolated within its bucket by rank, so that changes smaller than a bucket are seen.
    /// `None` without calls.
    pub(super) fn quantile(&mut self, buckets: &Buckets, q: f64) -> Option<f64> {
        if self.calls <= 0.0 {
            return None;
        }
        let rank = (q * self.calls).max(0.5);
        let last = self.found.iter().position(|(known, _)| *known == q);
        let start = last.and_then(|at| self.found.get(at)).map_or(0, |(_, at)| *at);
        let (at, below, up_to) = self.bucket_with(rank, start, buckets.bounds.len());
        match last.and_then(|at| self.found.get_mut(at)) {
            Some(found) => found.1 = at,
            None => self.found.push((q, at)),
        }
        let (low, high) = buckets.bounds.get(at)?;
        let width = (high - low) as f64 + 1.0;
        Some(*low as f64 + width * (rank - below) / (up_to - below))
    }

    /// The first bucket with at least `rank` calls up to and including it, and the calls below it and up to it.
    /// Searches from `start` outwards, in doubling steps.
    fn bucket_with(&self, rank: f64, start: usize, buckets: usize) -> (usize, f64, f64) {
        // The first `low` buckets have fewer than `rank` calls, the first `high` at least as many.
        let (mut low, mut below, mut high, mut up_to) = (0, 0.0, buckets, self.calls);
        let (mut at, mut step) = ((start + 1).min(buckets), 1);
        while high - low > 1 {
            let calls = self.up_to(at);
            if calls < rank {
                (low, below) = (at, calls);
            } else {
                (high, up_to) = (at, calls);
            }
            // Doubling steps until the rank is enclosed, then bisection.
            at = match (low, high) {
                (0, high) => high.saturating_sub(step).max(1),
                (low, high) if high == buckets => (low + step).min(buckets - 1),
                (low, high) => low + (high - low) / 2,
            };
            step *= 2;
        }
        (low, below, up_to)
    }
}

/// The dot product. Four sums side by side, so that an addition need not wait for the one before.
fn product(times: &[f64], by_block: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let ((times, more_times), (by_block, more)) =
        (times.as_chunks::<4>(), by_block.as_chunks::<4>());
    for (times, has) in times.iter().zip(by_block) {
        let pairs = times.iter().zip(has);
        sums.iter_mut().zip(pairs).for_each(|(sum, (times, has))| *sum += times * has);
    }
    let rest: f64 = more_times.iter().zip(more).map(|(times, has)| times * has).sum();
    sums.iter().sum::<f64>() + rest
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub(super) struct Random(pub(super) u64);

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
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_lie_between_the_ends_of_their_bucket() {
        let values: Vec<u64> = (1..=10_000).map(|value| value * 1_000).collect();
        let side = Samples::of_run_of_blocks(&[&values]);
        let buckets = Buckets::of([&side, &side]);
        let blocks = buckets.blocks(&side);
        let mut all = blocks.recording();
        for q in [0.1, 0.5, 0.95, 0.99] {
            let exact = q * 1e7;
            let found = all.quantile(&buckets, q).unwrap();
            assert!((found / exact - 1.0).abs() < 0.002, "{q}: {found} for {exact}");
        }
        assert!((all.mean_ns().unwrap() / 5_000_500.0 - 1.0).abs() < 0.001);
        let blocks = buckets.blocks(&Samples { runs: 1, ..Samples::default() });
        let mut nothing = blocks.recording();
        assert_eq!((nothing.quantile(&buckets, 0.5), nothing.mean_ns()), (None, None));
    }

    /// The sum of all that was drawn, bucket by bucket, and what follows from it.
    fn of_all(side: &Samples, times: &[f64], q: f64) -> (Vec<u64>, Option<f64>) {
        let mut counts = std::collections::BTreeMap::<u16, u64>::new();
        let lengths = side.lengths();
        for (run, block, known) in side.by_block() {
            let before: usize = lengths.iter().take(run).sum();
            if let InBlock::Spans { bucket, count } = known {
                *counts.entry(bucket).or_default() += count * times[before + block] as u64;
            }
        }
        let calls: u64 = counts.values().sum();
        let (rank, mut below) = ((q * calls as f64).max(0.5), 0);
        let found = counts.iter().find_map(|(bucket, count)| {
            let (low, high) = Histogram::bounds_of(*bucket);
            let from = below as f64;
            below += count;
            let is_it = below as f64 >= rank;
            let width = (high - low) as f64 + 1.0;
            is_it.then(|| low as f64 + width * (rank - from) / *count as f64)
        });
        (counts.into_values().collect(), found)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_drawn_is_the_sum_of_its_blocks(
            blocks in vec(vec(prop_oneof![0_u64..60, 0_u64..1 << 40], 0..20), 1..64),
            runs in 1_usize..4,
            seed in any::<u64>(),
        ) {
            let side = Samples::of_run_of_blocks(&blocks).repeated(runs);
            let buckets = Buckets::of([&side, &side]);
            let blocks = buckets.blocks(&side);
            let (mut random, mut drawn) = (Random(seed), blocks.recording());
            for _ in 0..5 {
                drawn.draw(&mut random);
                for q in [0.0, 0.5, 0.95, 1.0] {
                    let (counts, quantile) = of_all(&side, &drawn.times, q);
                    prop_assert_eq!(drawn.calls(), counts.iter().sum::<u64>() as f64);
                    prop_assert_eq!(drawn.quantile(&buckets, q), quantile);
                }
            }
        }

        #[test]
        fn long_blocks_have_what_those_in_them_have(
            blocks in vec(vec(0_u64..60, 0..20), 1..64),
            runs in 1_usize..4,
        ) {
            let side = Samples::of_run_of_blocks(&blocks).repeated(runs);
            let buckets = Buckets::of([&side, &side]);
            let blocks = buckets.blocks(&side);
            let long = blocks.long();
            let expected: Vec<_> = blocks.runs.iter().map(|run| run.div_ceil(LONG)).collect();
            prop_assert_eq!(&long.runs, &expected);
            let (mut all, mut joined) = (blocks.recording(), long.recording());
            prop_assert_eq!((all.calls(), all.mean_ns()), (joined.calls(), joined.mean_ns()));
            for q in [0.1, 0.5, 0.99] {
                prop_assert_eq!(all.quantile(&buckets, q), joined.quantile(&buckets, q));
            }
        }
    }

    #[test]
    fn a_draw_has_as_many_blocks_as_there_are() {
        let side = Samples { runs: 2, ..Samples::of_run_of_blocks(&[[7]; 5]) };
        let buckets = Buckets::of([&side, &side]);
        let blocks = buckets.blocks(&side);
        let (mut random, mut drawn, mut seen) = (Random(1), blocks.recording(), Vec::new());
        for _ in 0..200 {
            drawn.draw(&mut random);
            seen.push(drawn.calls() as u64);
        }
        seen.sort_unstable();
        seen.dedup();
        // Both runs are empty of it, one is not, or both are not.
        assert_eq!(seen, [0, 5, 10]);
    }
}
