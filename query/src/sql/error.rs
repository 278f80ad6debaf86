//! Why a query was refused or failed, with the position in its text.

use std::fmt;

use rusqlite::{Error as Sqlite, ErrorCode};

use super::SqlLimits;
use super::guard::Guard;
use spandrel_storage::Error;

/// Characters of a line that are shown at most, around the position.
const SHOWN: usize = 96;

/// What is wrong with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlErrorKind {
    /// The text is no SQL, or names what is not there.
    Usage,
    /// It would do more than reading.
    Refused,
    /// It takes more time than it may.
    Timeout,
    /// It takes more memory, or makes a longer value, than it may.
    TooLarge,
    /// The profile cannot be read.
    Profile,
}

/// Why a query was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    kind: SqlErrorKind,
    message: String,
    excerpt: Option<String>,
}

impl SqlError {
    /// What is wrong.
    pub fn kind(&self) -> SqlErrorKind {
        self.kind
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { kind: SqlErrorKind::Usage, message: message.into(), excerpt: None }
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { kind: SqlErrorKind::Refused, message: message.into(), excerpt: None }
    }

    pub(super) fn profile(error: &Error) -> Self {
        Self { kind: SqlErrorKind::Profile, message: error.to_string(), excerpt: None }
    }

    pub(super) fn timeout(limits: &SqlLimits) -> Self {
        let message = format!(
            "the query took longer than {:?} and was ended; ask for less, or for more time",
            limits.timeout
        );
        Self { kind: SqlErrorKind::Timeout, message, excerpt: None }
    }

    pub(super) fn memory(limits: &SqlLimits) -> Self {
        let message = format!(
            "the query needs more than {} MiB of memory; sort or group less at once",
            limits.memory_bytes_max >> 20
        );
        Self { kind: SqlErrorKind::TooLarge, message, excerpt: None }
    }

    /// What SQLite says, in our words where it says little.
    pub(super) fn new(source: Sqlite, text: &str, guard: &Guard, limits: &SqlLimits) -> Self {
        let kibibytes = limits.value_bytes_max / 1024;
        let too_large =
            |message: String| Self { kind: SqlErrorKind::TooLarge, message, excerpt: None };
        match source.sqlite_error_code() {
            Some(ErrorCode::AuthorizationForStatementDenied) => {
                let what = guard.refused().unwrap_or_else(|| "the statement".into());
                Self::refused(format!("{what} is refused: queries only read"))
            }
            Some(ErrorCode::OperationInterrupted) => Self::timeout(limits),
            Some(ErrorCode::OutOfMemory) => Self::memory(limits),
            Some(ErrorCode::TooBig) => too_large(format!(
                "a value, a row or the query itself is longer than it may be ({kibibytes} KiB for a \
                 value or a row)"
            )),
            Some(ErrorCode::ReadOnly) => Self::refused("writing is refused: queries only read"),
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen,
            ) => Self {
                kind: SqlErrorKind::Profile,
                message: format!("cannot read the profile: {source}"),
                excerpt: None,
            },
            _ => match source {
                Sqlite::SqlInputError { msg, sql, offset, .. } => {
                    let start = text.len() - sql.len().min(text.len());
                    let excerpt =
                        usize::try_from(offset).ok().and_then(|at| excerpt(text, start + at));
                    Self { kind: SqlErrorKind::Usage, message: msg, excerpt }
                }
                Sqlite::SqliteFailure(_, Some(message)) => Self::usage(message),
                other => Self::usage(other.to_string()),
            },
        }
    }
}

/// The line of a text with a mark beneath the character at this byte.
fn excerpt(text: &str, at: usize) -> Option<String> {
    let before = text.get(..at)?;
    let line_number = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..)?.lines().next().unwrap_or_default();
    let column = text.get(line_start..at)?.chars().count();
    // A long line is shown from a little before the position.
    let skipped = column.saturating_sub(SHOWN / 2);
    let shown: String = line.chars().skip(skipped).take(SHOWN).collect();
    let shown = shown.replace('\t', " ");
    let number = format!("{line_number}:{} | ", column + 1);
    let mark = " ".repeat(number.chars().count() + column - skipped);
    Some(format!("{number}{shown}\n{mark}^"))
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SqlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_its_line() {
        let text = "select a,\n  é, nope\nfrom span";
        let at = text.find("nope").unwrap();
        assert_eq!(excerpt(text, at).unwrap(), "2:6 |   é, nope\n           ^");
        assert_eq!(excerpt("x", 9), None);
        let long = format!("select {}nope", "1,".repeat(500));
        let shown = excerpt(&long, long.len() - 4).unwrap();
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        let mark = shown.lines().nth(1).unwrap().chars().count() - 1;
        let under: String = shown.lines().next().unwrap().chars().skip(mark).collect();
        assert_eq!(under, "nope");
    }
}
