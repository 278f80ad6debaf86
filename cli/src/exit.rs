//! Exit codes.

use std::process::ExitCode;

/// How a command ended. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok,
    /// A check failed.
    CheckFailed,
    /// The command line makes no sense.
    Usage,
    /// The profile cannot be read, or what was asked for cannot be written.
    CannotRead,
    /// Nothing matched, and `--fail-empty` was given.
    NothingMatched,
    /// The profile is incomplete, and `--strict` was given.
    Incomplete,
    /// The application that records does not answer.
    NotAnswering,
    /// The exit code of the program that `record` has run.
    Program(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::CheckFailed => 1,
            Self::Usage => 2,
            Self::CannotRead => 3,
            Self::NothingMatched => 4,
            Self::Incomplete => 5,
            Self::NotAnswering => 6,
            Self::Program(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
