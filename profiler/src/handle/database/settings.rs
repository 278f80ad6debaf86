//! Settings of a recording into a database.

use std::path::PathBuf;
use std::time::Duration;

use spandrel_storage::StoreOptions;

#[cfg(feature = "faults")]
use crate::writer::Fault;

/// Bytes that the writer holds for a record without fields: its slot and its row.
pub(super) const BATCH_BYTES: u64 = 200;

/// What only a recording into a database has.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseSettings {
    pub(crate) path: PathBuf,
    pub(crate) batch_size: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) control: bool,
    pub(crate) close_timeout: Duration,
    pub(crate) store: StoreOptions,
    /// Whether the ring is to lie in a file.
    pub(crate) crash_proof: bool,
    #[cfg(feature = "faults")]
    pub(crate) fault: Option<Fault>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            path: "%n.spandrel.db".into(),
            batch_size: 8_192,
            flush_interval: Duration::from_millis(500),
            control: true,
            close_timeout: Duration::from_secs(30),
            store: StoreOptions::default(),
            crash_proof: false,
            #[cfg(feature = "faults")]
            fault: None,
        }
    }
}
