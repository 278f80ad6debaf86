//! Other trees out of a tree of stacks: without recursion, or of one name only.

use super::builder::{TOP, TreeBuilder};
use super::tree::StackTree;

impl StackTree {
    /// Recursion folded: a span inside of a span of the same name counts at the outer one, so a path
    /// has each name once. The time of such a span is in that of the outer one already.
    #[must_use]
    pub fn without_recursion(&self) -> Self {
        let mut folded = TreeBuilder::new();
        let mut places: Vec<u32> = Vec::with_capacity(self.nodes().len());
        for (at, node) in self.nodes().iter().enumerate() {
            let path = self.path(at);
            let above = path.split_last().map_or(&[][..], |(_, above)| above);
            let outer = node.parent.and_then(|parent| places.get(parent)).copied();
            // The node of the outermost ancestor of the same name, if there is one.
            let first = above.iter().position(|frame| frame.name() == node.frame.name());
            let place = match first.and_then(|depth| self.above(at, depth)) {
                Some(ancestor) => places.get(ancestor).copied().unwrap_or(TOP),
                None => folded.child_like(outer.unwrap_or(TOP), &node.frame),
            };
            if let Some(sums) = folded.sums(place) {
                sums.merge(&node.sums, first.is_some());
            }
            places.push(place);
        }
        folded.finish()
    }

    /// What is under the spans of a name, whatever is above them; of nested ones the outermost.
    #[must_use]
    pub fn rooted_at(&self, name: &str) -> Self {
        let mut rooted = TreeBuilder::new();
        let mut places: Vec<Option<u32>> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let above = node.parent.and_then(|parent| places.get(parent).copied().flatten());
            // Asked for by the name without the mark.
            let callsite = node.frame.callsite().map(|callsite| callsite.name.as_str());
            let is_meant = node.frame.name() == name || callsite == Some(name);
            let parent = above.or(is_meant.then_some(TOP));
            let place = parent.map(|parent| rooted.child_like(parent, &node.frame));
            if let Some(sums) = place.and_then(|place| rooted.sums(place)) {
                sums.merge(&node.sums, false);
            }
            places.push(place);
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
