//! Corrections of entries that are rows already. A child may be made and left inside an entry, and be
//! known only when it closes, because its handle, or a child of its own, was kept for longer.
//!
//! Of the last entries that count it is remembered which parts of them are in other spans, so that no
//! moment is subtracted twice; and their rows are corrected. What lies before those entries is no longer
//! known: that time is subtracted from entries to come.

use spandrel_storage::LateEntryTime;

use crate::memory_use::MemoryUse;

/// Most entries that are remembered, of all spans together: the last 1.6 s of a span that is entered
/// 10,000 times a second.
const KEPT_MAX: usize = 16_384;
/// Most pieces of one entry that may be in other spans; beyond, only their sum is kept.
const PIECES_MAX: usize = 64;
/// Most pieces of all entries together.
const ALL_PIECES_MAX: usize = 65_536;

/// An entry that is a row.
#[derive(Debug, Default)]
struct Kept {
    id: u64,
    start: i64,
    end: i64,
    /// The self time that the row says.
    self_ns: i64,
    /// Which parts of it are in other spans: disjoint, in no order.
    pieces: Vec<(i64, i64)>,
    /// Whether `pieces` has all of them.
    is_whole: bool,
    /// The number of the entry before it, of the same span and thread; 0 if there is none.
    before: u64,
    /// The latest end of all entries up to this one.
    reached: i64,
}

impl Kept {
    /// Adds the interval of a child, if there is room for so many pieces. Returns how much of it is new.
    fn cover(&mut self, (mut start, mut end): (i64, i64), room: usize) -> i64 {
        if start >= end {
            return 0;
        }
        let mut new = end - start;
        let (from, to) = (start, end);
        self.pieces.retain(|piece| {
            let is_apart = piece.1 < from || piece.0 > to;
            if !is_apart {
                new -= piece.1.min(to) - piece.0.max(from);
                (start, end) = (start.min(piece.0), end.max(piece.1));
            }
            is_apart
        });
        self.is_whole &= self.pieces.len() < room.min(PIECES_MAX);
        if self.is_whole {
            self.pieces.push((start, end));
        } else {
            self.pieces = Vec::new();
        }
        new
    }
}

/// A row of an entry, as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) id: u64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) self_ns: i64,
    /// Whether the time in other spans is known by more than a sum.
    pub(super) is_whole: bool,
}

/// What is left of a late child, after all rows have been corrected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// How much time is left.
    pub(super) ns: i64,
    /// Everything before this moment is forgotten, if anything is.
    pub(super) before: Option<i64>,
}

/// The last entries that count, and the corrections of their rows.
#[derive(Debug, Default)]
pub(super) struct LastRows {
    /// Used in turn, once there are [`KEPT_MAX`].
    kept: Vec<Kept>,
    /// How many there ever were: they are numbered from 1.
    count: u64,
    /// Entries up to this number are in no file.
    forgotten: u64,
    pieces: usize,
    changes: Vec<LateEntryTime>,
    /// How much was ever subtracted from rows.
    taken_ns: i64,
}

impl LastRows {
    /// Adds an entry; `before` is the number of the one before it, of the same span and thread. Returns
    /// its number.
    pub(super) fn add(
        &mut self,
        before: u64,
        written: Written,
        others: impl Iterator<Item = (i64, i64)>,
    ) -> u64 {
        let at = (self.count % KEPT_MAX as u64) as usize;
        self.count += 1;
        let before_reached = self.get(before).map_or(i64::MIN, |kept| kept.reached);
        if self.kept.len() <= at {
            self.kept.push(Kept::default());
        }
        let kept = &mut self.kept[at];
        self.pieces -= kept.pieces.len();
        let mut pieces = std::mem::take(&mut kept.pieces);
        pieces.clear();
        let room = PIECES_MAX.min(ALL_PIECES_MAX - self.pieces);
        pieces.extend(others.take(room + 1));
        let is_whole = written.is_whole && pieces.len() <= room;
        if !is_whole {
            pieces = Vec::new();
        }
        self.pieces += pieces.len();
        let Written { id, start, end, self_ns, .. } = written;
        let reached = before_reached.max(end);
        *kept = Kept { id, start, end, self_ns, pieces, is_whole, before, reached };
        self.count
    }

    /// The index of an entry that is still remembered.
    fn index(&self, number: u64) -> Option<usize> {
        let is_kept = number > self.forgotten && number + KEPT_MAX as u64 > self.count;
        is_kept.then(|| ((number - 1) % KEPT_MAX as u64) as usize)
    }

    fn get(&self, number: u64) -> Option<&Kept> {
        self.kept.get(self.index(number)?)
    }

    /// Subtracts the time of a child, from `start` to `end`, from the rows up to the one with that
    /// number.
    #[cold]
    pub(super) fn take_off(&mut self, last: u64, (start, end): (i64, i64)) -> Rest {
        let mut rest = Rest::default();
        let mut number = last;
        while let Some(at) = self.index(number) {
            let Some(kept) = self.kept.get_mut(at).filter(|kept| kept.reached > start) else {
                return Rest { before: None, ..rest };
            };
            self.pieces -= kept.pieces.len();
            let room = ALL_PIECES_MAX - self.pieces;
            let new = kept.cover((start.max(kept.start), end.min(kept.end)), room);
            self.pieces += kept.pieces.len();
            let taken = new.min(kept.self_ns);
            kept.self_ns -= taken;
            self.taken_ns = self.taken_ns.saturating_add(taken);
            if taken > 0 {
                self.changes.push(LateEntryTime { id: kept.id, ns: taken });
            }
            // From this row, time was subtracted of which the moment was not known.
            rest.ns = rest.ns.saturating_add(if kept.is_whole { new - taken } else { 0 });
            (rest.before, number) = (Some(kept.start), kept.before);
        }
        rest.before = (number > self.forgotten).then(|| rest.before.unwrap_or(i64::MAX));
        rest
    }

    /// Subtracts so much time from the rows up to that one, beginning with the last. Returns what is
    /// left.
    #[cold]
    pub(super) fn take_sum_off(&mut self, last: u64, mut ns: i64) -> i64 {
        let mut number = last;
        while ns > 0
            && let Some(kept) = self.index(number).and_then(|at| self.kept.get_mut(at))
        {
            let taken = ns.min(kept.self_ns);
            if taken > 0 {
                kept.self_ns -= taken;
                self.taken_ns = self.taken_ns.saturating_add(taken);
                self.changes.push(LateEntryTime { id: kept.id, ns: taken });
                ns -= taken;
            }
            number = kept.before;
        }
        ns
    }

    /// How much was subtracted from rows so far, in all.
    pub(super) fn taken_ns(&self) -> i64 {
        self.taken_ns
    }

    /// Hands on how much rows that may be in the file have too much.
    pub(super) fn tell(&mut self, rows: &mut Vec<LateEntryTime>) {
        rows.append(&mut self.changes);
    }

    /// Another file has none of these rows.
    pub(super) fn forget(&mut self) {
        self.forgotten = self.count;
        self.changes.clear();
    }

    pub(super) fn memory(&self) -> MemoryUse {
        let lists: usize = self.kept.iter().map(|kept| kept.pieces.capacity()).sum();
        let lists = lists * size_of::<(i64, i64)>();
        MemoryUse::of(&self.kept) + MemoryUse::of(&self.changes) + MemoryUse::whole(lists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(id: u64, start: i64, end: i64, self_ns: i64) -> Written {
        Written { id, start, end, self_ns, is_whole: true }
    }

    fn told(rows: &mut LastRows) -> Vec<(u64, i64)> {
        let mut told = Vec::new();
        rows.tell(&mut told);
        told.into_iter().map(|late: LateEntryTime| (late.id, late.ns)).collect()
    }

    #[test]
    fn what_comes_late_is_taken_off_the_rows_that_it_was_in_and_no_moment_twice() {
        let mut rows = LastRows::default();
        let first = rows.add(0, written(7, 0, 100, 80), [(10, 20), (50, 60)].into_iter());
        let other = rows.add(0, written(8, 0, 100, 100), [].into_iter());
        let last = rows.add(first, written(9, 200, 300, 100), [].into_iter());
        let nothing = Rest::default();
        assert_eq!(rows.take_off(last, (15, 55)), nothing);
        assert_eq!(told(&mut rows), [(7, 30)]);
        assert_eq!(rows.take_off(last, (5, 25)), nothing);
        assert_eq!(told(&mut rows), [(7, 5)]);
        // A child that was made in one entry, and left in the other.
        assert_eq!(rows.take_off(last, (90, 210)), nothing);
        assert_eq!(told(&mut rows), [(9, 10), (7, 10)]);
        assert_eq!(rows.take_off(last, (120, 190)), nothing);
        assert_eq!(rows.take_off(last, (400, 500)), nothing);
        assert!(told(&mut rows).is_empty());
        assert_eq!(rows.take_sum_off(last, 120), 0);
        assert_eq!(told(&mut rows), [(9, 90), (7, 30)]);
        assert_eq!(rows.take_sum_off(last, 10), 5, "nothing is left");
        assert_eq!(rows.take_off(other, (0, 100)), nothing);
        assert_eq!(told(&mut rows), [(7, 5), (8, 100)]);
    }

    #[test]
    fn what_no_row_can_give_is_said() {
        let mut rows = LastRows::default();
        // Another 30 of this entry went to children of which only the length was known.
        let first = rows.add(0, written(7, 0, 100, 70), [].into_iter());
        assert_eq!(rows.take_off(first, (10, 100)), Rest { ns: 20, before: None });
        let many = (0..=PIECES_MAX as i64).map(|n| (1_000 + 10 * n, 1_001 + 10 * n));
        let summed = rows.add(first, written(8, 1_000, 2_000, 935), many);
        assert_eq!(rows.take_off(summed, (1_000, 2_000)), Rest::default());
        assert_eq!(told(&mut rows), [(7, 70), (8, 935)]);
    }

    #[test]
    fn the_last_ones_are_kept_and_what_was_before_is_said() {
        let mut rows = LastRows::default();
        let mut last = 0;
        for n in 0..2 * KEPT_MAX as i64 {
            let pieces = (0..30).map(|piece| (100 * n + piece, 100 * n + piece + 1));
            last = rows.add(last, written(n as u64, 100 * n, 100 * n + 50, 50), pieces);
        }
        assert_eq!(rows.kept.len(), KEPT_MAX);
        assert!(rows.pieces <= ALL_PIECES_MAX);
        assert_eq!(rows.pieces, rows.kept.iter().map(|kept| kept.pieces.len()).sum::<usize>());
        let oldest = 100 * KEPT_MAX as i64;
        assert_eq!(rows.take_off(last, (0, 300)).before, Some(oldest));
        assert_eq!(rows.take_off(1, (0, 300)).before, Some(i64::MAX));
        assert!(told(&mut rows).is_empty());
        // In another file there is none of them.
        rows.forget();
        assert_eq!(rows.take_off(last, (0, i64::MAX)), Rest::default());
        let first = rows.add(last, written(1, 0, 50, 50), [].into_iter());
        assert_eq!(rows.take_off(first, (20, 80)), Rest::default());
        assert_eq!(told(&mut rows), [(1, 30)]);
    }
}
