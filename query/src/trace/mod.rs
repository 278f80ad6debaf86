//! One trace: the spans under a root, as a tree.
//!
//! A trace can be incomplete. A parent that was dropped, pruned or is still open leaves *orphans*
//! behind: they stay in the trace by their root, and are kept by the parent that is missing. The
//! root itself can be missing in the same way.
//!
//! A long-lived span counts by its entries: what a thread did in it belongs to the span that the thread was in,
//! whichever its parent is. So entries are *nodes* of the tree, below the span around them, and spans that began
//! inside them are below them (see `entered.rs`); the lifetime of a long-lived span is nobody's work.
//!
//! A trace of any size can be read; the spans with the lowest ids are kept, up to a bound that the caller sets, and
//! the others are counted; of entries, the longest are kept. Nodes cannot be lost in a circle: in a damaged file a
//! span may be its own ancestor, and is then treated as an orphan.

mod entered;
mod layout;
mod meanwhile;
mod node;
mod outlived;
mod owners;
#[cfg(test)]
pub(super) mod tests;

use std::collections::HashSet;
use std::ops::ControlFlow;

use rusqlite::OptionalExtension;

use self::layout::Layout;
pub use self::meanwhile::{Meanwhile, MeanwhileRow};
pub use self::node::{Node, TraceEntry};
pub use self::outlived::Outlived;
use super::rows::Rows;
use super::scanning::Predicate;
use super::{Columns, Scan, SpanRef};
use crate::indexes::BY_ROOT;
use crate::order_rows::OrderRows as _;
use crate::reader::{Reader, Run, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// The spans under one root, as a tree.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trace {
    /// The run it belongs to.
    pub run_id: i64,
    /// The id of its root, which may be missing.
    pub root_id: u64,
    /// Its spans in order of id, those of other traces that began inside of its entries included.
    pub spans: Vec<Span>,
    /// Spans in the file, those that are not kept included.
    pub total: u64,
    /// The entries that belong to it, by start.
    pub entries: Vec<TraceEntry>,
    /// Entries in the file, those that are not kept included.
    pub entries_total: u64,
    /// There were more entries at that time than are read.
    pub entries_left_out: bool,
    /// What other threads did during the span around which the trace was read, or during the root, in long-lived
    /// spans that are no part of it.
    pub meanwhile: Option<Meanwhile>,
    /// The assumed end of unfinished spans: the last moment that the run has.
    pub last_ns: i64,
    layout: Layout,
}

impl Trace {
    /// Reads the trace with this root, and keeps at most `max` of its spans.
    ///
    /// `None` when the file has no span of such a trace.
    ///
    /// # Blocking
    ///
    /// Milliseconds in a profile with indexes; otherwise reads the commits that may have spans of it. In a run that
    /// was recorded before version 3 of the schema those are all, some 0.1 s for a million spans.
    pub fn read(reader: &Reader, root_id: u64, max: usize) -> Result<Option<Self>, Error> {
        Self::read_with(reader, (root_id, root_id), max, HashSet::new())
    }

    /// The same; one of its spans, with its ancestors, is kept whatever its id. [`meanwhile`](Self::meanwhile) is of
    /// that span's time.
    ///
    /// # Blocking
    ///
    /// As [`read`](Self::read), twice if the trace has more than `max` spans.
    pub fn read_around(
        reader: &Reader,
        root_id: u64,
        max: usize,
        span_id: u64,
    ) -> Result<Option<Self>, Error> {
        let trace = Self::read_with(reader, (root_id, span_id), max, HashSet::new())?;
        let Some(cut) = trace.as_ref().filter(|trace| trace.is_truncated()) else {
            return Ok(trace);
        };
        let mut chain = HashSet::new();
        let mut next = Some(span_id);
        // A cycle of parents, which only a damaged file has, ends here, too.
        while let Some(id) = next.filter(|id| chain.len() < max && chain.insert(*id)) {
            next = None;
            let one = Scan::new(cut.run_id).ids(id, id).columns(Columns::Numbers);
            reader.scan(&one, |span| {
                next = span.parent_id;
                ControlFlow::Break(())
            })?;
        }
        Self::read_with(reader, (root_id, span_id), max, chain)
    }

    fn read_with(
        reader: &Reader,
        (root_id, asked): (u64, u64),
        max: usize,
        wanted: HashSet<u64>,
    ) -> Result<Option<Self>, Error> {
        let max = max.min((u32::MAX / 2) as usize);
        let runs = reader.runs()?;
        for run in may_have(reader, &runs, root_id)? {
            let found =
                Found { root_id, asked, max, wanted: wanted.clone(), spans: Vec::new(), total: 0 };
            let trace = Self::read_in(reader, run, found)?;
            if trace.is_some() {
                return Ok(trace);
            }
        }
        Ok(None)
    }

    fn read_in(reader: &Reader, run: &Run, mut found: Found) -> Result<Option<Self>, Error> {
        let root_id = found.root_id;
        if reader.indexes()?.traces {
            found.look_up(reader, run.id)?;
        } else {
            let scan = Scan::new(run.id).columns(Columns::All);
            match reader.ranges_of_trace(&scan, root_id)? {
                Some(ranges) => reader.scan_ranges(&scan, ranges, &mut found, Found::add)?,
                None => reader.scan_if(&scan, &mut found, Found::add)?,
            }
        }
        found.add_open(reader, run)?;
        if found.spans.is_empty() {
            return Ok(None);
        }
        found.order();
        let inside = entered::find(reader, run, &found)?;
        found.spans.extend(inside.adopted);
        let mut trace = Self::new(root_id, found.spans, inside.entries, found.total, run.last_ns);
        trace.total = trace.total.saturating_add(inside.adopted_total);
        trace.entries_total = inside.total;
        trace.entries_left_out = inside.left_out;
        trace.meanwhile = inside.meanwhile;
        Ok(Some(trace))
    }

    /// Lays out these spans and entries as a tree.
    pub(crate) fn new(
        root_id: u64,
        mut spans: Vec<Span>,
        mut entries: Vec<TraceEntry>,
        total: u64,
        last_ns: i64,
    ) -> Self {
        spans.order_by_key(|span| span.id);
        spans.dedup_by_key(|span| span.id);
        entries.order_by_key(|one| {
            (one.entry.start_ns, std::cmp::Reverse(one.entry.end_ns()), one.entry.id)
        });
        let run_id = spans.first().map_or(0, |span| span.run_id);
        let ends =
            spans.iter().map(|span| span.start_ns.saturating_add(span.duration_ns.unwrap_or(0)));
        let last_ns = ends.fold(last_ns, i64::max);
        let layout = Layout::new(root_id, &spans, &entries, last_ns);
        let (entries_total, entries_left_out) = (entries.len() as u64, false);
        Self {
            run_id,
            root_id,
            spans,
            total,
            entries,
            entries_total,
            entries_left_out,
            meanwhile: None,
            last_ns,
            layout,
        }
    }

    /// The index of the root in [`spans`](Self::spans), unless it is missing.
    pub fn root(&self) -> Option<usize> {
        self.layout.root
    }

    /// The node of an index: first the spans in their order, then the entries.
    pub fn node(&self, index: usize) -> Option<Node<'_>> {
        match index.checked_sub(self.spans.len()) {
            None => self.spans.get(index).map(Node::Span),
            Some(at) => self.entries.get(at).map(Node::Entry),
        }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.spans.len() + self.entries.len()
    }

    /// The indexes of a node's children, by start.
    pub fn children(&self, at: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
        self.layout.children(at).iter().map(|index| *index as usize)
    }

    /// The index of the parent; `None` for the root, or if the parent is missing.
    pub fn parent(&self, at: usize) -> Option<usize> {
        self.layout.parents.get(at).copied().flatten().map(|at| at as usize)
    }

    /// The visits in a node: entries of spans that stand elsewhere in the tree by their lifetime. They are no
    /// children, but their time is not that of the node either.
    pub(super) fn visits(&self, at: usize) -> impl Iterator<Item = usize> + Clone {
        self.layout.visits(at).iter().map(|index| *index as usize)
    }

    /// Children and visits of a span that began in a part of its time.
    pub(super) fn begun_in(
        &self,
        at: usize,
        (from_ns, until_ns): (i64, i64),
    ) -> impl Iterator<Item = usize> + Clone {
        let start = |index: &u32| self.node(*index as usize).map_or(0, Node::start_ns);
        let part = |indexes: &[u32]| {
            let first = indexes.partition_point(|index| start(index) < from_ns);
            first..indexes.partition_point(|index| start(index) < until_ns).max(first)
        };
        let [children, visits] = [self.layout.children(at), self.layout.visits(at)]
            .map(|indexes| indexes.get(part(indexes)).unwrap_or_default());
        children.iter().chain(visits).map(|index| *index as usize)
    }

    /// The span that an entry is a visit of; `None` if the entry is a node's child.
    pub fn visited(&self, index: usize) -> Option<usize> {
        self.layout.visited(index)
    }

    /// The ids of missing parents, and the indexes of their children.
    pub fn orphans(&self) -> impl Iterator<Item = (u64, &[usize])> {
        self.layout.orphans.iter().map(|(parent, indexes)| (*parent, indexes.as_slice()))
    }

    /// Whether a node is a long-lived span: its entries count instead of its lifetime.
    pub fn lives_long(&self, index: usize) -> bool {
        self.layout.lives_long.get(index).copied().unwrap_or(false)
    }

    /// Whether spans of the trace are not kept here.
    pub fn is_truncated(&self) -> bool {
        (self.spans.len() as u64) < self.total
    }

    /// When a span ends, or the last known moment for one that is unfinished.
    pub fn end_ns(&self, span: &Span) -> i64 {
        match span.duration_ns {
            Some(duration) => span.start_ns.saturating_add(duration.max(0)),
            None => self.last_ns.max(span.start_ns),
        }
    }

    /// For how long a span without an end was open, at least: up to the last moment that the run has.
    pub fn open_ns(&self, index: usize) -> Option<i64> {
        match self.node(index)? {
            Node::Span(span) if span.duration_ns.is_none() => {
                Some(self.end_ns(span).saturating_sub(span.start_ns))
            }
            _ => None,
        }
    }

    /// Start and end of a node.
    pub fn bounds_ns(&self, index: usize) -> Option<(i64, i64)> {
        Some(match self.node(index)? {
            Node::Span(span) => (span.start_ns, self.end_ns(span)),
            Node::Entry(one) => (one.entry.start_ns, one.entry.end_ns()),
        })
    }

    /// From the first start to the last end of all its spans: some outlive the root, or begin before it.
    pub fn extent_ns(&self) -> (i64, i64) {
        self.over_all(self.interval_ns())
    }

    /// Start and end of the root; if it is missing, from the first start to the last end.
    pub fn interval_ns(&self) -> (i64, i64) {
        match self.root().and_then(|at| self.spans.get(at)) {
            Some(root) => (root.start_ns, self.end_ns(root)),
            None => match self.over_all((i64::MAX, i64::MIN)) {
                // There are only long-lived spans.
                (from, until) if from > until => {
                    self.spans.iter().fold((i64::MAX, i64::MIN), |(from, until), span| {
                        (from.min(span.start_ns), until.max(self.end_ns(span)))
                    })
                }
                all => all,
            },
        }
    }

    /// From the first start to the last end of the spans that are not long-lived.
    fn over_all(&self, begun: (i64, i64)) -> (i64, i64) {
        let spans = self.spans.iter().enumerate().filter(|(at, _)| !self.lives_long(*at));
        spans.fold(begun, |(from, until), (_, span)| {
            (from.min(span.start_ns), until.max(self.end_ns(span)))
        })
    }
}

/// The spans of a trace while they are read.
struct Found {
    root_id: u64,
    /// The span that was asked for, or the root.
    asked: u64,
    max: usize,
    /// Ids that are kept in any case.
    wanted: HashSet<u64>,
    spans: Vec<Span>,
    total: u64,
}

/// The run that has the root; if that has no row, those that may have spans of the trace, the likeliest first. Runs that
/// are recorded beside each other may have ids in turns.
fn may_have<'a>(reader: &Reader, runs: &'a [Run], root_id: u64) -> Result<Vec<&'a Run>, Error> {
    let run_id: Option<i64> = reader.query("find the run of a span", |tx| {
        let sql = "SELECT run_id FROM span WHERE id = ?1
                   UNION ALL SELECT run_id FROM open_span WHERE id = ?1 LIMIT 1";
        tx.query_row(sql, [root_id as i64], |row| row.get(0)).optional()
    })?;
    if let Some(run) = runs.iter().find(|run| Some(run.id) == run_id) {
        return Ok(vec![run]);
    }
    let begun = || runs.iter().rev().filter(|run| run.first_id <= root_id);
    let last = begun().take(1);
    Ok(last.chain(begun().skip(1).filter(|run| run.last_id >= root_id)).collect())
}

impl Predicate for Found {
    fn sql(&self) -> String {
        format!(" AND root_id = {}", self.root_id)
    }
}

impl Found {
    fn add(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        self.total += 1;
        if self.spans.len() < self.max || self.wanted.contains(&span.id) {
            self.spans.push(span.to_span());
        }
        ControlFlow::Continue(())
    }

    /// In a live run, long-lived spans are only among the open ones; and so is a whole trace of which nothing has
    /// closed.
    fn add_open(&mut self, reader: &Reader, run: &Run) -> Result<(), Error> {
        if run.ended_unix_ns.is_some() {
            return Ok(());
        }
        let is_all_open = self.spans.is_empty();
        for open in reader.open_spans(run.id)? {
            let is_one = is_all_open || layout::is_long_lived(&open.span, open.seen_ns);
            if open.span.root_id == self.root_id && is_one {
                let _continue = self.add(&SpanRef::from(&open.span));
            }
        }
        Ok(())
    }

    /// The span that was asked for, if it is stored and not long-lived, or else the root.
    fn subject(&self, last_ns: i64) -> Option<&Span> {
        let find = |id: u64| self.spans.iter().find(|span| span.id == id);
        let asked = find(self.asked).filter(|span| !layout::is_long_lived(span, last_ns));
        asked.or_else(|| find(self.root_id))
    }

    /// Sorts by id, without duplicates.
    fn order(&mut self) {
        self.spans.order_by_key(|span| span.id);
        self.spans.dedup_by_key(|span| span.id);
    }

    /// Reads the spans by index, which is sorted by id, and the root by its id.
    fn look_up(&mut self, reader: &Reader, run_id: i64) -> Result<(), Error> {
        let mut rows = Rows::new(run_id, Columns::All);
        let columns = rows.selected();
        let root = format!("SELECT {columns} FROM span WHERE id = ?1 AND root_id = ?1");
        let others = format!(
            "SELECT {columns} FROM span INDEXED BY {BY_ROOT}
             WHERE root_id = ?1 AND parent_id IS NOT NULL AND id <> ?1 ORDER BY id"
        );
        let tx = reader.begin()?;
        for sql in [root, others] {
            let read = rows.read(&tx, &sql, [self.root_id as i64], |span| self.add(span));
            let _complete = read.context(reader.path(), "read a trace")?;
        }
        Ok(())
    }
}
