//! The slowest traces: found in the first look at the spans, read in the second.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use super::row::Row;
use crate::report::bounds;

/// Bytes of fields that are kept of all traces together.
const FIELD_BUDGET_BYTES: usize = 16 << 20;
/// Spans that are kept of all traces together.
const SPAN_BUDGET: usize = 80_000;

/// Finds the roots that took longest, or those of the longest selected spans.
#[derive(Debug)]
pub(crate) struct SlowestRoots {
    limit: usize,
    /// Whether roots are looked at only.
    roots_only: bool,
    /// By duration, and then the earlier first; ids of roots.
    roots: BTreeSet<(i64, Reverse<u64>)>,
    /// The durations by which the roots are in the set.
    best: HashMap<u64, i64>,
    pub(crate) seen: u64,
}

impl SlowestRoots {
    pub(crate) fn new(limit: usize, roots_only: bool) -> Self {
        let limit = limit.min(bounds::TRACES);
        Self { limit, roots_only, roots: BTreeSet::new(), best: HashMap::new(), seen: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.seen += u64::from(row.parent.is_none());
        let Some(duration_ns) =
            row.duration_ns.filter(|_| !self.roots_only || row.parent.is_none())
        else {
            return;
        };
        match self.best.get(&row.root) {
            Some(known) if *known >= duration_ns => return,
            Some(known) => {
                self.roots.remove(&(*known, Reverse(row.root)));
            }
            None => {}
        }
        self.best.insert(row.root, duration_ns);
        self.roots.insert((duration_ns, Reverse(row.root)));
        if self.roots.len() > self.limit
            && let Some((_, Reverse(gone))) = self.roots.pop_first()
        {
            self.best.remove(&gone);
        }
    }

    /// The traces to read, the slowest first.
    pub(crate) fn into_traces(self) -> Traces {
        let list: Vec<Kept> =
            self.roots.into_iter().rev().map(|(_, Reverse(root))| Kept::new(root)).collect();
        let by_root = list.iter().enumerate().map(|(at, kept)| (kept.root, at)).collect();
        let each = bounds::TRACE_SPANS.min(SPAN_BUDGET / list.len().max(1));
        Traces { each, list, by_root, field_bytes: FIELD_BUDGET_BYTES }
    }
}

/// A span of a trace, with its fields, compared by duration.
#[derive(Debug)]
struct Span {
    row: Row,
    fields: Option<Box<str>>,
}

impl Span {
    /// The root counts as the longest, and what is unfinished as long.
    fn key(&self) -> (bool, i64, Reverse<u64>) {
        (self.row.parent.is_none(), self.row.duration_ns.unwrap_or(i64::MAX), Reverse(self.row.id))
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Span {}

impl PartialOrd for Span {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Span {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The spans of a trace, the longest of them if they are too many.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The id of its root.
    pub root: u64,
    spans: BinaryHeap<Reverse<Span>>,
    /// How many it has.
    pub of: u64,
}

impl Kept {
    fn new(root: u64) -> Self {
        Self { root, spans: BinaryHeap::new(), of: 0 }
    }

    /// Its spans in the order of start, and their fields by id.
    pub(crate) fn into_rows(self) -> (Vec<Row>, HashMap<u64, Box<str>>) {
        let mut fields = HashMap::new();
        let mut rows = Vec::with_capacity(self.spans.len());
        for Reverse(span) in self.spans {
            if let Some(text) = span.fields {
                fields.insert(span.row.id, text);
            }
            rows.push(span.row);
        }
        rows.sort_by_key(|row| (row.start_ns, row.id));
        (rows, fields)
    }
}

/// The traces that are read in the second look at the spans.
#[derive(Debug)]
pub(crate) struct Traces {
    each: usize,
    list: Vec<Kept>,
    by_root: HashMap<u64, usize>,
    field_bytes: usize,
}

impl Traces {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether spans of this root are wanted.
    pub(crate) fn wants(&self, root: u64) -> bool {
        self.by_root.contains_key(&root)
    }

    /// Keeps a span if it is of one of the traces.
    pub(crate) fn add(&mut self, row: &Row, fields: Option<&str>) {
        let kept = self.by_root.get(&row.root).and_then(|at| self.list.get_mut(*at));
        let Some(kept) = kept else {
            return;
        };
        kept.of += 1;
        let fields = fields.filter(|text| text.len() <= bounds::FIELD_BYTES.min(self.field_bytes));
        self.field_bytes -= fields.map_or(0, str::len);
        kept.spans.push(Reverse(Span { row: *row, fields: fields.map(Box::from) }));
        if kept.spans.len() > self.each
            && let Some(Reverse(gone)) = kept.spans.pop()
        {
            self.field_bytes += gone.fields.map_or(0, |text| text.len());
        }
    }

    pub(crate) fn into_list(self) -> Vec<Kept> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::span;
    use super::*;

    #[test]
    fn the_slowest_come_first_and_equal_ones_in_the_order_of_time() {
        let root = |id, duration_ns| Row { root: id, ..span(id, 0, 0, 0, duration_ns) };
        let mut slowest = SlowestRoots::new(3, true);
        for (id, duration_ns) in [(1, 5), (2, 9), (3, 9), (4, 1), (5, 7)] {
            slowest.add(&root(id, duration_ns));
        }
        slowest.add(&Row { root: 5, ..span(6, 5, 0, 0, 100) });
        assert_eq!(slowest.seen, 5);
        let roots = slowest.into_traces().into_list();
        assert_eq!(roots.iter().map(|kept| kept.root).collect::<Vec<_>>(), [2, 3, 5]);
    }

    #[test]
    fn of_selected_spans_the_longest_decide() {
        let mut slowest = SlowestRoots::new(2, false);
        for (id, root, duration_ns) in [(2, 1, 5), (4, 3, 9), (6, 1, 7), (8, 7, 6), (9, 1, 1)] {
            slowest.add(&Row { root, ..span(id, root, 0, 0, duration_ns) });
        }
        let roots = slowest.into_traces().into_list();
        assert_eq!(roots.iter().map(|kept| kept.root).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_large_trace_keeps_its_root_and_its_longest_spans() {
        let mut slowest = SlowestRoots::new(1, true);
        slowest.add(&span(1, 0, 0, 0, 1));
        let mut traces = slowest.into_traces();
        traces.add(&span(1, 0, 0, 0, 1), Some("{}"));
        for n in 0..20_000 {
            traces.add(&span(n + 2, 1, 1, n as i64, 1 + n as i64 % 10_000), Some("{\"a\":1}"));
        }
        let kept = traces.into_list().remove(0);
        assert_eq!(kept.of, 20_001);
        let (rows, fields) = kept.into_rows();
        assert_eq!((rows.len(), rows[0].id), (bounds::TRACE_SPANS, 1));
        assert_eq!(fields.len(), rows.len());
        assert!(rows[1..].iter().all(|row| row.duration_ns > Some(8_000)));
    }
}
