//! Read-only queries on a profile database.
//!
//! Results that can be long are read in pieces with a transaction each, so that a live recording can empty
//! its write-ahead log. How a file is opened, and that nothing is ever written, see [`ReadOnly`].

mod contexts;
mod entry;
mod gauge;
mod mark;
mod names;
mod run;
mod span;
mod top;
mod writer;

use std::path::Path;

use rusqlite::{Connection, Transaction};
use spandrel_storage::internals::Pages;
use spandrel_storage::{Error, ReadOnly};

pub use self::contexts::{Contexts, Lineage, SpanContext};
pub use self::entry::Entry;
pub use self::gauge::Gauge;
pub use self::mark::Mark;
pub use self::names::{Callsite, Names, Thread};
pub use self::run::{Counts, Elsewhere, Run};
pub use self::span::{Event, Link, OpenSpan, Span};
pub use self::top::{CountedBy, Top};
pub use self::writer::{Loss, WriterStat};

pub(crate) use self::entry::ENTRY_COLUMNS;
pub(crate) use self::names::{LookUp, Shared, read_thread};
pub(crate) use self::span::{
    COLUMNS as SPAN_COLUMNS, EVENT_COLUMNS, OPEN_COLUMNS as OPEN_SPAN_COLUMNS, last_exit,
    longest_entry, read_status, self_busy, status_named,
};
pub(crate) use self::top::{LIVES_LONG, longest_open, read_histogram};
pub(crate) use self::writer::{WRITER_STAT_COLUMNS, read_writer_stat};

use crate::indexes::Indexes;
use crate::workers::ReadAhead;

/// Rows that one read transaction reads at most.
const PIECE_ROWS: i64 = 20_000;

/// Read-only queries on a profile database, also while it is written.
///
/// # Blocking
///
/// A call reads from the disk, and waits at most a second for a lock that another connection holds.
#[derive(Debug)]
pub struct Reader {
    file: ReadOnly,
    ahead: ReadAhead,
}

impl Reader {
    /// Opens the database at `path`; a symbolic link is followed.
    ///
    /// Files up to 64 MiB are checked page by page.
    ///
    /// # Errors
    ///
    /// Each has a kind of its own: the SQLite that is linked is too old; there is no such file; a folder; no permission; not a database;
    /// the database of another program, or of a newer spandrel; a damaged file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self { file: ReadOnly::open(path)?, ahead: ReadAhead::usual() })
    }

    /// The path, as it was given to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether the file belongs with a write-ahead log that is missing. Then it is a copy of the main file alone,
    /// taken while a program recorded or after it was killed, and its last commits may be missing.
    pub fn lacks_log(&self) -> bool {
        self.file.lacks_log()
    }

    /// For statements that run within the transaction of a scan.
    pub(crate) fn connection(&self) -> &Connection {
        self.file.connection()
    }

    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        self.file.connection_mut()
    }

    /// Which indexes the profile has: `spandrel optimize` makes them.
    pub fn indexes(&self) -> Result<Indexes, Error> {
        self.query("look for indexes", |tx| crate::indexes::present(tx))
    }

    /// The schema version of the file. It is below [`SCHEMA_VERSION`](spandrel_storage::SCHEMA_VERSION) if an older
    /// version of this crate has made it and nothing was recorded into it since.
    pub fn schema_version(&self) -> Result<i32, Error> {
        self.file.schema_version()
    }

    /// How rows are read ahead.
    pub(crate) fn ahead(&self) -> &ReadAhead {
        &self.ahead
    }

    #[cfg(test)]
    pub(crate) fn read_ahead_by(&mut self, ahead: ReadAhead) {
        self.ahead = ahead;
    }

    /// The pages of the file, if a transaction sees nothing else.
    pub(crate) fn pages(&self, tx: &Transaction<'_>) -> Option<Pages<'_>> {
        self.file.pages(tx)
    }

    /// A read transaction.
    #[doc(hidden)]
    pub fn begin(&self) -> Result<Transaction<'_>, Error> {
        self.file.begin()
    }

    /// Checks that a file that was opened as unused is still unused.
    pub(crate) fn check_mode(&self) -> Result<(), Error> {
        self.file.check_mode()
    }

    /// Runs a query in a read transaction of its own.
    pub(crate) fn query<T>(
        &self,
        doing: &str,
        query: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.file.query(doing, query)
    }
}
