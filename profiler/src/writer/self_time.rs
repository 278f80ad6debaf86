//! Self time: how much of a span its children do not cover.
//!
//! `self_ns` is a span's duration less the *union* of its children's intervals: children that run
//! side by side count once. A child always closes before its parent (it holds a reference to it),
//! so the parent's children are complete when the parent arrives, provided that the writer has
//! looked at every partition once more since (see [`Writer`](super::Writer)).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Intervals that are kept apart for one span; beyond, the older half is put together.
const INTERVALS_MAX: usize = 1024;

/// A set of moments in nanoseconds, as disjoint intervals in order.
///
/// When a span has more than [`INTERVALS_MAX`] of them, the older ones are summed up and their
/// order forgotten. A later child that began before their end counts only from there: a child
/// that was open while more than 512 of its siblings came and went is underestimated by the gaps
/// between them.
#[derive(Debug, Default, Clone)]
struct Union {
    intervals: Vec<(i64, i64)>,
    /// Nanoseconds in intervals that were summed up, all of them before `summed_end`.
    summed: i64,
    summed_end: i64,
}

impl Union {
    fn add(&mut self, start: i64, end: i64) {
        let start = if self.summed == 0 { start } else { start.max(self.summed_end) };
        if start >= end {
            return;
        }
        // Children arrive nearly in the order in which they closed: look from the back.
        let after = self.intervals.iter().rposition(|&(_, e)| e < start).map_or(0, |at| at + 1);
        let touched = self.intervals[after..].iter().take_while(|&&(s, _)| s <= end).count();
        if touched == 0 {
            self.intervals.insert(after, (start, end));
        } else {
            let last = self.intervals[after + touched - 1].1;
            self.intervals[after] = (start.min(self.intervals[after].0), end.max(last));
            self.intervals.drain(after + 1..after + touched);
        }
        if self.intervals.len() > INTERVALS_MAX {
            for (start, end) in self.intervals.drain(..INTERVALS_MAX / 2) {
                self.summed += end - start;
                self.summed_end = end;
            }
        }
    }

    fn length(&self) -> i64 {
        self.summed + self.intervals.iter().map(|(start, end)| end - start).sum::<i64>()
    }
}

/// Ids are counted up, and one multiplication spreads them well enough.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        let product = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}

/// The children seen so far of spans that have not arrived yet.
#[derive(Debug)]
pub(super) struct SelfTimes {
    children: HashMap<u64, Union, BuildHasherDefault<IdHasher>>,
    /// At so many parents it is time to look for those that will never arrive.
    purge_at: usize,
}

impl SelfTimes {
    /// Expects up to so many open spans.
    pub(super) fn new(open_spans_max: usize) -> Self {
        Self { children: HashMap::default(), purge_at: 4 * open_spans_max.max(1024) }
    }

    /// A child of `parent` was there from `start` to `end`.
    pub(super) fn add_child(&mut self, parent: u64, start: i64, end: i64) {
        self.children.entry(parent).or_default().add(start, end);
    }

    /// The self time of a span, whose children are not needed any more.
    pub(super) fn take(&mut self, id: u64, duration: i64) -> i64 {
        match self.children.remove(&id) {
            Some(children) => (duration - children.length()).max(0),
            None => duration,
        }
    }

    /// Whether so many parents are awaited that some of them must have been dropped.
    pub(super) fn is_crowded(&self) -> bool {
        self.children.len() >= self.purge_at
    }

    /// Forgets the children of all spans that will not arrive any more.
    pub(super) fn purge(&mut self, expected: impl Fn(u64) -> bool) {
        self.children.retain(|&id, _| expected(id));
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
            let mut moments = [false; 300];
            for (start, length) in intervals {
                union.add(start, start + length);
                moments[start as usize..(start + length) as usize].fill(true);
            }
            prop_assert_eq!(union.length(), moments.iter().filter(|m| **m).count() as i64);
            prop_assert!(union.intervals.is_sorted_by(|a, b| a.1 < b.0));
        }
    }

    #[test]
    fn a_million_children_one_after_the_other_take_little_memory() {
        let mut union = Union::default();
        for child in 0..1_000_000 {
            union.add(child * 10, child * 10 + 7);
        }
        assert_eq!(union.length(), 7_000_000);
        assert!(union.intervals.len() <= INTERVALS_MAX);
    }

    #[test]
    fn parents_that_never_come_are_forgotten() {
        let mut times = SelfTimes::new(0);
        for parent in 0..5000 {
            times.add_child(parent, 0, 1);
        }
        assert!(times.is_crowded());
        times.purge(|id| id % 1000 == 0);
        assert!(!times.is_crowded());
        assert_eq!(times.take(1000, 10), 9);
        assert_eq!(times.take(1001, 10), 10);
    }
}
