//! Exit codes.

use std::process::ExitCode;

/// How a command ended. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok = 0,
    /// A check failed.
    CheckFailed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The profile cannot be read, or what was asked for cannot be written.
    CannotRead = 3,
    /// Nothing matched, and `--fail-empty` was given.
    NothingMatched = 4,
    /// The profile is incomplete, and `--strict` was given.
    Incomplete = 5,
    /// The application that records does not answer.
    NotAnswering = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
