//! Why a load could not be run or judged.

use std::error;
use std::fmt;
use std::path::Path;

/// A load that could not be run or judged. What the verification finds is no error: it stands in the
/// outcome.
///
/// The message is in lower case and says what is wrong and what to do about it.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is out of its range.
    InvalidSetting,
    /// The file holds a recording that no load made, or it is no profile at all.
    NotOurs,
    /// The profile database cannot be opened, made, or removed.
    Database,
    /// The profiler could not be started or closed.
    Profiler,
    /// Threads, or the runtime for tasks, could not be started.
    Generator,
    /// The finished file could not be read.
    Verification,
}

impl Error {
    /// What went wrong, in one word.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(Box::new(source)) }
    }

    /// The store names the path and the way out.
    pub(crate) fn store(source: spandrel_storage::Error) -> Self {
        Self::caused(ErrorKind::Database, source.to_string(), source)
    }

    /// So does the profiler.
    pub(crate) fn profiler(source: spandrel::Error) -> Self {
        Self::caused(ErrorKind::Profiler, source.to_string(), source)
    }

    pub(crate) fn reading(path: &Path, source: rusqlite::Error) -> Self {
        let message = format!(
            "{}: the finished file cannot be read, so nothing is verified: {source}",
            path.display()
        );
        Self::caused(ErrorKind::Verification, message, source)
    }

    pub(crate) fn generator(
        doing: &str,
        source: impl error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::caused(ErrorKind::Generator, format!("{doing}: {source}"), source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
