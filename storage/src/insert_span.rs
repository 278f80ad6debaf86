//! Span rows, several to a statement.
//!
//! Running a statement costs about as much as the columns of a row do: SQLite opens the table and
//! its index, looks for the place and closes them again. A statement with several rows pays that
//! once. It also copies each page that it changes, so as to undo itself alone, so that few rows a
//! statement gain nothing: 16 cost a tenth more instructions than one, 64 a tenth less.

use std::slice::Chunks;

use rusqlite::{Connection, Statement};

use crate::append::{nullable, text_at};
use crate::record::SpanRow;

/// Rows a statement.
const ROWS: usize = 64;
/// The large statement is compiled anew for each batch, in the time of some 100 rows.
const BATCH_ROWS_MIN: usize = 1_024;
/// Columns but for `run_id`, which all rows share as the first parameter.
const COLUMNS: usize = 12;

pub(crate) struct InsertSpans<'a> {
    conn: &'a Connection,
    run_id: i64,
    several: Option<Statement<'a>>,
    one: Option<Statement<'a>>,
}

impl<'a> InsertSpans<'a> {
    pub(crate) fn new(conn: &'a Connection, run_id: i64) -> Self {
        Self { conn, run_id, several: None, one: None }
    }

    /// The pieces of a batch that [`execute`](Self::execute) takes.
    pub(crate) fn chunks<'s>(&self, spans: &'s [SpanRow]) -> Chunks<'s, SpanRow> {
        spans.chunks(if spans.len() < BATCH_ROWS_MIN { ROWS - 1 } else { ROWS })
    }

    pub(crate) fn execute(&mut self, spans: &[SpanRow], text: &str) -> rusqlite::Result<()> {
        if spans.len() == ROWS {
            let insert = prepared(&mut self.several, self.conn, self.run_id, ROWS)?;
            for (row, span) in spans.iter().enumerate() {
                bind(insert, 2 + row * COLUMNS, span, text)?;
            }
            insert.raw_execute()?;
            return Ok(());
        }
        let insert = prepared(&mut self.one, self.conn, self.run_id, 1)?;
        for span in spans {
            bind(insert, 2, span, text)?;
            insert.raw_execute()?;
        }
        Ok(())
    }
}

fn prepared<'a, 's>(
    slot: &'s mut Option<Statement<'a>>,
    conn: &'a Connection,
    run_id: i64,
    rows: usize,
) -> rusqlite::Result<&'s mut Statement<'a>> {
    match slot {
        Some(statement) => Ok(statement),
        None => {
            let mut statement = conn.prepare(&sql(rows))?;
            // Stays bound from one execution to the next.
            statement.raw_bind_parameter(1, run_id)?;
            Ok(slot.insert(statement))
        }
    }
}

fn sql(rows: usize) -> String {
    let mut sql = String::from(
        "INSERT OR ROLLBACK INTO span (run_id, id, parent_id, root_id, callsite_id, thread_id, start_ns,
           duration_ns, busy_ns, self_ns, polls, status, fields) VALUES ",
    );
    for row in 0..rows {
        // Parameters without a number count on from the largest so far.
        let comma = if row == 0 { "" } else { ", " };
        sql.push_str(comma);
        sql.push_str("(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    }
    sql
}

fn bind(insert: &mut Statement<'_>, at: usize, span: &SpanRow, text: &str) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(at, span.id as i64)?;
    insert.raw_bind_parameter(at + 1, nullable(span.parent_id))?;
    insert.raw_bind_parameter(at + 2, span.root_id as i64)?;
    insert.raw_bind_parameter(at + 3, span.callsite_id)?;
    insert.raw_bind_parameter(at + 4, span.thread_id)?;
    insert.raw_bind_parameter(at + 5, span.start_ns)?;
    insert.raw_bind_parameter(at + 6, span.duration_ns)?;
    insert.raw_bind_parameter(at + 7, span.busy_ns)?;
    insert.raw_bind_parameter(at + 8, span.self_ns)?;
    insert.raw_bind_parameter(at + 9, span.polls as i64)?;
    insert.raw_bind_parameter(at + 10, span.status.as_str())?;
    insert.raw_bind_parameter(at + 11, text_at(text, &span.fields))
}
