//! The rows of a trace: which spans are shown, and what is folded.
//!
//! What is shown are the spans of the critical path first, then the longest, and each with its
//! ancestors. The children of a span that are not shown are one row, "+ n more", with their time.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::critical_path::{Stretch, critical_path};
use super::names::Threads;
use super::row::Row;
use super::slowest::Kept;
use super::text;
use crate::report::bounds;
use crate::report::data::{CriticalShare, NAME_OTHERS, Trace, TraceRow};

/// Lays a trace out, and lists the ids of its spans. A trace whose root is missing has its first span
/// for one; `None` if none of its spans is there any more.
pub(crate) fn lay_out(kept: Kept, threads: &Threads) -> Option<(Trace, Vec<u64>)> {
    let (root, of) = (kept.root, kept.of);
    let (rows, fields) = kept.into_rows();
    let root = rows.iter().find(|row| row.id == root).or(rows.first()).copied()?;
    let path = critical_path(&rows, root.id);
    let tree = Tree::new(&rows, root.id);
    let shown = tree.shown(&path);
    let mut stretches: HashMap<usize, Vec<(i64, i64)>> = HashMap::new();
    for stretch in path.iter().rev() {
        let list = stretches.entry(stretch.at).or_default();
        if list.len() < bounds::CRITICAL_STRETCHES {
            list.push((stretch.from_ns, stretch.until_ns));
        }
    }
    let mut trace = Trace {
        id: format!("t{}", root.id),
        name: root.name,
        start_ns: root.start_ns,
        duration_ns: root.duration_ns.unwrap_or(0),
        spans: of,
        whole: rows.len() as u64 == of,
        critical: shares(&rows, &path),
        ..Trace::default()
    };
    // What was not kept at all is folded under the root.
    let lost = of.saturating_sub(tree.reached);
    let mut stack = vec![Step::Span(tree.root, 0)];
    while let Some(step) = stack.pop() {
        match step {
            Step::Folded(row) => trace.rows.push(*row),
            Step::Span(at, depth) => {
                let Some(row) = rows.get(at) else { continue };
                let critical = stretches.remove(&at).unwrap_or_default();
                let fields = text::fields(fields.get(&row.id).map(AsRef::as_ref));
                trace.rows.push(TraceRow { fields, critical, ..describe(row, depth, threads) });
                let extra = if at == tree.root { lost } else { 0 };
                if let Some(folded) = tree.folded(at, depth + 1, &shown, extra) {
                    stack.push(Step::Folded(Box::new(folded)));
                }
                let children = tree.children(at).iter().rev().filter(|at| shown.contains(at));
                stack.extend(children.map(|at| Step::Span(*at, depth + 1)));
            }
        }
    }
    Some((trace, rows.iter().map(|row| row.id).collect()))
}

enum Step {
    Span(usize, u32),
    Folded(Box<TraceRow>),
}

fn describe(row: &Row, depth: u32, threads: &Threads) -> TraceRow {
    TraceRow {
        id: format!("s{}", row.id),
        name: row.name,
        depth,
        start_ns: row.start_ns,
        duration_ns: row.duration_ns,
        busy_ns: row.busy_ns,
        self_ns: row.self_ns,
        polls: row.polls,
        status: row.status.as_str(),
        thread: threads.name(row.thread).to_owned(),
        ..TraceRow::default()
    }
}

/// Time on the path by name.
fn shares(rows: &[Row], path: &[Stretch]) -> Vec<CriticalShare> {
    let mut by_name: HashMap<i64, i64> = HashMap::new();
    for stretch in path {
        let name = rows.get(stretch.at).map_or(NAME_OTHERS, |row| row.name);
        *by_name.entry(name).or_default() += stretch.until_ns - stretch.from_ns;
    }
    let mut shares: Vec<_> =
        by_name.into_iter().map(|(name, ns)| CriticalShare { name, ns }).collect();
    shares.sort_by_key(|share| (Reverse(share.ns), share.name));
    shares
}

/// Who is below whom. Spans whose parent was not kept stand below the root.
struct Tree<'a> {
    rows: &'a [Row],
    root: usize,
    below: Vec<Vec<usize>>,
    parents: Vec<usize>,
    /// Spans under the root, itself included.
    reached: u64,
}

impl<'a> Tree<'a> {
    fn new(rows: &'a [Row], root: u64) -> Self {
        let places: HashMap<u64, usize> =
            rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
        let root = places.get(&root).copied().unwrap_or(0);
        let mut below = vec![Vec::new(); rows.len()];
        let mut parents = vec![root; rows.len()];
        for (at, row) in rows.iter().enumerate().filter(|(at, _)| *at != root) {
            let parent = row.parent.and_then(|id| places.get(&id)).copied();
            let parent = parent.filter(|parent| *parent != at).unwrap_or(root);
            if let (Some(list), Some(slot)) = (below.get_mut(parent), parents.get_mut(at)) {
                list.push(at);
                *slot = parent;
            }
        }
        let mut tree = Self { rows, root, below, parents, reached: 0 };
        tree.reached = tree.size(root).0;
        tree
    }

    fn children(&self, at: usize) -> &[usize] {
        self.below.get(at).map_or(&[], Vec::as_slice)
    }

    /// How many spans are under one, itself included, and when the first begins and the last ends.
    fn size(&self, at: usize) -> (u64, i64, i64) {
        let (mut spans, mut from_ns, mut until_ns) = (0, i64::MAX, i64::MIN);
        let mut stack = vec![at];
        while let Some(at) = stack.pop() {
            let Some(row) = self.rows.get(at) else { continue };
            spans += 1;
            from_ns = from_ns.min(row.start_ns);
            until_ns = until_ns.max(row.start_ns.saturating_add(row.duration_ns.unwrap_or(0)));
            stack.extend(self.children(at));
        }
        (spans, from_ns, until_ns)
    }

    /// The spans to show: those on the path, then the longest, each with its ancestors.
    fn shown(&self, path: &[Stretch]) -> HashSet<usize> {
        let mut on_path: HashMap<usize, i64> = HashMap::new();
        for stretch in path {
            *on_path.entry(stretch.at).or_default() += stretch.until_ns - stretch.from_ns;
        }
        let mut wanted: Vec<usize> = (0..self.rows.len()).collect();
        wanted.sort_by_key(|at| {
            let row = self.rows.get(*at);
            let duration = row.map_or(0, |row| row.duration_ns.unwrap_or(i64::MAX));
            (Reverse(on_path.get(at).copied().unwrap_or(0)), Reverse(duration), *at)
        });
        let mut shown = HashSet::from([self.root]);
        for at in wanted {
            let mut chain = Vec::new();
            let mut up = at;
            while !shown.contains(&up) && chain.len() <= bounds::TRACE_ROWS {
                chain.push(up);
                up = self.parents.get(up).copied().unwrap_or(self.root);
            }
            if shown.len() + chain.len() <= bounds::TRACE_ROWS {
                shown.extend(chain);
            }
        }
        shown
    }

    /// The row for the children that are not shown.
    fn folded(
        &self,
        at: usize,
        depth: u32,
        shown: &HashSet<usize>,
        extra: u64,
    ) -> Option<TraceRow> {
        let hidden = self.children(at).iter().filter(|at| !shown.contains(at));
        let (mut more, mut from_ns, mut until_ns) = (extra, i64::MAX, i64::MIN);
        for child in hidden {
            let (spans, from, until) = self.size(*child);
            more += spans;
            from_ns = from_ns.min(from);
            until_ns = until_ns.max(until);
        }
        if more == 0 {
            return None;
        }
        let row = self.rows.get(at)?;
        if from_ns > until_ns {
            (from_ns, until_ns) = (row.start_ns, row.start_ns);
        }
        Some(TraceRow {
            name: NAME_OTHERS,
            depth,
            start_ns: from_ns,
            duration_ns: Some(until_ns - from_ns),
            status: "more",
            more,
            ..TraceRow::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::span;
    use super::super::slowest::SlowestRoots;
    use super::*;

    fn laid_out(rows: &[Row]) -> Trace {
        let mut slowest = SlowestRoots::new(1, true);
        rows.iter().for_each(|row| slowest.add(row));
        let mut traces = slowest.into_traces();
        rows.iter().for_each(|row| traces.add(row, None));
        lay_out(traces.into_list().remove(0), &Threads::default()).unwrap().0
    }

    #[test]
    fn a_small_trace_is_shown_whole_in_the_order_of_start() {
        let rows = [
            span(1, 0, 0, 0, 100),
            span(2, 1, 1, 10, 20),
            span(3, 2, 2, 12, 5),
            span(4, 1, 3, 40, 50),
        ];
        let trace = laid_out(&rows);
        let shown: Vec<_> = trace.rows.iter().map(|row| (row.id.as_str(), row.depth)).collect();
        assert_eq!(shown, [("s1", 0), ("s2", 1), ("s3", 2), ("s4", 1)]);
        assert_eq!((trace.spans, trace.whole), (4, true));
        assert_eq!(trace.rows[3].critical, [(40, 90)]);
        assert_eq!(trace.critical.iter().map(|share| share.ns).sum::<i64>(), 100);
    }

    #[test]
    fn each_span_of_a_large_trace_is_in_a_row_or_folded_into_one() {
        let mut rows = vec![span(1, 0, 0, 0, 1_000_000)];
        for n in 0..9_000_u64 {
            let parent = if n % 3 == 0 { 1 } else { n + 1 - n % 3 + 1 };
            rows.push(span(n + 2, parent, 1, n as i64 * 100, 1 + n as i64 % 1_000));
        }
        let trace = laid_out(&rows);
        assert_eq!((trace.spans, trace.whole), (9_001, false));
        let spans = trace.rows.iter().filter(|row| row.more == 0).count() as u64;
        let folded: u64 = trace.rows.iter().map(|row| row.more).sum();
        assert_eq!(spans + folded, 9_001);
        assert_eq!(spans, bounds::TRACE_ROWS as u64);
    }

    #[test]
    fn a_deep_trace_does_not_overflow() {
        let rows: Vec<_> =
            (0..3_900_u64).map(|n| span(n + 1, n, 0, n as i64, 10_000 - 2 * n as i64)).collect();
        let trace = laid_out(&rows);
        let folded: u64 = trace.rows.iter().map(|row| row.more).sum();
        let spans = trace.rows.iter().filter(|row| row.more == 0).count() as u64;
        assert_eq!(spans + folded, 3_900);
        assert!(trace.rows.len() > 1);
    }
}
