//! Follows one table by commits: each commit has a number, and its rows name it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::cursor::Table;
use crate::reader::Names;

/// Rows that a poll reads at most.
const PIECE_ROWS: usize = 20_000;

#[derive(Debug)]
pub(super) struct Commits {
    table: Table,
    run_id: i64,
    /// The last commit before the beginning.
    began: i64,
    /// The last commit that was read as a whole.
    last: i64,
    /// The largest id that was read of the next commit, if it was read in part.
    within: Option<i64>,
    /// Rows of the run that were read, skipped or given up.
    counted: i64,
    missed: u64,
}

impl Commits {
    /// Starts behind all rows that are stored now, or before all rows. `None` for a run whose commits do not list
    /// their rows: that of an earlier version.
    pub(super) fn new(
        conn: &Connection,
        table: Table,
        run_id: i64,
        from_start: bool,
    ) -> rusqlite::Result<Option<Self>> {
        let has_commits =
            "SELECT count(*) FROM pragma_table_info('run') WHERE name = 'last_batch_id'";
        if conn.query_row(has_commits, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let run =
            format!("SELECT last_batch_id, {}, spans + events FROM run WHERE id = ?1", table.total);
        let (last, counted, rows): (i64, i64, i64) =
            conn.query_row(&run, [run_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if last == 0 && rows > 0 {
            return Ok(None);
        }
        let (last, counted) = if from_start { (0, 0) } else { (last, counted) };
        let (began, within, missed) = (last, None, 0);
        Ok(Some(Self { table, run_id, began, last, within, counted, missed }))
    }

    /// Rows that were deleted before they were read.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Calls `each` for rows that came since; says whether there are more to read at once.
    pub(super) fn poll(
        &mut self,
        conn: &Connection,
        mut each: impl FnMut(&Row<'_>, &mut Names<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<bool> {
        let mut names = Names::new(conn)?;
        let Table { name, columns, total, .. } = self.table;
        let next = "SELECT id FROM batch WHERE id > ?1 AND run_id = ?2 ORDER BY id LIMIT 1";
        let mut next = conn.prepare(next)?;
        // Rows of a range come in order of id, and ranges do not overlap.
        let rows = format!(
            "SELECT {columns} FROM batch_range AS r CROSS JOIN {name} AS s
             ON s.id BETWEEN max(r.first_id, ?2) AND r.last_id AND +s.batch_id = r.batch_id
             WHERE r.batch_id = ?1 AND r.kind = '{name}' ORDER BY r.first_id, s.id LIMIT ?3"
        );
        let mut rows = conn.prepare(&rows)?;
        let mut read = 0;
        while let Some(batch) =
            next.query_row([self.last, self.run_id], |row| row.get(0)).optional()?
        {
            let from: i64 = self.within.map_or(i64::MIN, |id| id.saturating_add(1));
            let room = PIECE_ROWS - read;
            let mut found = rows.query(params![batch, from, room as i64])?;
            while let Some(row) = found.next()? {
                self.within = Some(row.get(0)?);
                self.counted += 1;
                read += 1;
                each(row, &mut names)?;
            }
            if read >= PIECE_ROWS {
                return Ok(true);
            }
            (self.last, self.within) = (batch, None);
        }
        // The total is read in this transaction: rows that were not found now are gone.
        let total = format!("SELECT {total} FROM run WHERE id = ?1");
        let total: i64 = conn.query_row(&total, [self.run_id], |row| row.get(0))?;
        self.missed += u64::try_from(total - self.counted).unwrap_or(0);
        self.counted = self.counted.max(total);
        Ok(false)
    }

    /// The newest rows of those that were stored at the beginning, backwards, while `each` says so.
    pub(super) fn before(
        &self,
        conn: &Connection,
        mut each: impl FnMut(&Row<'_>, &mut Names<'_>) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<()> {
        let mut names = Names::new(conn)?;
        let Table { name, columns, .. } = self.table;
        let older = format!(
            "SELECT {columns} FROM {name}
             WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1)
               AND (SELECT last_id FROM run WHERE id = ?1)
             AND run_id = ?1 AND batch_id <= ?2 ORDER BY id DESC"
        );
        let mut older = conn.prepare(&older)?;
        let mut rows = older.query([self.run_id, self.began])?;
        while let Some(row) = rows.next()? {
            if !each(row, &mut names)? {
                break;
            }
        }
        Ok(())
    }
}
