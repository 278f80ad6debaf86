//! Event rows through a statement.

use rusqlite::{Connection, Statement};

use crate::column_values::{nullable, text_at};
use crate::record::EventRow;

/// Inserts the events, if there are any.
pub(crate) fn all(
    conn: &Connection,
    events: &mut dyn Iterator<Item = &'_ EventRow>,
    (run_id, batch_id): (i64, i64),
    text: &str,
) -> rusqlite::Result<()> {
    let mut events = events.peekable();
    if events.peek().is_none() {
        return Ok(());
    }
    let mut insert = Insert::new(conn, "ROLLBACK", run_id, Some(batch_id))?;
    events.try_for_each(|event| insert.row(event, text))
}

/// A statement for event rows.
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
            "INSERT OR {conflict} INTO main.event
               (id, run_id, span_id, callsite_id, thread_id, at_ns, message, fields, batch_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        ))?;
        insert.raw_bind_parameter(2, run_id)?;
        insert.raw_bind_parameter(9, batch_id)?;
        Ok(Self(insert))
    }

    pub(crate) fn row(&mut self, event: &EventRow, text: &str) -> rusqlite::Result<()> {
        let insert = &mut self.0;
        insert.raw_bind_parameter(1, event.id as i64)?;
        insert.raw_bind_parameter(3, nullable(event.span_id))?;
        insert.raw_bind_parameter(4, event.callsite_id)?;
        insert.raw_bind_parameter(5, event.thread_id)?;
        insert.raw_bind_parameter(6, event.at_ns)?;
        insert.raw_bind_parameter(7, text_at(text, &event.message))?;
        insert.raw_bind_parameter(8, text_at(text, &event.fields))?;
        insert.raw_execute().map(|_| ())
    }
}
