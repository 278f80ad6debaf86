//! The durations of the calls of a name, counted by run, block of time and histogram bucket.
//!
//! Two sides can have half a million names with a call or two each. So the counts of a name are one sorted list
//! without empty cells: a name with one call takes 64 bytes of it.

use spandrel_storage::Histogram;

/// Blocks of time of a run at most.
const BLOCKS: i64 = 64;

/// The block of a moment in a run of this length.
fn block(at_ns: i64, length_ns: i64) -> u8 {
    let block = i128::from(at_ns) * i128::from(BLOCKS) / i128::from(length_ns);
    block.clamp(0, i128::from(BLOCKS) - 1) as u8
}

/// Finds the block of a time; caches the last one, since times come roughly in order and a division for each would
/// cost more than all else.
#[derive(Debug)]
pub(super) struct BlockLookUp {
    length_ns: i64,
    /// From, until and number of the last block that was found.
    cached: (i64, i64, u8),
}

impl BlockLookUp {
    pub(super) fn new(length_ns: i64) -> Self {
        Self { length_ns, cached: (0, 0, 0) }
    }

    /// The block of a moment.
    #[inline]
    pub(super) fn get(&mut self, at_ns: i64) -> u8 {
        let (from_ns, to_ns, block) = self.cached;
        if (from_ns..to_ns).contains(&at_ns) { block } else { self.find(at_ns) }
    }

    #[cold]
    fn find(&mut self, at_ns: i64) -> u8 {
        let found = block(at_ns, self.length_ns);
        let length = i128::from(self.length_ns);
        let begin = |number: i64| {
            let scaled = i128::from(number) * length;
            i64::try_from((scaled + i128::from(BLOCKS) - 1) / i128::from(BLOCKS))
        };
        let number = i64::from(found);
        let from_ns = if number == 0 { Ok(i64::MIN) } else { begin(number) };
        let to_ns = if number == BLOCKS - 1 { Ok(i64::MAX) } else { begin(number + 1) };
        self.cached = (from_ns.unwrap_or(i64::MAX), to_ns.unwrap_or(i64::MAX), found);
        found
    }
}

/// The calls of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    /// By run, block and bucket.
    pub(super) cells: Vec<Cell>,
    /// Runs of the side.
    pub(super) runs: usize,
    /// Sum of the earlier entries, which are known by their number and sum only.
    pub(super) earlier_ns: u64,
    /// Spans whose busy time was not measured.
    pub(super) unmeasured: u64,
    pub(super) sum_ns: i64,
    pub(super) self_ns: i64,
    pub(super) max_ns: i64,
    pub(super) errors: u64,
    /// Spans that have closed.
    pub(super) spans: u64,
    pub(super) last_block: LastBlock,
}

/// The index of the first cell of the last block, so that a call is counted without searching all cells; a larger
/// index if that is not known. Only a cache: all values are equal.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastBlock(usize);

impl Default for LastBlock {
    fn default() -> Self {
        Self(usize::MAX)
    }
}

impl PartialEq for LastBlock {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for LastBlock {}

/// The number of spans in a bucket of a block, or the busy time of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    key: BlockKey,
    value: u64,
}

/// Run, block and bucket (or [`BUSY`], which sorts first) in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockKey(u64);

/// Stands for the busy time; a bucket is stored as its number plus one.
const BUSY: u16 = 0;
/// Stands for earlier entries, which are known by their number and sum only.
const EARLIER: u16 = u16::MAX;

impl BlockKey {
    fn new(run: usize, block: u8, what: u16) -> Self {
        Self((run as u64) << 24 | u64::from(block) << 16 | u64::from(what))
    }

    #[cfg(test)]
    fn of_value(run: usize, block: u8, value: u64) -> Self {
        Self::new(run, block, Histogram::bucket_of(value) + 1)
    }

    /// The key of the busy time of a block in run 0.
    pub(super) fn of_busy(block: u8) -> Self {
        Self::new(0, block, BUSY)
    }

    /// The key of the earlier entries of a block in run 0.
    pub(super) fn of_earlier(block: u8) -> Self {
        Self::new(0, block, EARLIER)
    }

    /// The key of a bucket of a block in run 0.
    pub(super) fn of_bucket(block: u8, bucket: u16) -> Self {
        Self::new(0, block, bucket + 1)
    }

    fn run(self) -> usize {
        (self.0 >> 24) as usize
    }

    fn block(self) -> usize {
        usize::from((self.0 >> 16) as u8)
    }

    fn bucket(self) -> Option<u16> {
        (self.0 as u16).checked_sub(1).filter(|_| self.0 as u16 != EARLIER)
    }

    fn is_in_block_of(self, other: Self) -> bool {
        self.0 >> 16 == other.0 >> 16
    }

    fn is_busy(self) -> bool {
        self.0 as u16 == BUSY
    }

    fn in_run(self, run: usize) -> Self {
        Self((run as u64) << 24 | self.0 & 0xFF_FFFF)
    }
}

/// A cell of one block of a run.
pub(super) enum InBlock {
    /// The number of calls in a bucket.
    Spans { bucket: u16, count: u64 },
    /// Their busy time.
    Busy { ns: u64 },
}

impl Samples {
    /// How many calls there are: closed spans, or entries of those that live long.
    pub fn calls(&self) -> u64 {
        let calls = self.cells.iter().filter(|cell| !cell.key.is_busy());
        calls.map(|cell| cell.value).fold(0, u64::saturating_add)
    }

    /// How many spans have closed, whose calls these are.
    pub fn spans(&self) -> u64 {
        self.spans
    }

    /// Calls of each run of the side, in the order of runs.
    pub fn calls_by_run(&self) -> Vec<u64> {
        let mut calls = vec![0; self.runs];
        for cell in self.cells.iter().filter(|cell| !cell.key.is_busy()) {
            if let Some(calls) = calls.get_mut(cell.key.run()) {
                *calls += cell.value;
            }
        }
        calls
    }

    /// Sum of their durations, nanoseconds.
    pub fn sum_ns(&self) -> i64 {
        self.sum_ns
    }

    /// Sum of their busy times, nanoseconds; `None` if some were not measured.
    pub fn busy_ns(&self) -> Option<u64> {
        let busy = self.cells.iter().filter(|cell| cell.key.is_busy());
        let earlier = self.earlier_ns;
        (self.unmeasured == 0)
            .then(|| busy.map(|cell| cell.value).fold(earlier, u64::saturating_add))
    }

    /// Sum of their self times, nanoseconds.
    pub fn self_ns(&self) -> i64 {
        self.self_ns
    }

    /// The longest duration, nanoseconds; also of entries without rows of their own.
    pub fn max_ns(&self) -> i64 {
        self.max_ns
    }

    /// How many of the spans failed or panicked.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Buckets with their counts; a bucket is repeated for each block.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u16, u64)> {
        self.cells.iter().filter_map(|cell| Some((cell.key.bucket()?, cell.value)))
    }

    /// The histogram over all blocks.
    pub(super) fn histogram(&self) -> Histogram {
        let mut by_bucket: Vec<u64> = Vec::new();
        for (bucket, count) in self.counts() {
            let bucket = usize::from(bucket);
            if bucket >= by_bucket.len() {
                by_bucket.resize(bucket + 1, 0);
            }
            if let Some(known) = by_bucket.get_mut(bucket) {
                *known = known.saturating_add(count);
            }
        }
        let mut all = Histogram::new();
        let used = (0..).zip(by_bucket).filter(|(_, count)| *count > 0);
        used.for_each(|(bucket, count)| all.record_bucket(bucket, count));
        all
    }

    /// Runs up to the last one with a call, and the number of blocks of each.
    pub(super) fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.runs];
        for cell in &self.cells {
            if let Some(length) = lengths.get_mut(cell.key.run()) {
                *length = cell.key.block() + 1;
            }
        }
        lengths
    }

    /// All cells with their run and block.
    pub(super) fn by_block(&self) -> impl Iterator<Item = (usize, usize, InBlock)> {
        self.cells.iter().filter_map(|Cell { key, value }| {
            let known = match key.bucket() {
                Some(bucket) => InBlock::Spans { bucket, count: *value },
                None if key.is_busy() => InBlock::Busy { ns: *value },
                None => return None,
            };
            Some((key.run(), key.block(), known))
        })
    }

    /// Turns samples of a single run into samples of run number `at`.
    pub(super) fn of_run(mut self, at: usize) -> Self {
        self.cells.iter_mut().for_each(|cell| cell.key = cell.key.in_run(at));
        self.runs = at + 1;
        self
    }

    /// Adds the samples of a single run as run number `at`.
    pub(super) fn merge(&mut self, other: &Self, at: usize) {
        self.runs = self.runs.max(at + 1);
        self.merge_cells(other.cells.iter().map(|cell| Cell { key: cell.key.in_run(at), ..*cell }));
        self.unmeasured += other.unmeasured;
        self.earlier_ns = self.earlier_ns.saturating_add(other.earlier_ns);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.errors += other.errors;
        self.spans += other.spans;
    }

    /// Merges other sorted cells into these.
    fn merge_cells(&mut self, others: impl ExactSizeIterator<Item = Cell>) {
        if others.len() == 0 {
            return;
        }
        let mut merged = Vec::with_capacity(self.cells.len() + others.len());
        let (mut mine, mut others) =
            (std::mem::take(&mut self.cells).into_iter().peekable(), others.peekable());
        loop {
            let is_other = match (mine.peek(), others.peek()) {
                (Some(mine), Some(other)) => other.key < mine.key,
                (None, other) => other.is_some(),
                (Some(_), None) => false,
            };
            let Some(mut next) = (if is_other { others.next() } else { mine.next() }) else {
                break;
            };
            if let Some(same) = others.next_if(|other| !is_other && other.key == next.key) {
                next.value = next.value.saturating_add(same.value);
            }
            merged.push(next);
        }
        merged.shrink_to_fit();
        self.cells = merged;
        self.last_block = LastBlock::default();
    }

    /// Adds to a cell; makes it if it is missing.
    pub(super) fn put(&mut self, key: BlockKey, value: u64) {
        let at = match self.cells.last() {
            // Spans come in the order of time.
            Some(last) if last.key < key => Err(self.cells.len()),
            _ => self.find(key),
        };
        match at {
            Ok(at) => {
                if let Some(cell) = self.cells.get_mut(at) {
                    cell.value = cell.value.saturating_add(value);
                }
            }
            Err(at) => {
                if self.cells.is_empty() {
                    self.cells.reserve_exact(2);
                }
                self.cells.insert(at, Cell { key, value });
                if at <= self.last_block.0 {
                    self.last_block = LastBlock::default();
                }
            }
        }
    }

    /// The index of a key, or where it would be inserted. It is mostly in the last block; busy time is the first cell
    /// of one.
    fn find(&mut self, key: BlockKey) -> Result<usize, usize> {
        let is_before = |cell: &Cell| cell.key < key && !cell.key.is_in_block_of(key);
        let LastBlock(mut first) = self.last_block;
        if self.cells.get(first).is_none_or(|cell| !cell.key.is_in_block_of(key)) {
            first = self.cells.partition_point(is_before);
            let last = self.cells.last();
            if last.is_some_and(|last| last.key.is_in_block_of(key)) {
                self.last_block = LastBlock(first);
            }
        }
        let block = self.cells.get(first..).unwrap_or_default();
        if block.first().is_some_and(|cell| cell.key == key) {
            return Ok(first);
        }
        let found = block.binary_search_by_key(&key, |cell| cell.key);
        found.map(|at| first + at).map_err(|at| first + at)
    }
}

#[cfg(test)]
impl Samples {
    /// Samples of one run with the given durations in each block.
    pub(super) fn of_run_of_blocks(blocks: &[impl AsRef<[u64]>]) -> Self {
        let mut samples = Self { runs: 1, ..Self::default() };
        for (block, durations) in (0..).zip(blocks) {
            for ns in durations.as_ref() {
                samples.put(BlockKey::of_value(0, block, *ns), 1);
                samples.max_ns = samples.max_ns.max(*ns as i64);
                samples.sum_ns += *ns as i64;
                samples.spans += 1;
            }
        }
        samples
    }

    /// The same run, repeated.
    pub(super) fn repeated(&self, runs: usize) -> Self {
        let mut all = self.clone();
        (1..runs).for_each(|at| all.merge(self, at));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_takes_what_its_own_blocks_take_and_not_a_place_in_each() {
        let mut samples = Samples { runs: 1, ..Samples::default() };
        for (block, ns) in [(63, 5), (2, 7), (63, 6), (63, 5)] {
            samples.put(BlockKey::of_value(0, block, ns), 1);
        }
        samples.put(BlockKey::new(0, 63, BUSY), 9);
        assert_eq!((samples.cells.len(), samples.lengths(), samples.calls()), (4, vec![64], 4));
        let found: Vec<(usize, u64)> = samples
            .by_block()
            .map(|(_, block, known)| match known {
                InBlock::Spans { count, .. } => (block, count),
                InBlock::Busy { ns } => (block, ns),
            })
            .collect();
        assert_eq!(found, [(2, 1), (63, 9), (63, 2), (63, 1)]);
        assert_eq!(samples.busy_ns(), Some(9));
        let twice = samples.repeated(2);
        assert_eq!((twice.calls_by_run(), twice.lengths()), (vec![4, 4], vec![64, 64]));
    }

    proptest! {
        #[test]
        fn cells_are_found_wherever_they_are(
            spans in vec((0_usize..2, 0_u8..5, 0_u64..6, 1_u64..4), 0..200),
        ) {
            let (mut samples, mut expected) = (Samples::default(), BTreeMap::new());
            for (run, block, ns, count) in spans {
                let key = match ns {
                    0 => BlockKey::new(run, block, BUSY),
                    ns => BlockKey::of_value(run, block, ns),
                };
                samples.put(key, count);
                *expected.entry(key).or_insert(0) += count;
            }
            let found: Vec<_> = samples.cells.iter().map(|cell| (cell.key, cell.value)).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn a_block_that_is_looked_up_is_the_one_that_is_computed(
            length in prop_oneof![1_i64..1_000, 1..=i64::MAX, Just(i64::MAX)],
            moments in vec(prop_oneof![-10_i64..1_200, any::<i64>(), Just(i64::MAX)], 1..50),
        ) {
            let mut blocks = BlockLookUp::new(length);
            for at in moments {
                // Where one ends and the next begins, too.
                let edges = [at, at.saturating_sub(1), at.saturating_add(1), at];
                prop_assert_eq!(edges.map(|at| blocks.get(at)), edges.map(|at| block(at, length)));
            }
        }
    }

    proptest! {
        #[test]
        fn sides_that_are_merged_have_the_sum_of_each_cell(
            sides in vec(vec((0_u8..4, 0_u64..6, 1_u64..4), 0..60), 2..4),
        ) {
            let (mut merged, mut expected) = (Samples::default(), Samples::default());
            for side in sides {
                let mut samples = Samples::default();
                for (block, ns, count) in side {
                    let key = match ns {
                        0 => BlockKey::new(0, block, BUSY),
                        ns => BlockKey::of_value(0, block, ns),
                    };
                    samples.put(key, count);
                    expected.put(key.in_run(1), count);
                }
                merged.merge(&samples, 1);
            }
            prop_assert_eq!(merged.cells, expected.cells);
        }
    }

    #[test]
    fn moments_fall_into_blocks() {
        assert_eq!([-5, 0, 99, 100, 500].map(|at| block(at, 100)), [0, 0, 63, 63, 63]);
        assert_eq!(block(i64::MAX, i64::MAX), 63);
        assert_eq!(block(i64::MIN, 1), 0);
    }
}
