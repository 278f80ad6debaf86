//! Recording into a database, by a thread of this process.

pub(super) mod settings;
pub(super) mod variables;

mod builder;
mod commits;
mod path_pattern;
mod read_error;
mod run_row;
mod snapshot;
mod start;
mod tap;
mod tapped_span;
mod thread;

pub use commits::{Commit, Commits};
pub use read_error::ReadError;
pub use tap::Tap;
pub use tapped_span::TappedSpan;
