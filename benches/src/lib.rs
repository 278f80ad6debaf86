//! What the benchmarks and the scripts that count instructions and system calls have in common:
//! the [cases](Case), the [recorders](Recorder) that they run under, the [queues] that the ring is
//! compared with, and [batches of rows](Recording) for the store.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nobody to report to")]

mod beside;
mod cases;
pub mod queues;
mod recorders;
mod recording;

pub use beside::record_under;
pub use cases::Case;
pub use recorders::{ExtensionsLayer, NoopLayer, Recorder, in_file};
pub use recording::{Recording, Shape};
