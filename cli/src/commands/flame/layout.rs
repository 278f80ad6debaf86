//! Where the frames of a flame graph stand, as shares of its whole width.

use std::cmp::Reverse;

use spandrel_query::OrderRows as _;
use spandrel_query::StackTree;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FlameFrame {
    pub(crate) node: usize,
    pub(crate) depth: u32,
    /// Nanoseconds, or calls.
    pub(crate) weight: i64,
    /// Where it begins, from 0 to 1.
    pub(crate) start: f64,
    /// How much of the whole it is, from 0 to 1.
    pub(crate) width: f64,
}

/// All frames, parents before their children; siblings by width, the widest first.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) cells: Vec<FlameFrame>,
    /// The widths of all roots.
    pub(crate) total: i64,
    /// Paths that are deeper than was asked for.
    pub(crate) deeper: u64,
    /// Paths that are narrower than was asked for.
    pub(crate) narrow: u64,
}

impl Layout {
    /// At most `depth` levels (0: all), without frames narrower than `min_share`.
    pub(crate) fn new(tree: &StackTree, widths: &[i64], depth: u32, min_share: f64) -> Self {
        let mut children = tree.children();
        for list in &mut children {
            let name = |at: usize| tree.nodes().get(at).map(|node| node.frame.name());
            list.order_by_key(|at| (Reverse(widths.get(*at)), name(*at)));
        }
        let roots = children.last().cloned().unwrap_or_default();
        let weight = |at: usize| widths.get(at).copied().unwrap_or(0);
        let total = roots.iter().fold(0_i64, |sum, at| sum.saturating_add(weight(*at)));
        let mut layout = Self { cells: Vec::new(), total, deeper: 0, narrow: 0 };
        let mut to_place = vec![(roots, 0_u32, 0.0_f64)];
        while let Some((nodes, level, mut start)) = to_place.pop() {
            for node in nodes {
                let width = weight(node) as f64 / total as f64;
                if width.is_nan() || width <= 0.0 {
                    continue; // nothing to see: no closed span is under it
                }
                if depth > 0 && level >= depth {
                    layout.deeper += 1;
                } else if width < min_share {
                    layout.narrow += 1;
                } else {
                    let weight = weight(node);
                    layout.cells.push(FlameFrame { node, depth: level, weight, start, width });
                    let below = children.get_mut(node).map(std::mem::take).unwrap_or_default();
                    to_place.push((below, level + 1, start));
                }
                start += width;
            }
        }
        // Placing them goes level by level; sorted by position, they read as a tree.
        layout.cells.order_by(|one, other| {
            one.start.total_cmp(&other.start).then(one.depth.cmp(&other.depth))
        });
        layout
    }

    pub(crate) fn levels(&self) -> u32 {
        self.cells.iter().map(|cell| cell.depth + 1).max().unwrap_or(0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use spandrel_query::{Scan, Stacks, Weight};

    use super::*;
    use crate::commands::test_profile::{self, Span};

    /// root 100 = a 60 (of which c 20) + b 30 + 10 of its own.
    pub(in super::super) fn tree() -> StackTree {
        let child = |name, parent, ns, self_ns| Span {
            parent: Some(parent),
            self_ns,
            ..Span::new(name, ns)
        };
        let root = Span { self_ns: 10, ..Span::new("root", 100) };
        let spans = [root, child("b", 0, 30, 30), child("a", 0, 60, 40), child("c", 2, 20, 20)];
        let (_folder, reader) = test_profile::profile(spans);
        let mut stacks = Stacks::new(&reader, 1).unwrap();
        reader.scan(&Scan::new(1), |span| stacks.add(span)).unwrap();
        stacks.finish().unwrap()
    }

    fn names(tree: &StackTree, layout: &Layout) -> Vec<String> {
        let cells = layout.cells.iter();
        cells
            .map(|cell| {
                let name = tree.nodes()[cell.node].frame.name();
                format!("{name} {} {:.0}+{:.0}", cell.depth, cell.start * 100.0, cell.width * 100.0)
            })
            .collect()
    }

    #[test]
    fn frames_stand_under_their_parents_the_widest_first() {
        let tree = tree();
        let widths = tree.widths(Weight::SelfTime);
        let layout = Layout::new(&tree, &widths, 0, 0.0);
        assert_eq!(names(&tree, &layout), ["root 0 0+100", "a 1 0+60", "c 2 0+20", "b 1 60+30"]);
        assert_eq!((layout.total, layout.levels()), (100, 3));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let tree = tree();
        let widths = tree.widths(Weight::SelfTime);
        let layout = Layout::new(&tree, &widths, 2, 0.0);
        assert_eq!((layout.levels(), layout.deeper, layout.narrow), (2, 1, 0));
        let layout = Layout::new(&tree, &widths, 0, 0.35);
        assert_eq!((layout.cells.len(), layout.deeper, layout.narrow), (2, 0, 2));
    }
}
