//! What exports hold, one behaviour a module: one program, since each of its own would be linked with SQLite once more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs)]

#[path = "../../storage/tests/common/mod.rs"]
mod common;

mod entries;
mod export_filter;
mod optimized;
mod otlp_losses;
