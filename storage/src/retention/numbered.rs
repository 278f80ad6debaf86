//! Spans, events and entries, which are numbered together.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Moment, Pruned};

#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Span,
    Event,
    Entry,
}

/// The tables whose rows are numbered together.
pub(super) const NUMBERED: [Table; 3] = [Table::Span, Table::Event, Table::Entry];

impl Table {
    /// Names of the table, of the moment of a row, and of the count in `run`.
    pub(super) fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Span => ("span", "start_ns", "pruned_spans"),
            Self::Event => ("event", "at_ns", "pruned_events"),
            Self::Entry => ("entry", "start_ns", "pruned_entries"),
        }
    }
}

/// When the oldest span, event or entry began, in the run that has the smallest id; if there is none, a moment after
/// everything.
pub(super) fn oldest_moment(tx: &Transaction<'_>) -> rusqlite::Result<Moment> {
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

/// Deletes the rows with ids up to this one, a range of the primary key: only the run of each row has to
/// be read.
pub(super) fn delete_up_to(
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
pub(super) fn delete_before(
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
pub(super) fn count_deleted(
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
