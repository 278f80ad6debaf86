//! Span rows through a statement: for small batches, rows with very long texts, and tables that are not
//! as we made them.
//!
//! A statement for 64 rows at once would be a tenth cheaper a row, but compiling it takes as long as 100
//! rows; and large batches do not come here.

use rusqlite::{Connection, Statement};

use crate::column_values::{nullable, text_at};
use crate::record::SpanRow;

/// Inserts the spans, if there are any.
pub(crate) fn all(
    conn: &Connection,
    spans: &mut dyn Iterator<Item = &'_ SpanRow>,
    (run_id, batch_id): (i64, i64),
    text: &str,
) -> rusqlite::Result<()> {
    let mut spans = spans.peekable();
    if spans.peek().is_none() {
        return Ok(());
    }
    // An id that exists already ends the transaction: then SQLite need not keep copies of pages to undo
    // the statement alone.
    let mut insert = Insert::new(conn, "ROLLBACK", run_id, Some(batch_id))?;
    spans.try_for_each(|span| insert.row(span, text))
}

/// A statement for span rows.
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
            "INSERT OR {conflict} INTO main.span (id, run_id, parent_id, root_id, callsite_id,
               thread_id, start_ns, duration_ns, busy_ns, self_ns, entries, status, fields, batch_id,
               first_entry_ns, longest_entry_ns, last_exit_ns, longest_thread_id, self_busy_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
               ?19)"
        ))?;
        // Stays bound from one execution to the next.
        insert.raw_bind_parameter(2, run_id)?;
        insert.raw_bind_parameter(14, batch_id)?;
        Ok(Self(insert))
    }

    pub(crate) fn row(&mut self, span: &SpanRow, text: &str) -> rusqlite::Result<()> {
        let insert = &mut self.0;
        insert.raw_bind_parameter(1, span.id as i64)?;
        insert.raw_bind_parameter(3, nullable(span.parent_id))?;
        insert.raw_bind_parameter(4, span.root_id as i64)?;
        insert.raw_bind_parameter(5, span.callsite_id)?;
        insert.raw_bind_parameter(6, span.thread_id)?;
        insert.raw_bind_parameter(7, span.start_ns)?;
        insert.raw_bind_parameter(8, span.duration_ns)?;
        insert.raw_bind_parameter(9, span.busy_ns)?;
        insert.raw_bind_parameter(10, span.self_ns)?;
        insert.raw_bind_parameter(11, span.entries as i64)?;
        insert.raw_bind_parameter(12, span.status.as_str())?;
        insert.raw_bind_parameter(13, text_at(text, &span.fields))?;
        insert.raw_bind_parameter(15, span.first_entry_ns)?;
        insert.raw_bind_parameter(16, span.longest_entry_ns)?;
        insert.raw_bind_parameter(17, span.last_exit_ns)?;
        insert.raw_bind_parameter(18, nullable(span.longest_thread_id as u64))?;
        insert.raw_bind_parameter(19, span.self_busy_ns)?;
        insert.raw_execute().map(|_| ())
    }
}
