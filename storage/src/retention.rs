//! Deletes the oldest rows, in small steps.
//!
//! Ids grow over all runs, so the rows with the smallest ids are the oldest, those of earlier runs
//! first; there is no need to search. (Where the age counts, each run that was going on at the same time has a
//! moment of its own: see `aged.rs`.) Spans, events and entries are numbered together, and are deleted
//! together. What belongs to them (links, rollups, marks, gauges, the state of the writer) is deleted up
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
mod places;
mod sweeps;
#[cfg(test)]
mod tests;
mod whole_runs;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use self::aged::Aged;
pub(crate) use self::places::Places;
use self::sweeps::{Old, Sweeps};
pub(crate) use self::whole_runs::InHand;
use crate::options::StoreOptions;

/// Most rows that a call deletes, unless the caller says otherwise; a batch of the writer has about as
/// many.
const CALL_ROWS: u64 = 8_192;
/// Rows that are deleted before it is checked again what is left.
const STEP_ROWS: u64 = 1_024;
/// If there are only a few rows, this part of them ...
const STEP_PART: u64 = 8;
/// ... but at least so many.
const STEP_ROWS_MIN: u64 = 16;
/// How many commits are checked at a time for having lost all of their rows.
const COMMITS: usize = 64;
/// Pages that a call gives back at least.
const CALL_PAGES: u64 = 128;

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

#[derive(Debug, Clone, Copy)]
enum Table {
    Span,
    Event,
    Entry,
}

/// The tables whose rows are numbered together.
const NUMBERED: [Table; 3] = [Table::Span, Table::Event, Table::Entry];

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
        prune_aged(tx, &runs, rows, (in_hand, places), &mut pruned)?;
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
        sweeps.delete(tx, old, in_hand, &mut pruned)?;
    }
    if let Some(max_bytes) = limits.max_bytes {
        pruned.more |= give_back(tx, max_bytes, pace)?;
    }
    Ok(pruned)
}

/// Deletes the oldest rows, until the others need no more bytes than that. Says whether there was anything to do.
fn prune_to_size(
    tx: &Transaction<'_>,
    target: u64,
    pace: Pace,
    pruned: &mut Pruned,
) -> rusqlite::Result<bool> {
    let before = used_bytes(tx)?;
    if before <= target {
        return Ok(false);
    }
    let mut used = before;
    let mut since_companions = 0;
    let step_max = step_rows(tx)?;
    while used > target && !pace.is_over(pruned, before.saturating_sub(used)) {
        let left = match pace.bytes {
            0 => pace.rows_left(pruned.rows()),
            _ => STEP_ROWS,
        };
        let step = left.min(step_max);
        let Some(last) = last_of_oldest(tx, step)? else { break };
        for table in NUMBERED {
            delete_up_to(tx, table, last, pruned)?;
        }
        since_companions += step;
        if step < STEP_ROWS || since_companions >= CALL_ROWS {
            since_companions = 0;
            delete_companions(tx, oldest_moment(tx)?, pruned)?;
        }
        used = used_bytes(tx)?;
    }
    delete_companions(tx, oldest_moment(tx)?, pruned)?;
    let deleted = pruned.rows() + pruned.rollups > 0;
    pruned.more |= deleted && used_bytes(tx)? > target;
    Ok(true)
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

/// How many of the oldest rows to delete at a time: only a small part of all.
fn step_rows(tx: &Transaction<'_>) -> rusqlite::Result<u64> {
    let count = |table| {
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM main.{table} LIMIT ?1)");
        tx.query_row(&sql, [(STEP_ROWS * STEP_PART) as i64], |row| row.get::<_, i64>(0))
    };
    let rows = u64::try_from(count("span")? + count("event")? + count("entry")?).unwrap_or(0);
    Ok((rows / STEP_PART).clamp(STEP_ROWS_MIN, STEP_ROWS))
}

/// The largest id among so many of the oldest spans, events and entries.
fn last_of_oldest(tx: &Transaction<'_>, rows: u64) -> rusqlite::Result<Option<i64>> {
    let nth = "SELECT id FROM main.span UNION ALL SELECT id FROM main.event
               UNION ALL SELECT id FROM main.entry
               ORDER BY 1 LIMIT 1 OFFSET ?1";
    let last = tx.query_row(nth, [rows.saturating_sub(1) as i64], |row| row.get(0)).optional()?;
    if last.is_some() {
        return Ok(last);
    }
    let largest = "SELECT max(id) FROM (SELECT max(id) AS id FROM main.span
                     UNION ALL SELECT max(id) FROM main.event
                     UNION ALL SELECT max(id) FROM main.entry)";
    tx.query_row(largest, [], |row| row.get(0))
}

/// The size of the file once its log is merged.
pub(crate) fn bytes(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(number(conn, "page_count")? * number(conn, "page_size")?)
}

/// When the oldest span, event or entry began, in the run that has the smallest id; if there is none, a moment after
/// everything.
fn oldest_moment(tx: &Transaction<'_>) -> rusqlite::Result<Moment> {
    let first = |table: Table| {
        let (name, at, _) = table.names();
        let sql = format!("SELECT id, run_id, {at} FROM main.{name} ORDER BY id LIMIT 1");
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, i64>(0)?, Moment { run_id: row.get(1)?, at_ns: row.get(2)? }))
        };
        tx.query_row(&sql, [], read).optional()
    };
    let mut found = Vec::new();
    for table in NUMBERED {
        found.extend(first(table)?);
    }
    // The first event of another run may come long after its first span.
    let run_id = found.iter().min_by_key(|(id, _)| *id).map(|(_, moment)| moment.run_id);
    let of_run = found.iter().map(|(_, moment)| *moment).filter(|it| Some(it.run_id) == run_id);
    Ok(of_run.min().unwrap_or(Moment { run_id: i64::MAX, at_ns: 0 }))
}

impl Table {
    /// Names of the table, of the moment of a row, and of the count in `run`.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Span => ("span", "start_ns", "pruned_spans"),
            Self::Event => ("event", "at_ns", "pruned_events"),
            Self::Entry => ("entry", "start_ns", "pruned_entries"),
        }
    }
}

/// Deletes the rows with ids up to this one, a range of the primary key: only the run of each row has to
/// be read.
fn delete_up_to(
    tx: &Transaction<'_>,
    table: Table,
    last: i64,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let (name, ..) = table.names();
    let mut first_run =
        tx.prepare(&format!("SELECT run_id FROM main.{name} WHERE id <= ?1 ORDER BY id LIMIT 1"))?;
    let mut delete =
        tx.prepare(&format!("DELETE FROM main.{name} WHERE id <= ?1 AND run_id = ?2"))?;
    // Runs follow each other, so this loop runs once or twice.
    while let Some(run_id) = first_run.query_row([last], |row| row.get(0)).optional()? {
        let deleted = delete.execute([last, run_id])?;
        count_deleted(tx, table, run_id, deleted, last, pruned)?;
    }
    Ok(())
}

/// Among the rows with the smallest ids, deletes those before the horizon, and returns how many.
fn delete_before(
    tx: &Transaction<'_>,
    table: Table,
    horizon: Moment,
    rows: u64,
    pruned: &mut Pruned,
) -> rusqlite::Result<u64> {
    let (name, at, _) = table.names();
    let step = format!("(SELECT id, run_id, {at} AS at FROM {name} ORDER BY id LIMIT {rows})");
    let mut runs = tx.prepare(&format!(
        "SELECT run_id, max(id) FROM {step} WHERE (run_id, at) < (?1, ?2) GROUP BY run_id"
    ))?;
    let runs = runs
        .query_map([horizon.run_id, horizon.at_ns], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, i64)>, _>>()?;
    let mut all = 0;
    for (run_id, last_id) in runs {
        let deleted = tx.execute(
            &format!(
                "DELETE FROM {name} WHERE id <= ?1 AND run_id = ?2 AND (run_id, {at}) < (?3, ?4)"
            ),
            params![last_id, run_id, horizon.run_id, horizon.at_ns],
        )?;
        count_deleted(tx, table, run_id, deleted, last_id, pruned)?;
        all += deleted as u64;
    }
    Ok(all)
}

/// Counts deleted rows in their run, and deletes the links of spans.
fn count_deleted(
    tx: &Transaction<'_>,
    table: Table,
    run_id: i64,
    deleted: usize,
    last_id: i64,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let (.., column) = table.names();
    tx.execute(
        &format!("UPDATE main.run SET {column} = {column} + ?2 WHERE id = ?1"),
        params![run_id, deleted as i64],
    )?;
    let is_live = run_id == pruned.live.run_id;
    match table {
        Table::Span => {
            tx.execute(
                &format!(
                    "DELETE FROM main.link WHERE span_id <= ?1 AND (run_id = ?2 OR run_id IN ({GONE}))
                       AND NOT EXISTS (SELECT 1 FROM main.span WHERE id = span_id)"
                ),
                [last_id, run_id],
            )?;
            // A span that is still open has no row yet, but spans inside it may have.
            tx.execute(
                &format!(
                    "DELETE FROM main.trace_context WHERE root_id <= ?1 AND span_id <= ?1
                       AND (run_id = ?2 OR run_id IN ({GONE}))
                       AND NOT EXISTS (SELECT 1 FROM main.span WHERE id = span_id)
                       AND NOT EXISTS (SELECT 1 FROM main.open_span WHERE id = span_id)"
                ),
                [last_id, run_id],
            )?;
            pruned.spans += deleted as u64;
            pruned.live.spans += if is_live { deleted as i64 } else { 0 };
        }
        Table::Event => {
            pruned.events += deleted as u64;
            pruned.live.events += if is_live { deleted as i64 } else { 0 };
        }
        Table::Entry => {
            pruned.entries += deleted as u64;
            pruned.live.entries += if is_live { deleted as i64 } else { 0 };
        }
    }
    Ok(())
}

/// SQL: runs that have ended and have no spans, events and entries left.
const GONE: &str = "SELECT id FROM main.run WHERE ended_unix_ns IS NOT NULL
    AND spans <= pruned_spans AND events <= pruned_events AND entries <= pruned_entries";

/// SQL: runs with spans, events or entries. Those of one that was recorded beside others may come behind theirs.
const WITH_ROWS: &str = "SELECT id FROM main.run
    WHERE spans > pruned_spans OR events > pruned_events OR entries > pruned_entries";

/// Deletes what belongs to spans and events before the horizon, but nothing of earlier runs that have rows left.
fn delete_companions(
    tx: &Transaction<'_>,
    horizon: Moment,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let Moment { run_id, at_ns } = horizon;
    let mut rollups = 0;
    for table in ["rollup", "entry_rollup"] {
        let deleted = tx.execute(
            &format!(
                "DELETE FROM main.{table} WHERE (run_id, at_ns, callsite_id) IN (
                   SELECT run_id, at_ns, callsite_id FROM main.{table}
                   WHERE (run_id, at_ns) < (?1, ?2) AND (run_id < ?1 OR at_ns + interval_ns <= ?2)
                     AND (run_id = ?1 OR run_id NOT IN ({WITH_ROWS}))
                   ORDER BY run_id, at_ns, callsite_id LIMIT ?3)"
            ),
            [run_id, at_ns, CALL_ROWS as i64],
        )?;
        pruned.rollups += deleted as u64;
        rollups = deleted.max(rollups);
    }
    let stats = tx.execute(
        &format!(
            "DELETE FROM writer_stat WHERE (run_id, at_ns) IN (
               SELECT run_id, at_ns FROM writer_stat WHERE (run_id, at_ns) < (?1, ?2)
                 AND (run_id = ?1 OR run_id NOT IN ({WITH_ROWS}))
               ORDER BY run_id, at_ns LIMIT ?3)"
        ),
        [run_id, at_ns, CALL_ROWS as i64],
    )?;
    pruned.more |= rollups.max(stats) as i64 >= CALL_ROWS as i64;
    delete_batches(tx)
}

/// Deletes ranges of commits whose rows are all gone, and commits without any rows left. Their numbers
/// are never used again: the row of the run knows the last one.
fn delete_batches(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let oldest = format!("SELECT id FROM main.batch ORDER BY id LIMIT {COMMITS}");
    let mut ranges = tx.prepare(&format!(
        "DELETE FROM main.batch_range WHERE batch_id IN ({oldest}) AND kind <> 'root'
           AND last_id < CASE kind
             WHEN 'event' THEN coalesce((SELECT min(id) FROM main.event), last_id + 1)
             WHEN 'entry' THEN coalesce((SELECT min(id) FROM main.entry), last_id + 1)
             ELSE coalesce((SELECT min(id) FROM main.span), last_id + 1) END"
    ))?;
    // Ranges of roots are needed as long as there are spans.
    let mut roots = tx.prepare(&format!(
        "DELETE FROM main.batch_range WHERE batch_id IN ({oldest}) AND kind = 'root'
           AND NOT EXISTS (SELECT 1 FROM main.batch_range AS r
             WHERE r.batch_id = batch_range.batch_id AND r.kind = 'span')"
    ))?;
    let mut commits = tx.prepare(&format!(
        "DELETE FROM main.batch WHERE id IN ({oldest})
           AND NOT EXISTS (SELECT 1 FROM main.batch_range WHERE batch_id = batch.id)"
    ))?;
    loop {
        ranges.execute([])?;
        roots.execute([])?;
        if commits.execute([])? < COMMITS {
            return Ok(());
        }
    }
}

fn number(conn: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let sql = format!("PRAGMA main.{pragma}");
    let value: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}

pub(crate) fn used_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    let used = number(conn, "page_count")?.saturating_sub(number(conn, "freelist_count")?);
    Ok(used * number(conn, "page_size")?)
}

/// Shortens a file that is larger than its limit. Returns whether there is more to give back.
fn give_back(tx: &Transaction<'_>, max_bytes: u64, pace: Pace) -> rusqlite::Result<bool> {
    let page_size = number(tx, "page_size")?.max(1);
    let excess = || -> rusqlite::Result<u64> {
        let pages = number(tx, "page_count")?.saturating_sub(max_bytes / page_size);
        Ok(pages.min(number(tx, "freelist_count")?))
    };
    let before = excess()?;
    if before == 0 {
        return Ok(false);
    }
    let pages = before.min(CALL_PAGES.max(pace.bytes / page_size));
    // Works while it is stepped: one row a page.
    let mut vacuum = tx.prepare(&format!("PRAGMA main.incremental_vacuum({pages})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    let after = excess()?;
    // A file that was made without `auto_vacuum` does not become shorter.
    Ok(0 < after && after < before)
}
