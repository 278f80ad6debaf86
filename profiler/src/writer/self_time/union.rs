//! A set of moments in nanoseconds.

use super::spare_lists::SpareLists;
use crate::memory_use::MemoryUse;

/// Most intervals that are kept apart for one span; beyond, the older half is summed up.
pub(super) const INTERVALS_MAX: usize = 1024;
/// Most sums that are kept apart; beyond, the two neighbours that are shortest together become one.
pub(super) const SUMS_MAX: usize = 64;
/// So many of the first ones are never joined.
const SUMS_EXACT: usize = 16;

/// A set of moments in nanoseconds, as disjoint intervals in order.
///
/// Nearly all children begin after those before them have ended, and most spans have one or none; so the
/// last interval is kept by itself, and a list is needed only when there is a second one.
///
/// When a span has more than [`INTERVALS_MAX`] of them, the older ones are summed up, and their
/// positions are forgotten. An interval that comes later and began before their end either lasted while
/// more than 512 of its siblings came and went, or was in a partition that was drained later. How much
/// of it is in the gaps between them is [estimated](Sum::cover). It is certain if the interval covers
/// all of them, or if all ran one after the other. The answer for the time up to a moment among them is
/// the more exact the shorter the sums are.
#[derive(Debug, Default)]
pub(super) struct Union {
    /// The last interval; empty if there is none.
    last: (i64, i64),
    /// The intervals before it.
    earlier: Vec<(i64, i64)>,
    /// Those before these, summed up, in order.
    summed: Vec<Sum>,
}

/// Several intervals, kept only as their sum.
#[derive(Debug, Clone, Copy)]
struct Sum {
    start: i64,
    end: i64,
    /// Nanoseconds in the intervals.
    length: i64,
}

impl Sum {
    /// This sum and the next one as one.
    fn and(self, next: Self) -> Self {
        Self { start: self.start, end: next.end, length: self.length + next.length }
    }

    /// An estimate of how much lies before `until`.
    fn length_until(&self, until: i64) -> i64 {
        self.length.min((until - self.start).max(0))
    }

    /// The length together with an interval that lies among them, or reaches beyond.
    fn cover(self, (start, end): (i64, i64), order: Order) -> i64 {
        let (range, gaps) = (self.end - self.start, self.end - self.start - self.length);
        let inside = end.min(self.end) - start.max(self.start);
        match order {
            Order::InTurn => inside.min(gaps),
            // As if they were independent.
            Order::Any if range > 0 => {
                (i128::from(inside) * i128::from(gaps) / i128::from(range)) as i64
            }
            Order::Any => 0,
        }
    }
}

/// How an interval is related to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Not at all.
    Any,
    /// All of them are from one thread, and so one after the other.
    InTurn,
}

impl Order {
    pub(super) fn in_turn_if(is_one_thread: bool) -> Self {
        if is_one_thread { Self::InTurn } else { Self::Any }
    }
}

impl Union {
    /// Adds an interval. Takes a list out of `spare` if it needs one.
    #[inline]
    pub(super) fn add(
        &mut self,
        start: i64,
        end: i64,
        order: Order,
        spare: &mut SpareLists<(i64, i64)>,
    ) {
        if start >= end {
            return;
        }
        if self.last.0 == self.last.1 {
            self.last = (start, end);
        } else if start > self.last.1 {
            if self.earlier.capacity() == 0
                && let Some(list) = spare.take()
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
            self.add_earlier(start, end, order);
        }
    }

    /// Adds an interval that begins before the last one.
    #[cold]
    fn add_earlier(&mut self, start: i64, end: i64, order: Order) {
        let summed_end = self.summed_end();
        if start < summed_end {
            self.add_to_sums(start, end.min(summed_end), order);
        }
        let start = start.max(summed_end);
        if start >= end {
            return;
        }
        self.earlier.push(self.last);
        let all = &mut self.earlier;
        // Children come almost in the order in which they closed: search from the back.
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

    /// Adds an interval that ends among the sums, or before: the shared partition may be drained
    /// thousands of newer records later, if a thread was suspended while it published there.
    #[cold]
    fn add_to_sums(&mut self, start: i64, end: i64, order: Order) {
        let all = &mut self.summed;
        let first = all.partition_point(|sum| sum.end <= start);
        let touched = all[first..].iter().take_while(|sum| sum.start < end).count();
        let mut sum = Sum { start, end, length: end - start };
        for touched in all.drain(first..first + touched) {
            let inside = end.min(touched.end) - start.max(touched.start);
            sum.length += touched.length + touched.cover((start, end), order) - inside;
            sum.start = sum.start.min(touched.start);
            sum.end = sum.end.max(touched.end);
        }
        all.insert(first, sum);
        self.limit_sums();
    }

    #[cold]
    fn sum_up(&mut self) {
        let older: Vec<_> = self.earlier.drain(..INTERVALS_MAX / 2).collect();
        // In groups of 1, 2, 4 and so on, because a caller that asks about the first ones asks about few
        // of them.
        let mut together = if self.summed.is_empty() { 1 } else { older.len() };
        let mut rest = &older[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(together.min(rest.len()));
            let sums = some.iter().map(|(start, end)| Sum {
                start: *start,
                end: *end,
                length: end - start,
            });
            self.summed.extend(sums.reduce(Sum::and));
            (rest, together) = (others, 2 * together);
        }
        self.limit_sums();
    }

    fn limit_sums(&mut self) {
        while self.summed.len() > SUMS_MAX {
            let all = &mut self.summed;
            let shortest =
                (SUMS_EXACT..all.len() - 1).min_by_key(|at| all[at + 1].end - all[*at].start);
            let Some(at) = shortest else { break };
            all[at] = all[at].and(all[at + 1]);
            all.remove(at + 1);
        }
    }

    /// The end of the last sum.
    fn summed_end(&self) -> i64 {
        self.summed.last().map_or(i64::MIN, |sum| sum.end)
    }

    /// The sum of what ends after `from`.
    pub(super) fn summed_after(&self, from: i64) -> i64 {
        self.summed.iter().filter(|sum| sum.end > from).map(|sum| sum.length).sum()
    }

    /// How much of the time from `from` to `to` is in the set. Forgets that part, and everything before
    /// `floor`.
    pub(super) fn take_between(&mut self, from: i64, to: i64, floor: i64) -> i64 {
        let is_over = |start: i64, end: i64| end <= floor || start >= from && end <= to;
        if self.summed.is_empty() && self.earlier.is_empty() {
            // Nearly always enough.
            let covered = (self.last.1.min(to) - self.last.0.max(from)).max(0);
            if is_over(self.last.0, self.last.1) {
                self.last = (0, 0);
            }
            return covered;
        }
        let mut covered = self.summed_after(from);
        self.summed.clear();
        for (start, end) in self.earlier.iter().chain([&self.last]) {
            covered += (*end.min(&to) - *start.max(&from)).max(0);
        }
        self.earlier.retain(|(start, end)| !is_over(*start, *end));
        if is_over(self.last.0, self.last.1) {
            self.last = self.earlier.pop().unwrap_or((0, 0));
        }
        covered.min(to - from)
    }

    /// The parts of it that lie between these moments, in order, without what is kept as sums.
    pub(super) fn pieces_between(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> {
        let clipped = move |&(start, end): &(i64, i64)| (from.max(start), to.min(end));
        let all = self.earlier.iter().chain([&self.last]).map(clipped);
        all.filter(|(start, end)| start < end)
    }

    /// How much of the time before `until` is in the set.
    pub(super) fn length_until(&self, until: i64) -> i64 {
        let summed: i64 = self.summed.iter().map(|sum| sum.length_until(until)).sum();
        let apart = self.earlier.iter().chain([&self.last]);
        summed + apart.map(|(start, end)| (end.min(&until) - start).max(0)).sum::<i64>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last == (0, 0)
    }

    /// Whether some of it is summed up.
    pub(super) fn has_sums(&self) -> bool {
        !self.summed.is_empty()
    }

    /// The intervals that are kept apart, in order.
    pub(super) fn apart(&self) -> impl Iterator<Item = (i64, i64)> {
        self.earlier.iter().chain([&self.last]).copied()
    }

    /// All intervals. A sum is an interval of its length; up to a moment, see [`Sum::length_until`].
    pub(super) fn intervals(&self) -> impl Iterator<Item = (i64, i64)> {
        self.summed.iter().map(|sum| (sum.start, sum.start + sum.length)).chain(self.apart())
    }

    /// Keeps the memory of its list for others.
    #[inline]
    pub(super) fn keep_list(&mut self, spare: &mut SpareLists<(i64, i64)>) {
        spare.keep(&mut self.earlier);
    }

    pub(super) fn memory(&self) -> MemoryUse {
        MemoryUse::of(&self.earlier)
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
            let mut spare = SpareLists::default();
            let mut moments = [false; 300];
            for (start, length) in intervals {
                union.add(start, start + length, Order::Any, &mut spare);
                moments[start as usize..(start + length) as usize].fill(true);
            }
            for until in [300, 120, 40] {
                let expected = moments[..until].iter().filter(|m| **m).count() as i64;
                prop_assert_eq!(union.length_until(until as i64), expected);
            }
            prop_assert!(union.earlier.is_sorted_by(|a, b| a.1 < b.0));
            prop_assert!(union.earlier.last().is_none_or(|before| before.1 < union.last.0));
        }
    }

    proptest! {
        /// In an order as from partitions that are drained one after the other, or long after the
        /// others.
        #[test]
        fn what_one_thread_did_is_all_there_in_any_order(
            from in 0..4_000_usize,
            other in 0..2_000_usize,
            lengths in prop::collection::vec(1..20_i64, 4_000),
        ) {
            let mut start = 0;
            let mut intervals: Vec<_> = lengths.into_iter().map(|length| {
                start += 25;
                (start, start + length)
            }).collect();
            let expected: i64 = intervals.iter().map(|(start, end)| end - start).sum();
            intervals.rotate_left(from);
            intervals[..2 * other].rotate_left(other);
            let (mut union, mut spare) = (Union::default(), SpareLists::default());
            for (start, end) in intervals {
                union.add(start, end, Order::InTurn, &mut spare);
                let all = union.summed.iter().map(|sum| (sum.start, sum.end));
                prop_assert!(all.clone().is_sorted_by(|a, b| a.1 <= b.0));
                prop_assert!(union.summed_end() <= union.earlier.first().unwrap_or(&union.last).0);
                prop_assert!(union.summed.len() <= SUMS_MAX + 1);
            }
            prop_assert_eq!(union.length_until(i64::MAX), expected);
        }
    }

    #[test]
    fn of_what_many_threads_did_the_late_part_is_what_is_likely() {
        let (mut union, mut spare) = (Union::default(), SpareLists::default());
        // Half of the time is in these intervals; half of the time of the others is new.
        for n in 0..4_000 {
            union.add(20 * n, 20 * n + 10, Order::Any, &mut spare);
        }
        for n in 0..400 {
            union.add(20 * n + 5, 20 * n + 15, Order::Any, &mut spare);
        }
        let length = union.length_until(i64::MAX);
        assert!((40_000 + 1_000..=40_000 + 3_000).contains(&length), "{length}");
        // What lasts all the time is also in the gaps, and no moment counts twice.
        for _ in 0..3 {
            union.add(0, 79_990, Order::Any, &mut spare);
            assert_eq!(union.length_until(i64::MAX), 79_990);
        }
    }

    #[test]
    fn a_million_children_one_after_the_other_take_little_memory() {
        let (mut union, mut spare) = (Union::default(), SpareLists::default());
        for child in 0..1_000_000 {
            union.add(child * 10, child * 10 + 7, Order::Any, &mut spare);
        }
        let length = |union: &Union| union.length_until(i64::MAX);
        assert_eq!(length(&union), 7_000_000);
        assert!(union.earlier.len() <= INTERVALS_MAX && union.summed.len() <= SUMS_MAX);
        // Up to a moment, it is as exact as the sums are short.
        assert_eq!((union.length_until(0), union.length_until(5)), (0, 5));
        let half = union.length_until(5_000_000);
        assert!((3_500_000..3_600_000).contains(&half), "{half}");
        // One that lasted all the time fills the gaps, except for the estimate of the sum in which it
        // began.
        union.add(1, 9_999_999, Order::Any, &mut spare);
        assert!((9_999_990..=9_999_999).contains(&length(&union)), "{}", length(&union));
    }
}
