//! Copies of a profile that is recorded.

use std::path::Path;
use std::time::{Duration, Instant};

use spandrel_storage::Snapshot;

use crate::error::{Error, ErrorKind};
use crate::handle::profiler::Profiler;

impl Profiler {
    /// Copies the profile to a new file: everything that was recorded before this call, as it is at
    /// one moment, and what has been committed since. The copy has mode 0600 and needs no other file;
    /// the run has not ended in it.
    ///
    /// This is how a program reads, keeps or sends its own profile while it is recorded: it must never
    /// open the file by itself, as with [`std::fs::read`] or [`std::fs::copy`]. When it closes a file
    /// that SQLite has open in the same process, POSIX drops SQLite's locks on it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// # let copy = folder.path().join("copy.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// // ...
    /// let snapshot = profiler.snapshot(&copy)?;
    /// assert_eq!(snapshot.bytes, std::fs::read(&copy)?.len() as u64);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush); [`ErrorKind::Timeout`] also when the copy takes too long, and
    /// [`ErrorKind::Storage`] when it cannot be made: something is at the path already, the disk is
    /// full, or so much is recorded meanwhile that the write-ahead log reaches half of
    /// [`wal_bytes_max`](crate::StoreOptions::wal_bytes_max). Nothing is left behind then.
    /// [`ErrorKind::Closed`] for a profiler that is switched off: there is no profile.
    ///
    /// # Blocking
    ///
    /// The calling thread, up to [`ProfilerBuilder::close_timeout`](crate::ProfilerBuilder::close_timeout): it reads and writes the whole file, some 2 s for
    /// a GB. No other thread waits, and the recording goes on. Until the copy is made, the write-ahead
    /// log cannot begin anew and grows by what is recorded.
    pub fn snapshot(&self, path: impl AsRef<Path>) -> Result<Snapshot, Error> {
        let profile = self.handle.as_ref().and_then(|handle| handle.backend.profile());
        self.snapshot_within(path, profile.map_or(Duration::ZERO, |profile| profile.timeout))
    }

    /// The same with a time-out of its own.
    ///
    /// # Errors
    ///
    /// As for [`snapshot`](Self::snapshot).
    ///
    /// # Blocking
    ///
    /// The calling thread, up to `timeout`.
    pub fn snapshot_within(
        &self,
        path: impl AsRef<Path>,
        timeout: Duration,
    ) -> Result<Snapshot, Error> {
        let Some(handle) = &self.handle else {
            let message = "cannot make a copy: the profiler is switched off, and has no profile";
            return Err(Error::new(ErrorKind::Closed, message));
        };
        handle.check_caller("make a copy")?;
        let Some(profile) = handle.backend.profile() else {
            let message = "cannot make a copy: it is `spandrel collect` that writes the profile";
            return Err(Error::new(ErrorKind::InvalidOption, message));
        };
        let began = Instant::now();
        self.flush(timeout)?;
        let rest = timeout.saturating_sub(began.elapsed());
        let (from, log_max) = (profile.path, profile.copy_log_bytes_max);
        spandrel_storage::snapshot(from, path, rest, log_max).map_err(|error| match error.kind() {
            spandrel_storage::ErrorKind::TimedOut => {
                let message = format!("no copy was made within {timeout:?}: {error}");
                Error::new(ErrorKind::Timeout, message)
            }
            _ => error.into(),
        })
    }
}
