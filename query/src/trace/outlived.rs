//! Spans of a trace that stayed open long after their work.

use super::{Node, Trace};
use crate::misleading::{OUTLIVED_NS_MIN, SOON_NS};

/// A span that closed long after its last exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlived {
    /// Its last exit, nanoseconds after its start, ...
    pub left_ns: i64,
    /// ... and when it closed.
    pub closed_ns: i64,
    /// The index of the child that kept it open: they closed together; `None` if there is none.
    pub kept_by: Option<usize>,
}

impl Trace {
    /// The times of a span that stayed open after its work at least as long as until then; else `None`.
    pub fn outlived(&self, index: usize) -> Option<Outlived> {
        let Some(Node::Span(span)) = self.node(index).filter(|_| !self.lives_long(index)) else {
            return None;
        };
        let (left_ns, closed_ns) = (span.last_exit_ns?, span.duration_ns?);
        if closed_ns.saturating_sub(left_ns) < OUTLIVED_NS_MIN.max(left_ns) {
            return None;
        }
        let end_ns = self.end_ns(span);
        let closed_with = self.children(index).filter(|at| {
            let child = self.spans.get(*at).filter(|child| child.duration_ns.is_some());
            let early_ns = child.map(|child| end_ns.saturating_sub(self.end_ns(child)));
            early_ns.is_some_and(|ns| (0..=SOON_NS).contains(&ns))
        });
        let kept_by = closed_with.max_by_key(|at| self.bounds_ns(*at).map(|(_, end_ns)| end_ns));
        Some(Outlived { left_ns, closed_ns, kept_by })
    }
}
