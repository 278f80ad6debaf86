//! What a trace waited for: at each moment, the one span that is to blame.
//!
//! As Jaeger does (`computeCriticalPath` and its parts in `jaeger-ui`, folder
//! `TracePage/CriticalPath`; described in Uber's CRISP, USENIX ATC 2022): from the end of a span one
//! walks backwards to the child that finished last, into it, and from its start on to the child that
//! finished last before that; what lies between is the span's own. So of children side by side the
//! last to finish is on the path, and of children one after the other all are.
//!
//! ```text
//!   request  ├──────────────────────────────┤      at the end: its own
//!     a        ├──────────┤·················       ended while c ran: not waited for, not on the path
//!     b        ├────┤  ◆                           the last to end before c began
//!     c                 ├────────────────┤  ◆      the last to end
//! ```
//!
//! Children count as far as they lie within their parent: one that outlives it was waited for until
//! then. Two things are otherwise than there: a child that ends in the very nanosecond in which the
//! next one begins is on the path, and children whose parent is missing are taken for the root's.
//!
//! Entries count as children of the span that their thread was in (see [`Trace`]): what ran there was
//! not that span's work, whichever the parent is. So do visits, entries of spans that stand elsewhere
//! in the tree by their lifetimes; the span is to blame for them. The lifetime of a span that lives long is
//! on no path, and a trace whose root lives long has none: it is not one piece of work.
//!
//! Invariants: the sections lie end to end, from the start of the trace to its end, so their lengths
//! add up to its duration. It takes n log n steps, and no recursion, however deep the trace.

use std::collections::HashMap;
use std::sync::Arc;

use super::Trace;
use crate::reader::Callsite;

/// What a trace waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CriticalPath {
    sections: Vec<Section>,
    on_path: Vec<bool>,
}

/// A stretch of time, and the span that is to blame for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// The place of the span or entry in the trace, see [`Trace::node`]; `None`: the root, which is
    /// missing.
    pub span: Option<usize>,
    /// Since when; nanoseconds since the start of the run.
    pub from_ns: i64,
    /// Until when.
    pub until_ns: i64,
}

impl Section {
    /// How long it is.
    pub fn length_ns(&self) -> i64 {
        self.until_ns.saturating_sub(self.from_ns)
    }
}

/// A span that the walk is in.
struct Frame {
    /// Who is to blame for what is not its children's.
    span: Option<usize>,
    from_ns: i64,
    /// Where the walk stands: what is later has been dealt with.
    at_ns: i64,
    /// Its children, the one to look at next at the end.
    children: Vec<Child>,
}

/// A child, or a visit, as far as it lies within its parent.
struct Child {
    place: usize,
    from_ns: i64,
    until_ns: i64,
}

impl CriticalPath {
    /// Finds the critical path of a trace.
    pub fn of(trace: &Trace) -> Self {
        let mut path = Self { sections: Vec::new(), on_path: vec![false; trace.nodes()] };
        if trace.root().is_some_and(|root| trace.lives_long(root)) {
            return path;
        }
        let (from_ns, until_ns) = trace.interval_ns();
        let orphans = trace.orphans().flat_map(|(_, places)| places.iter().copied());
        let children = trace.root().into_iter().flat_map(|root| inside(trace, root));
        let children = within(trace, orphans.chain(children), from_ns, until_ns);
        path.enter(trace.root());
        let mut frames = vec![Frame { span: trace.root(), from_ns, at_ns: until_ns, children }];
        while let Some(frame) = frames.last_mut() {
            let Some(child) = frame.last_to_finish() else {
                path.push(frame.span, frame.from_ns, frame.at_ns);
                frames.pop();
                continue;
            };
            path.push(frame.span, child.until_ns, frame.at_ns);
            frame.at_ns = child.from_ns;
            let Child { place, from_ns, until_ns } = child;
            let (span, children) = match trace.visited(place) {
                None => (place, within(trace, inside(trace, place), from_ns, until_ns)),
                Some(span) => {
                    let begun = trace.begun_in(span, (from_ns, until_ns));
                    (span, within(trace, begun, from_ns, until_ns))
                }
            };
            path.enter(Some(span));
            frames.push(Frame { span: Some(span), from_ns, at_ns: until_ns, children });
        }
        path.sections.reverse();
        path
    }

    /// The sections, the first in front. They lie end to end.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Whether a span is on the path, be it with a section of its own or with those of its children.
    pub fn contains(&self, place: usize) -> bool {
        self.on_path.get(place).copied().unwrap_or(false)
    }

    /// How long all sections are: as long as the trace.
    pub fn length_ns(&self) -> i64 {
        self.sections.iter().map(Section::length_ns).fold(0, i64::saturating_add)
    }

    /// What the spans of each callsite are to blame for, most first; `None` stands for the root, by
    /// itself, whatever its callsite.
    pub fn by_callsite(&self, trace: &Trace) -> Vec<(Option<Arc<Callsite>>, i64)> {
        let mut root_ns = 0_i64;
        let mut sums: HashMap<i64, (Arc<Callsite>, i64)> = HashMap::new();
        for section in &self.sections {
            let span = section.span.filter(|place| trace.root() != Some(*place));
            let sum_ns = match span.and_then(|place| trace.node(place)) {
                Some(node) => {
                    let new = || (node.callsite().clone(), 0);
                    &mut sums.entry(node.callsite().id).or_insert_with(new).1
                }
                None => &mut root_ns,
            };
            *sum_ns = sum_ns.saturating_add(section.length_ns());
        }
        let callsites = sums.into_values().map(|(callsite, sum_ns)| (Some(callsite), sum_ns));
        let mut sums: Vec<_> = callsites.chain((root_ns > 0).then_some((None, root_ns))).collect();
        sums.sort_by_key(|(callsite, sum_ns)| {
            (std::cmp::Reverse(*sum_ns), callsite.as_ref().map(|callsite| callsite.id))
        });
        sums
    }

    /// The same by name and target, whatever the place in the source; the callsite is one of them.
    pub fn by_name(&self, trace: &Trace) -> Vec<(Option<Arc<Callsite>>, i64)> {
        let mut places: HashMap<(String, Arc<str>), usize> = HashMap::new();
        let mut sums: Vec<(Option<Arc<Callsite>>, i64)> = Vec::new();
        for (callsite, ns) in self.by_callsite(trace) {
            let key = callsite.as_ref().map(|c| (c.name.clone(), c.target.clone()));
            let next = sums.len();
            let at = key.map_or(next, |key| *places.entry(key).or_insert(next));
            match sums.get_mut(at) {
                Some((_, sum)) => *sum = sum.saturating_add(ns),
                None => sums.push((callsite, ns)),
            }
        }
        // Stable: of equals the order of callsites remains.
        sums.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        sums
    }

    fn enter(&mut self, place: Option<usize>) {
        if let Some(mark) = place.and_then(|place| self.on_path.get_mut(place)) {
            *mark = true;
        }
    }

    fn push(&mut self, span: Option<usize>, from_ns: i64, until_ns: i64) {
        if from_ns < until_ns {
            self.sections.push(Section { span, from_ns, until_ns });
        }
    }
}

impl Frame {
    /// The child that finished last before where the walk stands. Those that end later can be
    /// forgotten, since the walk goes backwards only.
    fn last_to_finish(&mut self) -> Option<Child> {
        while let Some(child) = self.children.pop() {
            if child.until_ns <= self.at_ns {
                return Some(child);
            }
        }
        None
    }
}

/// The children of a node, and the visits in it.
fn inside(trace: &Trace, place: usize) -> impl Iterator<Item = usize> + '_ {
    trace.children(place).chain(trace.visits(place))
}

/// Spans as far as they lie in a window, by end; of those that end together the longest comes last.
fn within(
    trace: &Trace,
    places: impl Iterator<Item = usize>,
    from_ns: i64,
    until_ns: i64,
) -> Vec<Child> {
    let mut children: Vec<Child> = places
        .filter_map(|place| {
            let (start_ns, end_ns) = trace.bounds_ns(place).filter(|_| !trace.lives_long(place))?;
            let (from_ns, until_ns) = (start_ns.max(from_ns), end_ns.min(until_ns));
            (from_ns < until_ns).then_some(Child { place, from_ns, until_ns })
        })
        .collect();
    children.sort_by_key(|child| {
        (child.until_ns, std::cmp::Reverse(child.from_ns), std::cmp::Reverse(child.place))
    });
    children
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::trace::TraceEntry;
    use super::super::trace::tests::{entry, long_lived, span};
    use super::*;

    /// Who is to blame for the nanosecond that begins at `now`, by the definition: looked up anew for
    /// each nanosecond, over all spans, with neither order nor cursor.
    fn blamed(trace: &Trace, now: i64) -> Option<usize> {
        let (mut from, mut until) = trace.interval_ns();
        let mut at = trace.root();
        loop {
            let mut limit = until;
            loop {
                let clip = |place: usize| {
                    let (start, end) = trace.bounds_ns(place).unwrap();
                    (start.max(from), end.min(until))
                };
                let is_child = |place: usize| match trace.parent(place) {
                    _ if Some(place) == trace.root() || trace.lives_long(place) => false,
                    None => at == trace.root(),
                    parent => at == parent,
                };
                let last = (0..trace.nodes())
                    .filter(|place| is_child(*place))
                    .filter(|place| clip(*place).0 < clip(*place).1 && clip(*place).1 <= limit)
                    .max_by_key(|place| {
                        let (from, until) = clip(*place);
                        (until, -from, -(*place as i64))
                    });
                match last {
                    Some(child) if now < clip(child).0 => limit = clip(child).0,
                    Some(child) if now < clip(child).1 => {
                        (from, until) = clip(child);
                        at = Some(child);
                        break;
                    }
                    _ => return at,
                }
            }
        }
    }

    /// Any trace: parents anywhere before their children or missing, children that begin before and
    /// end after them, empty ones, unfinished ones, and ones that live long, with entries anywhere.
    fn trace() -> impl Strategy<Value = Trace> {
        let one = (any::<prop::sample::Index>(), 0_u8..10, 0_i64..60, 0_i64..40);
        let entry_of = (any::<prop::sample::Index>(), 0_i64..60, 0_i64..20);
        let parts = (vec(one, 0..24), vec(entry_of, 0..8), any::<bool>(), 1_i64..60);
        parts.prop_map(|(spans, entries, has_root, length)| {
            let mut all = vec![span(1, None, 5, Some(5 + length))];
            for (n, (parent, kind, start, length)) in spans.into_iter().enumerate() {
                let id = n as u64 + 2;
                let parent = if kind == 0 { 1_000 } else { all[parent.index(all.len())].id };
                let end = (kind != 1).then_some(start + length);
                all.push(match kind {
                    2 | 3 => long_lived(id, Some(parent), start, start + length),
                    _ => span(id, Some(parent), start, end),
                });
            }
            let entries = entries.into_iter().enumerate().map(|(n, (around, start, length))| {
                let around = all[around.index(all.len())].id;
                entry(1_000 + n as u64, 500 + n as u64 % 3, around, start, start + length)
            });
            let entries: Vec<_> = entries.collect();
            if !has_root && all.len() > 1 {
                all.remove(0);
            }
            let total = all.len() as u64;
            Trace::new(1, all, entries, total, 70)
        })
    }

    proptest! {
        #[test]
        fn each_nanosecond_is_blamed_on_the_span_that_the_definition_names(trace in trace()) {
            let path = CriticalPath::of(&trace);
            let (from, until) = trace.interval_ns();
            let mut at = from;
            for section in path.sections() {
                prop_assert_eq!(section.from_ns, at, "sections lie end to end");
                for now in section.from_ns..section.until_ns {
                    prop_assert_eq!(section.span, blamed(&trace, now), "{}", now);
                }
                at = section.until_ns;
            }
            prop_assert_eq!(at, until);
            prop_assert_eq!(path.length_ns(), until - from);
            let sum: i64 = path.by_callsite(&trace).iter().map(|(_, ns)| ns).sum();
            prop_assert_eq!(sum, until - from);
            for section in path.sections() {
                prop_assert!(section.span.is_none_or(|place| path.contains(place)));
            }
        }
    }

    fn on_path(spans: Vec<crate::Span>) -> Vec<(u64, i64, i64)> {
        with_entries(spans, Vec::new())
    }

    fn with_entries(spans: Vec<crate::Span>, entries: Vec<TraceEntry>) -> Vec<(u64, i64, i64)> {
        let trace = Trace::new(1, spans, entries, 0, 0);
        let of = |section: &Section| {
            let id = section.span.map_or(0, |place| trace.node(place).unwrap().span_id());
            (id, section.from_ns, section.until_ns)
        };
        CriticalPath::of(&trace).sections().iter().map(of).collect()
    }

    /// The naive "child that finished last" would name the last one only.
    #[test]
    fn children_one_after_the_other_are_all_on_the_path() {
        let spans = vec![
            span(1, None, 0, Some(100)),
            span(2, Some(1), 1, Some(10)),
            span(3, Some(1), 10, Some(90)),
            span(4, Some(1), 92, Some(99)),
        ];
        let path = [(1, 0, 1), (2, 1, 10), (3, 10, 90), (1, 90, 92), (4, 92, 99), (1, 99, 100)];
        assert_eq!(on_path(spans), path);
    }

    #[test]
    fn of_children_side_by_side_the_last_to_finish_is_on_the_path() {
        let spans = vec![
            span(1, None, 0, Some(100)),
            span(2, Some(1), 0, Some(60)),
            span(3, Some(1), 20, Some(100)),
            span(4, Some(1), 5, Some(20)),
        ];
        assert_eq!(on_path(spans), [(1, 0, 5), (4, 5, 20), (3, 20, 100)]);
    }

    #[test]
    fn a_child_that_outlives_its_parent_counts_until_the_parent_ends() {
        let spans = vec![
            span(1, None, 0, Some(100)),
            span(2, Some(1), 40, Some(500)),
            span(3, Some(2), 90, Some(400)),
            span(4, Some(1), 200, Some(300)),
        ];
        assert_eq!(on_path(spans), [(1, 0, 40), (2, 40, 90), (3, 90, 100)]);
    }

    #[test]
    fn an_entry_is_child_time_of_what_is_around_it_and_lifetimes_of_long_are_not() {
        let spans = vec![
            span(1, None, 0, Some(100)),
            span(2, Some(1), 10, Some(90)),
            long_lived(3, Some(1), 5, 99),
            // Began in an entry of 9, which is not of this trace.
            span(4, Some(9), 25, Some(30)),
        ];
        let entries = vec![entry(101, 9, 2, 20, 60), entry(102, 3, 9, 40, 50)];
        let path = [(1, 0, 10), (2, 10, 20), (9, 20, 25), (4, 25, 30), (9, 30, 40), (3, 40, 50)];
        let path = [&path[..], &[(9, 50, 60), (2, 60, 90), (1, 90, 100)]].concat();
        assert_eq!(with_entries(spans, entries), path);
        // A root that lives long is not one piece of work.
        let spans = vec![long_lived(1, None, 0, 100), span(2, Some(1), 10, Some(90))];
        assert_eq!(on_path(spans), []);
    }

    #[test]
    fn a_span_that_is_entered_in_another_one_is_to_blame_there_with_what_is_below_it() {
        let spans = vec![
            span(1, None, 0, Some(100)),
            span(2, Some(1), 0, Some(95)),
            // A future of 1 that is polled while the thread is in 2.
            span(3, Some(1), 1, Some(90)),
            span(4, Some(3), 30, Some(35)),
            span(5, Some(3), 55, Some(59)),
        ];
        let visit = |id, from, end| TraceEntry {
            entry: crate::Entry { self_ns: None, ..entry(id, 3, 2, from, end).entry },
            ..entry(id, 3, 2, from, end)
        };
        let entries = vec![visit(101, 20, 40), visit(102, 50, 60)];
        let path = [(2, 0, 20), (3, 20, 30), (4, 30, 35), (3, 35, 40), (2, 40, 50), (3, 50, 55)];
        let path = [&path[..], &[(5, 55, 59), (3, 59, 60), (2, 60, 95), (1, 95, 100)]].concat();
        assert_eq!(with_entries(spans, entries), path);
    }

    #[test]
    fn a_hundred_thousand_spans_deep_is_not_too_deep() {
        let spans = (1..=100_000).map(|id| {
            let at = id as i64;
            span(id, (id > 1).then(|| id - 1), at, Some(400_000 - at))
        });
        let trace = Trace::new(1, spans.collect(), Vec::new(), 100_000, 0);
        let path = CriticalPath::of(&trace);
        assert_eq!(path.length_ns(), 400_000 - 2);
        assert_eq!(path.sections().len(), 199_999);
        assert!(path.contains(99_999));
    }
}
