//! Derives other trees from a tree of stacks: without recursion, or of one name only.

use super::builder::{TOP, TreeBuilder};
use super::tree::StackTree;

impl StackTree {
    /// Folds recursion: a span inside a span of the same name counts for the outer one, so each name is on a path
    /// once. Its time is part of the outer one's already.
    #[must_use]
    pub fn without_recursion(&self) -> Self {
        let mut folded = TreeBuilder::new();
        let mut new_nodes: Vec<u32> = Vec::with_capacity(self.nodes().len());
        for (at, node) in self.nodes().iter().enumerate() {
            let path = self.path(at);
            let above = path.split_last().map_or(&[][..], |(_, above)| above);
            let outer = node.parent.and_then(|parent| new_nodes.get(parent)).copied();
            // The node of the outermost ancestor of the same name, if there is one.
            let first = above.iter().position(|frame| frame.name() == node.frame.name());
            let new_node = match first.and_then(|depth| self.above(at, depth)) {
                Some(ancestor) => new_nodes.get(ancestor).copied().unwrap_or(TOP),
                None => folded.copy_child(outer.unwrap_or(TOP), &node.frame),
            };
            if let Some(sums) = folded.sums(new_node) {
                sums.merge(&node.sums, first.is_some());
            }
            new_nodes.push(new_node);
        }
        folded.finish()
    }

    /// The subtrees of a name, wherever they are; of nested ones the outermost.
    #[must_use]
    pub fn rooted_at(&self, name: &str) -> Self {
        let mut rooted = TreeBuilder::new();
        let mut new_nodes: Vec<Option<u32>> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let above = node.parent.and_then(|parent| new_nodes.get(parent).copied().flatten());
            // The name without the mark of long-lived spans matches, too.
            let callsite = node.frame.callsite().map(|callsite| callsite.name.as_str());
            let is_meant = node.frame.name() == name || callsite == Some(name);
            let parent = above.or(is_meant.then_some(TOP));
            let new_node = parent.map(|parent| rooted.copy_child(parent, &node.frame));
            if let Some(sums) = new_node.and_then(|new_node| rooted.sums(new_node)) {
                sums.merge(&node.sums, false);
            }
            new_nodes.push(new_node);
        }
        rooted.finish()
    }

    /// The ancestor of a node at a depth.
    fn above(&self, at: usize, depth: usize) -> Option<usize> {
        let node = |at: usize| self.nodes().get(at);
        let mut at = at;
        while node(at)?.depth as usize > depth {
            at = node(at)?.parent?;
        }
        Some(at)
    }
}
