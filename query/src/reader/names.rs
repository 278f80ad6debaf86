//! Looks up callsites and threads, and the ids of other systems.
//!
//! There can be half a million callsites, of few targets in few files: they share equal texts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Statement, ffi};

use super::contexts::{Contexts, Lineage};
use crate::SpanContext;
use spandrel_storage::internals::NAME_BYTES_MAX;

/// A place in the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Callsite {
    /// Its number in the file.
    pub id: i64,
    /// `span` or `event`.
    pub kind: Arc<str>,
    /// Name of the span.
    pub name: String,
    /// The `target`.
    pub target: Arc<str>,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: Arc<str>,
    /// Module path, when known.
    pub module: Option<Arc<str>>,
    /// Source file, when known.
    pub file: Option<Arc<str>>,
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

/// A text column, refused if it is longer than any that a recorder writes.
fn name<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<&'a str>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) if text.len() > NAME_BYTES_MAX => Err(too_long()),
        text => Ok(text),
    }
}

/// Interns texts that many callsites have.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// By column: the text of the row before, which is mostly the same.
    last: [Option<Arc<str>>; COLUMNS],
    all: HashSet<Arc<str>>,
}

/// Columns of a callsite.
const COLUMNS: usize = 6;
/// Interned texts at most; a forged file may have another one for each callsite.
const SHARED_MAX: usize = 16_384;

impl Shared {
    fn text(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Arc<str>>> {
        let Some(text) = name(row, column)? else { return Ok(None) };
        let mut last = self.last.get_mut(column);
        if let Some(Some(last)) = &last
            && **last == *text
        {
            return Ok(Some(last.clone()));
        }
        let known = match self.all.get(text) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = text.into();
                if self.all.len() < SHARED_MAX {
                    self.all.insert(new.clone());
                }
                new
            }
        };
        if let Some(last) = &mut last {
            **last = Some(known.clone());
        }
        Ok(Some(known))
    }

    /// A callsite from the columns `kind, name, target, level, module, file, line`.
    pub fn callsite(&mut self, id: i64, row: &Row<'_>) -> rusqlite::Result<Callsite> {
        Ok(Callsite {
            id,
            kind: self.text(row, 0)?.unwrap_or_default(),
            name: name(row, 1)?.unwrap_or_default().to_owned(),
            target: self.text(row, 2)?.unwrap_or_default(),
            level: self.text(row, 3)?.unwrap_or_default(),
            module: self.text(row, 4)?,
            file: self.text(row, 5)?,
            line: row.get(6)?,
        })
    }
}

/// A thread from the columns `os_id, name`.
pub(crate) fn read_thread(id: i64, row: &Row<'_>) -> rusqlite::Result<Thread> {
    let os_id: i64 = row.get(0)?;
    Ok(Thread { id, os_id: os_id as u64, name: name(row, 1)?.map(str::to_owned) })
}

/// The error of SQLite for a value that is too long.
pub(super) fn too_long() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None)
}

/// Looks up callsites and threads. A number without a row, as in a damaged file, has empty names.
pub(crate) struct LookUp<'a> {
    callsite: Statement<'a>,
    thread: Statement<'a>,
    contexts: Contexts<'a>,
}

impl<'a> LookUp<'a> {
    pub(crate) fn new(conn: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            callsite: conn.prepare(
                "SELECT kind, name, target, level, module, file, line FROM callsite WHERE id = ?1",
            )?,
            thread: conn.prepare("SELECT os_id, name FROM thread WHERE id = ?1")?,
            contexts: Contexts::new(conn),
        })
    }

    pub(crate) fn callsite(
        &mut self,
        id: i64,
        shared: &mut Shared,
    ) -> rusqlite::Result<Arc<Callsite>> {
        let read = |row: &Row<'_>| shared.callsite(id, row);
        let found = self.callsite.query_row([id], read).optional()?;
        Ok(Arc::new(found.unwrap_or(Callsite { id, ..Callsite::default() })))
    }

    /// How other systems know a span.
    pub(crate) fn context(&mut self, span: Lineage) -> rusqlite::Result<Option<SpanContext>> {
        self.contexts.get(span)
    }

    pub(crate) fn thread(&mut self, id: i64) -> rusqlite::Result<Arc<Thread>> {
        let found = self.thread.query_row([id], |row| read_thread(id, row)).optional()?;
        Ok(Arc::new(found.unwrap_or(Thread { id, ..Thread::default() })))
    }
}

/// Looks up names, with a cache.
#[expect(missing_debug_implementations, reason = "it holds statements")]
pub struct Names<'a> {
    look_up: LookUp<'a>,
    shared: Shared,
    callsites: HashMap<i64, Arc<Callsite>>,
    threads: HashMap<i64, Arc<Thread>>,
}

impl<'a> Names<'a> {
    /// Nothing is known yet.
    pub fn new(conn: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            look_up: LookUp::new(conn)?,
            shared: Shared::default(),
            callsites: HashMap::new(),
            threads: HashMap::new(),
        })
    }

    /// The callsite of a number.
    pub fn callsite(&mut self, id: i64) -> rusqlite::Result<Arc<Callsite>> {
        if let Some(found) = self.callsites.get(&id) {
            return Ok(found.clone());
        }
        let found = self.callsite_once(id)?;
        self.callsites.insert(id, found.clone());
        Ok(found)
    }

    /// A callsite that is not cached here, as the caller keeps it.
    pub(crate) fn callsite_once(&mut self, id: i64) -> rusqlite::Result<Arc<Callsite>> {
        self.look_up.callsite(id, &mut self.shared)
    }

    /// How other systems know a span.
    pub(crate) fn context(&mut self, span: Lineage) -> rusqlite::Result<Option<SpanContext>> {
        self.look_up.context(span)
    }

    /// The thread of a number.
    pub fn thread(&mut self, id: i64) -> rusqlite::Result<Arc<Thread>> {
        if let Some(found) = self.threads.get(&id) {
            return Ok(found.clone());
        }
        let found = self.look_up.thread(id)?;
        self.threads.insert(id, found.clone());
        Ok(found)
    }
}
