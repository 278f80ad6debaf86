//! The nodes of a trace for the walk along its critical path: when each one worked, and its children.

use crate::trace::Node;
use crate::{SpanRef, Trace};

/// A node that the walk is in.
pub(super) struct Frame {
    /// Gets the time that is not its children's, ...
    pub(super) span: Option<usize>,
    /// ... up to the end of its work.
    pub(super) worked_until_ns: i64,
    pub(super) from_ns: i64,
    /// The walk's position; all later time is done.
    pub(super) at_ns: i64,
    /// Its children; the next one to look at is last.
    children: Vec<Child>,
    /// Whether it or something below it has a section.
    pub(super) is_to_blame: bool,
}

/// A child or a visit: the part within the work of its parent, or the part after that.
pub(super) struct Child {
    pub(super) index: usize,
    pub(super) from_ns: i64,
    pub(super) until_ns: i64,
}

/// A trace, and when the work of each node ended.
pub(super) struct Work<'a> {
    trace: &'a Trace,
    /// By index: the last exit; `i64::MIN` for a span that has not worked.
    left_ns: Vec<i64>,
    /// By index: the last exit of the node and all below it, while the node was open.
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
        // Parents come before their children.
        let tops = trace.orphans().flat_map(|(_, indexes)| indexes.iter().copied());
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

    /// The root; children whose parents are missing are its children, too.
    pub(super) fn whole(&self) -> Frame {
        let (from_ns, until_ns) = self.trace.interval_ns();
        let root = self.trace.root();
        let left = root.and_then(|root| self.left_ns.get(root).copied());
        let worked_until_ns = left.unwrap_or(until_ns).clamp(from_ns, until_ns);
        let orphans = self.trace.orphans().flat_map(|(_, indexes)| indexes.iter().copied());
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

    /// A child, during a part of its time.
    pub(super) fn frame(&self, index: usize, from_ns: i64, until_ns: i64) -> Frame {
        let left_ns = self.left_ns.get(index).copied().unwrap_or(until_ns);
        let worked_until_ns = left_ns.clamp(from_ns, until_ns);
        let inside = inside(self.trace, index);
        let children = self.within(inside, (from_ns, worked_until_ns, until_ns));
        Frame {
            span: Some(index),
            worked_until_ns,
            from_ns,
            at_ns: until_ns,
            children,
            is_to_blame: false,
        }
    }

    /// A visit: a span that stands elsewhere, during one of its entries.
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

    /// The children within a span that worked from the first moment to the second and was open until the third,
    /// sorted by end; of equal ends the longest is last. A child that goes on after the span's last exit is given
    /// twice: the part before, which was waited for, and the part after.
    fn within(
        &self,
        indexes: impl Iterator<Item = usize>,
        (from_ns, left_ns, until_ns): (i64, i64, i64),
    ) -> Vec<Child> {
        let mut children = Vec::new();
        for index in indexes.filter(|index| !self.trace.lives_long(*index)) {
            let bounds =
                (self.trace.bounds_ns(index), self.left_ns.get(index), self.done_ns.get(index));
            let (Some((start_ns, _)), Some(child_left), Some(done)) = bounds else { continue };
            let waited_for = (start_ns.max(from_ns), (*child_left).min(left_ns));
            let beyond = (start_ns.max(left_ns), (*done).min(until_ns));
            let parts =
                [waited_for, beyond].into_iter().filter(|(from_ns, until_ns)| from_ns < until_ns);
            children.extend(parts.map(|(from_ns, until_ns)| Child { index, from_ns, until_ns }));
        }
        children.sort_by_key(|child| {
            (child.until_ns, std::cmp::Reverse(child.from_ns), std::cmp::Reverse(child.index))
        });
        children
    }
}

/// The last exit of a node, as for self time. An unfinished one may go on, unless it was never entered.
fn left_ns(trace: &Trace, index: usize) -> i64 {
    let Some(node) = trace.node(index) else { return i64::MIN };
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
fn inside(trace: &Trace, index: usize) -> impl Iterator<Item = usize> + '_ {
    trace.children(index).chain(trace.visits(index))
}
