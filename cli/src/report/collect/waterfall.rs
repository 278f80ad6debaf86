//! The rows of a trace: which spans are shown, and what is folded.
//!
//! What is shown are the spans of the critical path first, then the longest, and each with its
//! ancestors. The children of a span that are not shown are one row, "+ n more", with their time.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use spandrel_query::CountedBy;
use spandrel_query::OrderRows as _;
use spandrel_query::trace::{MeanwhileRow, Node};
use spandrel_query::{CriticalPath, Trace};

use super::names::{Names, thread_text};
use super::text;
use crate::report::bounds;
use crate::report::data::{
    self, CriticalShare, MeanwhileFact, NAME_NO_PARENT, NAME_OTHERS, TraceRow,
};

pub(crate) fn lay_out(trace: &Trace, names: &mut Names) -> data::Trace {
    let path = CriticalPath::of(trace);
    let tree = Tree::new(trace);
    let shown = tree.shown(&path);
    let (start_ns, until_ns) = trace.interval_ns();
    let root = trace.root().and_then(|at| trace.spans.get(at));
    let mut rows = Vec::new();
    let mut stretches = stretches(&path);
    // What was not read at all is folded at the end.
    let all = trace.total.saturating_add(trace.entries_total);
    let unread = all.saturating_sub(trace.nodes() as u64);
    let mut stack: Vec<Step> = tree
        .folded(None, 0, &shown, unread)
        .map(|row| Step::Folded(Box::new(row)))
        .into_iter()
        .collect();
    stack.extend(
        tree.tops.iter().rev().filter(|at| shown.contains(at)).map(|at| Step::Span(*at, 0)),
    );
    while let Some(step) = stack.pop() {
        let (at, depth) = match step {
            Step::Folded(row) => {
                rows.push(*row);
                continue;
            }
            Step::Span(at, depth) => (at, depth),
        };
        let Some(node) = trace.node(at) else { continue };
        let (critical, critical_ns) = stretches.remove(&at).unwrap_or_default();
        rows.push(TraceRow {
            on_path: path.contains(at),
            critical,
            critical_ns,
            ..describe(node, trace.lives_long(at), depth, names)
        });
        stack.extend(
            tree.folded(Some(at), depth + 1, &shown, 0).map(|row| Step::Folded(Box::new(row))),
        );
        let children: Vec<usize> = trace.children(at).filter(|at| shown.contains(at)).collect();
        stack.extend(children.into_iter().rev().map(|at| Step::Span(at, depth + 1)));
    }
    data::Trace {
        id: format!("t{}", trace.root_id),
        name: root.map_or(NAME_NO_PARENT, |root| names.of_callsite(&root.callsite)),
        start_ns,
        duration_ns: until_ns.saturating_sub(start_ns),
        spans: trace.total,
        whole: !trace.is_truncated(),
        rows,
        critical: shares(trace, &path, names),
        kept_open_ns: path.kept_open_ns(trace),
        ..beside(trace, names)
    }
}

/// What ran on other threads meanwhile.
fn beside(trace: &Trace, names: &mut Names) -> data::Trace {
    let Some(meanwhile) = &trace.meanwhile else { return data::Trace::default() };
    let shown = meanwhile.rows.len().min(bounds::MEANWHILE);
    let (shown, others) = meanwhile.rows.split_at(shown);
    let (mut more, mut more_ns) = (meanwhile.more, meanwhile.more_ns);
    for row in others {
        more = more.saturating_add(row.calls);
        more_ns = more_ns.saturating_add(row.total_ns);
    }
    let fact = |row: &MeanwhileRow| MeanwhileFact {
        name: names.of(&row.callsite, CountedBy::Entries),
        calls: row.calls,
        total_ns: row.total_ns,
        longest_ns: row.longest_ns,
        thread: thread_text(&row.thread),
        threads: row.threads,
        fields: text::fields(row.fields.as_deref()),
    };
    let meanwhile = shown.iter().map(fact).collect();
    data::Trace { meanwhile, meanwhile_more: (more, more_ns), ..data::Trace::default() }
}

enum Step {
    Span(usize, u32),
    Folded(Box<TraceRow>),
}

fn describe(node: Node<'_>, lives_long: bool, depth: u32, names: &mut Names) -> TraceRow {
    let row = TraceRow {
        id: format!("s{}", node.span_id()),
        name: names.of_callsite(node.callsite()),
        depth,
        start_ns: node.start_ns(),
        duration_ns: node.duration_ns(),
        self_ns: node.self_ns(),
        thread: thread_text(node.thread()),
        fields: text::fields(node.fields()),
        ..TraceRow::default()
    };
    match node {
        Node::Span(span) => TraceRow {
            busy_ns: span.busy_ns,
            entries: span.entries,
            by: if lives_long { "entries" } else { "lifetime" },
            status: span.status.as_str(),
            ..row
        },
        // Of a span there are many.
        Node::Entry(one) => TraceRow {
            id: format!("{}, entry {}", row.id, one.entry.id),
            busy_ns: Some(one.entry.duration_ns),
            entries: 1,
            by: "entry",
            status: "ok",
            ..row
        },
    }
}

/// When each span is on the path, by place: the first stretches, and how long all of them are.
fn stretches(path: &CriticalPath) -> HashMap<usize, (Vec<(i64, i64)>, i64)> {
    let mut stretches: HashMap<usize, (Vec<(i64, i64)>, i64)> = HashMap::new();
    for section in path.sections() {
        if let Some(at) = section.span {
            let (list, sum_ns) = stretches.entry(at).or_default();
            *sum_ns = sum_ns.saturating_add(section.length_ns());
            if list.len() < bounds::CRITICAL_STRETCHES {
                list.push((section.from_ns, section.until_ns));
            }
        }
    }
    stretches
}

/// Time on the path by name.
fn shares(trace: &Trace, path: &CriticalPath, names: &mut Names) -> Vec<CriticalShare> {
    let mut by_name: HashMap<i64, i64> = HashMap::new();
    for section in path.sections() {
        let node = section.span.and_then(|at| trace.node(at));
        let name = node.map_or(NAME_NO_PARENT, |node| names.of_callsite(node.callsite()));
        *by_name.entry(name).or_default() += section.length_ns();
    }
    let mut shares: Vec<_> =
        by_name.into_iter().map(|(name, ns)| CriticalShare { name, ns }).collect();
    shares.order_by_key(|share| (Reverse(share.ns), share.name));
    shares
}

/// Who is below whom.
struct Tree<'a> {
    trace: &'a Trace,
    /// The root, and spans whose parent is missing.
    tops: Vec<usize>,
}

impl<'a> Tree<'a> {
    fn new(trace: &'a Trace) -> Self {
        let orphans = trace.orphans().flat_map(|(_, places)| places.iter().copied());
        let tops = trace.root().into_iter().chain(orphans).collect();
        Self { trace, tops }
    }

    /// The spans to show: those on the path, then the longest, each with its ancestors.
    fn shown(&self, path: &CriticalPath) -> HashSet<usize> {
        let mut blame: HashMap<usize, i64> = HashMap::new();
        for section in path.sections() {
            if let Some(at) = section.span {
                *blame.entry(at).or_default() += section.length_ns();
            }
        }
        let mut wanted: Vec<usize> = (0..self.trace.nodes()).collect();
        // An entry that is shown with the span has no place in the tree.
        wanted.retain(|at| self.trace.visited(*at).is_none());
        wanted.order_by_key(|at| {
            let duration = match self.trace.lives_long(*at) {
                true => Some(0),
                false => self.trace.node(*at).map(|node| node.duration_ns().unwrap_or(i64::MAX)),
            };
            (Reverse(blame.get(at).copied().unwrap_or(0)), Reverse(duration), *at)
        });
        let mut shown: HashSet<usize> = self.trace.root().into_iter().collect();
        for at in wanted {
            let mut chain = Vec::new();
            let mut up = Some(at);
            while let Some(next) = up.filter(|up| !shown.contains(up)) {
                chain.push(next);
                up = self.trace.parent(next);
                if chain.len() > bounds::TRACE_ROWS {
                    break;
                }
            }
            if shown.len() + chain.len() <= bounds::TRACE_ROWS {
                shown.extend(chain);
            }
        }
        shown
    }

    /// The row for the children of a span, or for those on top, that are not shown.
    fn folded(
        &self,
        at: Option<usize>,
        depth: u32,
        shown: &HashSet<usize>,
        unread: u64,
    ) -> Option<TraceRow> {
        let mut stack: Vec<usize> = match at {
            Some(at) => self.trace.children(at).collect(),
            None => self.tops.clone(),
        };
        stack.retain(|at| !shown.contains(at));
        let (mut more, mut from_ns, mut until_ns) = (unread, i64::MAX, i64::MIN);
        while let Some(at) = stack.pop() {
            let Some((start_ns, end_ns)) = self.trace.bounds_ns(at) else { continue };
            more += 1;
            if !self.trace.lives_long(at) {
                from_ns = from_ns.min(start_ns);
                until_ns = until_ns.max(end_ns);
            }
            stack.extend(self.trace.children(at));
        }
        if from_ns > until_ns {
            (from_ns, until_ns) = self.trace.interval_ns();
        }
        (more > 0).then(|| TraceRow {
            name: NAME_OTHERS,
            depth,
            start_ns: from_ns,
            duration_ns: Some(until_ns.saturating_sub(from_ns)),
            status: "more",
            more,
            ..TraceRow::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::test_profile::{Span as Made, profile};

    fn laid_out(spans: Vec<Made>, max: usize) -> data::Trace {
        let (_folder, reader) = profile(spans);
        let root = reader.run(1).unwrap().unwrap().first_id;
        let trace = Trace::read(&reader, root, max).unwrap().unwrap();
        lay_out(&trace, &mut Names::default())
    }

    fn child(parent: usize, duration_ns: i64) -> Made {
        Made { parent: Some(parent), ..Made::new("child", duration_ns) }
    }

    fn shown_and_folded(trace: &data::Trace) -> (u64, u64) {
        let spans = trace.rows.iter().filter(|row| row.more == 0).count() as u64;
        (spans, trace.rows.iter().map(|row| row.more).sum())
    }

    #[test]
    fn a_small_trace_is_shown_whole_with_its_path() {
        let trace = laid_out(vec![Made::new("root", 100), child(0, 20), child(1, 5)], 100);
        let depths: Vec<_> = trace.rows.iter().map(|row| row.depth).collect();
        assert_eq!((depths, trace.whole), (vec![0, 1, 2], true));
        assert!(trace.rows.iter().all(|row| row.on_path));
        assert_eq!(trace.critical.iter().map(|share| share.ns).sum::<i64>(), 100);
    }

    #[test]
    fn the_share_of_the_path_is_of_all_stretches_and_not_of_those_that_are_drawn() {
        // A child in each hundred nanoseconds of the root: more stretches than are listed.
        let count = 4 * bounds::CRITICAL_STRETCHES as i64;
        let mut spans = vec![Made::new("root", count * 100)];
        spans.extend((0..count).map(|at| Made { after_ns: at * 100, ..child(0, 1) }));
        let trace = laid_out(spans, 1_000);
        let root = &trace.rows[0];
        assert_eq!(root.critical.len(), bounds::CRITICAL_STRETCHES);
        assert_eq!(root.critical_ns, count * 99);
        let of_rows: i64 = trace.rows.iter().map(|row| row.critical_ns).sum();
        assert_eq!(of_rows, trace.critical.iter().map(|share| share.ns).sum::<i64>());
    }

    #[test]
    fn each_span_of_a_large_trace_is_in_a_row_or_folded_into_one() {
        let mut spans = vec![Made::new("root", 1_000_000)];
        spans.extend(
            (0..2_000).map(|n| child(if n % 3 == 0 { 0 } else { n - n % 3 + 1 }, 1 + n as i64)),
        );
        let trace = laid_out(spans.clone(), 10_000);
        assert_eq!(
            shown_and_folded(&trace),
            (bounds::TRACE_ROWS as u64, 2_001 - bounds::TRACE_ROWS as u64)
        );
        let cut = laid_out(spans, 1_000);
        let (shown, folded) = shown_and_folded(&cut);
        assert_eq!((shown + folded, cut.whole), (2_001, false));
    }

    #[test]
    fn a_deep_trace_does_not_overflow() {
        let mut spans = vec![Made::new("root", 1_000_000)];
        spans.extend((0..3_000).map(|n| child(n, 900_000 - n as i64)));
        let trace = laid_out(spans, 10_000);
        let (shown, folded) = shown_and_folded(&trace);
        assert_eq!(shown + folded, 3_001);
        assert!(shown > 1);
    }
}
