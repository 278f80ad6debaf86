//! The rows of the table `span`, read from the pages of the file.
//!
//! A row costs SQLite some 400 ns to hand out, column by column, and a tenth of that to read here. That is possible
//! while a transaction sees nothing but the main file ([`ReadOnly::pages`]), as in a profile that nobody records
//! into. If something is not as a recording makes it, such as a table with other columns or a damaged page, SQLite
//! reads from that row on.
//!
//! [`ReadOnly::pages`]: spandrel_storage::ReadOnly::pages

mod ahead;
mod leaves;
mod record;

use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Transaction};

pub(crate) use self::ahead::{Pause, ReadAheadEvent};
use self::leaves::Leaves;
use self::record::Read;
use super::Columns;
use super::id_range::Range;
use super::id_set::IdSet;
use crate::raw_span::RawSpan;
use spandrel_storage::internals::Pages;

/// The table, as a transaction sees it.
pub(crate) struct SpanPages<'a> {
    pages: Pages<'a>,
    root: u32,
}

/// Which rows and columns are read.
pub(crate) struct PageQuery<'a> {
    pub(crate) run_id: i64,
    pub(crate) columns: Columns,
    /// `None`: of all callsites.
    pub(crate) callsites: Option<&'a Callsites>,
    /// `None`: children of all spans, and roots.
    pub(crate) parents: Option<&'a IdSet>,
}

impl PageQuery<'_> {
    /// Whether a row with these values is read.
    #[inline]
    fn has(&self, run_id: i64, parent_id: Option<i64>, callsite_id: i64) -> bool {
        run_id == self.run_id
            && self.callsites.is_none_or(|callsites| callsites.contains(callsite_id))
            && self.parents.is_none_or(|parents| {
                parent_id.is_some_and(|parent_id| parents.may_have(parent_id as u64))
            })
    }
}

/// Some callsites.
#[derive(Debug, Clone)]
pub(crate) struct Callsites {
    /// A flag for each number up to the largest.
    is_in: Vec<bool>,
    /// Numbers that are too large for the table: only forged files have them.
    others: Vec<i64>,
}

/// Numbers in the table at most.
const CALLSITES_MAX: usize = 1 << 20;

impl Callsites {
    pub(crate) fn new(ids: &[i64]) -> Self {
        let mut of = Self { is_in: Vec::new(), others: Vec::new() };
        for id in ids {
            match usize::try_from(*id).ok().filter(|at| *at < CALLSITES_MAX) {
                Some(at) => {
                    if at >= of.is_in.len() {
                        of.is_in.resize(at + 1, false);
                    }
                    if let Some(is_in) = of.is_in.get_mut(at) {
                        *is_in = true;
                    }
                }
                None => of.others.push(*id),
            }
        }
        of
    }

    #[inline]
    fn contains(&self, id: i64) -> bool {
        let known = usize::try_from(id).ok().and_then(|at| self.is_in.get(at));
        known.copied().unwrap_or(false) || self.others.contains(&id)
    }
}

/// How reading some rows has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// After as many rows as were wanted; there may be more.
    Full,
    /// After all rows of the range.
    All,
    /// The caller wants no more rows.
    Stopped,
    /// SQLite has to read from here on.
    Fallback,
}

impl<'a> SpanPages<'a> {
    /// `None` where SQLite has to read. `pages` is called after a first query of the transaction, which fixes its
    /// state.
    pub(crate) fn of(
        tx: &Transaction<'_>,
        pages: impl FnOnce() -> Option<Pages<'a>>,
    ) -> rusqlite::Result<Option<Self>> {
        let Some(root) = root_of(tx)? else { return Ok(None) };
        Ok(pages().map(|pages| Self { pages, root }))
    }

    /// For random look-ups of rows.
    pub(crate) fn look_up(&self) -> PageLookUp<'_> {
        let leaves = Leaves::new(&self.pages, self.root).keeping_pages();
        PageLookUp { pages: &self.pages, leaves, buffer: Vec::new() }
    }

    /// A cursor over the rows.
    pub(crate) fn rows(&self) -> PageRows<'_> {
        let leaves = Leaves::new(&self.pages, self.root);
        PageRows { pages: &self.pages, leaves, at: None, looked_at: 0, buffer: Vec::new() }
    }
}

/// Looks up single rows.
pub(crate) struct PageLookUp<'a> {
    pages: &'a Pages<'a>,
    leaves: Leaves<'a>,
    buffer: Vec<u8>,
}

impl PageLookUp<'_> {
    /// The row of an id, if there is one that matches; [`Ended::Fallback`] as an error where SQLite has to read.
    pub(crate) fn get(
        &mut self,
        id: i64,
        wanted: &PageQuery<'_>,
    ) -> Result<Option<RawSpan>, Ended> {
        let leaf = self.leaves.find(id).ok_or(Ended::Fallback)?;
        let first =
            leaf.first_above(id.checked_sub(1).ok_or(Ended::Fallback)?).ok_or(Ended::Fallback)?;
        if first >= leaf.cells {
            return Ok(None);
        }
        let cell = leaf.cell(first).ok_or(Ended::Fallback)?;
        if cell.id != id {
            return Ok(None);
        }
        let record = match cell.is_cut() {
            true => cell.whole(self.pages, &mut self.buffer),
            false => Some(cell.record),
        };
        let mut span = RawSpan::default();
        match record::read(id, record.ok_or(Ended::Fallback)?, wanted, &mut span) {
            Read::Row(_) => Ok(Some(span)),
            Read::PassedOver => Ok(None),
            Read::Fallback => Err(Ended::Fallback),
        }
    }
}

/// A cursor over the rows of the table.
pub(crate) struct PageRows<'a> {
    pages: &'a Pages<'a>,
    leaves: Leaves<'a>,
    /// The id of the last row that was read, if its leaf is the current one.
    at: Option<i64>,
    /// Rows that the last [`read`](Self::read) has read.
    looked_at: u64,
    /// A row that does not fit its page.
    buffer: Vec<u8>,
}

impl PageRows<'_> {
    /// Cuts a range into parts of `leaves` leaves; the last one may have fewer.
    pub(crate) fn parts(&mut self, range: Range, leaves: usize) -> Option<Vec<Range>> {
        self.leaves.parts(range, leaves)
    }

    /// Rows that the last [`read`](Self::read) has read.
    pub(crate) fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Calls `each` for the first rows of a range, at most `rows_max`, and removes them from it. Rows of other runs
    /// count, too, but are not handed out. Fails as `each` does.
    pub(crate) fn read<E>(
        &mut self,
        range: &mut Range,
        rows_max: u32,
        wanted: &PageQuery<'_>,
        mut each: impl FnMut(&RawSpan, Option<&str>) -> Result<ControlFlow<()>, E>,
    ) -> Result<Ended, E> {
        self.looked_at = 0;
        let mut is_first = true;
        let mut span = RawSpan::default();
        if self.at.take() != Some(range.after) && self.leaves.seek(range.after).is_none() {
            return Ok(Ended::Fallback);
        }
        loop {
            let Some(leaf) = self.leaves.leaf() else { return Ok(Ended::Fallback) };
            let Some(first) = leaf.first_above(range.after) else { return Ok(Ended::Fallback) };
            // Each leaf but the first has further rows; if not, the tree is circular.
            if first == leaf.cells && !is_first {
                return Ok(Ended::Fallback);
            }
            is_first = false;
            for at in first..leaf.cells {
                // Ids of a table grow.
                let cell = leaf.cell(at).filter(|cell| cell.id > range.after);
                let Some(cell) = cell else { return Ok(Ended::Fallback) };
                if cell.id > range.last {
                    range.after = range.last;
                    return Ok(Ended::All);
                }
                if self.looked_at >= u64::from(rows_max) {
                    self.at = Some(range.after);
                    return Ok(Ended::Full);
                }
                let record = if cell.is_cut() && wanted.columns != Columns::Numbers {
                    cell.whole(self.pages, &mut self.buffer)
                } else {
                    Some(cell.record)
                };
                let Some(record) = record else { return Ok(Ended::Fallback) };
                let read = record::read(cell.id, record, wanted, &mut span);
                if read == Read::Fallback {
                    return Ok(Ended::Fallback);
                }
                range.after = cell.id;
                self.looked_at += 1;
                if let Read::Row(fields) = read
                    && each(&span, fields)?.is_break()
                {
                    return Ok(Ended::Stopped);
                }
            }
            match self.leaves.next() {
                None => return Ok(Ended::Fallback),
                Some(false) => {
                    range.after = range.last;
                    return Ok(Ended::All);
                }
                Some(true) => {}
            }
        }
    }
}

/// The root page of the table, if its columns are ours.
pub(crate) fn root_of(tx: &Transaction<'_>) -> rusqlite::Result<Option<u32>> {
    // The primary key is the row id. In rows older than a column, that column is missing and must default to NULL.
    let mut query = tx.prepare(
        "SELECT (SELECT rootpage FROM main.sqlite_schema WHERE type = 'table' AND name = 'span'),
           group_concat(name), count(dflt_value), max(name = 'id' AND type = 'INTEGER' AND pk = 1),
           max(hidden)
         FROM (SELECT * FROM pragma_table_xinfo('span', 'main') ORDER BY cid)",
    )?;
    let found = query.query_row([], |row| {
        let columns = row.get_ref(1)?.as_str_or_null()?.unwrap_or_default();
        let is_ours = columns
            .strip_prefix(record::COLUMNS)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(','));
        let defaults: i64 = row.get(2)?;
        let (is_key, hidden): (Option<bool>, Option<i64>) = (row.get(3)?, row.get(4)?);
        let root: Option<u32> = row.get(0)?;
        Ok(root.filter(|_| is_ours && defaults == 0 && is_key == Some(true) && hidden == Some(0)))
    });
    Ok(found.optional()?.flatten())
}
