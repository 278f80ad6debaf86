//! What buffers promise to those who use them.
//!
//! None of it depends on how fast anything is: where something has to hang, it waits for a `Gate`, and where time has to
//! be out, it is that of an attempt that began before the time-out was made long.

#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

mod ending;
mod failures;
mod gate;
mod map;
mod options;
mod queue;
mod stress;
mod time_outs;
