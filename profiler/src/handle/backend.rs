//! Who takes what is recorded: what a profiler asks of them.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use super::report::Report;
use crate::error::Error;
use crate::recorder::mark::Mark;
use crate::recorder::stats::Stats;

/// A recording's other end. No method is called in a forked child but [`forget`](Self::forget).
pub(super) trait Backend: Debug + Send + Sync {
    /// An error if the calling thread is one that everybody else waits for.
    fn check_caller(&self, doing: &str) -> Result<(), Error>;

    /// See [`Profiler::flush`](crate::Profiler::flush).
    fn flush(&self, timeout: Duration) -> Result<(), Error>;

    /// See [`Profiler::stats`](crate::Profiler::stats).
    fn stats(&self) -> Stats;

    /// The profile, if it is this process that writes it.
    fn profile(&self) -> Option<Profile<'_>>;

    /// What the writer shows to others in this process, if there is one.
    #[cfg(feature = "database")]
    fn writer(&self) -> Option<&crate::writer::WriterState>;

    /// See [`Profiler::close`](crate::Profiler::close).
    fn close(&self) -> Result<Report, Error>;

    /// In a forked child, before it is dropped: nothing of the parent's may be touched.
    fn forget(&mut self);
}

/// A profile that can be copied.
#[derive(Debug)]
pub(super) struct Profile<'a> {
    /// An absolute path.
    pub(super) path: &'a Path,
    /// While a copy is made the log may grow to this length.
    pub(super) copy_log_bytes_max: u64,
    /// How long copying may take, unless it is said.
    pub(super) timeout: Duration,
}

/// Takes marks. It may outlive the profiler, with a section that does.
pub(super) trait Marks: Debug + Send + Sync {
    fn take_id(&self) -> u64;

    /// Takes a mark, or counts that it could not. Never waits.
    fn send(&self, mark: Mark) -> Result<(), NoRoom>;
}

/// Why a mark was not taken: too many wait already.
#[derive(Debug)]
pub(super) struct NoRoom;
