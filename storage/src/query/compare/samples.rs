//! The durations of one side of a comparison, by name and block of time.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::{Scan, SpanRef};
use crate::error::Error;
use crate::histogram::Histogram;
use crate::reader::{Reader, Run};

/// Blocks of time of a run at most.
const BLOCKS: i64 = 64;

/// What spans of two recordings are known by: callsites have other numbers in other files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct SpanName {
    /// The name of the span.
    pub name: String,
    /// The `target`.
    pub target: String,
}

/// The blocks of time of a run. There can be half a million names that are in one block each, so only those
/// with a span are kept, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunBlocks(Vec<(u8, Histogram)>);

impl RunBlocks {
    /// How many there are up to the last one with a span.
    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |(block, _)| usize::from(*block) + 1)
    }

    /// Those with a span, with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &Histogram)> {
        self.0.iter().map(|(block, histogram)| (usize::from(*block), histogram))
    }

    fn at(&mut self, block: u8) -> &mut Histogram {
        let at = match self.0.binary_search_by_key(&block, |(known, _)| *known) {
            Ok(at) => at,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (block, Histogram::new()));
                at
            }
        };
        &mut self.0[at].1
    }
}

impl<'a> IntoIterator for &'a RunBlocks {
    type Item = &'a Histogram;
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (u8, Histogram)>,
        fn(&'a (u8, Histogram)) -> &'a Histogram,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(_, histogram)| histogram)
    }
}

#[cfg(test)]
impl FromIterator<Histogram> for RunBlocks {
    fn from_iter<T: IntoIterator<Item = Histogram>>(all: T) -> Self {
        Self((0..).zip(all).collect())
    }
}

/// The spans of one name: a histogram of their durations for each block of time of each run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    /// By run, then by block.
    pub(super) runs: Vec<RunBlocks>,
    pub(super) sum_ns: i64,
    pub(super) self_ns: i64,
    pub(super) max_ns: i64,
    pub(super) errors: u64,
}

impl Samples {
    /// How many spans there are.
    pub fn calls(&self) -> u64 {
        self.runs.iter().flatten().map(Histogram::count).sum()
    }

    /// How many there are in each run of their side, in the order of runs.
    pub fn calls_by_run(&self) -> Vec<u64> {
        let calls = |blocks: &RunBlocks| blocks.into_iter().map(Histogram::count).sum();
        self.runs.iter().map(calls).collect()
    }

    /// Sum of their durations, nanoseconds.
    pub fn sum_ns(&self) -> i64 {
        self.sum_ns
    }

    /// Sum of their self times, nanoseconds.
    pub fn self_ns(&self) -> i64 {
        self.self_ns
    }

    /// The longest duration, nanoseconds.
    pub fn max_ns(&self) -> i64 {
        self.max_ns
    }

    /// How many of them failed or panicked.
    pub fn errors(&self) -> u64 {
        self.errors
    }
}

/// One side of a comparison: one run or several.
#[derive(Debug, Clone, Default)]
pub struct SampleSet {
    pub(super) names: BTreeMap<SpanName, Arc<Samples>>,
    runs: usize,
    traces: u64,
}

impl SampleSet {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many runs it has.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// How many closed spans without a parent it has.
    pub fn traces(&self) -> u64 {
        self.traces
    }

    /// The samples of a name.
    pub fn get(&self, name: &SpanName) -> Option<&Samples> {
        self.names.get(name).map(|samples| &**samples)
    }

    /// How many closed spans it has.
    pub fn spans(&self) -> u64 {
        self.names.values().map(|samples| samples.calls()).sum()
    }

    /// All names with their samples, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&SpanName, &Samples)> {
        self.names.iter().map(|(name, samples)| (name, &**samples))
    }

    /// Adds the closed spans of a run for which `matches` holds.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn add_run(
        &mut self,
        reader: &Reader,
        run: &Run,
        scan: &Scan,
        mut matches: impl FnMut(&SpanRef<'_>) -> bool,
    ) -> Result<(), Error> {
        let from = scan.from_ns.unwrap_or(0);
        let length = scan.until_ns.unwrap_or(run.last_ns).saturating_sub(from).max(1);
        let at = self.runs;
        self.runs += 1;
        // By callsite, as names are longer to compare.
        let mut by_callsite: HashMap<i64, (SpanName, Samples)> = HashMap::new();
        let mut traces = 0;
        reader.scan(scan, |span| {
            if let Some(duration_ns) = span.duration_ns
                && matches(span)
            {
                traces += u64::from(span.parent_id.is_none());
                let (_, samples) = by_callsite.entry(span.callsite.id).or_insert_with(|| {
                    let callsite = span.callsite;
                    let (name, target) = (callsite.name.clone(), callsite.target.clone());
                    (SpanName { name, target }, Samples::default())
                });
                samples.add(span, duration_ns, block(span.start_ns - from, length));
            }
            ControlFlow::Continue(())
        })?;
        self.traces += traces;
        for (name, samples) in by_callsite.into_values() {
            Arc::make_mut(self.names.entry(name).or_default()).merge(samples, at);
        }
        // A run without a span of some name says something, too.
        for samples in self.names.values_mut() {
            if samples.runs.len() < self.runs {
                Arc::make_mut(samples).runs.resize(self.runs, RunBlocks::default());
            }
        }
        Ok(())
    }
}

/// The block of a moment in a run of this length.
fn block(at_ns: i64, length_ns: i64) -> u8 {
    let block = i128::from(at_ns) * i128::from(BLOCKS) / i128::from(length_ns);
    block.clamp(0, i128::from(BLOCKS) - 1) as u8
}

impl Samples {
    fn add(&mut self, span: &SpanRef<'_>, duration_ns: i64, block: u8) {
        if self.runs.is_empty() {
            self.runs.reserve_exact(1);
            self.runs.push(RunBlocks::default());
        }
        if let Some(blocks) = self.runs.last_mut() {
            blocks.at(block).record(duration_ns.max(0) as u64);
        }
        self.sum_ns = self.sum_ns.saturating_add(duration_ns);
        self.self_ns = self.self_ns.saturating_add(span.self_ns.unwrap_or(0));
        self.max_ns = self.max_ns.max(duration_ns);
        let failed = matches!(span.status, crate::Status::Error | crate::Status::Panicked);
        self.errors += u64::from(failed);
    }

    /// Takes those of run number `at`; two callsites of one name are one.
    fn merge(&mut self, other: Self, at: usize) {
        let others = other.runs.into_iter().next().unwrap_or_default();
        self.runs.reserve_exact((at + 1).saturating_sub(self.runs.len()));
        self.runs.resize(self.runs.len().max(at + 1), RunBlocks::default());
        match self.runs.get_mut(at) {
            Some(mine) if mine.0.is_empty() => *mine = others,
            Some(mine) => others.0.iter().for_each(|(block, more)| mine.at(*block).merge(more)),
            None => {}
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.errors += other.errors;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_what_its_own_blocks_take_and_not_a_place_in_each() {
        let mut samples = Samples::default();
        samples.runs.push(RunBlocks::default());
        samples.runs[0].at(63).record(5);
        samples.runs[0].at(2).record(7);
        samples.runs[0].at(63).record(6);
        let blocks = &samples.runs[0];
        assert_eq!((blocks.0.len(), blocks.len(), samples.calls()), (2, 64, 3));
        let numbers: Vec<usize> = blocks.numbered().map(|(number, _)| number).collect();
        assert_eq!(numbers, [2, 63]);
    }

    #[test]
    fn moments_fall_into_blocks() {
        assert_eq!([-5, 0, 99, 100, 500].map(|at| block(at, 100)), [0, 0, 63, 63, 63]);
        assert_eq!(block(i64::MAX, i64::MAX), 63);
        assert_eq!(block(i64::MIN, 1), 0);
    }
}
