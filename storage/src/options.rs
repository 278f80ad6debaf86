//! How a store writes.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// How hard SQLite tries to get a commit onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// Never waits for the disk. A crash of the program loses nothing that was committed; a power
    /// failure can damage the file.
    Off,
    /// Waits at checkpoints only. A crash of the program loses nothing that was committed; a power
    /// failure can lose the last commits and never damages the file.
    #[default]
    Normal,
    /// Waits at each commit (about 4 ms on a common disk). A power failure loses nothing that was
    /// committed.
    Full,
}

impl Synchronous {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}

/// How a store writes. The fields are public, so that it can be built from its default (`StoreOptions {
/// page_size: 4_096, ..StoreOptions::default() }`); more may be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes a page, a power of two from 512 to 65,536; for a new file only. Default: 16,384.
    pub page_size: u32,
    /// How hard to try to get a commit onto the disk. Default: normal.
    pub synchronous: Synchronous,
    /// `append` refuses with [`ErrorKind::WalFull`] while the write-ahead log is at least this large and
    /// a checkpoint cannot empty it, because a reader stays too long. A commit may exceed the cap by its
    /// own size. Default: 256 MiB.
    pub wal_bytes_max: u64,
    /// After a commit that leaves the write-ahead log at least this large a checkpoint is made, which
    /// takes some 3 ms a MiB and waits for the disk twice. If the disk is so slow that checkpoints would
    /// take more than a quarter of the time, they are made later: at eight times this size, or half of
    /// `wal_bytes_max`. Default: 4 MiB.
    pub checkpoint_bytes: u64,
    /// `prune` deletes the oldest rows while the file is larger than this, in bytes. The
    /// write-ahead log counts separately. Default: no limit.
    pub max_bytes: Option<u64>,
    /// `prune` deletes rows that began longer ago than this. Default: no limit.
    pub max_age: Option<Duration>,
    /// How long to wait for a lock that another connection holds. Default: 250 ms.
    pub busy_timeout: Duration,
    /// The file may have so many pages at most; beyond, `append` fails with [`ErrorKind::Full`].
    /// Default: SQLite's own limit.
    pub max_page_count: Option<u32>,
    /// Batches of at least so many spans and events are copied into the file from an image in
    /// memory, which costs a third of inserting them one by one, but has to be set up. `usize::MAX`
    /// turns it off. Default: 128.
    pub transfer_rows_min: usize,
    /// Whether other connections may read the file while it is recorded into. If not, the index of the
    /// write-ahead log is in this process's memory and not in a mapped file (`<database>-shm`), so
    /// nobody can cut that short under it; anybody who opens the file meanwhile finds it locked.
    /// Default: true.
    pub live_readers: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            page_size: 16_384,
            synchronous: Synchronous::Normal,
            wal_bytes_max: 256 << 20,
            checkpoint_bytes: 4 << 20,
            max_bytes: None,
            max_age: None,
            busy_timeout: Duration::from_millis(250),
            max_page_count: None,
            transfer_rows_min: 128,
            live_readers: true,
        }
    }
}

impl StoreOptions {
    /// For files that cannot become longer than this: the log is merged into the main file while there
    /// is room for it.
    pub(crate) fn within(&self, file_bytes_max: Option<u64>) -> Self {
        let mut options = self.clone();
        if let Some(most) = file_bytes_max {
            options.checkpoint_bytes = options.checkpoint_bytes.min(most / 4);
        }
        options
    }

    pub(crate) fn check(&self, path: &Path) -> Result<(), Error> {
        let fault =
            if !self.page_size.is_power_of_two() || !(512..=65_536).contains(&self.page_size) {
                "page_size is not a power of two from 512 to 65,536"
            } else if self.wal_bytes_max == 0 {
                "wal_bytes_max is zero, so that nothing could be stored"
            } else if self.max_page_count == Some(0) {
                "max_page_count is zero, so that nothing could be stored"
            } else if path.as_os_str().is_empty() {
                "the path is empty"
            } else {
                return Ok(());
            };
        Err(Error::new(ErrorKind::InvalidOption, path, format!("{fault}; change it")))
    }
}
