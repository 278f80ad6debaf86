//! Self time: how much of a span its children do not cover.
//!
//! `self_ns` is a span's duration less the *union* of the intervals of the children that ended before
//! it did, or with it: children that run side by side count once. So the parent's children are
//! complete when the parent arrives, provided that the writer has looked at every partition once
//! more since (see [`Writer`](super::Writer)).
//!
//! A child that outlives its parent takes nothing off, wherever it overlaps: the parent has not waited
//! for it. Under `Registry` there are none, because a child holds a reference to its parent.

use super::id_table::IdTable;

/// Intervals that are kept apart for one span; beyond, the older half is put together.
const INTERVALS_MAX: usize = 1024;
/// So many lists of intervals are kept for spans to come.
const SPARE_MAX: usize = 256;
/// Children of one span that are kept as they came; beyond, the older half becomes a union.
const RECENT_MAX: usize = 64;

/// A set of moments in nanoseconds, as disjoint intervals in order.
///
/// Nearly all children begin after those before them have ended, and most spans have one or none; so
/// the last interval stands apart, and a list is needed only when there is a second one.
///
/// When a span has more than [`INTERVALS_MAX`] of them, the older ones are summed up and their
/// order forgotten. A later child that began before their end counts only from there: a child
/// that was open while more than 512 of its siblings came and went is underestimated by the gaps
/// between them.
#[derive(Debug, Default)]
struct Union {
    /// The last interval; empty if there is none.
    last: (i64, i64),
    /// Those before it.
    earlier: Vec<(i64, i64)>,
    /// Nanoseconds in intervals that were summed up, all of them before `summed_end`.
    summed: i64,
    summed_end: i64,
}

impl Union {
    /// Adds an interval; takes a list out of `spare` if it needs one.
    #[inline]
    fn add(&mut self, start: i64, end: i64, spare: &mut Spare) {
        if start >= end {
            return;
        }
        if self.last.0 == self.last.1 {
            self.last = (start, end);
        } else if start > self.last.1 {
            if self.earlier.capacity() == 0
                && let Some(list) = spare.pop()
            {
                self.earlier = list;
            }
            self.earlier.push(self.last);
            self.last = (start, end);
            if self.earlier.len() >= INTERVALS_MAX {
                self.sum_up();
            }
        } else if start >= self.last.0 {
            self.last.1 = self.last.1.max(end);
        } else {
            self.add_earlier(start, end);
        }
    }

    /// Adds an interval that begins before the last one.
    #[cold]
    fn add_earlier(&mut self, start: i64, end: i64) {
        let start = if self.summed == 0 { start } else { start.max(self.summed_end) };
        if start >= end {
            return;
        }
        self.earlier.push(self.last);
        let all = &mut self.earlier;
        // Children arrive nearly in the order in which they closed: look from the back.
        let after = all.iter().rposition(|&(_, e)| e < start).map_or(0, |at| at + 1);
        let touched = all[after..].iter().take_while(|&&(s, _)| s <= end).count();
        if touched == 0 {
            all.insert(after, (start, end));
        } else {
            let last = all[after + touched - 1].1;
            all[after] = (start.min(all[after].0), end.max(last));
            all.drain(after + 1..after + touched);
        }
        self.last = all.pop().unwrap_or((start, end));
        if self.earlier.len() >= INTERVALS_MAX {
            self.sum_up();
        }
    }

    #[cold]
    fn sum_up(&mut self) {
        for (start, end) in self.earlier.drain(..INTERVALS_MAX / 2) {
            self.summed += end - start;
            self.summed_end = end;
        }
    }

    fn length(&self) -> i64 {
        let earlier: i64 = self.earlier.iter().map(|(start, end)| end - start).sum();
        self.summed + earlier + (self.last.1 - self.last.0)
    }
}

/// The children of a span that has not arrived yet, so that nobody knows which of them outlive it.
#[derive(Debug, Default)]
struct Children {
    /// The first one; empty if there is none.
    first: (i64, i64),
    /// Those after it, as they came: nearly in the order of their ends.
    others: Vec<(i64, i64)>,
    /// Older ones. Should one of those outlive the span after all, up to [`RECENT_MAX`] / 2 others
    /// do too, and it counts to the span's end.
    older: Union,
}

/// Empty lists, with their memory.
type Spare = Vec<Vec<(i64, i64)>>;

impl Children {
    /// Adds a child; takes a list out of `spare` if it needs one.
    #[inline]
    fn add(&mut self, start: i64, end: i64, spare: &mut Spare) {
        if start >= end {
            return;
        }
        if self.first.0 == self.first.1 {
            self.first = (start, end);
            return;
        }
        if self.others.capacity() == 0
            && let Some(list) = spare.pop()
        {
            self.others = list;
        }
        self.others.push((start, end));
        if self.others.len() >= RECENT_MAX {
            self.unite_older(spare);
        }
    }

    #[cold]
    fn unite_older(&mut self, spare: &mut Spare) {
        for (start, end) in self.others.drain(..RECENT_MAX / 2) {
            self.older.add(start, end, spare);
        }
    }

    /// How much of a span that ends at `end` they cover.
    #[inline]
    fn covered(&mut self, end: i64, spare: &mut Spare) -> i64 {
        if self.others.is_empty() {
            return if self.first.1 <= end { self.first.1 - self.first.0 } else { 0 };
        }
        for child in [self.first].iter().chain(&self.others) {
            if child.1 <= end {
                self.older.add(child.0, child.1, spare);
            }
        }
        self.older.length() - (self.older.last.1 - end.max(self.older.last.0)).max(0)
    }
}

/// The children seen so far of spans that have not arrived yet.
#[derive(Debug)]
pub(super) struct SelfTimes {
    children: IdTable<Children>,
    spare: Spare,
    /// At so many parents it is time to look for those that will never arrive.
    purge_at: usize,
}

impl SelfTimes {
    /// Expects up to so many open spans.
    pub(super) fn new(open_spans_max: usize) -> Self {
        let purge_at = 4 * open_spans_max.max(1024);
        Self { children: IdTable::default(), spare: Vec::new(), purge_at }
    }

    /// A child of `parent`, which is not 0, was there from `start` to `end`.
    #[inline]
    pub(super) fn add_child(&mut self, parent: u64, start: i64, end: i64) {
        self.children.entry(parent).add(start, end, &mut self.spare);
    }

    /// The self time of a span that was there from `start` to `end`; its children are not needed any
    /// more.
    #[inline]
    pub(super) fn take(&mut self, id: u64, start: i64, end: i64) -> i64 {
        let Some(mut children) = self.children.remove(id) else { return end - start };
        let own = (end - start - children.covered(end, &mut self.spare)).max(0);
        for mut list in [children.others, children.older.earlier] {
            if list.capacity() > 0 && self.spare.len() < SPARE_MAX {
                list.clear();
                self.spare.push(list);
            }
        }
        own
    }

    /// Whether so many parents are awaited that some of them must have been dropped.
    pub(super) fn is_crowded(&self) -> bool {
        self.children.len() >= self.purge_at
    }

    /// Forgets the children of all spans that will not arrive any more.
    pub(super) fn purge(&mut self, expected: impl Fn(u64) -> bool) {
        self.children.retain(expected);
        self.purge_at = self.purge_at.max(2 * self.children.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_union_is_what_counting_moments_says(
            intervals in prop::collection::vec((0..200_i64, 0..40_i64), 0..60)
        ) {
            let mut union = Union::default();
            let mut spare = Vec::new();
            let mut moments = [false; 300];
            for (start, length) in intervals {
                union.add(start, start + length, &mut spare);
                moments[start as usize..(start + length) as usize].fill(true);
            }
            prop_assert_eq!(union.length(), moments.iter().filter(|m| **m).count() as i64);
            prop_assert!(union.earlier.is_sorted_by(|a, b| a.1 < b.0));
            prop_assert!(union.earlier.last().is_none_or(|before| before.1 < union.last.0));
        }
    }

    #[test]
    fn a_million_children_one_after_the_other_take_little_memory() {
        let (mut union, mut spare) = (Union::default(), Vec::new());
        for child in 0..1_000_000 {
            union.add(child * 10, child * 10 + 7, &mut spare);
        }
        assert_eq!(union.length(), 7_000_000);
        assert!(union.earlier.len() <= INTERVALS_MAX);
        // One that began before all that is summed up counts from there.
        union.add(1, 9_999_999, &mut spare);
        assert!(union.length() >= 7_000_000 && union.length() <= 9_999_999);
    }

    #[test]
    fn parents_that_never_come_are_forgotten() {
        let mut times = SelfTimes::new(0);
        for parent in 1..5001 {
            times.add_child(parent, 0, 1);
        }
        assert!(times.is_crowded());
        times.purge(|id| id % 1000 == 0);
        assert!(!times.is_crowded());
        assert_eq!(times.take(1000, 0, 10), 9);
        assert_eq!(times.take(1001, 0, 10), 10);
    }

    #[test]
    fn children_that_outlive_their_parent_take_nothing_off() {
        for others in [0, 10, 1_000] {
            let mut times = SelfTimes::new(0);
            for outliving in 0..30 {
                times.add_child(1, 50, 101 + outliving);
            }
            for n in 0..others {
                times.add_child(1, 20 + n % 5, 30);
            }
            times.add_child(1, 10, 12);
            times.add_child(1, 90, 100);
            let expected = 100 - 12 - if others == 0 { 0 } else { 10 };
            // With more than a list's worth, those that came first are taken to be there to the end.
            let found = times.take(1, 0, 100);
            assert!(found == expected || others == 1_000 && found == expected - 40, "{found}");
        }
    }
}
