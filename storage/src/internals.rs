//! For the crates that read the file. Not part of the API of this crate: it changes without notice.

pub use crate::compat::{Settled, column_names};
pub use crate::ended::Ended;
pub use crate::error::Context;
pub use crate::fast_hash_map::FastHashMap;
pub use crate::histogram::Hints;
pub use crate::read_only::Pages;
pub use crate::record::{NAME_BYTES_MAX, lived_long_to_the_end};
pub use crate::rollup::{Rollup, Summand};
pub use crate::steps::Steps;

/// Merging the write-ahead log into the file.
pub mod checkpoint {
    pub use crate::checkpoint::{finish, run};
}

/// The indexes and tables that make a profile quick to ask: their names, and how to remove them.
pub mod indexes {
    pub use crate::indexes::{
        BY_DURATION, BY_ROOT, BY_SPAN, INDEXES, PATH_SUMS, PATHS, ROOTS_BY_DURATION, SUMS, ZONES,
        drop_all, drop_index, drop_path_sums, drop_zones,
    };
}
