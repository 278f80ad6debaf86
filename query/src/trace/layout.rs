//! The tree of a trace.
//!
//! Spans are below their parents, except those that began inside an entry of a long-lived parent: they are
//! below that entry. Entries are below the span that their thread was in, or below its entry.

use std::collections::{BTreeMap, HashMap};

use super::TraceEntry;
use crate::order_rows::OrderRows as _;
use crate::reader::Span;

/// An open span is long-lived from this age and number of entries on, or from a number at any age: the rule of the
/// recorder.
const LONG_NS: i64 = 1_000_000_000;
const ENTRIES_OF_LONG: u64 = 100;
const ENTRIES_OF_ANY: u64 = 1_000;
/// Entries of a span that are tested at most to find the one in which something began; more overlap only if as many
/// threads are inside it at once.
const OVERLAPPING_MAX: usize = 64;

/// Whether the entries of a span count instead of its lifetime; for an unfinished span, judged by its age.
pub(super) fn is_long_lived(span: &Span, now_ns: i64) -> bool {
    if span.duration_ns.is_some() {
        return span.counts_by_entries();
    }
    let age_ns = now_ns.saturating_sub(span.start_ns);
    span.entries > ENTRIES_OF_ANY || span.entries >= ENTRIES_OF_LONG && age_ns >= LONG_NS
}

/// Parents and children, by index.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) root: Option<usize>,
    /// For each span.
    pub(super) lives_long: Vec<bool>,
    children: Groups,
    visits: Groups,
    pub(super) parents: Vec<Option<u32>>,
    /// For each entry, the span that it is a visit of.
    visited: Vec<Option<u32>>,
    /// How many spans there are.
    spans: usize,
    pub(super) orphans: BTreeMap<u64, Vec<usize>>,
}

/// Children by parent, sorted by start.
#[derive(Debug, Clone)]
struct Groups {
    indexes: Vec<u32>,
    /// The position in `indexes` of each node's first child; one more at the end.
    first: Vec<u32>,
}

impl Groups {
    fn new(nodes: usize, above: &[Option<u32>], start: impl Fn(u32) -> (i64, u64)) -> Self {
        let mut indexes: Vec<u32> =
            (0..above.len() as u32).filter(|at| parent_of(above, *at).is_some()).collect();
        indexes.order_by_key(|at| (parent_of(above, *at), start(*at)));
        let first = (0..=nodes as u32)
            .map(|at| indexes.partition_point(|index| parent_of(above, *index) < Some(at)))
            .map(|first| first as u32)
            .collect();
        Self { indexes, first }
    }

    fn of(&self, at: usize) -> &[u32] {
        let bound = |at: usize| self.first.get(at).map_or(0, |first| *first as usize);
        self.indexes.get(bound(at)..bound(at + 1)).unwrap_or_default()
    }
}

impl Layout {
    /// For spans in order of id and entries in order of start.
    pub(super) fn new(root_id: u64, spans: &[Span], entries: &[TraceEntry], last_ns: i64) -> Self {
        let index = |id: u64| spans.binary_search_by_key(&id, |span| span.id).ok();
        let root = index(root_id);
        let mut lives_long: Vec<bool> =
            spans.iter().map(|span| is_long_lived(span, last_ns)).collect();
        // For an open span, nothing else tells.
        let is_open = |span: Option<&Span>| span.is_some_and(|span| span.duration_ns.is_none());
        for one in entries.iter().filter(|one| one.entry.self_ns.is_some()) {
            let open = index(one.entry.span_id).filter(|at| is_open(spans.get(*at)));
            if let Some(long) = open.and_then(|at| lives_long.get_mut(at)) {
                *long = true;
            }
        }
        let is_long = |at: usize| lives_long.get(at).copied().unwrap_or(false);
        let visited: Vec<Option<u32>> = entries
            .iter()
            .map(|one| index(one.entry.span_id).filter(|at| !is_long(*at)).map(|at| at as u32))
            .collect();
        let is_visit = |at: usize| visited.get(at).copied().flatten().is_some();
        let entered = Entered::new(entries, is_visit);
        let below = |entry: usize| (spans.len() + entry) as u32;
        let of_span = |at: usize, span: &Span| {
            let parent_id = span.parent_id.filter(|_| Some(at) != root)?;
            let parent = index(parent_id);
            if parent.is_some_and(|parent| !is_long(parent)) {
                return parent.map(|parent| parent as u32);
            }
            let inside = entered.at(parent_id, span.thread.id, span.start_ns);
            inside.map(below).or(parent.map(|parent| parent as u32))
        };
        let around = |at: usize, one: &TraceEntry| {
            let around = one.entry.around_id.and_then(index);
            let outer = entered.outer.get(at).copied().flatten().map(below);
            match around {
                Some(around) if !is_long(around) => Some(around as u32),
                around => outer.or(around.map(|around| around as u32)),
            }
        };
        let mut parents: Vec<Option<u32>> =
            spans.iter().enumerate().map(|(at, span)| of_span(at, span)).collect();
        let all: Vec<Option<u32>> =
            entries.iter().enumerate().map(|(at, one)| around(at, one)).collect();
        parents.extend(all.iter().enumerate().map(|(at, above)| above.filter(|_| !is_visit(at))));
        break_circles(&mut parents);
        let nodes = parents.len();
        let start = |at: u32| match (at as usize).checked_sub(spans.len()) {
            None => spans.get(at as usize).map_or((0, 0), |span| (span.start_ns, span.id)),
            Some(at) => entries.get(at).map_or((0, 0), |one| (one.entry.start_ns, one.entry.id)),
        };
        let mut orphans: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for at in (0..nodes).filter(|at| parent_of(&parents, *at as u32).is_none()) {
            let missing = match at.checked_sub(spans.len()) {
                None if Some(at) == root => continue,
                None => spans.get(at).and_then(|span| span.parent_id),
                Some(entry) if is_visit(entry) => continue,
                Some(entry) => entries.get(entry).and_then(|one| one.entry.around_id),
            };
            orphans.entry(missing.unwrap_or(root_id)).or_default().push(at);
        }
        for group in orphans.values_mut() {
            group.order_by_key(|at| start(*at as u32));
        }
        // Visits inside the parent are part of the span's lifetime, which is a child of the parent.
        let mut visits: Vec<Option<u32>> = vec![None; spans.len()];
        visits.extend(all.iter().zip(&visited).map(|(above, visited)| {
            let parent = parent_of(&parents, (*visited)?);
            above.filter(|above| parent != Some(*above) && *visited != Some(*above))
        }));
        Self {
            children: Groups::new(nodes, &parents, start),
            visits: Groups::new(nodes, &visits, start),
            spans: spans.len(),
            parents,
            root,
            lives_long,
            visited,
            orphans,
        }
    }

    pub(super) fn children(&self, at: usize) -> &[u32] {
        self.children.of(at)
    }

    pub(super) fn visits(&self, at: usize) -> &[u32] {
        self.visits.of(at)
    }

    pub(super) fn visited(&self, index: usize) -> Option<usize> {
        let entry = index.checked_sub(self.spans)?;
        self.visited.get(entry).copied().flatten().map(|at| at as usize)
    }
}

/// Finds the entry that contains a moment.
pub(super) struct Entered<'a> {
    entries: &'a [TraceEntry],
    /// Entries of each span by start, without visits.
    of_span: HashMap<u64, Vec<usize>>,
    /// For each entry, the innermost other one that its thread was in.
    outer: Vec<Option<usize>>,
}

impl<'a> Entered<'a> {
    pub(super) fn new(entries: &'a [TraceEntry], is_visit: impl Fn(usize) -> bool) -> Self {
        let mut of_span: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut on_thread: HashMap<i64, Vec<usize>> = HashMap::new();
        let mut outer = Vec::with_capacity(entries.len());
        for (at, one) in entries.iter().enumerate() {
            let open = on_thread.entry(one.entry.thread_id).or_default();
            let is_over = |outer: &usize| {
                entries.get(*outer).is_none_or(|outer| outer.entry.end_ns() < one.entry.end_ns())
            };
            while open.last().is_some_and(is_over) {
                open.pop();
            }
            outer.push(open.last().copied());
            if !is_visit(at) {
                open.push(at);
                of_span.entry(one.entry.span_id).or_default().push(at);
            }
        }
        Self { entries, of_span, outer }
    }

    /// The entry of a span at a moment: on that thread, or else on any.
    pub(super) fn at(&self, span_id: u64, thread_id: i64, at_ns: i64) -> Option<usize> {
        let all = self.of_span.get(&span_id)?;
        let start = |at: &usize| self.entries.get(*at).map_or(i64::MIN, |one| one.entry.start_ns);
        let begun = all.partition_point(|at| start(at) <= at_ns);
        let begun = all.get(..begun)?.iter().rev().take(OVERLAPPING_MAX);
        let mut elsewhere = None;
        for at in begun {
            let Some(one) = self.entries.get(*at).filter(|one| at_ns <= one.entry.end_ns()) else {
                continue;
            };
            if one.entry.thread_id == thread_id {
                return Some(*at);
            }
            elsewhere.get_or_insert(*at);
        }
        elsewhere
    }
}

fn parent_of(parents: &[Option<u32>], at: u32) -> Option<u32> {
    parents.get(at as usize).copied().flatten()
}

/// Removes the parent of one span in each circle.
fn break_circles(parents: &mut [Option<u32>]) {
    /// For each span, the walk that has met it first; a walk that meets itself is a circle.
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
