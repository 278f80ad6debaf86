//! A pass over the spans of a run with flat memory.
//!
//! The rows are read in pieces with a transaction each, so that a live recording can empty its
//! write-ahead log meanwhile; of what it commits meanwhile some is seen and some is not. Names are
//! looked up once each and kept, up to a bound.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Row, Transaction, params};

use super::SpanRef;
use crate::error::{Context, Error};
use crate::reader::{Callsite, Names, Reader, Thread, read_status};

/// Rows that one read transaction reads at most.
const PIECE_ROWS: usize = 20_000;

/// Threads that are remembered at most; programs can have any number of them.
const THREADS_MAX: usize = 16_384;

/// Which spans a pass looks at, and what of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The run.
    pub run_id: i64,
    /// Spans that start before this moment are left out; nanoseconds since the start of the run.
    pub from_ns: Option<i64>,
    /// Spans that start at this moment or later are left out.
    pub until_ns: Option<i64>,
    /// What is read of each span.
    pub columns: Columns,
}

/// What a pass reads of each span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Columns {
    /// All but the fields, which take most of the time.
    #[default]
    Numbers,
    /// All, with the fields.
    All,
}

impl Scan {
    /// All spans of a run, without their fields.
    pub fn new(run_id: i64) -> Self {
        Self { run_id, from_ns: None, until_ns: None, columns: Columns::Numbers }
    }

    /// With the fields, or without.
    #[must_use]
    pub fn columns(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// Only spans that start in the window from `from_ns` to before `until_ns`, nanoseconds since
    /// the start of the run.
    #[must_use]
    pub fn window(self, from_ns: Option<i64>, until_ns: Option<i64>) -> Self {
        Self { from_ns, until_ns, ..self }
    }

    fn has(&self, start_ns: i64) -> bool {
        self.from_ns.is_none_or(|from| start_ns >= from)
            && self.until_ns.is_none_or(|until| start_ns < until)
    }
}

impl Reader {
    /// Calls `each` for each span that `scan` asks for, in the order of ids, which is roughly that
    /// of their starts. Ends early when `each` breaks.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// Reads the run's rows, some 0.3 s for a million.
    pub fn scan(
        &self,
        scan: &Scan,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let fields = match scan.columns {
            Columns::All => "fields",
            Columns::Numbers => "NULL",
        };
        let sql = format!(
            "SELECT id, start_ns, parent_id, root_id, callsite_id, thread_id, duration_ns, busy_ns,
               self_ns, polls, status, {fields}
             FROM span WHERE id > ?1 AND id <= ?2 AND run_id = ?3 ORDER BY id LIMIT {PIECE_ROWS}"
        );
        let mut pass = Pass { run_id: scan.run_id, kept: Kept::default(), after: None };
        loop {
            let tx = self.begin()?;
            let piece = pass.piece(&tx, &sql, scan, &mut each);
            if piece.context(self.path(), "read the spans")?.is_break() {
                return Ok(());
            }
        }
    }
}

/// Where a pass stands.
struct Pass {
    run_id: i64,
    kept: Kept,
    after: Option<i64>,
}

impl Pass {
    /// Reads one piece; breaks at the end.
    fn piece(
        &mut self,
        tx: &Transaction<'_>,
        sql: &str,
        scan: &Scan,
        each: &mut impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        let range = "SELECT first_id, last_id FROM run WHERE id = ?1";
        let mut run = tx.prepare(range)?;
        let mut rows = run.query([self.run_id])?;
        let Some(row) = rows.next()? else { return Ok(ControlFlow::Break(())) };
        let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
        let mut names = Names::new(tx)?;
        let mut query = tx.prepare(sql)?;
        let from = self.after.unwrap_or(first.saturating_sub(1));
        let mut rows = query.query(params![from, last, self.run_id])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            read += 1;
            let id: i64 = row.get(0)?;
            self.after = Some(id);
            let start_ns: i64 = row.get(1)?;
            if scan.has(start_ns) && self.show(row, start_ns, &mut names, each)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(if read < PIECE_ROWS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn show(
        &mut self,
        row: &Row<'_>,
        start_ns: i64,
        names: &mut Names<'_>,
        each: &mut impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        let (callsite_id, thread_id) = (row.get(4)?, row.get(5)?);
        self.kept.make_known(callsite_id, thread_id, names)?;
        let (Some(callsite), Some(thread)) =
            (self.kept.callsites.get(&callsite_id), self.kept.threads.get(&thread_id))
        else {
            return Ok(ControlFlow::Continue(())); // both were made known above
        };
        let parent: Option<i64> = row.get(2)?;
        Ok(each(&SpanRef {
            id: row.get::<_, i64>(0)? as u64,
            run_id: self.run_id,
            parent_id: parent.map(|id| id as u64),
            root_id: row.get::<_, i64>(3)? as u64,
            callsite,
            thread,
            start_ns,
            duration_ns: row.get(6)?,
            busy_ns: row.get(7)?,
            self_ns: row.get(8)?,
            polls: row.get::<_, i64>(9)? as u64,
            status: read_status(row, 10)?,
            fields: row.get_ref(11)?.as_str_or_null()?,
        }))
    }
}

/// Names that outlive a piece.
#[derive(Default)]
struct Kept {
    callsites: HashMap<i64, Arc<Callsite>>,
    threads: HashMap<i64, Arc<Thread>>,
}

impl Kept {
    fn make_known(
        &mut self,
        callsite_id: i64,
        thread_id: i64,
        names: &mut Names<'_>,
    ) -> rusqlite::Result<()> {
        if let Entry::Vacant(place) = self.callsites.entry(callsite_id) {
            place.insert(names.callsite(callsite_id)?);
        }
        if !self.threads.contains_key(&thread_id) {
            if self.threads.len() >= THREADS_MAX {
                self.threads.clear();
            }
            self.threads.insert(thread_id, names.thread(thread_id)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_at_its_end() {
        let scan = Scan::new(1).window(Some(10), Some(20));
        assert_eq!([9, 10, 19, 20].map(|at| scan.has(at)), [false, true, true, false]);
        assert!(Scan::new(1).has(i64::MIN));
    }
}
