//! The spans of a trace as the walk along its critical path sees them: when each worked, and what lies in it.

use crate::trace::Node;
use crate::{SpanRef, Trace};

/// A span that the walk is in.
pub(super) struct Frame {
    /// Who is to blame for what is not its children's, ...
    pub(super) span: Option<usize>,
    /// ... until its work was over.
    pub(super) worked_until_ns: i64,
    pub(super) from_ns: i64,
    /// Where the walk stands: what is later has been dealt with.
    pub(super) at_ns: i64,
    /// Its children, the one to look at next at the end.
    children: Vec<Child>,
    /// Whether it has a section, or something below it.
    pub(super) is_to_blame: bool,
}

/// A child, or a visit, as far as it lies within the work of its parent, or behind that.
pub(super) struct Child {
    pub(super) place: usize,
    pub(super) from_ns: i64,
    pub(super) until_ns: i64,
}

/// A trace, and until when each of its spans worked.
pub(super) struct Work<'a> {
    trace: &'a Trace,
    /// By place: when it was left for the last time; the smallest number if it has not worked.
    left_ns: Vec<i64>,
    /// By place: when the last one was left of it and of those below, as far as it was open.
    done_ns: Vec<i64>,
}

impl Frame {
    /// The child that finished last before where the walk stands. Those that end later can be
    /// forgotten, since the walk goes backwards only.
    pub(super) fn last_to_finish(&mut self) -> Option<Child> {
        while let Some(child) = self.children.pop() {
            if child.until_ns <= self.at_ns {
                return Some(child);
            }
        }
        None
    }
}

impl<'a> Work<'a> {
    pub(super) fn of(trace: &'a Trace) -> Self {
        let left_ns: Vec<i64> = (0..trace.nodes()).map(|at| left_ns(trace, at)).collect();
        let mut done_ns = left_ns.clone();
        // Whoever is above comes first.
        let tops = trace.orphans().flat_map(|(_, places)| places.iter().copied());
        let mut order: Vec<usize> = trace.root().into_iter().chain(tops).collect();
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            order.extend(trace.children(at));
            next += 1;
        }
        for at in order.into_iter().rev().filter(|at| !trace.lives_long(*at)) {
            let closed_ns = trace.bounds_ns(at).map_or(i64::MAX, |(_, end_ns)| end_ns);
            let Some(done) = done_ns.get_mut(at) else { continue };
            *done = (*done).min(closed_ns);
            let done = *done;
            if let Some(above) = trace.parent(at).and_then(|above| done_ns.get_mut(above)) {
                *above = (*above).max(done);
            }
        }
        Self { trace, left_ns, done_ns }
    }

    /// The root, with those that have lost their parents.
    pub(super) fn whole(&self) -> Frame {
        let (from_ns, until_ns) = self.trace.interval_ns();
        let root = self.trace.root();
        let left = root.and_then(|root| self.left_ns.get(root).copied());
        let worked_until_ns = left.unwrap_or(until_ns).clamp(from_ns, until_ns);
        let orphans = self.trace.orphans().flat_map(|(_, places)| places.iter().copied());
        let inside = root.into_iter().flat_map(|root| inside(self.trace, root));
        let children = self.within(orphans.chain(inside), (from_ns, worked_until_ns, until_ns));
        Frame {
            span: root,
            worked_until_ns,
            from_ns,
            at_ns: until_ns,
            children,
            is_to_blame: false,
        }
    }

    /// A child in some of its time.
    pub(super) fn frame(&self, place: usize, from_ns: i64, until_ns: i64) -> Frame {
        let left_ns = self.left_ns.get(place).copied().unwrap_or(until_ns);
        let worked_until_ns = left_ns.clamp(from_ns, until_ns);
        let inside = inside(self.trace, place);
        let children = self.within(inside, (from_ns, worked_until_ns, until_ns));
        Frame {
            span: Some(place),
            worked_until_ns,
            from_ns,
            at_ns: until_ns,
            children,
            is_to_blame: false,
        }
    }

    /// A span that stands elsewhere, in one of its entries.
    pub(super) fn visit(&self, span: usize, from_ns: i64, until_ns: i64) -> Frame {
        let begun = self.trace.begun_in(span, (from_ns, until_ns));
        let children = self.within(begun, (from_ns, until_ns, until_ns));
        Frame {
            span: Some(span),
            worked_until_ns: until_ns,
            from_ns,
            at_ns: until_ns,
            children,
            is_to_blame: false,
        }
    }

    /// What lies in a span that worked from the first of three moments to the second, and was open to the third: by
    /// end; of those that end together the longest comes last. What works on when the span has been left is there
    /// twice: as far as it was waited for, and beyond.
    fn within(
        &self,
        places: impl Iterator<Item = usize>,
        (from_ns, left_ns, until_ns): (i64, i64, i64),
    ) -> Vec<Child> {
        let mut children = Vec::new();
        for place in places.filter(|place| !self.trace.lives_long(*place)) {
            let bounds =
                (self.trace.bounds_ns(place), self.left_ns.get(place), self.done_ns.get(place));
            let (Some((start_ns, _)), Some(child_left), Some(done)) = bounds else { continue };
            let waited_for = (start_ns.max(from_ns), (*child_left).min(left_ns));
            let beyond = (start_ns.max(left_ns), (*done).min(until_ns));
            let parts =
                [waited_for, beyond].into_iter().filter(|(from_ns, until_ns)| from_ns < until_ns);
            children.extend(parts.map(|(from_ns, until_ns)| Child { place, from_ns, until_ns }));
        }
        children.sort_by_key(|child| {
            (child.until_ns, std::cmp::Reverse(child.from_ns), std::cmp::Reverse(child.place))
        });
        children
    }
}

/// When what stands at a place was left for the last time, as self time has it; one that is unfinished may
/// go on, unless nobody has entered it.
fn left_ns(trace: &Trace, place: usize) -> i64 {
    let Some(node) = trace.node(place) else { return i64::MIN };
    let left_ns = match node {
        Node::Span(span) if span.duration_ns.is_none() && span.entries == 0 => span.start_ns,
        Node::Span(span) => {
            SpanRef::from(span).worked_until_ns().unwrap_or_else(|| trace.end_ns(span))
        }
        Node::Entry(one) => one.entry.end_ns(),
    };
    if left_ns > node.start_ns() { left_ns } else { i64::MIN }
}

/// The children of a node, and the visits in it.
fn inside(trace: &Trace, place: usize) -> impl Iterator<Item = usize> + '_ {
    trace.children(place).chain(trace.visits(place))
}
