//! Deletes the oldest rows, in small steps.
//!
//! Ids grow over all runs, so the rows with the smallest ids are the oldest, those of earlier runs
//! first; there is no need to search. (Where the age counts, each run that was going on at the same time has a
//! moment of its own: see `aged.rs`.) Spans, events and entries are numbered together, and are deleted
//! together. What belongs to them (links, rollups, marks, gauges, threads, the state of the writer) is deleted up
//! to the same moment. Runs, callsites and losses stay: they are few, and the ledger must still add up.
//!
//! Pages of deleted rows are used again. They are given back to the file system only while the file is
//! larger than its limit, which needs `auto_vacuum = INCREMENTAL`.
//!
//! A recording deletes after each batch, in proportion to the size of the batch: until there is room for
//! another one like it; or for twice as much, if the file was larger than its limit from the beginning.
//! So the file exceeds its limit by one batch at most, however fast rows come, and a batch never waits
//! for more than its own share.

mod aged;
mod commits;
mod companions;
mod numbered;
mod pages;
mod places;
mod size;
mod sweeps;
#[cfg(test)]
mod tests;
mod whole_runs;

use std::time::Duration;

use rusqlite::Transaction;

use self::aged::Aged;
use self::companions::{WITH_ROWS, delete_companions};
use self::numbered::{NUMBERED, delete_before, oldest_moment};
use self::pages::give_back;
pub(crate) use self::pages::{bytes, used_bytes};
pub(crate) use self::places::Places;
use self::size::prune_to_size;
use self::sweeps::{Old, Sweeps};
pub(crate) use self::whole_runs::InHand;
use crate::options::StoreOptions;

/// Most rows that a call deletes, unless the caller says otherwise; a batch of the writer has about as
/// many.
const CALL_ROWS: u64 = 8_192;
/// Rows that are deleted before it is checked again what is left.
const STEP_ROWS: u64 = 1_024;

/// What a call of [`Store::prune`](crate::Store::prune) deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Span rows.
    pub spans: u64,
    /// Event rows.
    pub events: u64,
    /// Entry rows.
    pub entries: u64,
    /// Rollup rows.
    pub rollups: u64,
    /// Whether there is more to do; call again.
    pub more: bool,
    /// How many of them belonged to the run that is being recorded.
    pub(crate) live: Live,
}

impl Pruned {
    /// Rows of the tables that are numbered together.
    fn rows(&self) -> u64 {
        self.spans + self.events + self.entries
    }
}

/// What was deleted of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Live {
    run_id: i64,
    pub(crate) spans: i64,
    pub(crate) events: i64,
    pub(crate) entries: i64,
}

/// How much a call deletes before it leaves the rest to the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// So many rows at most ...
    rows: u64,
    /// ... and so many bytes of pages that become free.
    bytes: u64,
}

impl Pace {
    /// A small step.
    pub(crate) fn step() -> Self {
        Self { rows: CALL_ROWS, bytes: 0 }
    }

    /// Twice the size of a batch.
    pub(crate) fn after_batch(rows: u64, bytes: u64) -> Self {
        Self { rows: 2 * rows, bytes: bytes.saturating_mul(2) }
    }

    fn is_over(self, pruned: &Pruned, freed: u64) -> bool {
        pruned.rows() >= self.rows && freed >= self.bytes
    }

    /// How many rows of a table one statement may delete, if so many were deleted already.
    fn rows_left(self, deleted: u64) -> u64 {
        self.rows.max(STEP_ROWS).saturating_sub(deleted)
    }
}

/// What may stay.
#[derive(Debug)]
pub(crate) struct Limits {
    max_bytes: Option<u64>,
    /// How much has to be free below that, for the next batch.
    room: u64,
    /// Rows that began before this moment are deleted.
    cutoff_unix_ns: Option<i64>,
    /// All rows of runs before this one are deleted.
    first_run: Option<i64>,
}

/// What earlier calls have found out. It is wrong if their transactions were not committed.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) places: Places,
    sweeps: Sweeps,
}

/// A moment of a run, and all of the runs before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    run_id: i64,
    at_ns: i64,
}

impl Limits {
    /// `batch_bytes` is the size of a batch.
    pub(crate) fn new(options: &StoreOptions, now_unix_ns: i64, batch_bytes: u64) -> Option<Self> {
        let ago = |age: Duration| {
            now_unix_ns.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
        };
        let max_bytes = options.max_bytes.unwrap_or(0);
        let limits = Self {
            max_bytes: options.max_bytes,
            // A sixteenth at least; but no more than half, so that something is kept.
            room: batch_bytes.max(max_bytes / 16).min(max_bytes / 2),
            cutoff_unix_ns: options.max_age.map(ago),
            first_run: None,
        };
        (limits.max_bytes.is_some() || limits.cutoff_unix_ns.is_some()).then_some(limits)
    }

    /// Rows that began before this moment are deleted.
    pub(crate) fn before(cutoff_unix_ns: i64) -> Self {
        Self { max_bytes: None, room: 0, cutoff_unix_ns: Some(cutoff_unix_ns), first_run: None }
    }

    /// All rows of runs before this one are deleted.
    pub(crate) fn before_run(first_run: i64) -> Self {
        Self { max_bytes: None, room: 0, cutoff_unix_ns: None, first_run: Some(first_run) }
    }
}

/// Deletes at this pace.
pub(crate) fn prune(
    tx: &Transaction<'_>,
    limits: &Limits,
    pace: Pace,
    in_hand: &InHand,
    known: &mut Known,
) -> rusqlite::Result<Pruned> {
    let live = Live { run_id: in_hand.run_id.unwrap_or(0), ..Live::default() };
    let mut pruned = Pruned { live, ..Pruned::default() };
    let Known { places, sweeps } = known;
    sweeps.begin((limits.cutoff_unix_ns.is_some(), limits.first_run, limits.max_bytes.is_some()));
    let mut before = None;
    if let Some(cutoff) = limits.cutoff_unix_ns {
        let rows = pace.rows.max(STEP_ROWS);
        prune_aged(tx, &aged::runs(tx, cutoff)?, rows, (in_hand, &mut *places), &mut pruned)?;
        // Earlier runs as a whole, and rows of which no run tells.
        let horizon = aged::horizon(tx, cutoff)?;
        for table in NUMBERED {
            let deleted = delete_before(tx, table, horizon, rows, &mut pruned)?;
            pruned.more |= deleted >= rows;
        }
        delete_companions(tx, horizon, &mut pruned)?;
        before = Some(horizon);
    }
    if let Some(run_id) = limits.first_run {
        let rows = pace.rows.max(STEP_ROWS);
        let runs = aged::runs_before(tx, run_id)?;
        prune_aged(tx, &runs, rows, (in_hand, &mut *places), &mut pruned)?;
        let horizon = Moment { run_id, at_ns: i64::MIN };
        delete_companions(tx, horizon, &mut pruned)?;
        before = before.max(Some(horizon));
    }
    if let Some(max_bytes) = limits.max_bytes {
        let deleted = prune_to_size(tx, max_bytes - limits.room, pace, &mut pruned)?;
        if deleted || in_hand.is_empty() && sweeps.are_begun() {
            before = before.max(Some(oldest_moment(tx)?));
        }
    }
    if let Some(before) = before {
        let old = Old { before, cutoff_unix_ns: limits.cutoff_unix_ns };
        sweeps.delete(tx, old, (in_hand, places), &mut pruned)?;
    }
    if let Some(max_bytes) = limits.max_bytes {
        pruned.more |= give_back(tx, max_bytes, pace)?;
    }
    Ok(pruned)
}

/// Deletes what is too old in each of these runs.
fn prune_aged(
    tx: &Transaction<'_>,
    runs: &[Aged],
    rows: u64,
    (in_hand, places): (&InHand, &mut Places),
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    // Of the others no more rows come.
    places.retain(|id| in_hand.has(id) || runs.iter().any(|run| run.run_id() == id));
    runs.iter().try_for_each(|run| run.prune(tx, rows, places.of_run(run.run_id()), pruned))
}
