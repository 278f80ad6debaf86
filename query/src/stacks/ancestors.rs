//! Looks up ancestors by their primary key, during a scan of the same file.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, Statement, params};

use crate::reader::{Callsite, LIVES_LONG, Names, Reader};
use spandrel_storage::Error;
use spandrel_storage::internals::{Context, FastHashMap};

/// What is needed of a span to find its node.
pub(super) struct Ancestor {
    pub(super) parent_id: Option<u64>,
    pub(super) callsite: Arc<Callsite>,
    /// Whether its entries count.
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
    /// Open spans: in a live recording, open parents are not among the closed spans yet.
    open: Statement<'a>,
    /// For each callsite, whether entries of its spans count.
    counting: FastHashMap<i64, bool>,
    /// Whether entries of any callsite count.
    has_entries: bool,
}

/// As [`LIVES_LONG`], for a span that was open at the end.
const LIVED_LONG: &str = "duration_ns IS NULL AND (entries > 1000
    OR (entries >= 100 AND coalesce(last_exit_ns, 0) >= 1000000000))";

impl<'a> Ancestors<'a> {
    pub(super) fn new(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        let conn = reader.connection();
        let has_entries = reader.has_entries(run_id)?;
        let prepare = || -> rusqlite::Result<Self> {
            let sql = |table: &str, lives_long: &str| {
                format!(
                    "SELECT parent_id, callsite_id, {lives_long}, thread_id, start_ns
                     FROM {table} WHERE id = ?1 AND run_id = ?2"
                )
            };
            // The row of a closed span says it; others need a callsite whose entries count.
            let lives_long = format!(
                "CASE WHEN duration_ns IS NOT NULL AND self_ns IS NULL THEN 2 ELSE {LIVED_LONG} END"
            );
            let closed = conn.prepare(&sql("span", &lives_long))?;
            let open = conn.prepare(&sql("open_span", LIVES_LONG))?;
            let (names, counting) = (Names::new(conn)?, FastHashMap::default());
            Ok(Self { reader, run_id, names, closed, open, counting, has_entries })
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
            let (callsite_id, lives_long): (i64, u8) = (row.get(1)?, row.get(2)?);
            let (thread_id, start_ns) = (row.get(3)?, row.get(4)?);
            let (callsite, is_certain) = (Arc::default(), lives_long > 1);
            let lives_long = lives_long > 0;
            let span = Ancestor { parent_id, callsite, lives_long, thread_id, start_ns };
            Ok((span, callsite_id, is_certain))
        };
        let mut found = self.closed.query_row(params![id, self.run_id], read).optional()?;
        if found.is_none() {
            found = self.open.query_row(params![id, self.run_id], read).optional()?;
        }
        let Some((span, callsite_id, is_certain)) = found else { return Ok(None) };
        let callsite = self.names.callsite(callsite_id)?;
        let lives_long = span.lives_long && (is_certain || self.counts(callsite_id)?);
        Ok(Some(Ancestor { callsite, lives_long, ..span }))
    }

    /// Whether entries of a callsite count.
    fn counts(&mut self, callsite_id: i64) -> rusqlite::Result<bool> {
        if let Some(known) = self.counting.get(&callsite_id) {
            return Ok(*known);
        }
        let sql = "SELECT 1 FROM entry_rollup WHERE run_id = ?1 AND callsite_id = ?2 LIMIT 1";
        let counts = self.has_entries
            && self
                .reader
                .connection()
                .query_row(sql, params![self.run_id, callsite_id], |_| Ok(()))
                .optional()?
                .is_some();
        self.counting.insert(callsite_id, counts);
        Ok(counts)
    }
}
