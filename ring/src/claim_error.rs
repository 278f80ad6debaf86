//! Why slots could not be claimed.

use std::fmt;

/// Why no slots could be claimed. Nothing was claimed; what the producer holds is to be dropped
/// and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// The consumer has not yet given back enough slots.
    Full,
    /// Other producers were faster [`ATTEMPTS`](crate::partition::ATTEMPTS) times in a row.
    Contended,
    /// The ring is closed.
    Closed,
    /// The claim is empty, or larger than a partition or than
    /// [`SLOTS_PER_CLAIM_MAX`](crate::SLOTS_PER_CLAIM_MAX): it can never succeed.
    BadLength,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the partition is full",
            Self::Contended => "other producers were faster too many times",
            Self::Closed => "the ring is closed",
            Self::BadLength => "a claim of this many slots can never succeed",
        })
    }
}

impl std::error::Error for ClaimError {}
