//! Callsites and threads, looked up once each.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Statement, ffi};

use crate::record::NAME_BYTES_MAX;

/// A place in the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Callsite {
    /// Its number in the file.
    pub id: i64,
    /// `span` or `event`.
    pub kind: String,
    /// Name of the span.
    pub name: String,
    /// The `target`.
    pub target: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: String,
    /// Module path, when known.
    pub module: Option<String>,
    /// Source file, when known.
    pub file: Option<String>,
    /// Line in the source file, when known.
    pub line: Option<u32>,
}

/// A thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thread {
    /// Its number in the file.
    pub id: i64,
    /// The number that the operating system gave it.
    pub os_id: u64,
    /// Its name, when it has one.
    pub name: Option<String>,
}

/// A text that is held in memory, refused if it is longer than any that a recording makes.
fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    match text {
        Some(text) if text.len() > NAME_BYTES_MAX => Err(too_long()),
        text => Ok(text.map(str::to_owned)),
    }
}

/// As SQLite says it of a value beyond the limit of a connection.
pub(super) fn too_long() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None)
}

/// What was looked up so far. A number without a row, as in a damaged file, has empty names.
pub(crate) struct Names<'a> {
    callsites: HashMap<i64, Arc<Callsite>>,
    threads: HashMap<i64, Arc<Thread>>,
    callsite: Statement<'a>,
    thread: Statement<'a>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(conn: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            callsites: HashMap::new(),
            threads: HashMap::new(),
            callsite: conn.prepare(
                "SELECT kind, name, target, level, module, file, line FROM callsite WHERE id = ?1",
            )?,
            thread: conn.prepare("SELECT os_id, name FROM thread WHERE id = ?1")?,
        })
    }

    pub(crate) fn callsite(&mut self, id: i64) -> rusqlite::Result<Arc<Callsite>> {
        if let Some(found) = self.callsites.get(&id) {
            return Ok(found.clone());
        }
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Callsite {
                id,
                kind: name(row, 0)?.unwrap_or_default(),
                name: name(row, 1)?.unwrap_or_default(),
                target: name(row, 2)?.unwrap_or_default(),
                level: name(row, 3)?.unwrap_or_default(),
                module: name(row, 4)?,
                file: name(row, 5)?,
                line: row.get(6)?,
            })
        };
        let found = self.callsite.query_row([id], read).optional()?;
        let found = Arc::new(found.unwrap_or(Callsite { id, ..Callsite::default() }));
        self.callsites.insert(id, found.clone());
        Ok(found)
    }

    pub(crate) fn thread(&mut self, id: i64) -> rusqlite::Result<Arc<Thread>> {
        if let Some(found) = self.threads.get(&id) {
            return Ok(found.clone());
        }
        let read = |row: &rusqlite::Row<'_>| {
            let os_id: i64 = row.get(0)?;
            Ok(Thread { id, os_id: os_id as u64, name: name(row, 1)? })
        };
        let found = self.thread.query_row([id], read).optional()?;
        let found = Arc::new(found.unwrap_or(Thread { id, ..Thread::default() }));
        self.threads.insert(id, found.clone());
        Ok(found)
    }
}
