//! A profile that is open for reading.
//!
//! A reader holds a read transaction only inside a call, and long results are read in pieces with a
//! transaction each, so that a live recording can empty its write-ahead log. It never makes a file and
//! never writes:
//!
//! * a file that was closed properly has no sidecars and needs none;
//! * a live file has its sidecars, and SQLite uses them;
//! * a file in write-ahead mode without a log (a copy of the main file alone) is read as immutable;
//!   otherwise SQLite would make a log for it;
//! * a file with a log whose index cannot be made (after a killed recording, on a read-only medium) is
//!   read with an index in memory, as long as nobody else uses it ([`Mode::Alone`]).

mod earlier;
mod mode;
mod pages;

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

use self::mode::Mode;
pub use self::pages::Pages;
use crate::checkpoint::wal_path;
use crate::ended::cannot_find;
use crate::error::{Context, Error, ErrorKind};
use crate::held::Held;
use crate::lock::{ReaderMark, file_id, is_directory};
use crate::open::{check_content, check_version, harden};
use crate::schema::{self, Found, Use};
use crate::sqlite::SqliteVersion;

/// A profile that is open for reading, also while somebody writes it.
///
/// # Blocking
///
/// A call reads from the disk, and waits at most a second for a lock that another connection holds.
pub struct ReadOnly {
    // First, so that the connection is closed before the mark is removed.
    conn: Connection,
    /// For the pages of the file, opened at the first use.
    file: OnceCell<Option<Arc<Held>>>,
    mark: ReaderMark,
    path: PathBuf,
    /// The same without symbolic links.
    full: PathBuf,
    mode: Mode,
    /// Whether the file is of an earlier version, so that views cover some of its tables.
    covered: Cell<bool>,
}

impl ReadOnly {
    /// Opens the database at `path`; a symbolic link is followed.
    ///
    /// Files up to 64 MiB are checked page by page.
    ///
    /// # Errors
    ///
    /// Each has a kind of its own: the SQLite that is linked is too old; there is no such file; a folder; no permission; not a database;
    /// the database of another program, or of a newer spandrel; a damaged file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_at(path.as_ref())
    }

    fn open_at(path: &Path) -> Result<Self, Error> {
        SqliteVersion::linked().check(path)?;
        let metadata =
            fs::metadata(path).map_err(|source| cannot_find(path, "look at the file", source))?;
        if metadata.is_dir() {
            return Err(is_directory(path));
        }
        if !metadata.is_file() {
            let message = "not a database but a device, pipe or socket; choose another path";
            return Err(Error::new(ErrorKind::NotADatabase, path, message));
        }
        let full = path.canonicalize().context(path, "resolve the path")?;
        let mark = || {
            ReaderMark::new(file_id(&full, &metadata), &full)
                .context(path, "read the start of the file")
        };
        let (first_mark, header) = mark()?;
        if !header.starts_with(b"SQLite format 3\0") {
            let message = "not a database; choose another path";
            return Err(Error::new(ErrorKind::NotADatabase, path, message));
        }
        let log = wal_path(&full);
        let empty_log = log.metadata().map_or(true, |metadata| metadata.len() == 0);
        // Bytes 18 and 19 are 2 in write-ahead mode.
        let live_mode = header.get(18..20) == Some(&[2, 2]);
        let (reader, found) = if live_mode && !log.exists() {
            Self::connect(path, &full, first_mark, Mode::immutable(&full))?
        } else {
            match Self::connect(path, &full, first_mark, Mode::Shared) {
                // Sidecars cannot be used, or made, here.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let (mark, _) = mark()?;
                    let mode = match empty_log {
                        true => Mode::immutable(&full),
                        false => Mode::alone(path, &full, &mark, error)?,
                    };
                    Self::connect(path, &full, mark, mode)?
                }
                other => other?,
            }
        };
        check_content(path, &reader.conn, &found, metadata.len())?;
        Ok(reader)
    }

    fn connect(
        path: &Path,
        full: &Path,
        mark: ReaderMark,
        mode: Mode,
    ) -> Result<(Self, Found), Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = mode.connect(full, flags).context(path, "open")?;
        let covered = Cell::new(false);
        let file = OnceCell::new();
        let (path_given, full) = (path.to_owned(), full.to_owned());
        let mut reader = Self { conn, file, mark, path: path_given, full, mode, covered };
        let conn = &mut reader.conn;
        conn.busy_timeout(Duration::from_secs(1))
            .and_then(|()| harden(conn))
            .and_then(|()| conn.pragma_update(None, "query_only", true))
            .context(path, "open")?;
        check_version(path, conn)?;
        let found = schema::inspect(path, conn, Use::Reading)?;
        let covered = earlier::cover(conn).context(path, "read the schema")?;
        reader.covered.set(covered);
        Ok((reader, found))
    }

    /// The path, as it was given to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file says that it has a write-ahead log, and there is none beside it. That is so of a copy
    /// of the main file alone, whose last commits may be missing, if it was taken while a program recorded or
    /// after it was killed.
    pub fn lacks_log(&self) -> bool {
        self.mode.lacks_log()
    }

    /// For statements that are prepared once and run within the transaction of a scan.
    #[doc(hidden)]
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// The version of the file's schema. One that an older version of this crate has made, and no recording
    /// since, is below [`SCHEMA_VERSION`](crate::SCHEMA_VERSION).
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn schema_version(&self) -> Result<i32, Error> {
        self.query("read the schema", |tx| crate::schema::version(tx))
    }

    /// For a statement that must not be part of a scan's transaction.
    #[doc(hidden)]
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// A read transaction.
    #[doc(hidden)]
    pub fn begin(&self) -> Result<Transaction<'_>, Error> {
        self.check_mode()?;
        let tx = self.conn.unchecked_transaction().context(&self.path, "begin to read")?;
        if self.covered.get() {
            let covered = earlier::cover_as_needed(&tx).context(&self.path, "begin to read")?;
            self.covered.set(covered);
        }
        Ok(tx)
    }

    /// If the file was opened as one that nobody uses, checks whether this is still so.
    #[doc(hidden)]
    pub fn check_mode(&self) -> Result<(), Error> {
        if !self.mode.holds() {
            let message = "a recording into the file has begun; open it again";
            return Err(Error::new(ErrorKind::Busy, &self.path, message));
        }
        Ok(())
    }

    /// Runs a query in a read transaction of its own.
    #[doc(hidden)]
    pub fn query<T>(
        &self,
        doing: &str,
        query: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let tx = self.begin()?;
        query(&tx).context(&self.path, doing)
    }
}

impl fmt::Debug for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnly").field("path", &self.path).finish_non_exhaustive()
    }
}
