//! The one error type of this crate.

use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::descriptors;
use crate::file_size;

/// What went wrong, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The folder that should hold the file does not exist.
    MissingFolder,
    /// The path names a folder.
    IsDirectory,
    /// The path names a symbolic link.
    Symlink,
    /// The operating system refuses access.
    PermissionDenied,
    /// The file, or one that SQLite has beside it, belongs to another user or can be written by others.
    Untrusted,
    /// There is no such file (readers only; the store makes it).
    NotFound,
    /// The file is no SQLite database.
    NotADatabase,
    /// The file is a database of another program.
    ForeignDatabase,
    /// The file has definitions that were not made by us and that would run: a trigger, a CHECK, an
    /// index on an expression.
    ForeignSchema,
    /// The file was written by a newer version of spandrel.
    NewerSchema,
    /// The file is damaged.
    Corrupt,
    /// Another store, in this process or in another one, records into the file.
    InUse,
    /// Another connection holds a lock; trying again can help.
    Busy,
    /// The disk, or the limit on pages, is full; trying again can help.
    Full,
    /// The write-ahead log has reached its cap; trying again can help.
    WalFull,
    /// The path no longer names the file that was opened.
    Moved,
    /// No run has begun.
    NoRun,
    /// Nobody answers a request to a live recording.
    NotAnswering,
    /// The program has linked a SQLite that is too old.
    OldSqlite,
    /// There is something already where a new file is to be made.
    Exists,
    /// The time allowed ran out.
    TimedOut,
    /// An option or a path makes no sense.
    InvalidOption,
    /// A row that the schema refuses, such as an id that is already in the file; trying again with
    /// the same batch cannot help.
    InvalidBatch,
    /// Something is longer than any recording makes it: a value (1 MiB), a name (8 KiB), all runs.
    TooLong,
    /// Another failure of the operating system.
    Io,
    /// Another failure of SQLite.
    Sqlite,
}

/// A failure of the store or of a reader.
///
/// The message is in lower case and names the path, what is wrong and what to do about it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    path: PathBuf,
    message: String,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// What went wrong, in one word.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The database, as it was named to `open`.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether the same call can succeed later, without anything being wrong with the file.
    pub(crate) fn may_pass(&self) -> bool {
        use ErrorKind::{Busy, Full, Io, WalFull};
        matches!(self.kind(), Busy | Full | Io | WalFull)
    }

    pub(crate) fn new(kind: ErrorKind, path: &Path, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            path: path.to_path_buf(),
            message: message.into(),
            source: None,
        }))
    }

    fn with_source(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The same error as another kind, because it means something else to the caller.
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(crate) fn io(path: &Path, doing: &str, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::PermissionDenied
            }
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        if source.kind() == io::ErrorKind::FileTooLarge
            && let Some(limit) = file_size::limit()
        {
            return Self::new(kind, path, file_size::message(doing, limit)).with_source(source);
        }
        let remedy = match kind {
            ErrorKind::PermissionDenied => {
                "; choose another path or change the permissions of the file and its folder"
            }
            ErrorKind::NotFound => "; check the path",
            ErrorKind::Full => "; free some space",
            _ if descriptors::is_limit(&source) => descriptors::REMEDY,
            _ => "",
        };
        Self::new(kind, path, format!("{doing}: {source}{remedy}")).with_source(source)
    }

    /// The error for a file that was new; with all its tables it would have `bytes` bytes. What was
    /// written before the limit on file sizes was reached has been removed, so the length of the file
    /// does not tell.
    pub(crate) fn in_new_file(
        path: &Path,
        doing: &str,
        source: rusqlite::Error,
        bytes: impl FnOnce() -> u64,
    ) -> Self {
        if file_size::may_be_cause(&source)
            && let Some(limit) = file_size::limit().filter(|limit| *limit < bytes())
        {
            let message = file_size::message(doing, limit);
            return Self::new(ErrorKind::Full, path, message).with_source(source);
        }
        Self::sqlite(path, doing, source)
    }

    #[doc(hidden)]
    pub fn sqlite(path: &Path, doing: &str, source: rusqlite::Error) -> Self {
        let kind = kind_of(&source);
        if file_size::may_be_cause(&source)
            && let Some(limit) = file_size::reached(path)
        {
            let message = file_size::message(doing, limit);
            return Self::new(ErrorKind::Full, path, message).with_source(source);
        }
        if is_cannot_open(&source)
            && let Some(cause) = descriptors::exhausted(path)
        {
            let message = format!("{doing}: {cause}{}", descriptors::REMEDY);
            return Self::new(ErrorKind::Io, path, message).with_source(source);
        }
        let message = match kind {
            ErrorKind::Busy => format!(
                "{doing}: another connection holds a lock; try again, or end what writes to or \
                 reads from the file"
            ),
            ErrorKind::Full => {
                format!("{doing}: the disk or the limit on pages is full; free some space")
            }
            ErrorKind::NotADatabase => "not a database; choose another path".to_owned(),
            ErrorKind::Corrupt => format!(
                "{doing}: the file is damaged ({source}); move it away, and recover what is left \
                 with the command .recover of sqlite3"
            ),
            ErrorKind::PermissionDenied => format!(
                "{doing}: no permission ({source}); choose another path or change the permissions \
                 of the file and its folder"
            ),
            ErrorKind::TooLong => format!(
                "{doing}: longer than any recording makes it (a value has 1 MiB at most, a name \
                 8 KiB, all runs 64 MiB); look at the file with the shell of sqlite3"
            ),
            ErrorKind::Moved => {
                format!("{doing}: the file was moved or deleted; open the path again")
            }
            _ => format!("{doing}: {source}"),
        };
        Self::new(kind, path, message).with_source(source)
    }
}

fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return match error {
            // A value in the file does not have the type that the schema demands.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => ErrorKind::Corrupt,
            _ => ErrorKind::Sqlite,
        };
    };
    if failure.extended_code == ffi::SQLITE_READONLY_DBMOVED {
        return ErrorKind::Moved;
    }
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ErrorKind::Busy,
        ErrorCode::DiskFull => ErrorKind::Full,
        ErrorCode::NotADatabase => ErrorKind::NotADatabase,
        ErrorCode::DatabaseCorrupt => ErrorKind::Corrupt,
        ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen => {
            ErrorKind::PermissionDenied
        }
        ErrorCode::SystemIoFailure => ErrorKind::Io,
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => ErrorKind::InvalidBatch,
        ErrorCode::TooBig => ErrorKind::TooLong,
        _ => ErrorKind::Sqlite,
    }
}

fn is_cannot_open(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::CannotOpen)
}

/// Whether a statement was refused because of its row; other errors stay errors.
pub(crate) fn is_refused(result: rusqlite::Result<()>) -> rusqlite::Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if kind_of(&error) == ErrorKind::InvalidBatch => Ok(true),
        Err(error) => Err(error),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.path.display(), self.0.message)
    }
}

/// With the message, because that is what a `main` that returns the error prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.0.kind)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Adds the path, and what was being done, to errors of SQLite and of the operating system.
pub trait Context<T> {
    /// `doing` says what was being done, as in "read the runs".
    fn context(self, path: &Path, doing: &str) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, rusqlite::Error> {
    fn context(self, path: &Path, doing: &str) -> Result<T, Error> {
        self.map_err(|source| Error::sqlite(path, doing, source))
    }
}

impl<T> Context<T> for Result<T, io::Error> {
    fn context(self, path: &Path, doing: &str) -> Result<T, Error> {
        self.map_err(|source| Error::io(path, doing, source))
    }
}
