//! The tree of all paths: how often each was taken, and how long it took.
//!
//! A span's path is known when its parent's is, so spans come in the order of their start
//! ([`super::in_order`]), and the paths of spans that may still get children are remembered until they
//! have ended. So what is held is as much as was open at once, and not as much as there was.
//!
//! Sums hold whatever is left out: the time of a path that finds no place counts for a node of its own
//! under the nearest ancestor that has one.

use std::collections::HashMap;

use super::row::Row;
use crate::report::bounds;
use crate::report::data::{Flame, NAME_NO_PARENT, NAME_OTHERS, NAME_PRUNED};

/// How long after its end a span is remembered: spans are in order up to this.
const SLACK_NS: i64 = 200_000_000;
/// The node above all roots.
const TOP: u32 = 0;

/// What the spans of one path have in sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    calls: u64,
    errors: u64,
    wall_ns: i64,
    self_ns: i64,
    busy_ns: i64,
    max_ns: i64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.wall_ns = self.wall_ns.saturating_add(other.wall_ns);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

#[derive(Debug)]
struct Node {
    name: i64,
    depth: u32,
    parent: u32,
    sums: Sums,
}

/// A span that may still get children.
#[derive(Debug)]
struct Open {
    node: u32,
    end_ns: i64,
}

/// Builds the tree.
#[derive(Debug)]
pub(crate) struct FlameTree {
    nodes: Vec<Node>,
    children: HashMap<(u32, i64), u32>,
    open: HashMap<u64, Open>,
    /// How many are remembered when those that have ended are looked for.
    sweep_at: usize,
    orphans: u64,
    /// Spans that did not get a node of their own path.
    folded: u64,
}

/// The tree, and what was left out of it.
#[derive(Debug)]
pub(crate) struct Pruned {
    pub flame: Flame,
    /// Paths that are shown together with others.
    pub paths: u64,
    /// Spans whose parent is not in the profile.
    pub orphans: u64,
    /// Spans of too many or too deep paths.
    pub folded: u64,
}

impl FlameTree {
    pub(crate) fn new() -> Self {
        let top = Node { name: NAME_OTHERS, depth: 0, parent: TOP, sums: Sums::default() };
        Self {
            nodes: vec![top],
            children: HashMap::new(),
            open: HashMap::new(),
            sweep_at: 65_536,
            orphans: 0,
            folded: 0,
        }
    }

    /// Counts a span, if it is selected; its parent came before, or is not there.
    pub(crate) fn add(&mut self, row: &Row) {
        let above = match row.parent {
            None => TOP,
            Some(parent) => match self.open.get(&parent) {
                Some(open) => open.node,
                None => {
                    self.orphans += u64::from(row.selected);
                    self.child(TOP, NAME_NO_PARENT)
                }
            },
        };
        let node = self.child(above, row.name);
        let sums = Sums {
            calls: 1,
            errors: u64::from(row.is_error()),
            wall_ns: row.duration_ns.unwrap_or(0).max(0),
            self_ns: row.self_ns.unwrap_or(0).max(0),
            busy_ns: row.busy_ns.filter(|_| row.duration_ns.is_some()).unwrap_or(0).max(0),
            max_ns: row.duration_ns.unwrap_or(0),
        };
        if let Some(node) = self.nodes.get_mut(node as usize).filter(|_| row.selected) {
            node.sums.add(&sums);
        }
        self.open.insert(row.id, Open { node, end_ns: row.end_ns() });
        if self.open.len() >= self.sweep_at {
            let now_ns = row.start_ns.saturating_sub(SLACK_NS);
            self.open.retain(|_, open| open.end_ns >= now_ns);
            self.sweep_at = (2 * self.open.len()).max(65_536);
        }
    }

    /// The node for a name under another; one for all others where there is no room.
    fn child(&mut self, parent: u32, name: i64) -> u32 {
        if let Some(known) = self.children.get(&(parent, name)) {
            return *known;
        }
        let Some(above) = self.nodes.get(parent as usize) else {
            return TOP;
        };
        if above.name == NAME_OTHERS && parent != TOP {
            self.folded += 1;
            return parent;
        }
        let depth = above.depth + 1;
        let no_room = self.nodes.len() >= bounds::FLAME_PATHS || depth >= bounds::FLAME_DEPTH;
        if no_room && name != NAME_OTHERS && name != NAME_NO_PARENT {
            self.folded += 1;
            return self.child(parent, NAME_OTHERS);
        }
        let number = self.nodes.len() as u32;
        self.nodes.push(Node { name, depth, parent, sums: Sums::default() });
        self.children.insert((parent, name), number);
        number
    }

    /// The tree as the page shows it: small boxes put together, the longest first on each level.
    pub(crate) fn finish(self) -> Pruned {
        let whole = self.whole();
        let least = self.least(&whole);
        let mut below: Vec<Vec<u32>> = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            if let Some(list) = below.get_mut(node.parent as usize) {
                list.push(at as u32);
            }
        }
        let mut flame = Flame::default();
        let mut paths = 0;
        let mut stack = vec![Step::Node(TOP)];
        while let Some(step) = stack.pop() {
            match step {
                Step::Pruned(depth, sums) => put(&mut flame, NAME_PRUNED, depth, &sums),
                Step::Node(at) => {
                    let Some(node) = self.nodes.get(at as usize) else { continue };
                    if at != TOP {
                        put(&mut flame, node.name, node.depth - 1, &node.sums);
                    }
                    let children = below.get_mut(at as usize).map(std::mem::take);
                    let mut children = children.unwrap_or_default();
                    // Ways that led to no selected span.
                    children
                        .retain(|at| whole.get(*at as usize).is_some_and(|node| node.calls > 0));
                    let size = |at: &u32| whole.get(*at as usize).map_or(0, Whole::size);
                    children.sort_by_key(|at| (std::cmp::Reverse(size(at)), *at));
                    let cut = children.partition_point(|at| size(at) >= least);
                    let mut pruned = Sums::default();
                    let any = cut < children.len();
                    for small in children.drain(cut..) {
                        let Some(whole) = whole.get(small as usize) else { continue };
                        pruned.add(&whole.as_one());
                        paths += whole.paths;
                    }
                    if any {
                        stack.push(Step::Pruned(node.depth, pruned));
                    }
                    stack.extend(children.into_iter().rev().map(Step::Node));
                }
            }
        }
        Pruned { flame, paths, orphans: self.orphans, folded: self.folded }
    }

    /// What each node has with everything under it. A node stands behind its parent.
    fn whole(&self) -> Vec<Whole> {
        let mut whole: Vec<Whole> = self.nodes.iter().map(Whole::of).collect();
        for at in (1..self.nodes.len()).rev() {
            let Some(parent) = self.nodes.get(at).map(|node| node.parent as usize) else {
                continue;
            };
            if let Some(child) = whole.get(at).copied()
                && let Some(parent) = whole.get_mut(parent)
            {
                parent.include(&child);
            }
        }
        whole
    }

    /// The least size of a box of its own, so that there are not too many.
    fn least(&self, whole: &[Whole]) -> i64 {
        let all = whole.first().map_or(0, Whole::size);
        let share = (all as f64 * bounds::FLAME_SHARE) as i64;
        let mut sizes: Vec<i64> = whole.iter().map(Whole::size).collect();
        sizes.sort_unstable_by_key(|size| std::cmp::Reverse(*size));
        let bound = sizes.get(bounds::FLAME_NODES).map_or(0, |size| size + 1);
        share.max(bound)
    }
}

enum Step {
    Node(u32),
    /// Depth, and what was put together.
    Pruned(u32, Sums),
}

/// A node with everything under it.
#[derive(Debug, Clone, Copy)]
struct Whole {
    own: Sums,
    calls: u64,
    self_ns: i64,
    /// Durations of the children, and what of it a node without a duration of its own stands for.
    children_wall_ns: i64,
    children_busy_ns: i64,
    paths: u64,
}

impl Whole {
    fn of(node: &Node) -> Self {
        Self {
            own: node.sums,
            calls: node.sums.calls,
            self_ns: node.sums.self_ns,
            children_wall_ns: 0,
            children_busy_ns: 0,
            paths: 1,
        }
    }

    fn include(&mut self, child: &Self) {
        self.calls = self.calls.saturating_add(child.calls);
        self.self_ns = self.self_ns.saturating_add(child.self_ns);
        self.children_wall_ns = self.children_wall_ns.saturating_add(child.wall_ns());
        self.children_busy_ns = self.children_busy_ns.saturating_add(child.busy_ns());
        self.paths += if child.calls > 0 { child.paths } else { 0 };
    }

    /// Children are inside their parent, whose duration counts; a parent without one, such as an
    /// unfinished span, is as long as they are.
    fn wall_ns(&self) -> i64 {
        if self.own.wall_ns > 0 { self.own.wall_ns } else { self.children_wall_ns }
    }

    fn busy_ns(&self) -> i64 {
        if self.own.busy_ns > 0 { self.own.busy_ns } else { self.children_busy_ns }
    }

    /// How large its box is at most, by whatever weight.
    fn size(&self) -> i64 {
        self.self_ns.max(self.wall_ns())
    }

    /// All of it as one box without children.
    fn as_one(&self) -> Sums {
        Sums {
            calls: self.calls,
            self_ns: self.self_ns,
            wall_ns: self.wall_ns(),
            busy_ns: self.busy_ns(),
            ..self.own
        }
    }
}

fn put(flame: &mut Flame, name: i64, depth: u32, sums: &Sums) {
    flame.name.push(name);
    flame.depth.push(depth);
    flame.calls.push(sums.calls);
    flame.errors.push(sums.errors);
    flame.wall_ns.push(sums.wall_ns);
    flame.self_ns.push(sums.self_ns);
    flame.busy_ns.push(sums.busy_ns);
    flame.max_ns.push(sums.max_ns);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::tests::span;
    use super::*;

    fn tree(rows: &[Row]) -> Pruned {
        let mut tree = FlameTree::new();
        rows.iter().for_each(|row| tree.add(row));
        tree.finish()
    }

    fn roots_wall(flame: &Flame) -> i64 {
        (0..flame.name.len()).filter(|at| flame.depth[*at] == 0).map(|at| flame.wall_ns[at]).sum()
    }

    #[test]
    fn paths_are_merged_and_the_longest_comes_first() {
        let mut rows = vec![span(1, 0, 0, 0, 100), span(2, 1, 1, 10, 20), span(3, 1, 2, 40, 50)];
        rows.extend([span(4, 0, 0, 100, 100), span(5, 4, 1, 110, 10)]);
        let flame = tree(&rows).flame;
        assert_eq!(flame.name, [0, 2, 1]);
        assert_eq!(flame.depth, [0, 1, 1]);
        assert_eq!(flame.calls, [2, 1, 2]);
        assert_eq!(flame.wall_ns, [200, 50, 30]);
        assert_eq!(flame.max_ns, [100, 50, 20]);
    }

    #[test]
    fn a_span_whose_parent_is_missing_is_shown_as_such() {
        let pruned = tree(&[span(1, 0, 0, 0, 100), span(9, 7, 1, 10, 20)]);
        assert_eq!(pruned.flame.name, [0, NAME_NO_PARENT, 1]);
        assert_eq!((pruned.orphans, pruned.flame.wall_ns), (1, vec![100, 0, 20]));
    }

    #[test]
    fn what_is_not_selected_is_only_the_way_to_what_is() {
        let way = |row: Row| Row { selected: false, ..row };
        let rows = [
            way(span(1, 0, 0, 0, 100)),
            span(2, 1, 1, 10, 20),
            way(span(3, 2, 2, 12, 5)),
            way(span(4, 1, 3, 40, 50)),
        ];
        let flame = tree(&rows).flame;
        assert_eq!(flame.name, [0, 1]);
        assert_eq!((flame.calls, flame.wall_ns), (vec![0, 1], vec![0, 20]));
    }

    #[test]
    fn small_boxes_are_put_together_and_sums_hold() {
        let mut rows = vec![span(1, 0, 0, 0, 1_000_000)];
        rows.extend((0..50).map(|n| span(n + 2, 1, n as i64 + 1, n as i64, 10)));
        let pruned = tree(&rows);
        assert_eq!(pruned.flame.name, [0, NAME_PRUNED]);
        assert_eq!(pruned.flame.calls, [1, 50]);
        assert_eq!(pruned.flame.wall_ns, [1_000_000, 500]);
        assert_eq!(pruned.paths, 50);
    }

    #[test]
    fn recursion_without_end_is_bounded() {
        let depth = i64::from(bounds::FLAME_DEPTH) + 500;
        let rows: Vec<_> =
            (0..depth).map(|n| span(n as u64 + 1, n as u64, 0, n, 10_000 - n)).collect();
        let pruned = tree(&rows);
        let deepest = pruned.flame.depth.iter().max().copied();
        assert_eq!(deepest, Some(bounds::FLAME_DEPTH - 1));
        assert_eq!(pruned.flame.calls.iter().sum::<u64>(), depth as u64);
        assert!(pruned.folded >= 500, "{}", pruned.folded);
    }

    #[test]
    fn spans_that_have_ended_are_forgotten() {
        let mut tree = FlameTree::new();
        for n in 0..400_000_i64 {
            tree.add(&span(n as u64 + 1, 0, 0, n * 100_000, 50_000));
        }
        assert!(tree.open.len() <= 65_536, "{}", tree.open.len());
        assert_eq!(tree.orphans, 0);
    }

    proptest! {
        #[test]
        fn whatever_the_tree_its_sums_are_those_of_the_spans(
            shape in proptest::collection::vec((0_usize..40, 0_i64..6, 0_i64..5_000_000), 1..400),
        ) {
            let mut rows: Vec<Row> = Vec::new();
            for (at, (up, name, duration_ns)) in shape.iter().enumerate() {
                let parent = if *up > at || *up == 0 { 0 } else { at - up + 1 };
                rows.push(span(at as u64 + 1, parent as u64, *name, at as i64, *duration_ns));
            }
            let roots = rows.iter().filter(|row| row.parent.is_none());
            let roots: i64 = roots.filter_map(|row| row.duration_ns).sum();
            let pruned = tree(&rows);
            prop_assert_eq!(pruned.orphans, 0);
            let own: i64 = rows.iter().filter_map(|row| row.self_ns).sum();
            prop_assert_eq!(pruned.flame.self_ns.iter().sum::<i64>(), own);
            // A root without a duration is as long as its children.
            prop_assert!(roots_wall(&pruned.flame) >= roots);
        }
    }
}
