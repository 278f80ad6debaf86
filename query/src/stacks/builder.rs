//! A tree of stacks while it grows: the child of a node by name, within bounds.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::SpanRef;
use super::tree::{Frame, StackNode, StackTree, Sums};
use crate::reader::{Callsite, Entry};
use spandrel_storage::internals::FastHashMap;

/// Frames of a path at most; what is deeper is counted under [`Frame::Cut`].
const DEPTH_MAX: u32 = 512;
/// Nodes at most, not counting those that stand for what was cut.
const NODES_MAX: usize = 65_536;

/// The parent of roots.
pub(super) const TOP: u32 = u32::MAX;

/// Numbers of frames that are no names.
const MISSING_PARENT: u32 = 0;
const CUT: u32 = 1;
const FIRST_NAME: u32 = 2;
/// In the number of a name: of spans that live long.
const OF_ENTRIES: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct TreeBuilder {
    nodes: Vec<StackNode>,
    /// The span that is placed, and of each node the one for which it was made.
    span_id: u64,
    made_for: Vec<u64>,
    /// From parent and frame to the node.
    children: FastHashMap<u64, u32>,
    /// From callsite to frame: callsites of the same name are the same frame.
    of_callsite: FastHashMap<i64, u32>,
    of_name: HashMap<String, u32>,
    /// Each callsite is a frame of its own.
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
            made_for: Vec::new(),
            children: FastHashMap::default(),
            of_callsite: FastHashMap::default(),
            of_name: HashMap::new(),
            by_callsite: false,
            depth_max,
            nodes_max,
        }
    }

    /// Another one of the same kind, without nodes.
    pub(super) fn of_nothing(&self) -> Self {
        let by_callsite = self.by_callsite;
        Self { by_callsite, ..Self::within(self.depth_max, self.nodes_max) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether some paths may have been cut for want of nodes, so that the order of spans says which.
    pub(super) fn is_full(&self) -> bool {
        self.nodes.len() >= self.nodes_max
    }

    /// What is made from now on is for this span.
    #[inline]
    pub(super) fn is_for(&mut self, span_id: u64) {
        self.span_id = span_id;
    }

    /// The tree that one builder makes of all spans that these were given, in the order of ids. `None` if that is not
    /// known.
    pub(super) fn join(parts: Vec<Self>) -> Option<Self> {
        let mut joined = parts.first()?.of_nothing();
        let mut order = Vec::new();
        for (part, built) in parts.iter().enumerate() {
            let nodes = built.made_for.iter().enumerate();
            order.extend(nodes.map(|(at, made_for)| (*made_for, part, at)));
        }
        // Those for one span are in the order in which it needs them, and a parent is before its children.
        order.sort_unstable();
        let mut places: Vec<_> = parts.iter().map(|part| vec![TOP; part.nodes.len()]).collect();
        for (made_for, part, at) in order {
            let node = parts.get(part)?.nodes.get(at)?;
            let parent = match node.parent {
                Some(parent) => *places.get(part)?.get(parent)?,
                None => TOP,
            };
            joined.is_for(made_for);
            *places.get_mut(part)?.get_mut(at)? = joined.add_like(parent, &node.frame, &node.sums);
        }
        (!joined.is_full() && !parts.iter().any(Self::is_full)).then_some(joined)
    }

    /// The child of a node, or a root, for a callsite.
    #[inline]
    pub(super) fn child(&mut self, parent: u32, callsite: &Arc<Callsite>) -> u32 {
        let frame = self.number_of(callsite);
        match self.children.get(&key(parent, frame)) {
            Some(node) => *node,
            None => self.grow(parent, frame, || Frame::Span(callsite.clone())),
        }
    }

    /// The same for spans that live long.
    #[inline]
    pub(super) fn long_lived(&mut self, parent: u32, callsite: &Arc<Callsite>) -> u32 {
        let frame = self.number_of(callsite) | OF_ENTRIES;
        match self.children.get(&key(parent, frame)) {
            Some(node) => *node,
            None => self.grow(parent, frame, || Frame::of_entries(callsite)),
        }
    }

    #[inline]
    fn number_of(&mut self, callsite: &Arc<Callsite>) -> u32 {
        match self.of_callsite.get(&callsite.id) {
            Some(frame) => *frame,
            None => self.frame_of(callsite),
        }
    }

    /// Where a node stands for spans that live long, that one.
    #[inline]
    pub(super) fn of_entries(&self, node: u32) -> Option<&Arc<Callsite>> {
        match &self.nodes.get(node as usize)?.frame {
            Frame::Entries { callsite, .. } => Some(callsite),
            _ => None,
        }
    }

    /// The child of a node, or a root, for a frame of another tree.
    pub(super) fn child_like(&mut self, parent: u32, frame: &Frame) -> u32 {
        match frame {
            Frame::Span(callsite) => self.child(parent, callsite),
            Frame::Entries { callsite, .. } => self.long_lived(parent, callsite),
            Frame::MissingParent => self.special(parent, MISSING_PARENT, Frame::MissingParent),
            Frame::Cut => self.special(parent, CUT, Frame::Cut),
        }
    }

    /// The child of a node for a frame of another tree, with what it sums up to there.
    pub(super) fn add_like(&mut self, parent: u32, frame: &Frame, sums: &Sums) -> u32 {
        let node = self.child_like(parent, frame);
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

    /// A new node, or the one that stands for what is cut.
    fn grow(&mut self, parent: u32, number: u32, frame: impl FnOnce() -> Frame) -> u32 {
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
        self.made_for.push(self.span_id);
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
