//! What can go wrong, and the way out of it.

use std::fmt;
use std::io;

use crate::file::{self, CreateError};

/// Why a ring was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// It is something else, or is being made.
    NoRing,
    /// Its layout has another version than [`LAYOUT_VERSION`](super::LAYOUT_VERSION).
    OtherVersion {
        /// Which one.
        version: u64,
    },
    /// It is of this version and yet laid out in another way: of a build with other constants, or for other processors.
    OtherLayout,
    /// No ring can have this.
    BadOptions(&'static str),
    /// Its slots are of another kind, or another number or size, than what was asked for.
    OtherOptions {
        /// What is another one.
        what: &'static str,
        /// What was asked for.
        asked: u64,
        /// What it has.
        found: u64,
    },
    /// Its header is not as it was written, or the file is not as long as it says.
    Damaged(&'static str),
    /// It is not what a process of this user has made, as the text says: it is not opened.
    Untrusted(String),
    /// It could not be made.
    Create(CreateError),
    /// This system has none: it takes Linux or macOS.
    Unsupported,
    /// What the system says.
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRing => f.write_str("this is no ring between processes"),
            Self::OtherVersion { version } => write!(
                f,
                "this ring has version {version} of the layout, and this program knows version {}; build both programs \
                 with the same version of the crate",
                super::LAYOUT_VERSION
            ),
            Self::OtherLayout => f.write_str(
                "this ring is laid out for another build or processor; build both programs with the same version of the \
                 crate",
            ),
            Self::BadOptions(why) => f.write_str(why),
            Self::OtherOptions { what, asked, found } => write!(
                f,
                "this ring has another {what}: {found}, and {asked} was asked for; ask for what it has, or remove it when \
                 nobody uses it"
            ),
            Self::Damaged(why) => write!(f, "this ring is damaged: {why}; remove it, and make it anew"),
            Self::Untrusted(why) => write!(f, "this ring is not opened: {why}"),
            Self::Create(why) => write!(f, "{why}"),
            Self::Unsupported => {
                f.write_str("a ring between processes takes Linux or macOS; take one within a process here")
            }
            Self::Io(error) => write!(f, "cannot open the ring: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Create(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<CreateError> for OpenError {
    fn from(error: CreateError) -> Self {
        Self::Create(error)
    }
}

impl From<file::OpenError> for OpenError {
    fn from(error: file::OpenError) -> Self {
        match error {
            file::OpenError::Untrusted(why) => Self::Untrusted(why),
            file::OpenError::Io(error) => Self::Io(error),
            _ => Self::NoRing,
        }
    }
}

/// Why somebody could not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// All places are taken by participants who live, or cannot be asked.
    NoPlace {
        /// How many places there are.
        places: usize,
    },
    /// In this ring slots are borrowed where they lie, so that only readers that hold writers back may join.
    InPlace,
    /// There is no such group.
    NoGroup {
        /// How many there are.
        groups: usize,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace { places } => write!(
                f,
                "the ring has {places} participants already: drop one, or make the ring with more `participants`"
            ),
            Self::InPlace => f.write_str(
                "slots of this ring are borrowed where they lie: take `holding_reader`, or make the ring without `in_place`",
            ),
            Self::NoGroup { groups } => write!(f, "there is no such group: take 0 to {}", groups - 1),
        }
    }
}

impl std::error::Error for JoinError {}

/// Why nothing was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// A reader that holds writers back lags, or somebody is still writing where this would be written.
    Full,
    /// The same, for as long as the caller was ready to wait.
    TimedOut,
    /// The claim was passed over: its writer had it in hand while the others went round the ring. Nobody sees it.
    Overrun,
    /// All sequences of this ring were used.
    Exhausted,
    /// Somebody has cut the file: nobody sees what is published.
    Cut,
    /// It has no room in a slot, or does not fill one.
    WrongLength {
        /// Bytes that were given, or the end of what was.
        given: usize,
        /// Bytes of a slot.
        slot: usize,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the ring is full: a reader lags, or a process is stopped; wait with `claim` or `send`, or drop what you have",
            ),
            Self::TimedOut => f.write_str("the ring stayed full: `Ring::participants` says who lags"),
            Self::Overrun => f.write_str(
                "this process was stopped for too long, and the others went round the ring: publish it again",
            ),
            Self::Exhausted => {
                f.write_str("this ring has no sequences any more: make another one, with more slots")
            }
            Self::Cut => f.write_str("somebody has cut the ring's file short: make it anew"),
            Self::WrongLength { given, slot } => {
                write!(f, "{given} bytes are given, and a slot has {slot}: give as many")
            }
        }
    }
}

impl std::error::Error for WriteError {}

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing is there yet.
    Empty,
    /// Nothing came for as long as the caller was ready to wait.
    TimedOut,
    /// The last writer has left or is dead, and everything was read.
    Ended,
    /// Writers have come round the ring, and so many sequences are gone. The next read goes on behind them.
    Overtaken(u64),
    /// Somebody has cut the file.
    Cut,
    /// There is no room for a slot, or a value is not as large as one.
    TooSmall {
        /// Bytes that were given.
        given: usize,
        /// Bytes of a slot.
        slot: usize,
    },
    /// Only a reader that holds writers back has slots where they lie.
    NotHeld,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is published yet: try again, or wait with `read`"),
            Self::TimedOut => f.write_str("nothing was published in time: wait again, or longer"),
            Self::Ended => f.write_str("the last writer is gone, and everything was read"),
            Self::Overtaken(missed) => write!(
                f,
                "the reader was overtaken and missed {missed} slots: read on, read faster, or make the ring with more slots"
            ),
            Self::Cut => f.write_str("somebody has cut the ring's file short: make it anew"),
            Self::TooSmall { given, slot } => {
                write!(f, "{given} bytes are given, and a slot has {slot}: give as many")
            }
            Self::NotHeld => f.write_str(
                "this reader may be overtaken, so that its slots may be written meanwhile: take `holding_reader`, or copy",
            ),
        }
    }
}

impl std::error::Error for ReadError {}
