//! Spans by their primary key, while a scan of the same file goes on.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, Statement, params};

use crate::reader::{Callsite, LIVES_LONG, Names, Reader};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// What a path needs to know of a span.
pub(super) struct Ancestor {
    pub(super) parent_id: Option<u64>,
    pub(super) callsite: Arc<Callsite>,
    /// Its entries count.
    pub(super) lives_long: bool,
    /// The thread that made it, and when.
    pub(super) thread_id: i64,
    pub(super) start_ns: i64,
}

pub(super) struct Ancestors<'a> {
    reader: &'a Reader,
    run_id: i64,
    names: Names<'a>,
    closed: Statement<'a>,
    /// Of a live recording, parents that are open have no row among the closed ones yet.
    open: Statement<'a>,
}

impl<'a> Ancestors<'a> {
    pub(super) fn new(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        let conn = reader.connection();
        let prepare = || -> rusqlite::Result<Self> {
            let sql = |table: &str, lives_long: &str| {
                format!(
                    "SELECT parent_id, callsite_id, {lives_long}, thread_id, start_ns
                     FROM {table} WHERE id = ?1 AND run_id = ?2"
                )
            };
            let lives_long = "duration_ns IS NOT NULL AND self_ns IS NULL";
            let closed = conn.prepare(&sql("span", lives_long))?;
            let open = conn.prepare(&sql("open_span", LIVES_LONG))?;
            Ok(Self { reader, run_id, names: Names::new(conn)?, closed, open })
        };
        prepare().context(reader.path(), "read the spans")
    }

    /// The span, if it is in the file.
    pub(super) fn get(&mut self, id: u64) -> Result<Option<Ancestor>, Error> {
        self.find(id as i64).context(self.reader.path(), "read a parent")
    }

    fn find(&mut self, id: i64) -> rusqlite::Result<Option<Ancestor>> {
        let read = |row: &Row<'_>| {
            let parent_id = row.get::<_, Option<i64>>(0)?.map(|id| id as u64);
            let (callsite_id, lives_long): (i64, bool) = (row.get(1)?, row.get(2)?);
            let (thread_id, start_ns) = (row.get(3)?, row.get(4)?);
            let callsite = Arc::default();
            let span = Ancestor { parent_id, callsite, lives_long, thread_id, start_ns };
            Ok((span, callsite_id))
        };
        let mut found = self.closed.query_row(params![id, self.run_id], read).optional()?;
        if found.is_none() {
            found = self.open.query_row(params![id, self.run_id], read).optional()?;
        }
        let Some((span, callsite_id)) = found else { return Ok(None) };
        let callsite = self.names.callsite(callsite_id)?;
        Ok(Some(Ancestor { callsite, ..span }))
    }
}
