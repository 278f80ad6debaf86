//! Settings of a recording into a database.

use std::path::PathBuf;
use std::time::Duration;

use spandrel_storage::StoreOptions;

#[cfg(feature = "collected")]
use crate::error::{Error, ErrorKind};
#[cfg(feature = "faults")]
use crate::writer::Fault;

/// The profile, if none is named.
const DEFAULT_PATH: &str = "%n.spandrel.db";
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

impl DatabaseSettings {
    /// Refuses what somebody counts on, where there is no database: the rest has no effect.
    #[cfg(feature = "collected")]
    pub(in crate::handle) fn check_unused(&self) -> Result<(), Error> {
        let (setting, option) = match self {
            Self { path, .. } if path.as_os_str() != DEFAULT_PATH => ("database", "-o FILE"),
            Self { store: StoreOptions { max_bytes: Some(_), .. }, .. } => {
                ("max_bytes", "--max-bytes")
            }
            Self { store: StoreOptions { max_age: Some(_), .. }, .. } => ("max_age", "--keep"),
            _ => return Ok(()),
        };
        let message = format!(
            "{setting} is set beside `collected`, and it is the collector that writes the database: set it there \
             (`spandrel collect DIR`, with {option}), and not here"
        );
        Err(Error::new(ErrorKind::InvalidOption, message))
    }
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            path: DEFAULT_PATH.into(),
            batch_size: 8_192,
            flush_interval: Duration::from_millis(500),
            control: true,
            close_timeout: Duration::from_secs(30),
            store: StoreOptions::default(),
            crash_proof: is_tested_crash_proof(),
            #[cfg(feature = "faults")]
            fault: None,
        }
    }
}

/// All tests of spandrel itself can be run over ring files.
fn is_tested_crash_proof() -> bool {
    cfg!(all(feature = "crash-proof", any(test, feature = "faults")))
        && std::env::var_os("SPANDREL_TEST_CRASH_PROOF").is_some()
}
