//! Why there is nothing to read of what the writer shows.

use std::fmt;

/// Why a [`Tap`](crate::Tap) or [`Commits`](crate::Commits) has nothing to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing is there yet.
    Empty,
    /// Nothing came for as long as the caller was ready to wait.
    TimedOut,
    /// So many spans, or commits, came faster than they were read, and are gone. The next read goes on behind them.
    Overtaken(u64),
    /// The profiler is closed, and everything was read.
    Closed,
    /// The process was forked; what is recorded is its parent's.
    Forked,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is there yet: try again, or wait with `read`"),
            Self::TimedOut => f.write_str("nothing came in time: wait again, or longer"),
            Self::Overtaken(missed) => {
                write!(
                    f,
                    "{missed} came faster than they were read, and are gone: read on, or read faster"
                )
            }
            Self::Closed => f.write_str("the profiler is closed, and everything was read"),
            Self::Forked => f.write_str(
                "this process was forked, and what is recorded is its parent's: read it there",
            ),
        }
    }
}

impl std::error::Error for ReadError {}
