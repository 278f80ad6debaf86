//! What can go wrong, and the way out of it.

use std::fmt;

use crate::size::TooLarge;

/// Why a ring was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The capacity is no power of two, or too small for readers that may be overtaken.
    Capacity {
        /// What was asked for.
        asked: usize,
        /// The next larger one that would do; none if there is none.
        next: Option<usize>,
    },
    /// The memory cannot be had.
    TooLarge(TooLarge),
    /// Claims of so many slots would leave no room for anything else.
    ClaimMax {
        /// What was asked for.
        asked: usize,
        /// The largest one that would do.
        most: usize,
    },
    /// No consumer could ever join.
    NoConsumers,
    /// Two stages have the same name.
    StageTwice(String),
    /// A stage comes after one of another ring.
    ForeignStage(String),
    /// A stage is to be held, in a ring that overwrites, which nobody can join.
    HeldAndOverwritten(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity { asked, next: Some(next) } => {
                write!(f, "a ring of {asked} slots is not possible: take {next}, a power of two")
            }
            Self::Capacity { asked, next: None } => {
                write!(f, "a ring of {asked} slots is larger than any memory: take fewer")
            }
            Self::TooLarge(why) => write!(f, "the slots have no place: {why}; take fewer"),
            Self::ClaimMax { asked, most } => write!(
                f,
                "claims of {asked} slots are not possible in this ring: take 1 to {most}, or a larger capacity"
            ),
            Self::NoConsumers => {
                f.write_str("no consumer could join: take 1 or more for `consumers_max`")
            }
            Self::StageTwice(name) => {
                write!(f, "there are two stages {name:?}: each needs a name of its own")
            }
            Self::ForeignStage(name) => write!(
                f,
                "the stage {name:?} comes after one of another ring: take what this builder's `stage` has given"
            ),
            Self::HeldAndOverwritten(name) => write!(
                f,
                "the stage {name:?} is held, and the ring overwrites: take `readable`, or no stage"
            ),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TooLarge(why) => Some(why),
            _ => None,
        }
    }
}

/// Why a consumer could not join.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The stage has as many consumers as it has places for.
    NoPlace {
        /// The name of the stage.
        stage: String,
        /// How many places it has.
        places: usize,
    },
    /// The stage is of another ring.
    ForeignStage,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace { stage, places } => write!(
                f,
                "the stage {stage:?} has {places} consumers already: drop one, or build the ring with more `consumers_max`"
            ),
            Self::ForeignStage => f.write_str(
                "the stage is of another ring: take what the `stage` of this ring's builder has given",
            ),
        }
    }
}

impl std::error::Error for JoinError {}

/// Why no slots could be claimed. Nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// Some consumer has not yet given back enough slots; or a slot is still being written that would be overwritten.
    Full,
    /// The same, for as long as the caller was ready to wait.
    TimedOut,
    /// The ring is closed.
    Closed,
    /// So many slots can never be claimed at once.
    BadLength {
        /// What was asked for.
        asked: usize,
        /// The most that can be.
        most: usize,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the ring is full: a consumer lags; wait with `claim`, drop what you have, or take a larger capacity",
            ),
            Self::TimedOut => {
                f.write_str("the ring stayed full: a consumer lags, and `Ring::lags` says which one")
            }
            Self::Closed => f.write_str("the ring is closed: nothing more is published"),
            Self::BadLength { asked, most } => write!(
                f,
                "a claim of {asked} slots can never succeed: take 1 to {most}, or build the ring with a larger `claim_max`"
            ),
        }
    }
}

impl std::error::Error for ClaimError {}

/// Why there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing is there yet.
    Empty,
    /// Nothing came for as long as the caller was ready to wait.
    TimedOut,
    /// The ring is closed, and everything was read.
    Closed,
    /// Of a [`Reader`](super::Reader): producers have come round the ring, and so many slots are gone. The next
    /// read goes on behind them.
    Overtaken(u64),
}

impl ReadError {
    /// What is said when nobody waits any more.
    pub(crate) fn at_end(self) -> Self {
        if self == Self::Empty { Self::Closed } else { self }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is published yet: try again, or wait with `read`"),
            Self::TimedOut => f.write_str("nothing was published in time: wait again, or longer"),
            Self::Closed => f.write_str("the ring is closed, and everything was read"),
            Self::Overtaken(missed) => write!(
                f,
                "the reader was overtaken and missed {missed} slots: read on, read faster, or take a larger capacity"
            ),
        }
    }
}

impl std::error::Error for ReadError {}
