//! The entries of a source.

use std::sync::Arc;

use rusqlite::Row;

use super::super::error::ExportError;
use super::{PIECE_ROWS, Source};
use crate::error::Error;
use crate::reader::{Callsite, Names, Thread};
use crate::record::EntryRow;

/// An entry, with its callsite and thread.
pub(in crate::export) struct Named {
    /// Callsite and thread have the numbers of this profile.
    pub(in crate::export) row: EntryRow,
    pub(in crate::export) callsite: Arc<Callsite>,
    pub(in crate::export) thread: Arc<Thread>,
}

impl Source<'_> {
    /// The next entries of the run with ids above one, of all spans; none behind the last one.
    pub(in crate::export) fn entries(&self, after: u64) -> Result<Vec<Named>, ExportError> {
        if self.run.entries == 0 {
            return Ok(Vec::new());
        }
        let (reader, last) = (self.reader, self.last_id()?);
        let tx = reader.begin()?;
        let read = || -> rusqlite::Result<Vec<Named>> {
            let mut names = Names::new(&tx)?;
            let mut query = tx.prepare(&format!(
                "SELECT id, span_id, callsite_id, thread_id, start_ns, duration_ns,
                   coalesce(around_id, 0), self_ns, coalesce(earlier_entries, 0), coalesce(earlier_ns, 0)
                 FROM entry WHERE id > max(?1, ?2) AND id <= ?3 AND run_id = ?4
                 ORDER BY id LIMIT {PIECE_ROWS}"
            ))?;
            let first = (self.run.first_id as i64).saturating_sub(1);
            let mut rows = query.query([after as i64, first, last, self.run.id])?;
            let mut piece = Vec::new();
            while let Some(row) = rows.next()? {
                let row = entry(row)?;
                let callsite = names.callsite(row.callsite_id)?;
                let thread = names.thread(row.thread_id)?;
                piece.push(Named { row, callsite, thread });
            }
            Ok(piece)
        };
        read().map_err(|error| Error::sqlite(reader.path(), "read the entries", error).into())
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    Ok(EntryRow {
        id: row.get::<_, i64>(0)? as u64,
        span_id: row.get::<_, i64>(1)? as u64,
        callsite_id: row.get(2)?,
        thread_id: row.get(3)?,
        start_ns: row.get(4)?,
        duration_ns: row.get(5)?,
        around_id: row.get::<_, i64>(6)? as u64,
        self_ns: row.get(7)?,
        earlier_entries: row.get::<_, i64>(8)? as u64,
        earlier_ns: row.get(9)?,
    })
}
