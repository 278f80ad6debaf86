//! Entry rows through a statement.

use rusqlite::{Connection, Statement};

use crate::column_values::nullable;
use crate::record::EntryRow;

/// Inserts the entries, if there are any.
pub(crate) fn all(
    conn: &Connection,
    entries: &mut dyn Iterator<Item = &'_ EntryRow>,
    (run_id, batch_id): (i64, i64),
) -> rusqlite::Result<()> {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    let mut insert = Insert::new(conn, "ROLLBACK", run_id, Some(batch_id))?;
    entries.try_for_each(|entry| insert.row(entry))
}

/// A statement for entry rows.
#[derive(Debug)]
pub(crate) struct Insert<'a>(Statement<'a>);

impl<'a> Insert<'a> {
    /// `conflict` says what happens if a row is refused: `ROLLBACK` ends the transaction, `ABORT` only
    /// the statement.
    pub(crate) fn new(
        conn: &'a Connection,
        conflict: &str,
        run_id: i64,
        batch_id: Option<i64>,
    ) -> rusqlite::Result<Self> {
        let mut insert = conn.prepare(&format!(
            "INSERT OR {conflict} INTO main.entry (id, run_id, span_id, callsite_id, thread_id,
               start_ns, duration_ns, around_id, batch_id, self_ns, earlier_entries, earlier_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        ))?;
        insert.raw_bind_parameter(2, run_id)?;
        insert.raw_bind_parameter(9, batch_id)?;
        Ok(Self(insert))
    }

    pub(crate) fn row(&mut self, entry: &EntryRow) -> rusqlite::Result<()> {
        let insert = &mut self.0;
        insert.raw_bind_parameter(1, entry.id as i64)?;
        insert.raw_bind_parameter(3, entry.span_id as i64)?;
        insert.raw_bind_parameter(4, entry.callsite_id)?;
        insert.raw_bind_parameter(5, entry.thread_id)?;
        insert.raw_bind_parameter(6, entry.start_ns)?;
        insert.raw_bind_parameter(7, entry.duration_ns)?;
        insert.raw_bind_parameter(8, nullable(entry.around_id))?;
        insert.raw_bind_parameter(10, entry.self_ns)?;
        insert.raw_bind_parameter(11, nullable(entry.earlier_entries))?;
        insert.raw_bind_parameter(12, entry.earlier_ns())?;
        insert.raw_execute().map(|_| ())
    }
}
