//! The slowest traces: those of the longest roots, or of the longest spans that were asked about.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::row::{Kind, Row};
use crate::report::bounds;

/// Finds the roots that took longest, or those of the longest selected spans.
#[derive(Debug)]
pub(crate) struct SlowestRoots {
    limit: usize,
    /// Whether roots are looked at only.
    roots_only: bool,
    /// By duration, and then the earlier first; ids of roots.
    roots: BTreeSet<(i64, Reverse<u64>)>,
    /// The durations by which the roots are in the set.
    best: HashMap<u64, i64>,
    pub(crate) seen: u64,
}

impl SlowestRoots {
    pub(crate) fn new(limit: usize, roots_only: bool) -> Self {
        let limit = limit.min(bounds::TRACES);
        Self { limit, roots_only, roots: BTreeSet::new(), best: HashMap::new(), seen: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.seen += u64::from(row.parent.is_none() && row.is_span());
        // One that lives long is not slow, and an entry is in the trace of what is around it.
        let is_meant = row.kind == Kind::Span && (!self.roots_only || row.parent.is_none());
        let Some(duration_ns) = row.duration_ns.filter(|_| is_meant) else {
            return;
        };
        match self.best.get(&row.root) {
            Some(known) if *known >= duration_ns => return,
            Some(known) => {
                self.roots.remove(&(*known, Reverse(row.root)));
            }
            None => {}
        }
        self.best.insert(row.root, duration_ns);
        self.roots.insert((duration_ns, Reverse(row.root)));
        if self.roots.len() > self.limit
            && let Some((_, Reverse(gone))) = self.roots.pop_first()
        {
            self.best.remove(&gone);
        }
    }

    /// The ids of the roots, the slowest first.
    pub(crate) fn into_roots(self) -> Vec<u64> {
        self.roots.into_iter().rev().map(|(_, Reverse(root))| root).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::span;
    use super::*;

    #[test]
    fn the_slowest_come_first_and_equal_ones_in_the_order_of_time() {
        let root = |id, duration_ns| Row { root: id, ..span(id, 0, 0, 0, duration_ns) };
        let mut slowest = SlowestRoots::new(3, true);
        for (id, duration_ns) in [(1, 5), (2, 9), (3, 9), (4, 1), (5, 7)] {
            slowest.add(&root(id, duration_ns));
        }
        slowest.add(&Row { root: 5, ..span(6, 5, 0, 0, 100) });
        assert_eq!(slowest.seen, 5);
        assert_eq!(slowest.into_roots(), [2, 3, 5]);
    }

    #[test]
    fn of_selected_spans_the_longest_decide() {
        let mut slowest = SlowestRoots::new(2, false);
        for (id, root, duration_ns) in [(2, 1, 5), (4, 3, 9), (6, 1, 7), (8, 7, 6), (9, 1, 1)] {
            slowest.add(&Row { root, ..span(id, root, 0, 0, duration_ns) });
        }
        assert_eq!(slowest.into_roots(), [3, 1]);
    }
}
