//! What the crates that read the file are built of. No part of what this crate promises: it changes
//! without notice.

pub use crate::compat::{Settled, column_names};
pub use crate::ended::Ended;
pub use crate::error::Context;
pub use crate::fast_hash_map::FastHashMap;
/// Its former name.
pub use crate::fast_hash_map::FastHashMap as QuickMap;
pub use crate::histogram::Hints;
pub use crate::read_only::Pages;
pub use crate::record::{NAME_BYTES_MAX, lived_long_to_the_end};
pub use crate::rollup::{Rollup, Summand};
pub use crate::steps::Steps;

/// The write-ahead log's way into the file.
pub mod checkpoint {
    pub use crate::checkpoint::{finish, run};
}

/// What makes a profile quick to ask: names, and taking it away.
pub mod indexes {
    pub use crate::indexes::{
        BY_DURATION, BY_ROOT, BY_SPAN, INDEXES, PATH_SUMS, PATHS, ROOTS_BY_DURATION, SUMS, ZONES,
        drop_all, drop_index, drop_path_sums, drop_zones,
    };
}
