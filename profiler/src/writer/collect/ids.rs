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
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A run of a history: what it has, and which ids its rows have.
    struct Run {
        own: OwnIds,
        /// The ring has given so many ids.
        given: u64,
        /// Where the next id is that only the profile gives.
        next: u64,
        /// The largest id of a row.
        last: u64,
        stored: Vec<DrainedRow>,
    }

    /// Runs that come and go beside each other, and all stretches of ids in which they have rows.
    struct History {
        free: FreeIds,
        runs: Vec<Run>,
        begun: i64,
        /// By the last id of each: the first one, and whose it is. It takes a while to look.
        used: Option<BTreeMap<u64, (u64, u64)>>,
        last: u64,
        seed: u64,
    }

    impl History {
        fn new(last: u64, seed: u64) -> Self {
            let mut free = FreeIds::new();
            free.begin_above(last + 1);
            Self { free, runs: Vec::new(), begun: 0, used: Some(BTreeMap::new()), last, seed }
        }

        /// Some number below this one.
        fn any(&mut self, below: u64) -> u64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.seed >> 33) % below.max(1)
        }

        fn begin(&mut self) -> Result<(), UsedUp> {
            self.free.begin_above(self.last + 1);
            let first = self.free.next()?;
            self.begun += 1;
            self.free.count_run(self.begun);
            let mut own = OwnIds::beginning_at(first);
            own.cover(1, &mut self.free)?;
            let run = Run { own, given: 0, next: first + 1, last: first - 1, stored: Vec::new() };
            self.runs.push(run);
            Ok(())
        }

        /// Rows from one id to another, of a run that begins there: nobody else's are among them.
        fn use_ids(&mut self, (first, last): (u64, u64), run: u64) {
            self.last = self.last.max(last);
            let Some(used) = &mut self.used else { return };
            for (other, whose) in used.range(first..).map(|(_, it)| *it) {
                assert!(
                    other > last || whose == run,
                    "{first}..={last} of {run}: {other} of {whose}"
                );
                if whose != run {
                    break;
                }
            }
            match used.range(..=last).next_back().map(|(at, it)| (*at, *it)) {
                Some((at, (from, whose))) if whose == run && first <= at + 2 => {
                    used.remove(&at);
                    used.insert(last, (from.min(first), run));
                }
                _ => _ = used.insert(last, (first, run)),
            }
        }

        /// A batch of so many records, and so many rows that only the profile numbers.
        fn store(&mut self, at: usize, records: u64, entries: u64) -> Result<(), UsedUp> {
            let run = &mut self.runs[at];
            let from = run.given + 1;
            run.given += records;
            run.own.cover(run.given, &mut self.free)?;
            let next = run.own.numbers(run.next, entries, &mut self.free)?;
            run.next = next + 2 * entries;
            let (ids, first) = (run.own.ids().clone(), run.own.ids().first());
            // Those of one piece follow each other.
            let pieces: Vec<_> = ids.pieces().collect();
            let mut stretches = Vec::new();
            for (at, piece) in pieces.iter().enumerate() {
                let end = pieces.get(at + 1).map_or(u64::MAX, |next| next.from);
                let (from, last) = (from.max(piece.from), run.given.min(end - 1));
                if from <= last {
                    stretches.push((ids.of(from), ids.of(last)));
                    assert_eq!(ids.of(last) - ids.of(from), 2 * (last - from));
                    run.next = run.next.max(ids.of(last) + 1);
                }
            }
            if entries > 0 {
                assert_ne!(next % 2, first % 2);
                stretches.push((next, next + 2 * (entries - 1)));
            }
            let largest = stretches.iter().map(|(_, last)| *last).max();
            run.last = run.last.max(largest.unwrap_or(0));
            run.stored.extend(run.own.rows([0; 16]));
            run.own.are_stored();
            assert!(run.last < run.own.end());
            stretches.into_iter().for_each(|ids| self.use_ids(ids, first));
            Ok(())
        }

        fn end(&mut self, at: usize) {
            let ended = self.runs.swap_remove(at).own.end();
            self.free.give_back(ended, self.last + 1, self.runs.iter().map(|run| run.own.end()));
        }

        /// Another collector goes on; what this one knew beside the rows is gone.
        fn go_on_anew(&mut self) {
            self.free = FreeIds::new();
            self.free.begin_above(self.last + 1);
            for run in &mut self.runs {
                let own = OwnIds::resumed(run.own.ids().first(), run.last, &run.stored);
                for id in [1, run.given / 2, run.given].into_iter().filter(|id| *id > 0) {
                    let before = run.own.ids().of(id);
                    assert!(before > run.last || own.ids().of(id) == before);
                }
                assert!(own.covered() > run.given.saturating_sub(1), "{:?} {}", own, run.given);
                (run.own, run.next) = (own, run.last.max(run.next));
                self.free.count_run(self.begun);
            }
            // Somebody records by himself meanwhile.
            let alone = 1 + self.any(1_000);
            let first = self.last + 1;
            self.use_ids((first, first + alone), 0);
            self.free.begin_above(self.last + 1);
        }
    }

    #[test]
    fn a_million_runs_ten_thousand_at_once_leave_ids_for_many_more() {
        let mut history = History { used: None, ..History::new(0, 1) };
        for n in 0..1_000_000 {
            history.begin().unwrap();
            let at = history.runs.len() - 1;
            let (records, entries) = (history.any(50_000), history.any(50));
            history.store(at, records, entries).unwrap();
            // Some live long, and have a thousand times as many.
            let at = history.any(history.runs.len() as u64) as usize;
            history.store(at, if n % 100 == 0 { 40_000_000 } else { 100 }, 0).unwrap();
            if history.runs.len() > 10_000 {
                history.end(at);
            }
        }
        let left = history.free.left();
        assert!(left > FIRST_ID_MAX / 2, "{left}");
    }

    #[test]
    fn ids_of_runs_never_meet_whoever_comes_goes_or_goes_on() {
        for seed in 0..200 {
            // Also where few ids are left, and all pieces are small.
            let last = [0, FIRST_ID_MAX - (1 << 26), FIRST_ID_MAX - (1 << 22)][seed as usize % 3];
            let mut history = History::new(last, seed + 1);
            for _ in 0..300 {
                let at = history.any(history.runs.len() as u64) as usize;
                let done = match history.any(10) {
                    0 | 1 => history.begin(),
                    2 if !history.runs.is_empty() => {
                        history.end(at);
                        Ok(())
                    }
                    3 => {
                        history.go_on_anew();
                        Ok(())
                    }
                    _ if history.runs.is_empty() => Ok(()),
                    _ => {
                        let (records, entries) = (history.any(30_000), history.any(30_000));
                        history.store(at, records, entries)
                    }
                };
                if done.is_err() {
                    assert!(last > 0 && history.free.left() < 1 << 21, "{:?}", history.free);
                    break;
                }
                assert!(history.last < FIRST_ID_MAX);
            }
        }
    }

    #[test]
    fn a_run_that_is_alone_goes_on_in_one_piece() {
        let mut free = FreeIds::new();
        let mut own = OwnIds::beginning_at(free.next().unwrap());
        for id in [1, 1 << 20, 1 << 36, 1 << 40, (1 << 40) + 1] {
            own.cover(id, &mut free).unwrap();
            assert!(own.covered() > id && own.end() > own.ids().of(id));
        }
        assert_eq!((own.ids().further_pieces(), own.rows([0; 16]).count()), (0, 0));
        // And what it has not used is the next one's.
        free.give_back(own.end(), own.ids().of(1 << 40) + 1, std::iter::empty());
        assert_eq!(free.next(), Ok(own.ids().of(1 << 40) + 1));
    }

    #[test]
    fn no_run_gets_all_that_is_left_and_the_end_is_told() {
        let mut free = FreeIds::new();
        let mut own = OwnIds::beginning_at(1);
        assert_eq!(own.cover(FIRST_ID_MAX / 4, &mut free), Err(UsedUp));
        assert_eq!(own.numbers(2, u64::MAX, &mut free), Err(UsedUp));
        assert_eq!((own.end(), free.next()), (1, Ok(1)));
        free.begin_above(FIRST_ID_MAX - 1);
        assert_eq!(free.next(), Err(UsedUp));
        free.begin_above(u64::MAX);
        assert_eq!((free.next(), own.cover(1, &mut free)), (Err(UsedUp), Err(UsedUp)));
    }
}
