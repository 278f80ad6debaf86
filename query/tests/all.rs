//! What questions are answered with, one behaviour a module: one program, since each of its own would be linked with
//! SQLite once more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs)]

#[path = "../../storage/tests/common/mod.rs"]
mod common;

mod follow;
mod older_version;
mod recent;
mod sql;
mod time_ranges;
