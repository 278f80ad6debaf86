//! Sums by path of each zone (`zones.rs`), so that a flame graph need not read every span.
//!
//! Paths are numbered within a run, each behind its parent. A run of which some paths were cut has no
//! sums, nor has one of so many paths that its sums would not be much fewer than its spans.
//!
//! Entries of spans that live long are in no sum: they are read, and added.
//!
//! Measured on 10 million spans of 40 names, which make 92 paths: 0.7 bytes a span.

mod make;
mod read;

pub(crate) use self::make::make;
