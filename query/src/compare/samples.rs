//! One side of a comparison: names, and the samples of each.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::fields::field_text;
use super::super::{By, Filter, Scan, SpanRef};
use super::blocks::{BlockLookUp, Samples};
use super::counting::CurrentBlock;
use crate::fold_calls::Fold;
use crate::index_by_number::IndexByNumber;
use crate::order_rows::OrderRows as _;
use crate::reader::{CountedBy, Reader, Run};
use spandrel_storage::Error;

/// Values of a field that are told apart at most: each has a histogram for each block.
const VALUES_MAX: usize = 1_000;

/// What spans of two recordings are matched by: their name and target, as the numbers of callsites differ between
/// files; or the value that they are grouped by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct SpanName {
    /// The name of the span, or the value.
    pub name: String,
    /// The `target`; empty for values.
    pub target: Arc<str>,
    /// Stands for the spans without the field.
    pub is_absent: bool,
    /// What a call is: [`CountedBy::Both`] for a target, a level or a thread.
    pub counted: CountedBy,
}

impl SpanName {
    pub(super) fn named(name: String, target: Arc<str>) -> Self {
        Self { name, target, is_absent: false, counted: CountedBy::Lifetime }
    }

    /// The name of a call.
    fn of_call(span: &SpanRef<'_>, by: &By) -> Self {
        let name = if by_name(by) { Self::of_callsite(span, by) } else { Self::of_span(span, by) };
        let counted = if by.has_both() { CountedBy::Lifetime } else { span.counted() };
        Self { counted, ..name }
    }

    /// The name of a callsite's spans, unless spans are grouped by thread or field.
    fn of_callsite(span: &SpanRef<'_>, by: &By) -> Self {
        let callsite = span.callsite;
        let (name, target) = (&callsite.name, callsite.target.clone());
        match by {
            By::Target => Self::named(target.to_string(), Arc::default()),
            By::Level => Self::named(callsite.level.to_string(), Arc::default()),
            By::Callsite => match (&callsite.file, callsite.line) {
                (Some(file), Some(line)) => Self::named(format!("{name} {file}:{line}"), target),
                (Some(file), None) => Self::named(format!("{name} {file}"), target),
                _ => Self::named(name.clone(), target),
            },
            _ => Self::named(name.clone(), target),
        }
    }

    fn of_span(span: &SpanRef<'_>, by: &By) -> Self {
        let value = match by {
            By::Field(field) => span.fields.and_then(|fields| field_text(fields, field)),
            _ => {
                let thread = span.longest_thread;
                let name = thread.name.clone();
                Some(name.unwrap_or_else(|| format!("thread {}", thread.os_id)))
            }
        };
        let is_absent = value.is_none();
        let name = Self::named(value.unwrap_or_default(), Arc::default());
        Self { is_absent, ..name }
    }
}

/// One side of a comparison: one run or several.
#[derive(Debug, Clone, Default)]
pub struct SampleSet {
    /// Sorted by name, without duplicates.
    names: Vec<(SpanName, Samples)>,
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

    /// An empty side whose spans are grouped by this instead of their name.
    pub fn by(by: By) -> Self {
        Self { by, ..Self::default() }
    }

    /// Whether there were more than a thousand values of a field, so that some spans were left out: nothing can be
    /// compared then.
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
        let at = self.names.binary_search_by(|(known, _)| known.cmp(name)).ok()?;
        self.names.get(at).map(|(_, samples)| samples)
    }

    /// How many closed spans it has.
    pub fn spans(&self) -> u64 {
        self.names.iter().map(|(_, samples)| samples.spans()).sum()
    }

    /// How many calls it has: closed spans, and entries of those that live long.
    pub fn calls(&self) -> u64 {
        self.names.iter().map(|(_, samples)| samples.calls()).fold(0, u64::saturating_add)
    }

    /// How many names it has.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// All names with their samples, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&SpanName, &Samples)> {
        self.names.iter().map(|(name, samples)| (name, samples))
    }

    /// Adds the calls of a run that match a filter.
    pub fn add_run(
        &mut self,
        reader: &Reader,
        run: &Run,
        scan: &Scan,
        filter: &Filter,
    ) -> Result<(), Error> {
        let from = scan.from_ns.unwrap_or(0);
        let length = scan.until_ns.unwrap_or(run.last_ns).saturating_sub(from).max(1);
        let begin = || KeyIndex::new(&self.by, (from, length));
        let found = reader.fold_calls(scan, filter, begin)?;
        let KeyIndex { all, traces, has_too_many, .. } = found.with_all();
        self.traces += traces;
        self.has_too_many |= has_too_many;
        self.add_names(all);
        self.has_too_many |= !by_name(&self.by) && self.names.len() > VALUES_MAX;
        Ok(())
    }

    /// Adds the spans of a run; names may be repeated.
    pub(super) fn add_names(&mut self, mut all: Vec<(SpanName, Samples)>) {
        let at = self.runs;
        self.runs += 1;
        let merge_equal = |next: &mut (SpanName, Samples), first: &mut (SpanName, Samples)| {
            let is_same = next.0 == first.0;
            if is_same {
                first.1.merge(&next.1, 0);
            }
            is_same
        };
        all.order_by(|(one, _), (other, _)| one.cmp(other));
        all.dedup_by(merge_equal);
        if at == 0 {
            // Vectors grow by doubling.
            all.shrink_to_fit();
            self.names = all;
        } else {
            let known = self.names.len();
            for (name, samples) in all {
                let old = self.names.get(..known).unwrap_or_default();
                match old.binary_search_by(|(known, _)| known.cmp(&name)) {
                    Ok(place) => {
                        if let Some((_, mine)) = self.names.get_mut(place) {
                            mine.merge(&samples, at);
                        }
                    }
                    Err(_) => self.names.push((name, samples.of_run(at))),
                }
            }
            // Two sorted parts: the stable sort merges them in a single pass.
            self.names.order_by(|(one, _), (other, _)| one.cmp(other));
        }
        // For names without a span in this run, the run counts, too.
        for (_, samples) in &mut self.names {
            samples.runs = self.runs;
        }
    }
}

/// Whether the callsite alone decides the name.
fn by_name(by: &By) -> bool {
    by.is_in_rollups()
}

/// The samples of one run by name.
struct KeyIndex<'a> {
    by: &'a By,
    from_ns: i64,
    blocks: BlockLookUp,
    /// In the order in which names were met; with several threads, names may be repeated.
    all: Vec<(SpanName, Samples)>,
    /// By callsite number, since comparing names is slower.
    by_number: IndexByNumber,
    by_value: HashMap<SpanName, usize>,
    /// For the first names: calls that are not in `all` yet.
    current: Vec<CurrentBlock>,
    traces: u64,
    has_too_many: bool,
}

/// Names that have such a table: 2 KiB each on average, 15 KiB at most.
const CURRENT_MAX: usize = 256;

impl Fold for KeyIndex<'_> {
    #[inline]
    fn add(&mut self, call: &SpanRef<'_>) {
        let Some(duration_ns) = call.duration_ns else { return };
        let is_span = call.entry.is_none() && call.status.has_closed();
        self.traces += u64::from(is_span && call.parent_id.is_none());
        let Some(at) = self.of(call) else { return };
        let block = self.blocks.get(call.start_ns.wrapping_sub(self.from_ns));
        if let Some((_, samples)) = self.all.get_mut(at) {
            samples.add(call, duration_ns, block, self.current.get_mut(at));
        }
    }

    fn join(parts: Vec<Self>) -> Option<Self> {
        let mut parts = parts.into_iter().map(Self::with_all);
        let mut joined = parts.next()?;
        for part in parts {
            // Equal names are merged when all are sorted.
            match by_name(joined.by) {
                true => joined.all.extend(part.all),
                false => part.all.iter().for_each(|(name, samples)| joined.merge(name, samples)),
            }
            joined.traces += part.traces;
            joined.has_too_many |= part.has_too_many;
        }
        Some(joined)
    }
}

impl<'a> KeyIndex<'a> {
    /// For a window with this start and length.
    fn new(by: &'a By, (from_ns, length_ns): (i64, i64)) -> Self {
        let blocks = BlockLookUp::new(length_ns);
        let (by_number, by_value) = (IndexByNumber::default(), HashMap::new());
        let (all, current, traces, has_too_many) = (Vec::new(), Vec::new(), 0, false);
        Self { by, from_ns, blocks, all, by_number, by_value, current, traces, has_too_many }
    }

    /// Flushes all calls into `all`.
    fn with_all(mut self) -> Self {
        let names = self.all.iter_mut().zip(&mut self.current);
        names.for_each(|((_, samples), current)| current.flush_to(samples));
        self
    }

    /// The index of a span's name in `all`; `None` if there are too many values.
    #[inline]
    fn of(&mut self, span: &SpanRef<'_>) -> Option<usize> {
        if by_name(self.by) {
            let number = (span.callsite.id, span.counted() as u8);
            if let Some(at) = self.by_number.get(number) {
                return Some(at);
            }
            let at = self.push(SpanName::of_call(span, self.by));
            self.by_number.insert(number, at);
            return Some(at);
        }
        self.of_value(SpanName::of_call(span, self.by))
    }

    fn of_value(&mut self, name: SpanName) -> Option<usize> {
        match self.by_value.get(&name) {
            Some(at) => Some(*at),
            None if self.all.len() >= VALUES_MAX => {
                self.has_too_many = true;
                None
            }
            None => {
                let at = self.push(name.clone());
                self.by_value.insert(name, at);
                Some(at)
            }
        }
    }

    /// Adds samples of a value that another thread counted.
    fn merge(&mut self, name: &SpanName, samples: &Samples) {
        let at = self.of_value(name.clone());
        if let Some((_, known)) = at.and_then(|at| self.all.get_mut(at)) {
            known.merge(samples, 0);
        }
    }

    fn push(&mut self, name: SpanName) -> usize {
        let at = self.all.len();
        self.all.push((name, Samples::default()));
        if at == self.current.len() && at < CURRENT_MAX {
            self.current.push(CurrentBlock::default());
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_runs_are_together_and_in_order() {
        let name = |name: &str| SpanName::named(name.to_owned(), Arc::default());
        let one = |ns: u64| Samples::of_run_of_blocks(&[[ns]]);
        let mut side = SampleSet::new();
        side.add_names(vec![(name("c"), one(1)), (name("a"), one(2)), (name("c"), one(3))]);
        side.add_names(vec![(name("d"), one(4)), (name("b"), one(5)), (name("a"), one(6))]);
        let found: Vec<_> =
            side.iter().map(|(name, all)| (name.name.as_str(), all.calls_by_run())).collect();
        let expected = [("a", [1, 1]), ("b", [0, 1]), ("c", [2, 0]), ("d", [0, 1])];
        assert_eq!(found, expected.map(|(name, calls)| (name, calls.to_vec())));
        assert_eq!((side.spans(), side.runs()), (6, 2));
        assert_eq!(side.get(&name("c")).map(Samples::calls), Some(2));
        assert_eq!(side.get(&name("e")), None);
    }
}
