//! Histories of runs that come and go beside each other.

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
            assert!(other > last || whose == run, "{first}..={last} of {run}: {other} of {whose}");
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
