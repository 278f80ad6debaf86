//! What can go wrong, and the way out of it.

use std::{fmt, io};

use super::options::OptionsError;

/// Why a buffer was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The options are not possible.
    Options(OptionsError),
    /// The system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(why) => why.fmt(f),
            Self::Thread(why) => write!(f, "a buffer needs threads, and there are none: {why}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Options(why) => Some(why),
            Self::Thread(why) => Some(why),
        }
    }
}

impl From<OptionsError> for StartError {
    fn from(why: OptionsError) -> Self {
        Self::Options(why)
    }
}

/// Why a value was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// There is no room.
    Full,
    /// There was none, for as long as the caller was ready to wait.
    TimedOut,
    /// There never is: alone it is larger than the whole buffer.
    TooLarge,
    /// The buffer is closed.
    Closed,
    /// Of [`put_newer`](super::Map::put_newer): this version of the key is there or was, and is not older.
    Older(u64),
}

/// A value that was not taken, and why. Nothing has changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused<T> {
    /// Why.
    pub why: Why,
    /// What was to be taken.
    pub value: T,
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("why", &self.why).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::Full => f.write_str(
                "the buffer is full: wait for room, drop the value, take what is dead, or raise the capacity",
            ),
            Why::TimedOut => f.write_str(
                "the buffer stayed full: its processor is too slow, fails or hangs, which its metrics say",
            ),
            Why::TooLarge => f.write_str("the value is larger than the whole buffer: raise `capacity_bytes`"),
            Why::Closed => f.write_str("the buffer is closed: it takes nothing more"),
            Why::Older(known) => {
                write!(f, "version {known} of this key was put already: the value is not newer")
            }
        }
    }
}

impl<T> std::error::Error for Refused<T> {}

/// Why a flush has not ended well: so many items that were put before it are still waiting or in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// Time was out.
    TimedOut {
        /// Items that wait or are in flight now, also those that were put later.
        left: usize,
    },
    /// The buffer is closed, and nobody processes them.
    Closed {
        /// Items that wait or are in flight.
        left: usize,
    },
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { left } => write!(
                f,
                "time was out with {left} items left: wait longer, and look at the metrics whether the processor fails or hangs"
            ),
            Self::Closed { left } => {
                write!(f, "the buffer is closed, with {left} items left: `take` has what waits")
            }
        }
    }
}

impl std::error::Error for FlushError {}

/// Why an attempt to process a batch has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The processor has said so, with these words.
    Error(String),
    /// It has panicked, with these words.
    Panic(String),
    /// It has taken longer than it may.
    TimedOut,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(words) => write!(f, "the processor has failed: {words}"),
            Self::Panic(words) => write!(f, "the processor has panicked: {words}"),
            Self::TimedOut => f.write_str("the processor has run out of time"),
        }
    }
}
