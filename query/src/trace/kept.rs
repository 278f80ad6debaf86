//! Spans of a trace that were open for long after their work.

use super::{Node, Trace};
use crate::oddities::{OUTLIVED_NS_MIN, SOON_NS};

/// A span that closed long after it had been left for the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlived {
    /// When it was left for the last time, nanoseconds after its start, ...
    pub left_ns: i64,
    /// ... and when it closed.
    pub closed_ns: i64,
    /// The place of the child that it closed with, which has kept it open; `None`: no child of it has.
    pub kept_by: Option<usize>,
}

impl Trace {
    /// Whether a span was open for at least as long again after its work as until then.
    pub fn outlived(&self, place: usize) -> Option<Outlived> {
        let Some(Node::Span(span)) = self.node(place).filter(|_| !self.lives_long(place)) else {
            return None;
        };
        let (left_ns, closed_ns) = (span.last_exit_ns?, span.duration_ns?);
        if closed_ns.saturating_sub(left_ns) < OUTLIVED_NS_MIN.max(left_ns) {
            return None;
        }
        let end_ns = self.end_ns(span);
        let closed_with = self.children(place).filter(|at| {
            let child = self.spans.get(*at).filter(|child| child.duration_ns.is_some());
            let early_ns = child.map(|child| end_ns.saturating_sub(self.end_ns(child)));
            early_ns.is_some_and(|ns| (0..=SOON_NS).contains(&ns))
        });
        let kept_by = closed_with.max_by_key(|at| self.bounds_ns(*at).map(|(_, end_ns)| end_ns));
        Some(Outlived { left_ns, closed_ns, kept_by })
    }
}
