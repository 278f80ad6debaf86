//! The durations of one side of a comparison, by name and block of time.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::fields::field_text;
use super::super::{By, Scan, SpanRef};
use crate::error::Error;
use crate::histogram::Histogram;
use crate::quick_map::QuickMap;
use crate::reader::{Reader, Run};

/// Blocks of time of a run at most.
const BLOCKS: i64 = 64;
/// Values of what spans are grouped by that are kept apart: each has a histogram for each block.
const VALUES_MAX: usize = 1_000;

/// What spans of two recordings are known by: callsites have other numbers in other files. Spans that are
/// grouped by something else than their name are known by its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct SpanName {
    /// The name of the span, or the value.
    pub name: String,
    /// The `target`; of values, nothing.
    pub target: String,
    /// These are the spans without the field that they are grouped by.
    pub is_absent: bool,
}

impl SpanName {
    pub(super) fn named(name: String, target: String) -> Self {
        Self { name, target, is_absent: false }
    }

    /// What spans of a callsite are known by, unless the thread or a field says it.
    fn of_callsite(span: &SpanRef<'_>, by: &By) -> Self {
        let callsite = span.callsite;
        let (name, target) = (callsite.name.clone(), callsite.target.clone());
        match by {
            By::Target => Self::named(target, String::new()),
            By::Level => Self::named(callsite.level.clone(), String::new()),
            By::Callsite => match (&callsite.file, callsite.line) {
                (Some(file), Some(line)) => Self::named(format!("{name} {file}:{line}"), target),
                (Some(file), None) => Self::named(format!("{name} {file}"), target),
                _ => Self::named(name, target),
            },
            _ => Self::named(name, target),
        }
    }

    fn of_span(span: &SpanRef<'_>, by: &By) -> Self {
        let value = match by {
            By::Field(field) => span.fields.and_then(|fields| field_text(fields, field)),
            _ => {
                let name = span.thread.name.clone();
                Some(name.unwrap_or_else(|| format!("thread {}", span.thread.os_id)))
            }
        };
        let is_absent = value.is_none();
        Self { name: value.unwrap_or_default(), target: String::new(), is_absent }
    }
}

/// The blocks of time of a run. There can be half a million names that are in one block each, so only those
/// with a span are kept, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunBlocks(Vec<Block>);

/// The spans of a name in a block of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Block {
    number: u8,
    pub(super) histogram: Histogram,
    pub(super) busy_ns: u64,
}

impl Block {
    pub(super) fn number(&self) -> usize {
        self.number.into()
    }

    fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
    }
}

impl RunBlocks {
    /// How many there are up to the last one with a span.
    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |block| block.number() + 1)
    }

    /// Those with a span.
    pub(super) fn with_spans(&self) -> &[Block] {
        &self.0
    }

    fn at(&mut self, number: u8) -> &mut Block {
        let at = match self.0.binary_search_by_key(&number, |known| known.number) {
            Ok(at) => at,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, Block { number, ..Block::default() });
                at
            }
        };
        &mut self.0[at]
    }
}

impl<'a> IntoIterator for &'a RunBlocks {
    type Item = &'a Histogram;
    type IntoIter = std::iter::Map<std::slice::Iter<'a, Block>, fn(&'a Block) -> &'a Histogram>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|block| &block.histogram)
    }
}

#[cfg(test)]
impl FromIterator<Histogram> for RunBlocks {
    fn from_iter<T: IntoIterator<Item = Histogram>>(all: T) -> Self {
        let block = |(number, histogram)| Block { number, histogram, busy_ns: 0 };
        Self((0..).zip(all).map(block).collect())
    }
}

/// The spans of one name: a histogram of their durations for each block of time of each run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    /// By run, then by block.
    pub(super) runs: Vec<RunBlocks>,
    /// Spans whose busy time was not measured.
    pub(super) unmeasured: u64,
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

    /// Sum of their busy times, nanoseconds; `None` if some were not measured.
    pub fn busy_ns(&self) -> Option<u64> {
        let all = self.runs.iter().flat_map(|run| &run.0).map(|block| block.busy_ns);
        (self.unmeasured == 0).then(|| all.fold(0, u64::saturating_add))
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
    by: By,
    runs: usize,
    traces: u64,
    has_too_many: bool,
}

impl SampleSet {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing yet; what spans have in common is this instead of their name.
    pub fn by(by: By) -> Self {
        Self { by, ..Self::default() }
    }

    /// Whether there were more than a thousand values of a field, so that some spans are in none of them:
    /// then nothing can be compared.
    pub fn has_too_many(&self) -> bool {
        self.has_too_many
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
        let mut places = Places::new(&self.by);
        let mut traces = 0;
        reader.scan(scan, |span| {
            if let Some(duration_ns) = span.duration_ns
                && matches(span)
            {
                traces += u64::from(span.parent_id.is_none());
                if let Some(samples) = places.of(span) {
                    samples.add(span, duration_ns, block(span.start_ns - from, length));
                }
            }
            ControlFlow::Continue(())
        })?;
        self.traces += traces;
        self.has_too_many |= places.has_too_many;
        // As spans were met; names come in order.
        for (name, samples) in places.all {
            Arc::make_mut(self.names.entry(name).or_default()).merge(samples, at);
        }
        self.has_too_many |= !by_name(&self.by) && self.names.len() > VALUES_MAX;
        // A run without a span of some name says something, too.
        for samples in self.names.values_mut() {
            if samples.runs.len() < self.runs {
                Arc::make_mut(samples).runs.resize(self.runs, RunBlocks::default());
            }
        }
        Ok(())
    }
}

/// Whether callsites alone say where a span belongs.
fn by_name(by: &By) -> bool {
    by.is_in_rollups()
}

/// The spans of one run, by what they are known by.
struct Places<'a> {
    by: &'a By,
    all: Vec<(SpanName, Samples)>,
    /// By the number of the callsite, as names are longer to compare.
    by_number: QuickMap<i64, usize>,
    by_value: HashMap<SpanName, usize>,
    has_too_many: bool,
}

impl<'a> Places<'a> {
    fn new(by: &'a By) -> Self {
        let (by_number, by_value) = (QuickMap::default(), HashMap::new());
        Self { by, all: Vec::new(), by_number, by_value, has_too_many: false }
    }

    /// Where a span belongs; nowhere if there are too many values.
    fn of(&mut self, span: &SpanRef<'_>) -> Option<&mut Samples> {
        let next = self.all.len();
        let at = if by_name(self.by) {
            match self.by_number.get(&span.callsite.id) {
                Some(at) => *at,
                None => {
                    self.all.push((SpanName::of_callsite(span, self.by), Samples::default()));
                    self.by_number.insert(span.callsite.id, next);
                    next
                }
            }
        } else {
            let name = SpanName::of_span(span, self.by);
            match self.by_value.get(&name) {
                Some(at) => *at,
                None if next >= VALUES_MAX => {
                    self.has_too_many = true;
                    return None;
                }
                None => {
                    self.all.push((name.clone(), Samples::default()));
                    self.by_value.insert(name, next);
                    next
                }
            }
        };
        self.all.get_mut(at).map(|(_, samples)| samples)
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
            let block = blocks.at(block);
            block.histogram.record(duration_ns.max(0) as u64);
            let busy_ns = span.busy_ns.unwrap_or(0).max(0) as u64;
            block.busy_ns = block.busy_ns.saturating_add(busy_ns);
        }
        self.unmeasured += u64::from(span.busy_ns.is_none());
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
            Some(mine) => others.0.iter().for_each(|more| mine.at(more.number).merge(more)),
            None => {}
        }
        self.unmeasured += other.unmeasured;
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
        samples.runs[0].at(63).histogram.record(5);
        samples.runs[0].at(2).histogram.record(7);
        samples.runs[0].at(63).histogram.record(6);
        let blocks = &samples.runs[0];
        assert_eq!((blocks.0.len(), blocks.len(), samples.calls()), (2, 64, 3));
        let numbers: Vec<usize> = blocks.with_spans().iter().map(Block::number).collect();
        assert_eq!(numbers, [2, 63]);
    }

    #[test]
    fn moments_fall_into_blocks() {
        assert_eq!([-5, 0, 99, 100, 500].map(|at| block(at, 100)), [0, 0, 63, 63, 63]);
        assert_eq!(block(i64::MAX, i64::MAX), 63);
        assert_eq!(block(i64::MIN, 1), 0);
    }
}
