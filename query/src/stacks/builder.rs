//! Builds a tree of stacks within bounds: finds or makes the child of a node by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::SpanRef;
use super::tree::{Frame, StackNode, StackTree, Sums};
use crate::reader::{Callsite, Entry};
use spandrel_storage::internals::FastHashMap;

/// Frames of a path at most; deeper ones are counted under [`Frame::Cut`].
const DEPTH_MAX: u32 = 512;
/// Nodes at most, beside those of [`Frame::Cut`].
const NODES_MAX: usize = 65_536;

/// The parent of roots.
pub(super) const TOP: u32 = u32::MAX;

/// Numbers of special frames.
const MISSING_PARENT: u32 = 0;
const CUT: u32 = 1;
const FIRST_NAME: u32 = 2;
/// A bit in the number of a name: long-lived spans.
const OF_ENTRIES: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct TreeBuilder {
    nodes: Vec<StackNode>,
    /// The current span, and for each node the span for which it was created.
    span_id: u64,
    created_for: Vec<u64>,
    /// From parent and frame to the node.
    children: FastHashMap<u64, u32>,
    /// From callsite to frame: callsites of equal name share a frame.
    of_callsite: FastHashMap<i64, u32>,
    of_name: HashMap<String, u32>,
    /// Whether each callsite has a frame of its own.
    by_callsite: bool,
    depth_max: u32,
    nodes_max: usize,
}

impl TreeBuilder {
    pub(super) fn new() -> Self {
        Self::within(DEPTH_MAX, NODES_MAX)
    }

    pub(super) fn by_callsite() -> Self {
        Self { by_callsite: true, ..Self::new() }
    }

    pub(super) fn within(depth_max: u32, nodes_max: usize) -> Self {
        Self {
            nodes: Vec::new(),
            span_id: 0,
            created_for: Vec::new(),
            children: FastHashMap::default(),
            of_callsite: FastHashMap::default(),
            of_name: HashMap::new(),
            by_callsite: false,
            depth_max,
            nodes_max,
        }
    }

    /// An empty builder of the same kind.
    pub(super) fn empty_like(&self) -> Self {
        let by_callsite = self.by_callsite;
        Self { by_callsite, ..Self::within(self.depth_max, self.nodes_max) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether paths may have been cut as there were too many nodes; which ones depends on the order of spans.
    pub(super) fn is_full(&self) -> bool {
        self.nodes.len() >= self.nodes_max
    }

    /// Sets the span for which nodes are created from now on.
    #[inline]
    pub(super) fn set_span(&mut self, span_id: u64) {
        self.span_id = span_id;
    }

    /// Joins trees; the result is the tree that one builder makes of all their spans in order of id. `None` if that
    /// is not known.
    pub(super) fn join(parts: Vec<Self>) -> Option<Self> {
        let mut joined = parts.first()?.empty_like();
        let mut order = Vec::new();
        for (part, built) in parts.iter().enumerate() {
            let nodes = built.created_for.iter().enumerate();
            order.extend(nodes.map(|(at, created_for)| (*created_for, part, at)));
        }
        // Nodes created for one span are in order of creation, so parents come before their children.
        order.sort_unstable();
        let mut new_nodes: Vec<_> = parts.iter().map(|part| vec![TOP; part.nodes.len()]).collect();
        for (created_for, part, at) in order {
            let node = parts.get(part)?.nodes.get(at)?;
            let parent = match node.parent {
                Some(parent) => *new_nodes.get(part)?.get(parent)?,
                None => TOP,
            };
            joined.set_span(created_for);
            *new_nodes.get_mut(part)?.get_mut(at)? =
                joined.merge_child(parent, &node.frame, &node.sums);
        }
        (!joined.is_full() && !parts.iter().any(Self::is_full)).then_some(joined)
    }

    /// The child of a node, or a root, for a callsite.
    #[inline]
    pub(super) fn child(&mut self, parent: u32, callsite: &Arc<Callsite>) -> u32 {
        let frame = self.frame_number(callsite);
        match self.children.get(&key(parent, frame)) {
            Some(node) => *node,
            None => self.add_child(parent, frame, || Frame::Span(callsite.clone())),
        }
    }

    /// The same for a long-lived span.
    #[inline]
    pub(super) fn long_lived(&mut self, parent: u32, callsite: &Arc<Callsite>) -> u32 {
        let frame = self.frame_number(callsite) | OF_ENTRIES;
        match self.children.get(&key(parent, frame)) {
            Some(node) => *node,
            None => self.add_child(parent, frame, || Frame::of_entries(callsite)),
        }
    }

    #[inline]
    fn frame_number(&mut self, callsite: &Arc<Callsite>) -> u32 {
        match self.of_callsite.get(&callsite.id) {
            Some(frame) => *frame,
            None => self.frame_of(callsite),
        }
    }

    /// The callsite of a node that stands for long-lived spans.
    #[inline]
    pub(super) fn of_entries(&self, node: u32) -> Option<&Arc<Callsite>> {
        match &self.nodes.get(node as usize)?.frame {
            Frame::Entries { callsite, .. } => Some(callsite),
            _ => None,
        }
    }

    /// The child of a node, or a root, for a frame of another tree.
    pub(super) fn copy_child(&mut self, parent: u32, frame: &Frame) -> u32 {
        match frame {
            Frame::Span(callsite) => self.child(parent, callsite),
            Frame::Entries { callsite, .. } => self.long_lived(parent, callsite),
            Frame::MissingParent => self.special(parent, MISSING_PARENT, Frame::MissingParent),
            Frame::Cut => self.special(parent, CUT, Frame::Cut),
        }
    }

    /// The same, and adds the sums of the frame.
    pub(super) fn merge_child(&mut self, parent: u32, frame: &Frame, sums: &Sums) -> u32 {
        let node = self.copy_child(parent, frame);
        if let Some(all) = self.sums(node) {
            all.merge(sums, false);
        }
        node
    }

    /// The root that stands for all parents that are not in the file.
    pub(super) fn missing_parent(&mut self) -> u32 {
        self.special(TOP, MISSING_PARENT, Frame::MissingParent)
    }

    fn special(&mut self, parent: u32, number: u32, frame: Frame) -> u32 {
        match self.children.get(&key(parent, number)) {
            Some(node) => *node,
            None => self.push(parent, number, frame),
        }
    }

    fn frame_of(&mut self, callsite: &Callsite) -> u32 {
        let known = if self.by_callsite { self.of_callsite.len() } else { self.of_name.len() };
        let next = FIRST_NAME.saturating_add(known as u32);
        let frame = match self.of_name.get(&callsite.name) {
            _ if self.by_callsite => next,
            Some(frame) => *frame,
            None => *self.of_name.entry(callsite.name.clone()).or_insert(next),
        };
        self.of_callsite.insert(callsite.id, frame);
        frame
    }

    /// Adds a node; or gives the node of [`Frame::Cut`] if a bound is reached.
    fn add_child(&mut self, parent: u32, number: u32, frame: impl FnOnce() -> Frame) -> u32 {
        let depth = match self.nodes.get(parent as usize) {
            Some(StackNode { frame: Frame::Cut, .. }) => return parent,
            Some(node) => node.depth + 1,
            None => 0,
        };
        if depth >= self.depth_max || self.nodes.len() >= self.nodes_max {
            return self.special(parent, CUT, Frame::Cut);
        }
        self.push(parent, number, frame())
    }

    fn push(&mut self, parent: u32, number: u32, frame: Frame) -> u32 {
        let node = self.nodes.len() as u32;
        let above = self.nodes.get(parent as usize);
        self.created_for.push(self.span_id);
        self.nodes.push(StackNode {
            frame,
            depth: above.map_or(0, |above| above.depth + 1),
            parent: above.map(|_| parent as usize),
            sums: Sums::default(),
        });
        self.children.insert(key(parent, number), node);
        node
    }

    #[inline]
    pub(super) fn count(&mut self, node: u32, span: &SpanRef<'_>) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.sums.count(span);
        }
    }

    pub(super) fn count_entry(&mut self, node: u32, entry: &Entry) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.sums.count_entry(entry);
        }
    }

    pub(super) fn sums(&mut self, node: u32) -> Option<&mut Sums> {
        self.nodes.get_mut(node as usize).map(|node| &mut node.sums)
    }

    pub(super) fn finish(self) -> StackTree {
        StackTree::new(self.nodes)
    }
}

fn key(parent: u32, frame: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(frame)
}
