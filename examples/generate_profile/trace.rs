//! One trace: spans below one root, and what happens in them, in the order of time.

use spandrel_storage::Status;

use crate::fields;

/// The end of a span that has none.
pub const NEVER: i64 = i64::MAX / 4;

/// A span as it will have been.
#[derive(Debug, Clone)]
pub struct Node {
    pub parent: Option<usize>,
    pub callsite: usize,
    pub thread: u32,
    pub start_ns: i64,
    pub end_ns: i64,
    pub busy_ns: i64,
    pub polls: u64,
    pub status: Status,
    pub seed: fields::Seed,
    /// The span of the same trace that it follows from.
    pub follows: Option<usize>,
    /// Its record is lost.
    pub lost: bool,
    /// Known once the trace is complete.
    pub self_ns: i64,
    /// Likewise: time in which its thread was in children.
    pub in_children_ns: i64,
    /// Known once the span has begun.
    pub id: u64,
}

/// Something that happens inside a span.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub node: usize,
    pub at_ns: i64,
    pub event: usize,
}

#[derive(Debug, Clone, Copy)]
pub enum Item {
    Span(usize),
    Event(Moment),
}

#[derive(Debug, Default)]
pub struct Trace {
    pub nodes: Vec<Node>,
    pub moments: Vec<Moment>,
    /// Everything by time, the last first.
    coming: Vec<(i64, Item)>,
    /// Until when children have covered a node.
    covered_until: Vec<i64>,
}

impl Trace {
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.moments.clear();
        self.coming.clear();
    }

    pub fn end_of(&self, node: usize) -> i64 {
        self.nodes[node].end_ns
    }

    /// Puts everything in order; nothing is changed any more but ids.
    pub fn complete(&mut self) {
        let spans = self.nodes.iter().enumerate();
        self.coming.extend(spans.map(|(index, node)| (node.start_ns, Item::Span(index))));
        self.coming.extend(self.moments.iter().map(|moment| (moment.at_ns, Item::Event(*moment))));
        // Stable: a parent was made before its children, and a span before its events.
        self.coming.sort_by_key(|(at_ns, _)| *at_ns);
        self.self_times();
        self.coming.reverse();
    }

    /// Duration less the union of the children that ended before the span, or with it. The children
    /// come by their starts, so that what they cover together only grows at its end.
    fn self_times(&mut self) {
        self.covered_until.clear();
        self.covered_until.extend(self.nodes.iter().map(|node| node.start_ns));
        for node in &mut self.nodes {
            node.self_ns = node.end_ns - node.start_ns;
            node.in_children_ns = 0;
        }
        for (_, item) in &self.coming {
            let Item::Span(index) = *item else { continue };
            let Node { parent, start_ns, end_ns, lost, busy_ns, thread, .. } = self.nodes[index];
            let Some(parent) = parent else { continue };
            if !lost && thread == self.nodes[parent].thread {
                self.nodes[parent].in_children_ns += busy_ns;
            }
            let known = !lost && end_ns <= self.nodes[parent].end_ns;
            let until = &mut self.covered_until[parent];
            if known && end_ns > *until {
                self.nodes[parent].self_ns -= end_ns - start_ns.max(*until);
                *until = end_ns;
            }
        }
    }

    /// When the next item happens.
    pub fn next_at(&self) -> Option<i64> {
        self.coming.last().map(|(at_ns, _)| *at_ns)
    }

    pub fn next(&mut self) -> Option<Item> {
        self.coming.pop().map(|(_, item)| item)
    }

    pub fn root_id(&self) -> u64 {
        self.nodes.first().map_or(0, |root| root.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(parent: Option<usize>, start_ns: i64, end_ns: i64) -> Node {
        Node {
            parent,
            callsite: 0,
            thread: 0,
            start_ns,
            end_ns,
            busy_ns: 0,
            polls: 1,
            status: Status::Ok,
            seed: fields::Seed::default(),
            follows: None,
            lost: false,
            self_ns: 0,
            in_children_ns: 0,
            id: 0,
        }
    }

    #[test]
    fn children_that_overlap_count_once_and_those_that_outlive_or_are_lost_not_at_all() {
        let root = Some(0);
        let mut trace = Trace::default();
        trace.nodes.extend([
            node(None, 0, 100),
            node(root, 10, 40),
            node(root, 20, 30),
            node(root, 30, 60),
            node(Some(3), 35, 50),
            node(root, 90, 110),
            Node { lost: true, ..node(root, 70, 80) },
            node(root, 95, 100),
        ]);
        trace.complete();
        let self_ns: Vec<_> = trace.nodes.iter().map(|node| node.self_ns).collect();
        assert_eq!(self_ns, [100 - 50 - 5, 30, 10, 15, 15, 20, 10, 5]);
        let mut starts = Vec::new();
        while let Some(at_ns) = trace.next_at() {
            starts.push(at_ns);
            trace.next();
        }
        assert_eq!(starts, [0, 10, 20, 30, 35, 70, 90, 95]);
    }
}
