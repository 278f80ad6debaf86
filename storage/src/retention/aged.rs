//! What is too old: in each run that began before a moment, the rows from before it. Runs may have been recorded beside
//! each other, for years or for a second.

use rusqlite::{OptionalExtension, Transaction, params};

use super::numbered::{NUMBERED, Table, count_deleted};
use super::places::Place;
use super::{CALL_ROWS, Moment, Pruned};

/// A run of which rows are too old.
#[derive(Debug)]
pub(super) struct Aged {
    run_id: i64,
    /// Its ids.
    first_id: i64,
    last_id: i64,
    /// Rows that began before this moment of the run.
    before_ns: i64,
}

/// Runs that began before this time (nanoseconds since the Unix epoch) and have rows left, the first ones first.
pub(super) fn runs(tx: &Transaction<'_>, cutoff_unix_ns: i64) -> rusqlite::Result<Vec<Aged>> {
    read(tx, "?1 - started_unix_ns", "started_unix_ns < ?1", cutoff_unix_ns)
}

/// Runs before this one that have rows left, all of which are too old.
pub(super) fn runs_before(tx: &Transaction<'_>, run_id: i64) -> rusqlite::Result<Vec<Aged>> {
    read(tx, &i64::MAX.to_string(), "id < ?1", run_id)
}

fn read(
    tx: &Transaction<'_>,
    before_ns: &str,
    which: &str,
    than: i64,
) -> rusqlite::Result<Vec<Aged>> {
    let mut query = tx.prepare(&format!(
        "SELECT id, first_id, last_id, {before_ns} FROM main.run
         WHERE {which}
           AND (spans > pruned_spans OR events > pruned_events OR entries > pruned_entries)
         ORDER BY first_id, id"
    ))?;
    let read = query.query_map([than], |row| {
        let (run_id, first_id, last_id) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Aged { run_id, first_id, last_id, before_ns: row.get(3)? })
    });
    read?.collect()
}

/// The first run that has anything from this time or later: everything of those before it is too old.
pub(super) fn horizon(tx: &Transaction<'_>, cutoff_unix_ns: i64) -> rusqlite::Result<Moment> {
    let sql = "SELECT coalesce(min(id), ?2) FROM main.run
               WHERE started_unix_ns >= ?1 OR started_unix_ns + last_ns >= ?1";
    let run_id = tx.query_row(sql, [cutoff_unix_ns, i64::MAX], |row| row.get(0))?;
    Ok(Moment { run_id, at_ns: i64::MIN })
}

impl Aged {
    pub(super) fn run_id(&self) -> i64 {
        self.run_id
    }

    /// Deletes what is too old, so many rows of a table at most.
    pub(super) fn prune(
        &self,
        tx: &Transaction<'_>,
        rows: u64,
        places: &mut [Place; 3],
        pruned: &mut Pruned,
    ) -> rusqlite::Result<()> {
        for (table, place) in NUMBERED.into_iter().zip(places) {
            let before = match table {
                Table::Span => pruned.spans,
                Table::Event => pruned.events,
                Table::Entry => pruned.entries,
            };
            let left = rows.saturating_sub(before);
            let late = self.late_rows(tx, table, left, place, pruned)?;
            self.rows(tx, table, left - late, place, pruned)?;
        }
        self.companions(tx, pruned)
    }

    /// Rows that came where there was none; returns how many were deleted.
    fn late_rows(
        &self,
        tx: &Transaction<'_>,
        table: Table,
        most: u64,
        place: &mut Place,
        pruned: &mut Pruned,
    ) -> rusqlite::Result<u64> {
        let (name, at, _) = table.names();
        let sql = format!("SELECT {at} FROM main.{name} WHERE id = ?1 AND run_id = ?2");
        let mut find = tx.prepare(&sql)?;
        let mut delete = tx.prepare(&format!("DELETE FROM main.{name} WHERE id = ?1"))?;
        let (mut deleted, mut last, mut left) = (0, i64::MIN, Vec::new());
        for id in std::mem::take(&mut place.late) {
            let at_ns = find.query_row([id, self.run_id], |row| row.get::<_, i64>(0)).optional()?;
            match at_ns {
                None => {}
                Some(at_ns) if at_ns < self.before_ns && deleted < most => {
                    deleted += delete.execute([id])? as u64;
                    last = last.max(id);
                }
                Some(_) => left.push(id),
            }
        }
        place.late = left;
        if deleted > 0 {
            count_deleted(tx, table, self.run_id, deleted as usize, last, pruned)?;
        }
        pruned.more |= deleted >= most;
        Ok(deleted)
    }

    /// Among so many rows from where its own begin, whosever they are.
    fn rows(
        &self,
        tx: &Transaction<'_>,
        table: Table,
        rows: u64,
        place: &mut Place,
        pruned: &mut Pruned,
    ) -> rusqlite::Result<()> {
        let Self { run_id, first_id, last_id, before_ns } = self;
        if rows == 0 {
            pruned.more = true;
            return Ok(());
        }
        let (name, at, _) = table.names();
        let first_id = place.first_id.max(*first_id);
        let found = tx.query_row(
            &format!(
                "SELECT count(*), max(id), min(id) FILTER (WHERE run_id = ?3 AND at >= ?4),
                   max(id) FILTER (WHERE run_id = ?3 AND at < ?4)
                 FROM (SELECT id, run_id, {at} AS at FROM main.{name}
                   WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT {rows})"
            ),
            params![first_id, last_id, run_id, before_ns],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        );
        let (count, last, stays, goes): (i64, Option<i64>, Option<i64>, Option<i64>) = found?;
        if let Some(goes) = goes {
            let deleted = tx.execute(
                &format!(
                    "DELETE FROM main.{name} WHERE id BETWEEN ?1 AND ?2 AND run_id = ?3 AND {at} < ?4"
                ),
                params![first_id, goes, run_id, before_ns],
            )?;
            count_deleted(tx, table, *run_id, deleted, goes, pruned)?;
            place.deleted_to = goes.max(place.deleted_to);
        }
        let is_end = (count as u64) < rows;
        let last = if is_end { Some(*last_id) } else { last };
        place.first_id = stays.or(last.map(|id| id.saturating_add(1))).unwrap_or(first_id);
        pruned.more |= !is_end && (stays.is_none() || goes.is_some());
        Ok(())
    }

    /// What belongs to them.
    fn companions(&self, tx: &Transaction<'_>, pruned: &mut Pruned) -> rusqlite::Result<()> {
        let params = params![self.run_id, self.before_ns, CALL_ROWS as i64];
        let mut most = 0;
        for table in ["rollup", "entry_rollup"] {
            let deleted = tx.execute(
                &format!(
                    "DELETE FROM main.{table} WHERE (run_id, at_ns, callsite_id) IN (
                       SELECT run_id, at_ns, callsite_id FROM main.{table}
                       WHERE run_id = ?1 AND at_ns < ?2 AND at_ns + interval_ns <= ?2
                       ORDER BY at_ns, callsite_id LIMIT ?3)"
                ),
                params,
            )?;
            pruned.rollups += deleted as u64;
            most = deleted.max(most);
        }
        let stats = tx.execute(
            "DELETE FROM main.writer_stat WHERE (run_id, at_ns) IN (
               SELECT run_id, at_ns FROM main.writer_stat WHERE run_id = ?1 AND at_ns < ?2
               ORDER BY at_ns LIMIT ?3)",
            params,
        )?;
        most = stats.max(most);
        pruned.more |= most as u64 >= CALL_ROWS;
        Ok(())
    }
}
