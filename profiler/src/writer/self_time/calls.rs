//! The calls of a span that counts by its entries: as many as it was entered, and as long as it was
//! busy.
//!
//! An entry that counts is a row. All others (not recorded, dropped, of a kind that does not count) are
//! known only by their number and sum, and the first row that counts says those. How many they are is
//! certain only when the span has closed: all entries according to the span's record, minus the rows.
//! Until then each record of an entry says how many there were at least, as the records of other threads
//! may come late; the first row never says more than that. So it may be corrected with a later batch.
//!
//! Sums are in ticks as long as they are not those of rows, so that nothing is rounded twice. The busy
//! time of a span is exactly, to the nanosecond, the sum of its rows and of that first row's sum.

use std::collections::VecDeque;

use spandrel_storage::EarlierRow;

use super::super::id_table::IdTable;
use super::late::LastRows;
use super::{Long, Part};
use crate::memory_use::MemoryUse;

/// Most spans that are remembered after they closed, in case that another entry comes: a thread may be
/// suspended while it publishes, and then everything behind that record comes late.
const PAST_MAX: usize = 1024;

/// While a span is open, its first row may say less than is known, never more: by at most so many
/// entries ...
const SLACK: u64 = 8;
/// ... or such a part of all entries.
const SLACK_PART: u64 = 256;

/// A number of entries, and their length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Sum {
    pub(in super::super) count: u64,
    pub(in super::super) ticks: u64,
    pub(in super::super) ns: i64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.ticks = self.ticks.saturating_add(other.ticks);
        self.ns = self.ns.saturating_add(other.ns);
    }

    fn and(mut self, other: Self) -> Self {
        self.add(other);
        self
    }
}

/// An entry that counts, and becomes a row.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Call {
    /// The id of the row.
    pub(in super::super) id: u64,
    pub(in super::super) ticks: u64,
    pub(in super::super) ns: i64,
    /// How many entries the span had at least, with this one, and the ticks inside over all of them.
    pub(in super::super) known: (u64, u64),
}

/// What a span says about its entries when it closes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Whole {
    pub(in super::super) count: u64,
    /// Ticks inside.
    pub(in super::super) busy: u64,
    /// It was not inside for longer than this; `None` if that is not certain.
    pub(in super::super) busy_max: Option<i64>,
}

/// What the file says about the calls of a span, with the batch in hand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    rows: Sum,
    /// What the first row says about all other entries.
    earlier: Sum,
    /// How many entries there were at least, and the ticks inside.
    known: (u64, u64),
    /// All entries and the time inside, once the span has closed.
    whole: Option<(u64, i64)>,
    /// Ids of the first row and of the last one; 0 if there is none.
    first: u64,
    last: u64,
    /// The last batch that has changed it.
    batch: u64,
}

impl Tally {
    /// What the first row should say.
    fn wanted(&self, length_ns: impl Fn(u64) -> i64) -> Sum {
        let all = self.whole.map_or(self.known.0, |(count, _)| count);
        let count = all.saturating_sub(self.rows.count);
        if count == 0 {
            return Sum::default();
        }
        if let Some((_, ns)) = self.whole {
            return Sum { count, ticks: 0, ns: ns.saturating_sub(self.rows.ns).max(0) };
        }
        // A difference that is only on its way from one batch to the next is not written each time.
        let is_new = self.rows.count <= 1;
        let slack = if is_new { 0 } else { SLACK + self.known.0 / SLACK_PART };
        if (self.earlier.count..=self.earlier.count.saturating_add(slack)).contains(&count) {
            return self.earlier;
        }
        let ticks = self.known.1.saturating_sub(self.rows.ticks);
        Sum { count, ticks, ns: length_ns(ticks) }
    }

    /// Whether the first row should be corrected.
    fn has_changed(&self) -> bool {
        let wanted = self.wanted(|_| 0);
        let is_other = (wanted.count, wanted.ns) != (self.earlier.count, self.earlier.ns);
        self.first != 0 && is_other
    }

    /// The span closes; so many of its entries (`late`) will come after it. Returns its number of calls,
    /// and its busy time, to the nanosecond as the sum of the rows.
    ///
    /// It never has fewer entries than rows, even if a signal handler has entered it while its thread
    /// was just counting.
    fn close(&mut self, whole: Whole, late: Sum, length_ns: impl Fn(u64) -> i64) -> (u64, i64) {
        let rows = self.rows.and(late);
        let count = whole.count.saturating_sub(rows.count);
        let ticks = whole.busy.saturating_sub(rows.ticks);
        let mut ns = match () {
            () if count == 0 => 0,
            () if count == self.earlier.count && ticks == self.earlier.ticks => self.earlier.ns,
            () => length_ns(ticks),
        };
        if let Some(max) = whole.busy_max {
            ns = ns.min(max.saturating_sub(rows.ns)).max(0);
        }
        let all = (whole.count.max(rows.count), rows.ns.saturating_add(ns));
        self.whole = Some(all);
        all
    }
}

/// Entries that come after their span.
#[derive(Debug, Clone, Copy, Default)]
struct Late {
    all: Sum,
    /// Those that count, and all after the first of them.
    counting: Sum,
    /// How much of them is part of what the span says about the time inside its parent.
    inside_ns: i64,
}

/// What is remembered about a span that closed a while ago.
#[derive(Debug, Default)]
pub(super) struct Past {
    tally: Tally,
    /// For each thread, the number of the last entry that is a row.
    last: Vec<(u32, u64)>,
}

impl Past {
    pub(super) fn of(long: &Long) -> Self {
        let last = long.threads.iter().map(|inside| (inside.thread, inside.last));
        Self { tally: long.tally, last: last.filter(|(_, last)| *last > 0).collect() }
    }

    /// Another entry has come.
    pub(super) fn again(self) -> Long {
        let mut long =
            Long { counts: true, has_counted: true, tally: self.tally, ..Long::default() };
        self.last.into_iter().for_each(|(thread, last)| long.inside(thread).last = last);
        long
    }

    /// Another child has come.
    pub(super) fn take_off(&self, part: Part, rows: &mut LastRows) {
        let last = self.last.iter().find(|(thread, _)| *thread == part.thread);
        let Some((_, last)) = last else { return };
        let rest = match part.busy {
            Some(busy) => busy,
            None => rows.take_off(*last, (part.inside_from(), part.end)).ns,
        };
        rows.take_sum_off(*last, rest);
    }
}

/// The tallies that have changed, and what goes with them.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// For the spans that close in the batch that is being converted.
    late: IdTable<Late>,
    /// Spans whose first rows may have to be corrected.
    changed: Vec<u64>,
    /// What was known before the batch in hand, in case that it is lost.
    before: Vec<(u64, Tally)>,
    batch: u64,
    /// Spans that closed a while ago.
    past: IdTable<Past>,
    past_ids: VecDeque<u64>,
}

impl Calls {
    pub(super) fn memory(&self) -> MemoryUse {
        let Self { late, changed, before, past, past_ids, .. } = self;
        let lists: usize = past.values().map(|past| past.last.capacity()).sum();
        let lists = lists * size_of::<(u32, u64)>();
        let tables = late.bytes() + past.bytes() + past_ids.capacity() * size_of::<u64>() + lists;
        MemoryUse::whole(tables) + MemoryUse::of(changed) + MemoryUse::of(before)
    }

    /// The records of another batch follow.
    pub(super) fn begin_batch(&mut self) {
        if !self.late.is_empty() {
            self.late = IdTable::default();
        }
    }

    /// An entry seems to come after its span.
    pub(super) fn expect(&mut self, span: u64, counts: bool, entry: Sum, inside_ns: i64) {
        let late = self.late.entry(span);
        late.all.add(entry);
        late.inside_ns = late.inside_ns.saturating_add(inside_ns);
        if counts || late.counting.count > 0 {
            late.counting.add(entry);
        }
    }

    /// The span comes only now: the entries so far do not come after it.
    #[inline(always)]
    pub(super) fn is_next(&mut self, span: u64) {
        if !self.late.is_empty() {
            self.late.remove(span);
        }
    }

    /// How much of the span's time inside its parent is in those entries.
    #[inline(always)]
    pub(super) fn late_ns(&mut self, span: u64) -> i64 {
        match self.late.is_empty() {
            true => 0,
            false => self.late.get_mut(span).map_or(0, |late| late.inside_ns),
        }
    }

    /// A tally is about to change.
    fn keep(&mut self, span: u64, tally: &mut Tally) {
        if tally.batch != self.batch + 1 {
            self.before.push((span, *tally));
            tally.batch = self.batch + 1;
        }
    }

    fn note(&mut self, span: u64, tally: &Tally) {
        if tally.has_changed() && self.changed.last() != Some(&span) {
            self.changed.push(span);
        }
    }

    /// An entry becomes a row. Returns what the row is to say about earlier entries: their number, and
    /// the time inside.
    pub(super) fn add(
        &mut self,
        span: u64,
        tally: &mut Tally,
        call: Call,
        length_ns: impl Fn(u64) -> i64,
    ) -> (u64, i64) {
        self.keep(span, tally);
        let Call { id, ticks, ns, known } = call;
        tally.rows.add(Sum { count: 1, ticks, ns });
        tally.known = (tally.known.0.max(known.0), tally.known.1.max(known.1));
        tally.last = id;
        if tally.first == 0 {
            tally.first = id;
            tally.earlier = tally.wanted(length_ns);
            return (tally.earlier.count, tally.earlier.ns);
        }
        self.note(span, tally);
        (0, 0)
    }

    /// A span closes: see [`Tally::close`].
    pub(super) fn close(
        &mut self,
        span: u64,
        (tally, has_counted): (&mut Tally, bool),
        whole: Whole,
        length_ns: impl Fn(u64) -> i64,
    ) -> (u64, i64) {
        self.keep(span, tally);
        let late = self.late.remove(span).unwrap_or_default();
        let late = if has_counted { late.all } else { late.counting };
        let all = tally.close(whole, late, length_ns);
        self.note(span, tally);
        all
    }

    /// Hands on corrections of first rows that are in the file, or in the batch in hand.
    pub(super) fn tell(
        &mut self,
        long: &mut IdTable<Long>,
        length_ns: impl Fn(u64) -> i64,
        rows: &mut Vec<EarlierRow>,
    ) {
        for span in std::mem::take(&mut self.changed) {
            let tally = long.get_mut(span).map(|long| &mut long.tally);
            let Some(tally) = tally.filter(|tally| tally.has_changed()) else { continue };
            self.keep(span, tally);
            let wanted = tally.wanted(&length_ns);
            let said = std::mem::replace(&mut tally.earlier, wanted);
            rows.push(EarlierRow {
                first_id: tally.first,
                last_id: tally.last,
                entries: wanted.count.cast_signed().saturating_sub(said.count.cast_signed()),
                ns: wanted.ns.saturating_sub(said.ns),
            });
        }
    }

    /// The batch in hand is in the file.
    pub(super) fn stored(&mut self) {
        self.batch += 1;
        self.before.clear();
    }

    /// The batch in hand is lost: its rows do not exist.
    pub(super) fn lost(&mut self, long: &mut IdTable<Long>) {
        self.batch += 1;
        for (span, before) in std::mem::take(&mut self.before) {
            if let Some(Long { tally, .. }) = long.get_mut(span) {
                *tally = Tally { known: tally.known, ..before };
                self.note(span, tally);
            }
        }
    }

    /// A span that has closed a while ago is forgotten, except this.
    pub(super) fn forget(&mut self, span: u64, past: Past) {
        if past.tally.first == 0 {
            return;
        }
        *self.past.entry(span) = past;
        self.past_ids.push_back(span);
        if self.past_ids.len() > PAST_MAX
            && let Some(oldest) = self.past_ids.pop_front()
        {
            self.past.remove(oldest);
        }
    }

    /// Takes what is remembered about such a span.
    pub(super) fn remember(&mut self, span: u64) -> Option<Past> {
        self.past.remove(span)
    }

    /// Whether there are such spans.
    pub(super) fn has_past(&self) -> bool {
        !self.past.is_empty()
    }

    /// What is remembered about such a span.
    pub(super) fn past(&mut self, span: u64) -> Option<&Past> {
        self.past.get_mut(span).map(|past| &*past)
    }

    /// Another file has none of these rows. A span that has closed is not in it, so nothing has to be
    /// corrected there.
    pub(super) fn begin_file<'a>(&mut self, tallies: impl Iterator<Item = &'a mut Tally>) {
        for tally in tallies {
            let whole = tally.whole.map(|_| (0, 0));
            *tally = Tally { known: tally.known, whole, ..Tally::default() };
        }
        let (batch, late) = (self.batch + 1, std::mem::take(&mut self.late));
        *self = Self { batch, late, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: u64, known: (u64, u64)) -> Call {
        Call { id, ticks: 20, ns: 10, known }
    }

    /// Two ticks are a nanosecond.
    fn half(ticks: u64) -> i64 {
        (ticks / 2).cast_signed()
    }

    fn whole(count: u64, busy: u64) -> Whole {
        Whole { count, busy, busy_max: None }
    }

    /// The span with the number 7.
    #[derive(Default)]
    struct Span {
        calls: Calls,
        long: IdTable<Long>,
    }

    impl Span {
        fn add(&mut self, call: Call) -> (u64, i64) {
            self.calls.add(7, &mut self.long.entry(7).tally, call, half)
        }

        fn close(&mut self, has_counted: bool, whole: Whole) -> i64 {
            let tally = &mut self.long.entry(7).tally;
            let (count, busy_ns) = self.calls.close(7, (tally, has_counted), whole, half);
            assert!(count >= whole.count);
            busy_ns
        }
    }

    fn told(span: &mut Span) -> Vec<(u64, i64, i64)> {
        let mut rows = Vec::new();
        span.calls.tell(&mut span.long, half, &mut rows);
        rows.into_iter().map(|row| (row.first_id, row.entries, row.ns)).collect()
    }

    #[test]
    fn of_one_thread_the_first_row_is_right_from_the_beginning() {
        let mut span = Span::default();
        assert_eq!(span.add(call(1, (101, 5_021))), (100, 2_500));
        for n in 1..50 {
            let known = (101 + n, 5_021 + 20 * n);
            assert_eq!(span.add(call(1 + n, known)), (0, 0));
        }
        assert!(told(&mut span).is_empty());
        // Exactly the sum of the rows, though 6,001 ticks are 3,000 ns.
        let busy = span.close(true, whole(150, 5_001 + 1_000));
        assert_eq!(busy, 2_500 + 50 * 10);
        assert!(told(&mut span).is_empty());
    }

    #[test]
    fn a_span_that_has_lost_count_has_as_many_entries_as_rows() {
        let mut span = Span::default();
        for n in 1..=9 {
            span.add(call(n, (1, 20)));
        }
        let tally = &mut span.long.entry(7).tally;
        assert_eq!(span.calls.close(7, (tally, true), whole(5, 100), half), (9, 90));
        assert!(told(&mut span).is_empty());
    }

    #[test]
    fn a_few_that_are_on_their_way_are_no_reason_to_change_the_first_row() {
        let mut span = Span::default();
        assert_eq!(span.add(call(1, (6, 120))), (5, 50));
        // Three entries of other threads have not come.
        span.add(call(2, (10, 200)));
        assert!(told(&mut span).is_empty());
        assert_eq!(span.close(true, whole(10, 200)), 100);
        assert_eq!(told(&mut span), [(1, 3, 30)]);
    }

    #[test]
    fn what_was_dropped_or_counted_twice_is_made_up_for_by_the_first_row() {
        let mut span = Span::default();
        assert_eq!(span.add(call(1, (101, 2_020))), (100, 1_000));
        // From other threads, ten of those hundred.
        for n in 2..12 {
            span.add(call(n, (50 + n, 1_000 + 20 * n)));
        }
        assert_eq!(told(&mut span), [(1, -10, -100)]);
        // As many others were dropped.
        span.add(call(12, (122, 2_440)));
        assert_eq!(told(&mut span), [(1, 20, 200)]);
        assert_eq!(span.close(true, whole(200, 4_000)), 2_000);
        assert_eq!(told(&mut span), [(1, 78, 780)]);
        // The ones that come later are rows then.
        span.add(call(13, (60, 1_200)));
        assert_eq!(told(&mut span), [(1, -1, -10)]);
    }

    #[test]
    fn what_comes_after_its_span_is_in_its_time_to_the_nanosecond() {
        let mut span = Span::default();
        let late = Sum { count: 1, ticks: 21, ns: 11 };
        span.calls.expect(7, false, late, 0);
        span.calls.expect(7, true, late, 11);
        span.calls.expect(7, false, late, 11);
        assert_eq!((span.calls.late_ns(7), span.calls.late_ns(8)), (22, 0));
        // No entry has counted yet: so the first one does not.
        let busy = span.close(false, whole(3, 63));
        assert_eq!(busy, 22 + 10);
        let call = |id| Call { id, ticks: 21, ns: 11, known: (1, 21) };
        assert_eq!(span.add(call(1)), (2, 21));
        span.add(call(2));
        assert_eq!(told(&mut span), [(1, -1, -11)]);
        span.calls.expect(7, true, late, 11);
        span.calls.is_next(7);
        assert!(span.calls.late.is_empty());
    }

    #[test]
    fn rows_of_a_batch_that_is_lost_are_known_by_their_number() {
        let mut span = Span::default();
        span.add(call(1, (101, 2_020)));
        span.calls.stored();
        (2..12).for_each(|n| {
            span.add(call(n, (100 + n, 2_000 + 20 * n)));
        });
        span.calls.lost(&mut span.long);
        let tally = span.long.entry(7).tally;
        assert_eq!((tally.rows.count, tally.last), (1, 1));
        assert_eq!(told(&mut span), [(1, 10, 100)]);
        span.calls.stored();
        // In another file there is none of it.
        span.calls.begin_file([&mut span.long.entry(7).tally].into_iter());
        assert_eq!(span.add(call(12, (112, 2_240))), (111, 1_110));
        span.close(true, whole(112, 2_240));
        span.calls.begin_file([&mut span.long.entry(7).tally].into_iter());
        assert_eq!(span.add(call(13, (112, 2_240))), (0, 0));
    }

    #[test]
    fn spans_that_closed_long_ago_are_forgotten() {
        let mut calls = Calls::default();
        let tally = Tally { first: 1, ..Tally::default() };
        for span in 1..=2 * PAST_MAX as u64 {
            calls.forget(span, Past { tally, last: Vec::new() });
        }
        assert!(calls.remember(1).is_none() && calls.remember(2_000).is_some());
        assert_eq!((calls.past.len(), calls.past_ids.len()), (PAST_MAX - 1, PAST_MAX));
    }
}
