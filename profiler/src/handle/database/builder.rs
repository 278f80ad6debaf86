//! Settings of a recording into a database: methods of the builder.

use std::path::PathBuf;
use std::time::Duration;

use spandrel_storage::{StoreOptions, Synchronous};

use super::settings::BATCH_BYTES;
use crate::error::{Error, ErrorKind};
use crate::handle::builder::{Memory, ProfilerBuilder};
#[cfg(feature = "faults")]
use crate::writer::Fault;

/// Into a database.
impl ProfilerBuilder {
    /// The profile database; made if it is missing, appended to if it is one of ours.
    ///
    /// `%p` in it is the process id, `%t` the time of the start (`20261128T162233Z`), `%n` the name of the
    /// program and `%%` a percent sign, as in `"%n-%p.db"` for several processes of one program; any
    /// other percent sign stands for itself.
    ///
    /// Default: `<program>.spandrel.db` in the current folder.
    pub fn database(mut self, path: impl Into<PathBuf>) -> Self {
        self.database.path = path.into();
        self
    }

    /// Commit when so many spans and events have come together. Default 8,192.
    pub fn batch_size(mut self, records: usize) -> Self {
        self.database.batch_size = records;
        self
    }

    /// Commit at least so often while anything comes. Default 500 ms.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.database.flush_interval = interval;
        self
    }

    /// Whether other processes of the same user can ask the running recording for something, such as a
    /// mark: through a small file beside the database, `<database>-ctl`, at which the writer looks
    /// some 20 to 50 times a second, and which is removed at the end. Default `true`.
    ///
    /// If that file cannot be made or read the recording goes on without;
    /// [`Stats::control_error`](crate::Stats::control_error) says why.
    pub fn control(mut self, listen: bool) -> Self {
        self.database.control = listen;
        self
    }

    /// How long `close()` may wait for the database. Default 30 s.
    ///
    /// For a disk that was full before, and at the close still is, it waits 2 s at most. What could not be stored by then is counted as `store_error`.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.database.close_timeout = timeout;
        self
    }

    /// How careful SQLite is with power failures. Default [`Synchronous::Normal`]: a power failure
    /// may lose the last commits, but never corrupts the file. (A crash of the program or a kill
    /// loses no commit in any of them.)
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.database.store.synchronous = synchronous;
        self
    }

    /// Keep the database below this size, about, by deleting the oldest spans. Default: no limit.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.database.store.max_bytes = Some(bytes);
        self
    }

    /// Delete spans that are older than this. Default: never.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.database.store.max_age = Some(age);
        self
    }

    /// Whether other processes may read the profile while it is recorded. Default `true`.
    ///
    /// With `false` the file is locked for other processes meanwhile, and the index of its write-ahead log
    /// is in memory. Otherwise that is a file, `<database>-shm`, which is mapped: a program that cuts it
    /// short under the recording (`: > profile.db-shm`) may end it by SIGBUS.
    pub fn live_readers(mut self, may_read: bool) -> Self {
        self.database.store.live_readers = may_read;
        self
    }

    /// All settings of the store at once, for what has no method of its own.
    pub fn store_options(mut self, options: StoreOptions) -> Self {
        self.database.store = options;
        self
    }

    /// Whether what is recorded outlives the process, however that ends: `kill -9`, an abort, out of memory. Default
    /// `false`. (Feature `crash-proof`; Linux and macOS.)
    ///
    /// The ring, the open spans and the names of both then lie in a mapped file in memory, `$XDG_RUNTIME_DIR/spandrel` or
    /// `/dev/shm/spandrel-UID`, some 50 MB. [`close`](crate::Profiler::close) removes it. If the process ends before that, whoever
    /// next records into the same database moves what is in the file into it, and `spandrel recover` does: every span
    /// that was published, and those that were open, with the status `crashed`. A power failure takes the file with it.
    ///
    /// Slots of the ring are free again when what was in them is committed. So the ring, and not the writer's memory, is what
    /// a burst has to fit into: [`ring_capacity`](Self::ring_capacity) is four times as large by default.
    ///
    /// The file has room for the names of some 20,000 callsites, and of some 60,000 threads where callsites are few. Spans of
    /// further callsites are dropped as `callsites_full`; further threads have one number in common.
    ///
    /// If the file cannot be made, because there is no room for it, say, recording goes on without;
    /// [`Stats::crash_proof_error`](crate::Stats::crash_proof_error) says why.
    #[cfg(feature = "crash-proof")]
    pub fn crash_proof(mut self, outlives: bool) -> Self {
        self.database.crash_proof = outlives;
        self
    }

    /// The writer brings a fault upon itself: for tests of what becomes of a recording then.
    #[cfg(feature = "faults")]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.database.fault = Some(fault);
        self
    }

    /// Checks all settings.
    pub(super) fn check_with_database(&self) -> Result<(), Error> {
        let batch = self.database.batch_size;
        self.check_range("batch_size", batch, 1, 10_000_000)?;
        if self.database.flush_interval.is_zero() {
            return Err(Error::new(
                ErrorKind::InvalidOption,
                format!("{} is zero; choose at least 1 ms", self.called("flush_interval")),
            ));
        }
        let bytes = (batch as u64).saturating_mul(BATCH_BYTES);
        self.check(Some(Memory { setting: "batch_size", value: batch, bytes }))
    }
}
