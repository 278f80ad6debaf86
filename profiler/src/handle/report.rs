//! What closing a profiler returns.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::recorder::stats::Stats;

/// What `close()` returns: the last [`Stats`], and how the closing went.
///
/// The fields and methods of the statistics can be reached through it, as in `report.recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The state after the last commit.
    pub stats: Stats,
    /// Whether the writer gave up because the time for closing had run out. What it still held is
    /// in `dropped`; or, with `crash_proof`, in `in_flight`: it waits in the ring file, for
    /// `spandrel recover` or the next recording. [`Stats::last_error`] says where.
    pub timed_out: bool,
    /// How long closing took.
    pub took: Duration,
    /// Bytes of the write-ahead log that could not be merged into the file, because somebody reads it,
    /// or because the time for closing had run out. Then what is stored is in *both* files, the profile
    /// and the one with `-wal` after its name; keep them together. `spandrel merge` merges them, and so
    /// does the next recording into the file. 0 if the profile is one file.
    pub log_bytes: u64,
}

impl Deref for Report {
    type Target = Stats;

    fn deref(&self) -> &Stats {
        &self.stats
    }
}

impl fmt::Display for Report {
    /// The line of [`Stats`], and why there is not more: `; 3 callsites below the level`, no callsite at
    /// all, or a log that was not merged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats.fmt(f)?;
        if *self == Self::default() {
            // Only a profiler that is switched off has such a report: closing takes some time.
            return f.write_str("; this process is not recorded");
        }
        match (self.callsites, self.callsites_below_level) {
            (0, 0) if self.recorded == 0 => f.write_str(
                "; no callsite was enabled: nothing was shown to the profiler's layer or subscriber",
            ),
            (0, below) if self.recorded == 0 => {
                write!(f, "; no callsite was enabled: {below} are below the level or filtered out")
            }
            (_, 0) => Ok(()),
            (_, 1) => f.write_str("; 1 callsite below the level"),
            (_, below) => write!(f, "; {below} callsites below the level"),
        }?;
        if self.log_bytes > 0 {
            f.write_str("; log not merged, copy both files (the profile and its -wal)")?;
        }
        Ok(())
    }
}
