//! What can go wrong outside the hot path.

#[cfg(feature = "database")]
mod storage;

use std::fmt;
use std::path::{Path, PathBuf};

/// Why an operation of the profiler failed.
///
/// `Debug` shows the message, too, because that is what a `main` that returns the error prints.
pub struct Error {
    kind: ErrorKind,
    path: Option<PathBuf>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is out of range, or an environment variable cannot be understood.
    InvalidOption,
    /// The profile database could not be opened; the storage crate's kind says why.
    #[cfg(feature = "database")]
    Storage(crate::StorageErrorKind),
    /// The writer thread could not be started.
    Thread,
    /// The time allowed for a flush ran out. Nothing is lost: the writer goes on.
    Timeout,
    /// The profiler is closed.
    Closed,
    /// `flush` or `close` was called on the writer thread itself, which would wait for itself.
    OnWriterThread,
    /// The process was forked; the profiler belongs to the parent.
    Forked,
    /// The program has a global subscriber already.
    AlreadyInstalled,
    /// The program has a logger already, so that the subscriber gets no records of the `log` crate.
    LoggerInstalled,
    /// A ring file cannot be made, or that of a process that is gone cannot be recovered.
    RingFile,
    /// More marks came at once than the writer's channel holds; this one is dropped, and counted.
    MarksFull,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, path: None, message: message.into(), source: None }
    }

    /// The same error, with what it is about in front.
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.message.insert_str(0, &format!("{what}: "));
        self
    }

    /// The same error, with another remedy at the end.
    pub(crate) fn or_else(mut self, way_out: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(way_out);
        self
    }

    #[cfg(feature = "collected")]
    pub(crate) fn with_path(mut self, path: &Path) -> Self {
        self.path = Some(path.to_path_buf());
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The database that the error is about, if it is about one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.message, self.kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
