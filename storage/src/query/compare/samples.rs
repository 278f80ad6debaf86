//! The durations of one side of a comparison, by name and block of time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

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

/// The spans of one name: a histogram of their durations for each block of time of each run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    /// By run, then by block.
    pub(super) runs: Vec<Vec<Histogram>>,
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
        self.runs.iter().map(|blocks| blocks.iter().map(Histogram::count).sum()).collect()
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
    pub(super) names: BTreeMap<SpanName, Samples>,
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
        self.names.get(name)
    }

    /// How many closed spans it has.
    pub fn spans(&self) -> u64 {
        self.names.values().map(Samples::calls).sum()
    }

    /// All names with their samples, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&SpanName, &Samples)> {
        self.names.iter()
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
        let mut by_callsite: Vec<(i64, Samples)> = Vec::new();
        let mut names: BTreeMap<i64, SpanName> = BTreeMap::new();
        let mut traces = 0;
        reader.scan(scan, |span| {
            if let Some(duration_ns) = span.duration_ns
                && matches(span)
            {
                traces += u64::from(span.parent_id.is_none());
                let id = span.callsite.id;
                let found = by_callsite.iter().position(|(known, _)| *known == id);
                let found = found.unwrap_or_else(|| {
                    let callsite = span.callsite;
                    let (name, target) = (callsite.name.clone(), callsite.target.clone());
                    names.insert(id, SpanName { name, target });
                    by_callsite.push((id, Samples::default()));
                    by_callsite.len() - 1
                });
                if let Some((_, samples)) = by_callsite.get_mut(found) {
                    samples.add(span, duration_ns, block(span.start_ns - from, length));
                }
            }
            ControlFlow::Continue(())
        })?;
        self.traces += traces;
        for (id, samples) in by_callsite {
            if let Some(name) = names.remove(&id) {
                self.names.entry(name).or_default().merge(samples, at);
            }
        }
        // A run without a span of some name says something, too.
        for samples in self.names.values_mut() {
            samples.runs.resize(self.runs, Vec::new());
        }
        Ok(())
    }
}

/// The block of a moment in a run of this length.
fn block(at_ns: i64, length_ns: i64) -> usize {
    let block = i128::from(at_ns) * i128::from(BLOCKS) / i128::from(length_ns);
    block.clamp(0, i128::from(BLOCKS) - 1) as usize
}

impl Samples {
    fn add(&mut self, span: &SpanRef<'_>, duration_ns: i64, block: usize) {
        if self.runs.is_empty() {
            self.runs.push(Vec::new());
        }
        if let Some(blocks) = self.runs.last_mut() {
            if blocks.len() <= block {
                blocks.resize(block + 1, Histogram::new());
            }
            if let Some(histogram) = blocks.get_mut(block) {
                histogram.record(duration_ns.max(0) as u64);
            }
        }
        self.sum_ns = self.sum_ns.saturating_add(duration_ns);
        self.self_ns = self.self_ns.saturating_add(span.self_ns.unwrap_or(0));
        self.max_ns = self.max_ns.max(duration_ns);
        let failed = matches!(span.status, crate::Status::Error | crate::Status::Panicked);
        self.errors += u64::from(failed);
    }

    /// Takes those of run number `at`; two callsites of one name are one.
    fn merge(&mut self, other: Self, at: usize) {
        self.runs.resize(self.runs.len().max(at + 1), Vec::new());
        let blocks = other.runs.into_iter().next().unwrap_or_default();
        if let Some(mine) = self.runs.get_mut(at) {
            mine.resize(mine.len().max(blocks.len()), Histogram::new());
            for (mine, others) in mine.iter_mut().zip(&blocks) {
                mine.merge(others);
            }
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
    fn moments_fall_into_blocks() {
        assert_eq!([-5, 0, 99, 100, 500].map(|at| block(at, 100)), [0, 0, 63, 63, 63]);
        assert_eq!(block(i64::MAX, i64::MAX), 63);
        assert_eq!(block(i64::MIN, 1), 0);
    }
}
