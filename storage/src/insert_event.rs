//! Event rows through a statement.

use rusqlite::{Connection, Statement};

use crate::append::{nullable, text_at};
use crate::record::EventRow;

/// Inserts the events, if there are any.
pub(crate) fn all(
    conn: &Connection,
    events: &mut dyn Iterator<Item = &'_ EventRow>,
    run_id: i64,
    text: &str,
) -> rusqlite::Result<()> {
    let mut events = events.peekable();
    if events.peek().is_none() {
        return Ok(());
    }
    let mut insert = conn.prepare(
        "INSERT OR ROLLBACK INTO event
           (id, run_id, span_id, callsite_id, thread_id, at_ns, message, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.raw_bind_parameter(2, run_id)?;
    for event in events {
        bind(&mut insert, event, text)?;
        insert.raw_execute()?;
    }
    Ok(())
}

fn bind(insert: &mut Statement<'_>, event: &EventRow, text: &str) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(1, event.id as i64)?;
    insert.raw_bind_parameter(3, nullable(event.span_id))?;
    insert.raw_bind_parameter(4, event.callsite_id)?;
    insert.raw_bind_parameter(5, event.thread_id)?;
    insert.raw_bind_parameter(6, event.at_ns)?;
    insert.raw_bind_parameter(7, text_at(text, &event.message))?;
    insert.raw_bind_parameter(8, text_at(text, &event.fields))
}
