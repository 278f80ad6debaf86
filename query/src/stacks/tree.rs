//! The tree of stacks, and how wide its nodes are.

use std::sync::Arc;

use super::super::SpanRef;
use crate::reader::{Callsite, CountedBy, Entry};
use spandrel_storage::Status;

/// The mark behind the name of long-lived spans, whose entries count.
const LONG: char = '⟳';

/// What a node stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Spans of this name; with the first callsite of that name that was met.
    Span(Arc<Callsite>),
    /// Long-lived spans of this name, by their entries.
    Entries {
        /// The first callsite of that name that was met.
        callsite: Arc<Callsite>,
        /// The name with a mark behind it.
        name: Arc<str>,
    },
    /// Parents that are not in the file: dropped, pruned, or not written yet.
    MissingParent,
    /// The rest of paths that were too deep, or too many.
    Cut,
}

impl Frame {
    /// The frame of long-lived spans.
    pub(super) fn of_entries(callsite: &Arc<Callsite>) -> Self {
        let name = format!("{} {LONG}", callsite.name);
        Self::Entries { callsite: callsite.clone(), name: name.into() }
    }

    /// The callsite of its spans, if they have one.
    pub fn callsite(&self) -> Option<&Arc<Callsite>> {
        match self {
            Self::Span(callsite) | Self::Entries { callsite, .. } => Some(callsite),
            Self::MissingParent | Self::Cut => None,
        }
    }

    /// What a call is; `None` for a frame without a name.
    pub fn counted(&self) -> Option<CountedBy> {
        match self {
            Self::Span(_) => Some(CountedBy::Lifetime),
            Self::Entries { .. } => Some(CountedBy::Entries),
            Self::MissingParent | Self::Cut => None,
        }
    }

    /// The name, with a mark for long-lived spans; special frames have one in parentheses.
    pub fn name(&self) -> &str {
        match self {
            Self::Span(callsite) => &callsite.name,
            Self::Entries { name, .. } => name,
            Self::MissingParent => "(missing parent)",
            Self::Cut => "(cut)",
        }
    }
}

/// Sums over the spans of one path. Times are of calls only: closed spans, or entries of long-lived spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sums {
    /// Closed spans, or entries.
    pub calls: u64,
    /// Spans that are unfinished.
    pub unfinished: u64,
    /// Closed spans that failed or panicked.
    pub errors: u64,
    /// Sum of their self times.
    pub self_ns: i64,
    /// Sum of their busy times; `None` if one of them was not measured.
    pub busy_ns: Option<i64>,
    /// Sum of their durations.
    pub wall_ns: i64,
}

impl Default for Sums {
    fn default() -> Self {
        Self { calls: 0, unfinished: 0, errors: 0, self_ns: 0, busy_ns: Some(0), wall_ns: 0 }
    }
}

impl Sums {
    /// Closed and unfinished spans.
    pub fn spans(&self) -> u64 {
        self.calls.saturating_add(self.unfinished)
    }

    #[inline]
    pub(super) fn count(&mut self, span: &SpanRef<'_>) {
        if let Some(entry) = span.entry {
            return self.count_entry(entry);
        }
        let Some(duration_ns) = span.duration_ns else {
            self.unfinished += 1;
            return;
        };
        self.errors += u64::from(matches!(span.status, Status::Error | Status::Panicked));
        if span.counts_by_entries() {
            return;
        }
        self.calls += 1;
        self.self_ns = self.self_ns.saturating_add(span.self_ns.unwrap_or(0));
        self.busy_ns = self.busy_ns.zip(span.busy_ns).map(|(sum, ns)| sum.saturating_add(ns));
        self.wall_ns = self.wall_ns.saturating_add(duration_ns);
    }

    /// Counts an entry and the earlier ones.
    pub(super) fn count_entry(&mut self, entry: &Entry) {
        let ns = entry.duration_ns.saturating_add(entry.earlier_ns);
        self.calls = self.calls.saturating_add(1).saturating_add(entry.earlier_entries);
        self.self_ns = self.self_ns.saturating_add(entry.self_ns.unwrap_or(0));
        self.busy_ns = self.busy_ns.map(|sum| sum.saturating_add(ns));
        self.wall_ns = self.wall_ns.saturating_add(ns);
    }

    /// Adds the sums of another path. If its spans are inside of spans that are counted here (`nested`), their busy
    /// time and duration are counted already.
    pub(super) fn merge(&mut self, other: &Self, nested: bool) {
        self.calls = self.calls.saturating_add(other.calls);
        self.unfinished = self.unfinished.saturating_add(other.unfinished);
        self.errors = self.errors.saturating_add(other.errors);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
        if !nested {
            self.busy_ns = self.busy_ns.zip(other.busy_ns).map(|(sum, ns)| sum.saturating_add(ns));
            self.wall_ns = self.wall_ns.saturating_add(other.wall_ns);
        }
    }
}

/// One path from a root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackNode {
    /// The last frame of the path.
    pub frame: Frame,
    /// The index in [`StackTree::nodes`] of the path without that frame, less than this one's; `None`: a root.
    pub parent: Option<usize>,
    /// Frames above this one.
    pub depth: u32,
    /// Sums over the spans with exactly this path.
    pub sums: Sums,
}

/// What the width of a node means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weight {
    /// Self time: up to the last exit, less the union of the children. A node is as wide as all self times in its
    /// subtree.
    #[default]
    SelfTime,
    /// Busy time, children included. A node is never narrower than its children together, which may run on other
    /// threads at the same time.
    Busy,
    /// Duration, children included; as with busy time, parallel children widen their parent.
    Wall,
    /// How many closed spans, or entries.
    Calls,
}

/// The paths of names of all spans that were counted. A node comes behind its parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackTree {
    nodes: Vec<StackNode>,
}

impl StackTree {
    pub(super) fn new(nodes: Vec<StackNode>) -> Self {
        Self { nodes }
    }

    /// All nodes, each behind its parent.
    pub fn nodes(&self) -> &[StackNode] {
        &self.nodes
    }

    /// Calls and unfinished spans of all paths.
    pub fn spans(&self) -> u64 {
        total(self.nodes.iter())
    }

    /// Calls of all paths.
    pub fn calls(&self) -> u64 {
        self.nodes.iter().map(|node| node.sums.calls).fold(0, u64::saturating_add)
    }

    /// Unfinished spans of all paths.
    pub fn unfinished(&self) -> u64 {
        self.nodes.iter().map(|node| node.sums.unfinished).fold(0, u64::saturating_add)
    }

    /// Whether busy time was measured for all spans.
    pub fn has_busy(&self) -> bool {
        self.nodes.iter().all(|node| node.sums.busy_ns.is_some())
    }

    /// Closed and unfinished spans that were counted under [`Frame::Cut`].
    pub fn cut(&self) -> u64 {
        self.count_of(|frame| *frame == Frame::Cut)
    }

    /// Closed and unfinished spans whose parent is not in the file.
    pub fn orphans(&self) -> u64 {
        let is_missing = |node: &StackNode| node.frame == Frame::MissingParent;
        let parent = |node: &StackNode| self.nodes.get(node.parent?);
        let orphans = self.nodes.iter().filter(|node| parent(node).is_some_and(is_missing));
        total(orphans)
    }

    fn count_of(&self, wanted: impl Fn(&Frame) -> bool) -> u64 {
        total(self.nodes.iter().filter(|node| wanted(&node.frame)))
    }

    /// The children of each node, and one more element: the roots.
    pub fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.nodes.len() + 1];
        for (at, node) in self.nodes.iter().enumerate() {
            if let Some(list) = children.get_mut(node.parent.unwrap_or(self.nodes.len())) {
                list.push(at);
            }
        }
        children
    }

    /// The frames from the root to a node.
    pub fn path(&self, at: usize) -> Vec<&Frame> {
        let above = |node: &&StackNode| self.nodes.get(node.parent?);
        let nodes = std::iter::successors(self.nodes.get(at), above);
        let mut path: Vec<&Frame> = nodes.map(|node| &node.frame).collect();
        path.reverse();
        path
    }

    /// The width of each node with its subtree: nanoseconds, or calls for [`Weight::Calls`].
    pub fn widths(&self, weight: Weight) -> Vec<i64> {
        let mut under = vec![0_i64; self.nodes.len()];
        for at in (0..self.nodes.len()).rev() {
            let (Some(node), Some(below)) = (self.nodes.get(at), under.get(at).copied()) else {
                continue;
            };
            let sums = &node.sums;
            let width = match weight {
                Weight::SelfTime => below.saturating_add(sums.self_ns),
                Weight::Calls => {
                    below.saturating_add(i64::try_from(sums.calls).unwrap_or(i64::MAX))
                }
                Weight::Busy => below.max(sums.busy_ns.unwrap_or(0)),
                Weight::Wall => below.max(sums.wall_ns),
            };
            if let Some(under) = under.get_mut(at) {
                *under = width;
            }
            if let Some(above) = node.parent.and_then(|parent| under.get_mut(parent)) {
                *above = above.saturating_add(width);
            }
        }
        under
    }

    /// The width of each node without its children: the values of a folded export.
    pub fn own(&self, weight: Weight) -> Vec<i64> {
        let widths = self.widths(weight);
        let mut own = widths.clone();
        for (node, width) in self.nodes.iter().zip(&widths) {
            if let Some(above) = node.parent.and_then(|parent| own.get_mut(parent)) {
                *above = above.saturating_sub(*width);
            }
        }
        own
    }
}

/// Saturating, since the sums of a damaged file may be anything.
fn total<'a>(nodes: impl Iterator<Item = &'a StackNode>) -> u64 {
    nodes.map(|node| node.sums.spans()).fold(0, u64::saturating_add)
}
