//! The slowest traces: those of the longest roots, or of the longest spans that were asked about.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::row::{Kind, Row};
use crate::report::bounds;

/// Finds the roots that took longest, or those of the longest selected spans. Traces in which no thread ever was come
/// last.
#[derive(Debug)]
pub(crate) struct SlowestRoots {
    /// Whether roots are looked at only.
    roots_only: bool,
    ranked: Ranked,
    /// Those of spans that were never entered; spans below them may have been.
    idle: Ranked,
    pub(crate) seen: u64,
}

/// The roots with the longest durations.
#[derive(Debug)]
struct Ranked {
    limit: usize,
    /// By duration, and then the earlier first; ids of roots.
    roots: BTreeSet<(i64, Reverse<u64>)>,
    /// The durations by which the roots are in the set.
    best: HashMap<u64, i64>,
}

impl Ranked {
    fn new(limit: usize) -> Self {
        Self { limit, roots: BTreeSet::new(), best: HashMap::new() }
    }

    fn add(&mut self, root: u64, duration_ns: i64) {
        match self.best.get(&root) {
            Some(known) if *known >= duration_ns => return,
            Some(known) => {
                self.roots.remove(&(*known, Reverse(root)));
            }
            None => {}
        }
        self.best.insert(root, duration_ns);
        self.roots.insert((duration_ns, Reverse(root)));
        if self.roots.len() > self.limit
            && let Some((_, Reverse(gone))) = self.roots.pop_first()
        {
            self.best.remove(&gone);
        }
    }

    fn take(&mut self, root: u64) -> Option<i64> {
        let duration_ns = self.best.remove(&root)?;
        self.roots.remove(&(duration_ns, Reverse(root)));
        Some(duration_ns)
    }

    /// The slowest first.
    fn into_roots(self) -> impl Iterator<Item = u64> {
        self.roots.into_iter().rev().map(|(_, Reverse(root))| root)
    }
}

impl SlowestRoots {
    pub(crate) fn new(limit: usize, roots_only: bool) -> Self {
        let limit = limit.min(bounds::TRACES);
        let (ranked, idle) = (Ranked::new(limit), Ranked::new(limit));
        Self { roots_only, ranked, idle, seen: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.seen += u64::from(row.parent.is_none() && row.is_span());
        // One that lives long is not slow, and an entry is in the trace of what is around it.
        if row.kind != Kind::Span {
            return;
        }
        // Ids are given in order, so spans below a root come after it, except a few of other threads.
        if self.roots_only
            && !row.never_entered
            && row.parent.is_some()
            && let Some(duration_ns) = self.idle.take(row.root)
        {
            self.ranked.add(row.root, duration_ns);
        }
        let is_meant = !self.roots_only || row.parent.is_none();
        let Some(duration_ns) = row.duration_ns.filter(|_| is_meant) else { return };
        let ranked = if row.never_entered { &mut self.idle } else { &mut self.ranked };
        ranked.add(row.root, duration_ns);
    }

    /// The ids of the roots, the slowest first.
    pub(crate) fn into_roots(self) -> Vec<u64> {
        let limit = self.ranked.limit;
        let known: HashSet<u64> = self.ranked.best.keys().copied().collect();
        let idle = self.idle.into_roots().filter(|root| !known.contains(root));
        self.ranked.into_roots().chain(idle).take(limit).collect()
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

    #[test]
    fn traces_in_which_no_thread_ever_was_come_last() {
        let root = |id, duration_ns, never_entered| {
            let row = span(id, 0, 0, 0, duration_ns);
            Row { root: id, never_entered, ..row }
        };
        for limit in [4, 2] {
            let mut slowest = SlowestRoots::new(limit, true);
            for (id, duration_ns, never_entered) in
                [(1, 900, true), (2, 7, false), (3, 500, true), (5, 9, false)]
            {
                slowest.add(&root(id, duration_ns, never_entered));
            }
            // Below the third something was entered.
            slowest.add(&Row { root: 3, ..span(4, 3, 0, 0, 1) });
            assert_eq!(slowest.into_roots(), [3, 5, 2, 1][..limit]);
        }
    }
}
