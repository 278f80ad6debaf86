//! Recording into a database, by a thread of this process.

pub(super) mod settings;
pub(super) mod variables;

mod builder;
mod path_pattern;
mod run_row;
mod snapshot;
mod start;
mod thread;
