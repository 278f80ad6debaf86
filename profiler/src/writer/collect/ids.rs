//! Which ids of the profile a run that is collected has.
//!
//! ```text
//!   run A |1, 3, 5 ...        |
//!   run B                     |........|
//!   run A, as it needs more            |....................|
//!   free                                                    |->
//! ```
//!
//! A run gets a piece of the ids above all that are taken, and one that outgrows it a further piece: so ids grow with
//! time in each run, and nobody has to know what a run will need. A piece at the end of all becomes longer where it is,
//! and what a run leaves there when it ends is given to the next one.
//!
//! The first piece of a run begins at its `first_id`. Where the others begin stands in the profile, beside how far the ring
//! is stored, in the transaction that first has such ids: see [`OwnIds::rows`]. What a piece has beyond the largest id
//! of a row is known to this collector alone; a later one goes on with a new piece.

use std::path::Path;

use spandrel_storage::{DrainedRow, ErrorKind as StorageErrorKind, RingId};

use crate::error::{Error, ErrorKind};
use crate::recorder::record::{FIRST_ID_MAX, Ids, Piece};
use crate::writer::recover::about;
use crate::writer::recover::pieces::{further_pieces, rows_of_piece};

/// Of what is left, the first of `n` runs gets this part of the `n`-th part. So a million runs beside each other take a
/// fifth of all.
const SHARE: u64 = 64;
/// No piece is smaller.
const PIECE_MIN: u64 = 1 << 16;
/// No run gets more than this part of what is left at once: the others need some, and files can say what they like.
const PART_MAX: u64 = 16;

/// What no run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FreeIds {
    /// From this one on.
    first: u64,
    /// How many runs there have been.
    runs: u64,
}

/// There are not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsedUp;

impl UsedUp {
    /// No run can begin.
    pub(super) fn in_profile(self, path: &Path) -> Error {
        let message = format!(
            "{}: has no ids left for another run: collect into another file. What is not stored is in the ring files \
             still, and goes there, a run each",
            path.display()
        );
        Error::new(ErrorKind::Storage(StorageErrorKind::Full), message).with_path(path)
    }

    /// One run cannot go on.
    pub(super) fn about(self, ring: &Path) -> Error {
        about(
            ring,
            &"it needs more ids than the profile has left: collect it into another file. What is not stored is in it \
              still, and goes there",
        )
    }
}

impl FreeIds {
    pub(super) fn new() -> Self {
        Self { first: 1, runs: 0 }
    }

    /// Nothing below this one is free.
    pub(super) fn begin_above(&mut self, first: u64) {
        self.first = self.first.max(first);
    }

    /// A run has ended whose ids did so here. If they were the last ones, those above what others have are free again.
    pub(super) fn give_back(&mut self, end: u64, next: u64, taken: impl Iterator<Item = u64>) {
        if end == self.first {
            self.first = taken.fold(next, u64::max);
        }
    }

    /// There is this run.
    pub(super) fn count_run(&mut self, number: i64) {
        self.runs = self.runs.max(u64::try_from(number).unwrap_or(0));
    }

    /// Where the next run begins.
    pub(super) fn next(&self) -> Result<u64, UsedUp> {
        let is_left = self.left() >= 2 * PIECE_MIN;
        is_left.then_some(self.first).ok_or(UsedUp)
    }

    fn left(&self) -> u64 {
        FIRST_ID_MAX.saturating_sub(self.first)
    }

    /// How many ids to give to a run that has had `before`, and needs so many.
    fn room(&self, before: u64, needed: u64) -> Result<u64, UsedUp> {
        let left = self.left();
        let max = left / PART_MAX;
        let share = left / (SHARE * self.runs.saturating_add(SHARE));
        if needed > max.max(PIECE_MIN.min(left)) {
            return Err(UsedUp);
        }
        Ok(share.max(before).min(max).max(needed).max(PIECE_MIN).min(left))
    }
}

/// The ids of one run.
#[derive(Debug)]
pub(super) struct OwnIds {
    ids: Ids,
    /// The last piece ends before this one.
    end: u64,
    /// How many it has had.
    count: u64,
    /// How many further pieces the profile knows of.
    stored: usize,
}

impl OwnIds {
    /// A run that begins, with nothing yet.
    pub(super) fn beginning_at(first: u64) -> Self {
        Self { ids: Ids::beginning_at(first), end: first, count: 0, stored: 0 }
    }

    /// A run that was begun, as the profile has it: whatever is above its largest id may be another run's.
    pub(super) fn resumed(first: u64, last: u64, drained: &[DrainedRow]) -> Self {
        let mut own = Self::beginning_at(first);
        for piece in further_pieces(drained) {
            own.ids.go_on_with(piece);
            own.stored += 1;
        }
        own.end = own.ids.last_piece().first.max(last.saturating_add(1));
        own.count = own.end - own.ids.last_piece().first;
        own
    }

    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Ids from here on are not its own.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Ids of the ring from this one on have none in the profile yet.
    pub(super) fn covered(&self) -> u64 {
        let Piece { from, first } = self.ids.last_piece();
        from + self.end.saturating_sub(first).div_ceil(2)
    }

    /// Gives it enough for the ids of the ring up to this one.
    pub(super) fn cover(&mut self, id: u64, free: &mut FreeIds) -> Result<(), UsedUp> {
        match id.checked_sub(self.covered()) {
            // One more, as its end may be odd; and one for what only the profile numbers.
            Some(missing) => self.grow(2 * (missing.min(FIRST_ID_MAX) + 2), free),
            None => Ok(()),
        }
    }

    /// Where the next of so many ids are that only the profile gives, if they would be from `next` on, each second one.
    pub(super) fn numbers(
        &mut self,
        next: u64,
        count: u64,
        free: &mut FreeIds,
    ) -> Result<u64, UsedUp> {
        let needed = 2 * count.min(FIRST_ID_MAX);
        // Ids of the ring have gone on to another piece.
        let next = next.max(self.ids.last_piece().first + 1);
        if next.saturating_add(needed) <= self.end {
            return Ok(next);
        }
        let missing = next.saturating_add(needed).saturating_sub(self.end);
        let pieces = self.ids.further_pieces();
        self.grow(missing.max(needed + 2), free)?;
        match self.ids.further_pieces() == pieces {
            true => Ok(next),
            false => Ok(self.ids.last_piece().first + 1),
        }
    }

    /// At least so many more.
    fn grow(&mut self, needed: u64, free: &mut FreeIds) -> Result<(), UsedUp> {
        // One that is odd to its first one begins a piece one later.
        let room = free.room(self.count, needed + 1)?;
        if self.end != free.first {
            let from = self.covered();
            let first = free.first + (free.first ^ self.ids.first()) % 2;
            self.ids.go_on_with(Piece { from, first });
        }
        self.end = free.first + room;
        self.count = self.count.saturating_add(room);
        free.first = self.end;
        Ok(())
    }

    /// Rows for pieces of which the profile does not know yet.
    pub(super) fn rows(&self, ring: RingId) -> impl Iterator<Item = DrainedRow> + '_ {
        let pieces = self.ids.pieces().skip(1).enumerate().skip(self.stored);
        pieces.flat_map(move |(before, piece)| rows_of_piece(ring, before, piece))
    }

    /// Those rows are stored.
    pub(super) fn are_stored(&mut self) {
        self.stored = self.ids.further_pieces();
    }
}

#[cfg(test)]
mod tests;
