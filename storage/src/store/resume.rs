//! Going on with the run of a process that has died.

use super::Store;
use crate::error::{Context, Error};
use crate::mend::Moved;
use crate::record::RunInfo;
use crate::rollup::{self, Rollups};
use crate::run_row::RunRow;

/// A run without an end, as its process has left it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// Its number.
    pub run_id: i64,
    /// What its row says of it.
    pub info: RunInfo,
    /// Its ids begin here.
    pub first_id: u64,
    /// Spans stored, with those that never closed, and those that were deleted since.
    pub spans: u64,
    /// How many of them never closed.
    pub unfinished: u64,
    /// Events stored.
    pub events: u64,
    /// Links stored.
    pub links: u64,
    /// Entries stored.
    pub entries: u64,
}

impl Store {
    /// Goes on with a run that has no end, where its process has stopped: what is appended from now on belongs to it,
    /// and its sums go on. `threads_above` is what [`thread_id`](Self::thread_id) had said of the number 0 in that
    /// process. `None` if the file has no such run; then nothing has changed.
    ///
    /// The caller has to know that the process is dead.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn resume_run(&mut self, uuid: &str, threads_above: i64) -> Result<Option<Resumed>, Error> {
        let doing = "go on with a run";
        self.check_files()?;
        let Some(run) = RunRow::read(&self.conn, uuid).context(&self.path, doing)? else {
            return Ok(None);
        };
        let resumed =
            |table| Rollups::resumed(table, &self.conn, run.id).context(&self.path, doing);
        let (rollups, entry_rollups) =
            (resumed(rollup::Table::Spans)?, resumed(rollup::Table::Entries)?);
        (self.rollups, self.entry_rollups) = (rollups, entry_rollups);
        self.interner.begin_threads_above(threads_above);
        self.moved = Moved::default();
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let sums = &run.sums;
        let resumed = Resumed {
            run_id: run.id,
            info: run.info().clone(),
            first_id: run.first_id(),
            spans: count(sums.spans),
            unfinished: count(sums.unfinished),
            events: count(sums.events),
            links: count(sums.links),
            entries: count(sums.entries),
        };
        self.run = Some(run);
        Ok(Some(resumed))
    }

    /// Leaves the run that was gone on with, so that another one can begin: threads get ids above all in the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn leave_run(&mut self) -> Result<(), Error> {
        let last = crate::ids::LastIds::read(&self.conn);
        let last = last.context(&self.path, "read the largest ids")?;
        self.run = None;
        self.first = last;
        self.last_id = self.last_id.max(u64::try_from(last.id).unwrap_or(0));
        self.last_batch_id = self.last_batch_id.max(last.batch);
        self.interner.begin_threads_above(last.thread);
        Ok(())
    }
}
