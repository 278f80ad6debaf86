//! Sums by path of each zone (`zones.rs`), so that a flame graph need not read every span.
//!
//! Paths are numbered within a run, parents first. A run has no sums if some of its paths were cut, or if it has so
//! many paths that the sums would not be much fewer than the spans.
//!
//! Entries of spans that live long are in no sum: they are read, and added.
//!
//! Measured on 10 million spans of 40 names, which make 92 paths: 0.7 bytes a span.

mod make;
mod read;

pub(crate) use self::make::make;
