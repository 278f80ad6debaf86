//! The tree of all paths as a page shows it: small boxes put together, so that there are not too many.
//!
//! Sums hold whatever is put together: a box named "pruned" has all that the boxes in it have.

use std::cmp::Reverse;

use spandrel_query::OrderRows as _;
use spandrel_query::stacks::{Frame, StackNode};
use spandrel_query::{StackTree, Weight};

use super::names::Names;
use crate::report::bounds;
use crate::report::data::{Flame, NAME_NO_PARENT, NAME_OTHERS, NAME_PRUNED};

/// The tree, and what was left out of it.
#[derive(Debug)]
pub(crate) struct Pruned {
    pub flame: Flame,
    /// Paths that are shown together with others.
    pub paths: u64,
}

/// A node with everything under it.
#[derive(Debug, Clone, Copy, Default)]
struct Whole {
    calls: u64,
    errors: u64,
    self_ns: i64,
    busy_ns: i64,
    wall_ns: i64,
    paths: u64,
}

impl Whole {
    fn of(node: &StackNode) -> Self {
        let sums = &node.sums;
        Self {
            calls: sums.calls,
            errors: sums.errors,
            self_ns: sums.self_ns,
            busy_ns: sums.busy_ns.unwrap_or(0),
            wall_ns: sums.wall_ns,
            paths: 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.wall_ns = self.wall_ns.saturating_add(other.wall_ns);
        self.paths += other.paths;
    }

    /// How large its box is at most, by whatever weight.
    fn size(&self) -> i64 {
        self.self_ns.max(self.wall_ns).max(self.busy_ns)
    }
}

enum Step {
    Node(usize),
    /// Depth, and the sums of the merged boxes.
    Pruned(u32, Whole),
}

/// Merges the boxes of each parent that are less than a share of the whole, or beyond a number of boxes.
pub(crate) fn prune(tree: &StackTree, names: &mut Names) -> Pruned {
    let whole = all_under(tree);
    let least = least(tree, &whole);
    let mut below = tree.children();
    let (mut flame, mut paths) = (Flame::default(), 0);
    let mut stack = vec![(Step::Node(tree.nodes().len()))];
    while let Some(step) = stack.pop() {
        let at = match step {
            Step::Pruned(depth, sums) => {
                put(&mut flame, NAME_PRUNED, depth, &sums);
                continue;
            }
            Step::Node(at) => at,
        };
        let mut depth = 0;
        // The index after the last node stands for the top, which has no box.
        if let Some(node) = tree.nodes().get(at) {
            put(&mut flame, name_of(node, names), node.depth, &Whole::of(node));
            depth = node.depth + 1;
        }
        let mut children = below.get_mut(at).map(std::mem::take).unwrap_or_default();
        let size = |at: &usize| whole.get(*at).map_or(0, Whole::size);
        children.order_by_key(|at| (Reverse(size(at)), *at));
        let cut = children.partition_point(|at| size(at) >= least);
        let mut small = Whole::default();
        children.drain(cut..).filter_map(|at| whole.get(at)).for_each(|whole| small.add(whole));
        // A path without counted spans has no box.
        if small.calls > 0 {
            paths += small.paths;
            stack.push(Step::Pruned(depth, small));
        }
        stack.extend(children.into_iter().rev().map(Step::Node));
    }
    Pruned { flame, paths }
}

/// What each node has with everything under it; a node stands behind its parent.
fn all_under(tree: &StackTree) -> Vec<Whole> {
    let mut all: Vec<Whole> = tree.nodes().iter().map(Whole::of).collect();
    let widths = [Weight::SelfTime, Weight::Busy, Weight::Wall].map(|weight| tree.widths(weight));
    for at in (0..all.len()).rev() {
        let Some(whole) = all.get_mut(at) else { continue };
        let width = |weight: usize| widths.get(weight).and_then(|list| list.get(at)).copied();
        whole.self_ns = width(0).unwrap_or(0);
        whole.busy_ns = width(1).unwrap_or(0);
        whole.wall_ns = width(2).unwrap_or(0);
        let counted = *whole;
        let parent = tree.nodes().get(at).and_then(|node| node.parent);
        if let Some(parent) = parent.and_then(|parent| all.get_mut(parent)) {
            parent.calls = parent.calls.saturating_add(counted.calls);
            parent.errors = parent.errors.saturating_add(counted.errors);
            parent.paths += counted.paths;
        }
    }
    all
}

/// The least size of a box of its own.
fn least(tree: &StackTree, all: &[Whole]) -> i64 {
    let mut top = Whole::default();
    let is_root = |node: &StackNode| node.parent.is_none();
    tree.nodes().iter().zip(all).filter(|(node, _)| is_root(node)).for_each(|(_, whole)| {
        top.add(whole);
    });
    let share = (top.size() as f64 * bounds::FLAME_SHARE) as i64;
    let mut sizes: Vec<i64> = all.iter().map(Whole::size).collect();
    sizes.sort_unstable_by_key(|size| Reverse(*size));
    let bound = sizes.get(bounds::FLAME_NODES).map_or(0, |size| size.saturating_add(1));
    share.max(bound).max(1)
}

fn name_of(node: &StackNode, names: &mut Names) -> i64 {
    match &node.frame {
        Frame::Span(callsite) | Frame::Entries { callsite, .. } => names.of_callsite(callsite),
        Frame::MissingParent => NAME_NO_PARENT,
        _ => NAME_OTHERS,
    }
}

fn put(flame: &mut Flame, name: i64, depth: u32, sums: &Whole) {
    flame.name.push(name);
    flame.depth.push(depth);
    flame.calls.push(sums.calls);
    flame.errors.push(sums.errors);
    flame.wall_ns.push(sums.wall_ns);
    flame.self_ns.push(sums.self_ns);
    flame.busy_ns.push(sums.busy_ns);
}

#[cfg(test)]
mod tests {
    use spandrel_query::{Scan, Stacks};

    use super::*;
    use crate::commands::test_profile::{Span, profile};

    fn pruned(spans: Vec<Span>) -> Flame {
        let (_folder, reader) = profile(spans);
        let mut stacks = Stacks::new(&reader, 1).unwrap();
        reader.scan(&Scan::new(1), |span| stacks.add(span)).unwrap();
        prune(&stacks.finish().unwrap(), &mut Names::default()).flame
    }

    fn child(name: &'static str, parent: usize, duration_ns: i64) -> Span {
        Span { parent: Some(parent), ..Span::new(name, duration_ns) }
    }

    #[test]
    fn the_longest_comes_first_and_parents_before_children() {
        let flame = pruned(vec![
            Span { self_ns: 30, ..Span::new("root", 100) },
            child("short", 0, 20),
            child("long", 0, 50),
        ]);
        assert_eq!(flame.depth, [0, 1, 1]);
        assert_eq!(flame.wall_ns, [100, 50, 20]);
        assert_eq!(flame.self_ns, [30, 50, 20]);
    }

    #[test]
    fn small_boxes_are_put_together_and_sums_hold() {
        let mut spans = vec![Span { self_ns: 999_000, ..Span::new("root", 1_000_000) }];
        spans.extend(["a", "b", "c", "d"].map(|name| child(name, 0, 250)));
        let flame = pruned(spans);
        assert_eq!(flame.name, [0, NAME_PRUNED]);
        assert_eq!((flame.calls, flame.depth), (vec![1, 4], vec![0, 1]));
        assert_eq!(flame.self_ns.iter().sum::<i64>(), 1_000_000);
        assert_eq!(flame.wall_ns, [1_000_000, 1_000]);
    }

    #[test]
    fn no_spans_make_no_boxes() {
        assert!(pruned(Vec::new()).name.is_empty());
    }
}
