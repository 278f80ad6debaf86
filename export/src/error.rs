//! Why an export failed.

use std::error;
use std::fmt;
use std::io;

use spandrel_storage::Error;

/// Why an export failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExportError {
    /// The profile cannot be read, or the copy of it not written.
    Profile(Error),
    /// What is exported cannot be written.
    Write(io::Error),
    /// The temporary file, in which rows are put in order, failed.
    Spool(rusqlite::Error),
    /// The callback of [`Source::watched_by`](super::Source::watched_by) stopped it.
    Stopped,
    /// A copy of the profile is a file and cannot be a stream; [`copy`](super::copy()) makes it.
    NotAStream,
    /// It is sent to a receiver and is no file; [`otlp_requests`](super::otlp_requests) has what to send.
    IsSent,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(error) => error.fmt(f),
            Self::Write(error) => write!(f, "cannot write the export: {error}"),
            Self::Spool(error) => write!(
                f,
                "the temporary file of the export failed: {error}; free some space, or choose \
                 another folder for it by $SQLITE_TMPDIR"
            ),
            Self::Stopped => f.write_str("the export was stopped"),
            Self::NotAStream => {
                f.write_str("a copy of a profile is a file; it cannot be written into a stream")
            }
            Self::IsSent => f.write_str("otlp is sent to a receiver; otlp-json can be written"),
        }
    }
}

impl error::Error for ExportError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Profile(error) => Some(error),
            Self::Write(error) => Some(error),
            Self::Spool(error) => Some(error),
            Self::Stopped | Self::NotAStream | Self::IsSent => None,
        }
    }
}

impl From<Error> for ExportError {
    fn from(error: Error) -> Self {
        Self::Profile(error)
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}
