//! One trace: the spans under a root, as a tree.
//!
//! A trace can be incomplete. A parent that was dropped, pruned or is still open leaves *orphans*
//! behind: they stay in the trace by their root, and are kept by the parent that is missing. The
//! root itself can be missing in the same way.
//!
//! A trace of any size is read; at most as many spans as the caller allows are kept, those with the
//! lowest ids, and the others are counted. Spans cannot be lost in a circle: in a damaged file a span may
//! be its own ancestor, and is then treated as an orphan.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::rows::Rows;
use super::scan::Condition;
use super::{Columns, Scan, SpanRef};
use crate::error::{Context, Error};
use crate::indexes::BY_ROOT;
use crate::reader::{Reader, Span};

/// The spans under one root, as a tree.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trace {
    /// The run it belongs to.
    pub run_id: i64,
    /// The id of its root, which may be missing.
    pub root_id: u64,
    /// Its spans, in the order of ids.
    pub spans: Vec<Span>,
    /// How many spans the trace has in the file, those that are not kept included.
    pub total: u64,
    /// When spans that are unfinished are taken to end: nobody knows, so it is the last moment of
    /// which the run tells.
    pub last_ns: i64,
    root: Option<usize>,
    /// Places in `spans`, grouped by parent, by start within.
    children: Vec<u32>,
    /// Where in `children` those of a span begin; one more at the end.
    first_child: Vec<u32>,
    orphans: BTreeMap<u64, Vec<usize>>,
}

impl Trace {
    /// Reads the trace with this root, and keeps at most `max` of its spans.
    ///
    /// `None` when the file has no span of such a trace.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// Milliseconds in a profile with indexes; otherwise looks at the commits that may have spans of it. In
    /// a run that was recorded before version 3 of the schema that is all of it, some 0.1 s for a million
    /// spans.
    pub fn read(reader: &Reader, root_id: u64, max: usize) -> Result<Option<Self>, Error> {
        let trace = Self::read_with(reader, root_id, max, HashSet::new())?;
        Ok(trace)
    }

    /// The same with one of its spans, and those around it, among what is kept, whatever their ids.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
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
        let trace = Self::read(reader, root_id, max)?;
        let Some(cut) = trace.as_ref().filter(|trace| trace.is_truncated()) else {
            return Ok(trace);
        };
        let mut chain = HashSet::new();
        let mut next = Some(span_id);
        // A circle of parents, which only a damaged file has, ends here, too.
        while let Some(id) = next.filter(|id| chain.len() < max && chain.insert(*id)) {
            next = None;
            let one = Scan::new(cut.run_id).ids(id, id).columns(Columns::Numbers);
            reader.scan(&one, |span| {
                next = span.parent_id;
                ControlFlow::Break(())
            })?;
        }
        Self::read_with(reader, root_id, max, chain)
    }

    fn read_with(
        reader: &Reader,
        root_id: u64,
        max: usize,
        wanted: HashSet<u64>,
    ) -> Result<Option<Self>, Error> {
        let max = max.min(u32::MAX as usize);
        let runs = reader.runs()?;
        let Some(run) = runs.iter().rev().find(|run| run.first_id <= root_id) else {
            return Ok(None);
        };
        let mut found = Found { root_id, max, wanted, spans: Vec::new(), total: 0 };
        if reader.indexes()?.traces {
            found.look_up(reader, run.id)?;
        } else {
            let scan = Scan::new(run.id).columns(Columns::All);
            match reader.ranges_of_trace(&scan, root_id)? {
                Some(ranges) => reader.scan_ranges(&scan, ranges, &mut found, Found::add)?,
                None => reader.scan_if(&scan, &mut found, Found::add)?,
            }
        }
        if found.spans.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::new(root_id, found.spans, found.total, run.last_ns)))
    }

    /// The tree of these spans, which all have this root.
    pub(crate) fn new(root_id: u64, mut spans: Vec<Span>, total: u64, last_ns: i64) -> Self {
        spans.sort_by_key(|span| span.id);
        spans.dedup_by_key(|span| span.id);
        let place = |id: u64| spans.binary_search_by_key(&id, |span| span.id).ok();
        let root = place(root_id);
        let mut parents: Vec<Option<u32>> = spans
            .iter()
            .map(|span| Some(place(span.parent_id?)? as u32))
            .enumerate()
            .map(|(at, parent)| parent.filter(|_| Some(at) != root))
            .collect();
        break_circles(&mut parents);
        let mut orphans: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, (span, parent)) in spans.iter().zip(&parents).enumerate() {
            if parent.is_none() && Some(at) != root {
                orphans.entry(span.parent_id.unwrap_or(root_id)).or_default().push(at);
            }
        }
        for group in orphans.values_mut() {
            group.sort_by_key(|at| spans.get(*at).map(|span| (span.start_ns, span.id)));
        }
        let mut children: Vec<u32> =
            (0..spans.len() as u32).filter(|at| parent_of(&parents, *at).is_some()).collect();
        children.sort_by_key(|at| {
            let span = spans.get(*at as usize);
            (parent_of(&parents, *at), span.map(|span| (span.start_ns, span.id)))
        });
        let first_child = (0..=spans.len() as u32)
            .map(|at| children.partition_point(|child| parent_of(&parents, *child) < Some(at)))
            .map(|first| first as u32)
            .collect();
        let run_id = spans.first().map_or(0, |span| span.run_id);
        let ends =
            spans.iter().map(|span| span.start_ns.saturating_add(span.duration_ns.unwrap_or(0)));
        let last_ns = ends.fold(last_ns, i64::max);
        Self { run_id, root_id, spans, total, last_ns, root, children, first_child, orphans }
    }

    /// The place of the root in [`spans`](Self::spans), unless it is missing.
    pub fn root(&self) -> Option<usize> {
        self.root
    }

    /// The places of a span's children, the first to begin in front.
    pub fn children(&self, at: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
        let bound = |at: usize| self.first_child.get(at).map_or(0, |first| *first as usize);
        let places = self.children.get(bound(at)..bound(at + 1)).unwrap_or_default();
        places.iter().map(|place| *place as usize)
    }

    /// The parents that are missing, and the places of the children that they left behind.
    pub fn orphans(&self) -> impl Iterator<Item = (u64, &[usize])> {
        self.orphans.iter().map(|(parent, places)| (*parent, places.as_slice()))
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

    /// From the first start to the last end of all its spans: some outlive the root, or began before it.
    pub fn extent_ns(&self) -> (i64, i64) {
        self.spans.iter().fold(self.interval_ns(), |(from, until), span| {
            (from.min(span.start_ns), until.max(self.end_ns(span)))
        })
    }

    /// From when until when the root goes; where it is missing, from the first start to the last end.
    pub fn interval_ns(&self) -> (i64, i64) {
        match self.root.and_then(|at| self.spans.get(at)) {
            Some(root) => (root.start_ns, self.end_ns(root)),
            None => self.spans.iter().fold((i64::MAX, i64::MIN), |(from, until), span| {
                (from.min(span.start_ns), until.max(self.end_ns(span)))
            }),
        }
    }
}

/// The spans of a trace while they are read.
struct Found {
    root_id: u64,
    max: usize,
    /// Those that are kept in any case.
    wanted: HashSet<u64>,
    spans: Vec<Span>,
    total: u64,
}

impl Condition for Found {
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

    /// Reads them by index, which has them in the order of ids, and the root by its own.
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

fn parent_of(parents: &[Option<u32>], at: u32) -> Option<u32> {
    parents.get(at as usize).copied().flatten()
}

/// Takes the parent from one span of each circle.
fn break_circles(parents: &mut [Option<u32>]) {
    /// Where the walk upwards from each span began first; a walk that meets itself is a circle.
    const NOT_SEEN: u32 = u32::MAX;
    let mut seen_from = vec![NOT_SEEN; parents.len()];
    for start in 0..parents.len() as u32 {
        let mut at = start;
        while let Some(seen) = seen_from.get_mut(at as usize) {
            if *seen != NOT_SEEN {
                if *seen == start
                    && let Some(parent) = parents.get_mut(at as usize)
                {
                    *parent = None;
                }
                break;
            }
            *seen = start;
            match parent_of(parents, at) {
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::Status;

    /// A span; without a duration it is unfinished.
    pub(crate) fn span(id: u64, parent_id: Option<u64>, start_ns: i64, end: Option<i64>) -> Span {
        Span {
            id,
            run_id: 1,
            parent_id,
            root_id: 1,
            callsite: Arc::default(),
            thread: Arc::default(),
            start_ns,
            duration_ns: end.map(|end| end - start_ns),
            busy_ns: None,
            self_ns: None,
            entries: 1,
            first_entry_ns: None,
            longest_entry_ns: None,
            last_exit_ns: None,
            longest_thread: Arc::default(),
            status: if end.is_some() { Status::Ok } else { Status::Unfinished },
            fields: None,
            entry: None,
        }
    }

    fn ids(trace: &Trace, places: impl IntoIterator<Item = usize>) -> Vec<u64> {
        places.into_iter().map(|at| trace.spans[at].id).collect()
    }

    #[test]
    fn children_stand_by_start_and_orphans_by_the_parent_that_is_missing() {
        let trace = Trace::new(
            1,
            vec![
                span(5, Some(1), 10, Some(20)),
                span(1, None, 0, Some(100)),
                span(3, Some(1), 50, Some(60)),
                span(7, Some(6), 70, Some(80)),
                span(8, Some(5), 11, None),
            ],
            9,
            100,
        );
        assert_eq!(trace.root(), Some(0));
        assert_eq!(ids(&trace, trace.children(0)), [5, 3]);
        assert_eq!(ids(&trace, trace.children(2)), [8]);
        assert_eq!(trace.children(3).len(), 0);
        let orphans: Vec<_> = trace.orphans().collect();
        assert_eq!(orphans.len(), 1);
        assert_eq!((orphans[0].0, ids(&trace, orphans[0].1.to_vec())), (6, vec![7]));
        assert_eq!(trace.interval_ns(), (0, 100));
        assert!(trace.is_truncated());
        assert_eq!(trace.end_ns(&trace.spans[4]), 100, "unfinished: the last known moment");
    }

    #[test]
    fn without_a_root_the_interval_is_that_of_all_spans() {
        let spans = vec![span(2, Some(1), 5, Some(9)), span(3, Some(1), 7, Some(30))];
        let trace = Trace::new(1, spans, 2, 0);
        assert_eq!((trace.root(), trace.interval_ns()), (None, (5, 30)));
        assert_eq!(trace.orphans().next().unwrap().1.len(), 2);
    }

    #[test]
    fn every_span_is_reached_once_also_in_circles() {
        let spans = vec![
            span(1, Some(2), 0, Some(9)), // a root that says it has a parent
            span(2, Some(3), 0, Some(9)),
            span(3, Some(4), 0, Some(9)),
            span(4, Some(2), 0, Some(9)),
            span(5, Some(5), 0, Some(9)),
            span(6, Some(1), 0, Some(9)),
        ];
        let trace = Trace::new(1, spans, 6, 9);
        let mut reached = Vec::new();
        let mut next: Vec<usize> = trace.root().into_iter().collect();
        next.extend(trace.orphans().flat_map(|(_, places)| places.to_vec()));
        while let Some(at) = next.pop() {
            reached.push(trace.spans[at].id);
            next.extend(trace.children(at));
        }
        reached.sort_unstable();
        assert_eq!(reached, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_span_that_was_asked_for_is_kept_of_a_trace_that_is_cut() {
        use crate::query::made::Made;
        let mut made = Made::new();
        let callsite = made.callsite("n", "t", 1);
        made.thread(1, None);
        for id in 1..=100_u64 {
            // Two chains: the even ids below each other, and the odd ones.
            let span = Made::span(id, callsite, id as i64, 1_000);
            made.add(
                crate::record::SpanRow { parent_id: id.saturating_sub(2), root_id: 1, ..span },
                "",
            );
        }
        let reader = made.reader();
        let kept = |trace: Option<Trace>| -> Vec<u64> {
            trace.unwrap().spans.iter().map(|span| span.id).collect()
        };
        assert_eq!(kept(Trace::read(&reader, 1, 4).unwrap()), [1, 2, 3, 4]);
        let around = Trace::read_around(&reader, 1, 4, 9).unwrap();
        assert_eq!(around.as_ref().unwrap().total, 100);
        assert_eq!(kept(around), [1, 2, 3, 4, 5, 7, 9]);
        assert_eq!(kept(Trace::read_around(&reader, 1, 200, 9).unwrap()).len(), 100);
    }
}
