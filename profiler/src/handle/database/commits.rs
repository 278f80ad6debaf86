//! Commits, seen in the program itself.

use std::time::{Duration, Instant};

use spandrel_ring::broadcast;
use spandrel_storage::after;

use super::read_error::ReadError;
use crate::error::Error;
use crate::handle::profiler::Profiler;
use crate::writer::commit_shown::CommitShown;
use crate::writer::outlet::Watch;
use crate::writer::outlets::COMMIT_SLOTS;

impl Profiler {
    /// Sees each commit from now on, in the program itself: the stage after "committed", for what sends rows elsewhere
    /// or shows them live, and would have to ask the profile every moment otherwise.
    ///
    /// When a commit is seen its rows can be read, as by `spandrel_query::Reader` or any client of SQLite, under
    /// its [`batch_id`](Commit::batch_id). Who follows holds nobody up: it has a thousand commits' time, and is told how many it has
    /// [missed](ReadError::Overtaken); their rows are in the profile all the same, behind the last batch that it has read.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use tracing_subscriber::prelude::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// let subscriber = tracing_subscriber::registry().with(profiler.layer());
    /// # tracing::subscriber::with_default(subscriber, || -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let mut commits = profiler.commits()?;
    /// tracing::info_span!("parse").in_scope(|| ());
    /// let commit = commits.read(Duration::from_secs(60))?;
    /// assert_eq!(commit.spans, 1);
    /// # Ok(())
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`tap`](Self::tap).
    ///
    /// # Blocking
    ///
    /// Never for long: the first one allocates the ring.
    pub fn commits(&self) -> Result<Commits, Error> {
        let (_, watch) =
            self.watch("follow commits", COMMIT_SLOTS, |outlets| &outlets.commits_shown)?;
        Ok(Commits { watch, pid: std::process::id() })
    }
}

/// A batch that is in the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// `batch.id`, and column `batch_id` of its rows. Grows with each commit to a file.
    pub batch_id: i64,
    /// Rows of table `span`.
    pub spans: u64,
    /// Rows of table `event`.
    pub events: u64,
    /// Rows of table `entry`.
    pub entries: u64,
    /// Rows of table `link`.
    pub links: u64,
    /// Rows of table `mark`.
    pub marks: u64,
}

/// Sees commits; see [`Profiler::commits`].
#[derive(Debug)]
pub struct Commits {
    watch: Watch<CommitShown>,
    /// The process that it belongs to.
    pid: u32,
}

impl Commits {
    /// The next commit.
    ///
    /// # Errors
    ///
    /// [`ReadError::Empty`] if there was none yet; else as [`read`](Self::read).
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn try_read(&mut self) -> Result<Commit, ReadError> {
        self.read_by(|watch| watch.reader.try_read())
    }

    /// The next commit, when there is one.
    ///
    /// # Errors
    ///
    /// [`ReadError::Overtaken`] with the number of commits that it has missed, [`ReadError::TimedOut`],
    /// [`ReadError::Closed`] when the profiler is closed and everything was read, [`ReadError::Forked`] in a forked child.
    ///
    /// # Blocking
    ///
    /// Up to `timeout`.
    pub fn read(&mut self, timeout: Duration) -> Result<Commit, ReadError> {
        let until = after(Instant::now(), timeout);
        self.read_by(|watch| watch.reader.read(until.saturating_duration_since(Instant::now())))
    }

    /// How many commits it has missed since it began.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.watch.reader.missed()
    }

    fn read_by(
        &mut self,
        read: impl FnOnce(&mut Watch<CommitShown>) -> Result<CommitShown, broadcast::ReadError>,
    ) -> Result<Commit, ReadError> {
        // The locks of the ring may be held by a thread that is not in this process.
        if std::process::id() != self.pid {
            return Err(ReadError::Forked);
        }
        match read(&mut self.watch) {
            Ok(CommitShown { batch_id, spans, events, entries, links, marks }) => {
                Ok(Commit { batch_id, spans, events, entries, links, marks })
            }
            Err(broadcast::ReadError::Empty) => Err(ReadError::Empty),
            Err(broadcast::ReadError::Overtaken(missed)) => Err(ReadError::Overtaken(missed)),
            Err(broadcast::ReadError::Closed) => Err(ReadError::Closed),
            Err(_) => Err(ReadError::TimedOut),
        }
    }
}
