//! Follows one table of a file of an earlier version: each row once, although ids do not come in order.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, params};

use super::seen_ids::SeenIds;
use crate::reader::Names;

/// Rows that a poll reads at most.
const PIECE_ROWS: i64 = 20_000;
/// Before following, this many ids below the newest one are checked: which of them are stored?
const KNOWN_IDS: i64 = 1 << 20;
/// Ids that are searched for late rows at a time.
const LATE_IDS: i64 = 1 << 16;
/// Open spans that are remembered at most.
const OPEN_MAX: usize = 1 << 16;
/// A span that is no longer listed as open is expected for this many polls.
const POLLS_EXPECTED: u64 = 1_000;

/// What differs between the tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static str,
    /// The column of `run` that counts its rows.
    pub(super) total: &'static str,
    /// Whether rows are announced in the table `open_span`.
    pub(super) opens: bool,
}

#[derive(Debug)]
pub(super) struct Cursor {
    table: Table,
    run_id: i64,
    /// The largest id that was seen.
    top: i64,
    seen: SeenIds,
    /// Rows of the run that were seen, skipped or given up.
    counted: i64,
    missed: u64,
    /// Spans that were open, and the poll in which they were listed last.
    open: BTreeMap<i64, u64>,
    /// Those of them that were found but are still listed: the list is a moment old.
    found: BTreeSet<i64>,
    polls: u64,
}

impl Cursor {
    /// Starts behind all rows that are stored now.
    pub(super) fn new(conn: &Connection, table: Table, run_id: i64) -> rusqlite::Result<Self> {
        let Table { name, total, .. } = table;
        let run = format!("SELECT first_id, last_id, {total} FROM run WHERE id = ?1");
        let (first, last, counted): (i64, i64, i64) =
            conn.query_row(&run, [run_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let newest = format!(
            "SELECT coalesce(max(id), ?1 - 1) FROM (SELECT id FROM {name}
             WHERE id BETWEEN ?1 AND ?2 AND run_id = ?3 ORDER BY id DESC LIMIT 1)"
        );
        let top: i64 = conn.query_row(&newest, params![first, last, run_id], |row| row.get(0))?;
        let from = top.saturating_sub(KNOWN_IDS).max(first);
        let mut seen = SeenIds::from(from);
        let known = format!("SELECT id FROM {name} WHERE id BETWEEN ?1 AND ?2 AND run_id = ?3");
        let mut known = conn.prepare(&known)?;
        let mut rows = known.query(params![from, top, run_id])?;
        while let Some(row) = rows.next()? {
            seen.insert(row.get(0)?);
        }
        let open = BTreeMap::new();
        let mut cursor = Self {
            table,
            run_id,
            top,
            seen,
            counted,
            missed: 0,
            open,
            found: BTreeSet::new(),
            polls: 0,
        };
        cursor.note_open(conn)?;
        Ok(cursor)
    }

    /// Starts before all rows of a run.
    pub(super) fn at_start(conn: &Connection, table: Table, run_id: i64) -> rusqlite::Result<Self> {
        let first = "SELECT first_id FROM run WHERE id = ?1";
        let first: i64 = conn.query_row(first, [run_id], |row| row.get(0))?;
        Ok(Self {
            table,
            run_id,
            top: first.saturating_sub(1),
            seen: SeenIds::from(first),
            counted: 0,
            missed: 0,
            open: BTreeMap::new(),
            found: BTreeSet::new(),
            polls: 0,
        })
    }

    /// Rows that came too late to be found.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Calls `each` for rows that came since; says whether there are more to read at once.
    pub(super) fn poll(
        &mut self,
        conn: &Connection,
        mut each: impl FnMut(&Row<'_>, &mut Names<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<bool> {
        self.polls += 1;
        let mut names = Names::new(conn)?;
        let Table { name, columns, total, opens } = self.table;
        let newer = format!(
            "SELECT {columns} FROM {name} WHERE id > ?1 AND id <= (SELECT last_id FROM run WHERE
               id = ?2) AND run_id = ?2 ORDER BY id LIMIT {PIECE_ROWS}"
        );
        let mut newer = conn.prepare(&newer)?;
        let mut rows = newer.query(params![self.top, self.run_id])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            self.top = row.get(0)?;
            read += 1;
            self.seen.insert(self.top);
            self.counted += 1;
            each(row, &mut names)?;
        }
        if read == PIECE_ROWS {
            return Ok(true);
        }
        let total = format!("SELECT {total} FROM run WHERE id = ?1");
        let total: i64 = conn.query_row(&total, [self.run_id], |row| row.get(0))?;
        if self.counted < total {
            let one = format!("SELECT {columns} FROM {name} WHERE id = ?1 AND run_id = ?2");
            let mut one = conn.prepare(&one)?;
            for id in self.late(conn, total)? {
                let mut rows = one.query(params![id, self.run_id])?;
                if let Some(row) = rows.next()? {
                    self.seen.insert(id);
                    self.counted += 1;
                    each(row, &mut names)?;
                }
            }
            // The total is read in this transaction: rows that were not found now are given up.
            self.missed += u64::try_from(total - self.counted).unwrap_or(0);
            self.counted = self.counted.max(total);
        }
        if opens {
            self.note_open(conn)?;
        }
        Ok(false)
    }

    /// Stored rows with ids up to the largest one that were not seen, as many as are missing.
    fn late(&mut self, conn: &Connection, total: i64) -> rusqlite::Result<Vec<i64>> {
        let mut missing = usize::try_from(total - self.counted).unwrap_or(0);
        let mut late = Vec::new();
        let stored = format!("SELECT 1 FROM {} WHERE id = ?1 AND run_id = ?2", self.table.name);
        let mut stored = conn.prepare(&stored)?;
        // First those that were open for long, whatever their ids.
        for id in self.open.keys().copied().filter(|id| !self.seen.has(*id) && *id <= self.top) {
            if missing > 0 && stored.exists(params![id, self.run_id])? {
                late.push(id);
                missing -= 1;
            }
        }
        for id in &late {
            self.open.remove(id);
            self.found.insert(*id);
        }
        let known: BTreeSet<i64> = late.iter().copied().collect();
        let piece = format!(
            "SELECT id FROM {} WHERE id BETWEEN ?1 AND ?2 AND run_id = ?3",
            self.table.name
        );
        let mut piece = conn.prepare(&piece)?;
        // Then the others, from the newest id backwards.
        let mut until = self.top;
        while missing > 0 && until >= self.seen.floor() {
            let from = until.saturating_sub(LATE_IDS - 1).max(self.seen.floor());
            let mut rows = piece.query(params![from, until, self.run_id])?;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                if !self.seen.has(id) && !known.contains(&id) {
                    late.push(id);
                    missing = missing.saturating_sub(1);
                }
            }
            until = from - 1;
        }
        Ok(late)
    }

    /// Notes the open spans, so that they are found however long they take.
    fn note_open(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if !self.table.opens {
            return Ok(());
        }
        let mut listed = conn.prepare("SELECT id FROM open_span WHERE run_id = ?1")?;
        let mut rows = listed.query([self.run_id])?;
        let mut still = BTreeSet::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            if self.found.contains(&id) {
                still.insert(id);
            } else if !self.seen.has(id) {
                self.open.insert(id, self.polls);
            }
        }
        self.found = still;
        let (seen, polls) = (&self.seen, self.polls);
        self.open.retain(|id, listed| *listed + POLLS_EXPECTED > polls && !seen.has(*id));
        // The newest are found by their ids anyway.
        while self.open.len() > OPEN_MAX {
            self.open.pop_last();
        }
        Ok(())
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
            "SELECT {columns} FROM {name} WHERE id BETWEEN ?1 AND ?2 AND run_id = ?3
             ORDER BY id DESC"
        );
        let mut older = conn.prepare(&older)?;
        let mut rows = older.query(params![self.seen.floor(), self.top, self.run_id])?;
        while let Some(row) = rows.next()? {
            // What was committed between the two calls is for the next poll.
            if self.seen.has(row.get(0)?) && !each(row, &mut names)? {
                break;
            }
        }
        Ok(())
    }
}
