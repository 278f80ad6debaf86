//! Deleting the oldest rows, in small steps.
//!
//! Ids grow over all runs, so the rows with the smallest ids are the oldest, those of earlier runs
//! first; nothing has to be searched. What goes with spans and events (links, rollups, marks,
//! gauges, the state of the writer) is deleted up to the same moment. Runs, callsites and losses
//! stay: they are few, and the ledger must still add up.
//!
//! Pages of deleted rows are used again. They are given back to the file system only while the file
//! is larger than it may be, which takes `auto_vacuum = INCREMENTAL`.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::options::StoreOptions;

/// Rows of a table that a call deletes at most; a batch of the writer has about as many.
const STEP_ROWS: i64 = 8_192;
/// Pages that a call gives back at most.
const STEP_PAGES: i64 = 128;

/// What a call of [`Store::prune`](crate::Store::prune) deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Span rows.
    pub spans: u64,
    /// Event rows.
    pub events: u64,
    /// Rollup rows.
    pub rollups: u64,
    /// Whether there is more to do; call again.
    pub more: bool,
}

/// What may stay.
#[derive(Debug)]
pub(crate) struct Limits {
    max_bytes: Option<u64>,
    /// Rows that began before this moment go.
    cutoff_unix_ns: Option<i64>,
}

/// A moment of a run; runs follow each other, so moments are ordered over the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    run_id: i64,
    at_ns: i64,
}

#[derive(Debug, Clone, Copy)]
enum Table {
    Span,
    Event,
}

impl Limits {
    pub(crate) fn new(options: &StoreOptions, now_unix_ns: i64) -> Option<Self> {
        let ago = |age: Duration| {
            now_unix_ns.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
        };
        let limits =
            Self { max_bytes: options.max_bytes, cutoff_unix_ns: options.max_age.map(ago) };
        (limits.max_bytes.is_some() || limits.cutoff_unix_ns.is_some()).then_some(limits)
    }

    /// Rows that began before this moment go.
    pub(crate) fn before(cutoff_unix_ns: i64) -> Self {
        Self { max_bytes: None, cutoff_unix_ns: Some(cutoff_unix_ns) }
    }
}

/// One step of deleting.
pub(crate) fn prune(tx: &Transaction<'_>, limits: &Limits) -> rusqlite::Result<Pruned> {
    let mut pruned = Pruned::default();
    if let Some(horizon) = limits.cutoff_unix_ns.map(|at| moment_of(tx, at)).transpose()?.flatten()
    {
        for table in [Table::Span, Table::Event] {
            delete_oldest(tx, table, Some(horizon), &mut pruned)?;
        }
        delete_companions(tx, horizon, &mut pruned)?;
    }
    if let Some(max_bytes) = limits.max_bytes {
        // A sixteenth of room, so that the next batches fit into pages that are free by then.
        let room = max_bytes / 16;
        if used_bytes(tx)? > max_bytes - room {
            if let Some((table, _)) = oldest(tx)? {
                delete_oldest(tx, table, None, &mut pruned)?;
            }
            let horizon = oldest(tx)?.map(|(_, moment)| moment);
            let horizon = horizon.unwrap_or(Moment { run_id: i64::MAX, at_ns: 0 });
            delete_companions(tx, horizon, &mut pruned)?;
            let deleted = pruned.spans + pruned.events + pruned.rollups > 0;
            pruned.more |= deleted && used_bytes(tx)? > max_bytes - room;
        }
        pruned.more |= give_back(tx, max_bytes)?;
    }
    Ok(pruned)
}

/// One less than the first id that is free.
pub(crate) fn last_id(conn: &Connection) -> rusqlite::Result<u64> {
    let largest: i64 =
        conn.query_row("SELECT coalesce(max(last_id), 0) FROM run", [], |row| row.get(0))?;
    Ok(u64::try_from(largest).unwrap_or(0))
}

/// A moment of the wall clock as one of the run that was going on.
fn moment_of(tx: &Transaction<'_>, unix_ns: i64) -> rusqlite::Result<Option<Moment>> {
    tx.query_row(
        "SELECT id, ?1 - started_unix_ns FROM run WHERE started_unix_ns < ?1
         ORDER BY id DESC LIMIT 1",
        [unix_ns],
        |row| Ok(Moment { run_id: row.get(0)?, at_ns: row.get(1)? }),
    )
    .optional()
}

/// The oldest span or event.
fn oldest(tx: &Transaction<'_>) -> rusqlite::Result<Option<(Table, Moment)>> {
    let first = |sql| {
        tx.query_row(sql, [], |row| Ok(Moment { run_id: row.get(0)?, at_ns: row.get(1)? }))
            .optional()
    };
    let span = first("SELECT run_id, start_ns FROM span ORDER BY id LIMIT 1")?;
    let event = first("SELECT run_id, at_ns FROM event ORDER BY id LIMIT 1")?;
    Ok(match (span, event) {
        (Some(span), Some(event)) if event < span => Some((Table::Event, event)),
        (Some(span), _) => Some((Table::Span, span)),
        (None, event) => event.map(|event| (Table::Event, event)),
    })
}

/// Deletes from the rows with the smallest ids, those before the horizon if there is one, and
/// counts them in their runs.
fn delete_oldest(
    tx: &Transaction<'_>,
    table: Table,
    horizon: Option<Moment>,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let (name, at, column) = match table {
        Table::Span => ("span", "start_ns", "pruned_spans"),
        Table::Event => ("event", "at_ns", "pruned_events"),
    };
    let horizon = horizon.unwrap_or(Moment { run_id: i64::MAX, at_ns: i64::MAX });
    let step = format!("(SELECT id, run_id, {at} AS at FROM {name} ORDER BY id LIMIT {STEP_ROWS})");
    let mut runs = tx.prepare(&format!(
        "SELECT run_id, count(*), max(id) FROM {step} WHERE (run_id, at) < (?1, ?2)
         GROUP BY run_id"
    ))?;
    let runs = runs
        .query_map([horizon.run_id, horizon.at_ns], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<Vec<(i64, i64, i64)>, _>>()?;
    let mut deleted = 0;
    for (run_id, _, last_id) in runs {
        let rows = tx.execute(
            &format!(
                "DELETE FROM {name} WHERE id <= ?1 AND run_id = ?2 AND (run_id, {at}) < (?3, ?4)"
            ),
            params![last_id, run_id, horizon.run_id, horizon.at_ns],
        )?;
        tx.execute(
            &format!("UPDATE run SET {column} = {column} + ?2 WHERE id = ?1"),
            params![run_id, rows as i64],
        )?;
        if matches!(table, Table::Span) {
            tx.execute(
                "DELETE FROM link WHERE span_id <= ?1
                   AND NOT EXISTS (SELECT 1 FROM span WHERE id = span_id)",
                [last_id],
            )?;
        }
        deleted += rows as u64;
    }
    match table {
        Table::Span => pruned.spans += deleted,
        Table::Event => pruned.events += deleted,
    }
    pruned.more |= deleted >= STEP_ROWS as u64;
    Ok(())
}

/// Deletes what belongs to spans and events before the horizon.
fn delete_companions(
    tx: &Transaction<'_>,
    horizon: Moment,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let Moment { run_id, at_ns } = horizon;
    let rollups = tx.execute(
        "DELETE FROM rollup WHERE (run_id, at_ns, callsite_id) IN (
           SELECT run_id, at_ns, callsite_id FROM rollup
           WHERE (run_id, at_ns) < (?1, ?2) AND (run_id < ?1 OR at_ns + interval_ns <= ?2)
           ORDER BY run_id, at_ns, callsite_id LIMIT ?3)",
        [run_id, at_ns, STEP_ROWS],
    )?;
    let stats = tx.execute(
        "DELETE FROM writer_stat WHERE (run_id, at_ns) IN (
           SELECT run_id, at_ns FROM writer_stat WHERE (run_id, at_ns) < (?1, ?2)
           ORDER BY run_id, at_ns LIMIT ?3)",
        [run_id, at_ns, STEP_ROWS],
    )?;
    pruned.rollups += rollups as u64;
    pruned.more |= rollups.max(stats) as i64 >= STEP_ROWS;
    for table in ["mark", "gauge"] {
        let rows = tx.execute(
            &format!(
                "DELETE FROM {table} WHERE id IN (
                   SELECT id FROM (SELECT id, run_id, at_ns FROM {table} ORDER BY id LIMIT ?3)
                   WHERE (run_id, at_ns) < (?1, ?2))"
            ),
            [run_id, at_ns, STEP_ROWS],
        )?;
        pruned.more |= rows as i64 >= STEP_ROWS;
    }
    for table in ["thread", "open_span"] {
        // Of whole runs only: a thread may still record, and losses name threads.
        let rows = tx.execute(
            &format!(
                "DELETE FROM {table} WHERE id IN (
                   SELECT id FROM (SELECT id, run_id FROM {table} ORDER BY id LIMIT ?2)
                   WHERE run_id < min(?1, (SELECT max(id) FROM run)))"
            ),
            [run_id, STEP_ROWS],
        )?;
        pruned.more |= rows as i64 >= STEP_ROWS;
    }
    Ok(())
}

fn number(tx: &Transaction<'_>, pragma: &str) -> rusqlite::Result<u64> {
    let value: i64 = tx.pragma_query_value(None, pragma, |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}

fn used_bytes(tx: &Transaction<'_>) -> rusqlite::Result<u64> {
    let used = number(tx, "page_count")?.saturating_sub(number(tx, "freelist_count")?);
    Ok(used * number(tx, "page_size")?)
}

/// Shortens a file that is larger than it may be; true when there is more to give back.
fn give_back(tx: &Transaction<'_>, max_bytes: u64) -> rusqlite::Result<bool> {
    let excess = || -> rusqlite::Result<u64> {
        let bytes = number(tx, "page_count")? * number(tx, "page_size")?;
        Ok(if number(tx, "freelist_count")? == 0 { 0 } else { bytes.saturating_sub(max_bytes) })
    };
    if excess()? == 0 {
        return Ok(false);
    }
    // Works as long as it is stepped: a row a page.
    let mut vacuum = tx.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(excess()? > 0)
}
