//! Going on with the run of a process that has died.

use rusqlite::{Connection, params};

use super::Store;
use crate::drained;
use crate::error::{Context, Error};
use crate::mend::Moved;
use crate::record::{DrainedRow, RingId, RunInfo};
use crate::rollup::{self, Rollups};
use crate::run_row::RunRow;

/// What only the process itself knew, in the report of a run.
const OF_THE_PROCESS: [&str; 5] =
    ["$.memory", "$.last_error", "$.last_refusal", "$.control_error", "$.marks.dropped"];

fn lost(conn: &Connection, run_id: i64) -> rusqlite::Result<Vec<Lost>> {
    let mut query = conn.prepare(
        "SELECT reason, sum(spans), sum(events), sum(entries) FROM main.loss WHERE run_id = ?1
         GROUP BY reason",
    )?;
    let rows = query.query_map([run_id], |row| {
        let count = |at: usize| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
        Ok(Lost { reason: row.get(0)?, spans: count(1)?, events: count(2)?, entries: count(3)? })
    })?;
    rows.collect()
}

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
    /// The largest one in its rows, or one less than the first.
    pub last_id: u64,
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
    /// Samples of gauges stored, without those that were deleted since.
    pub gauges: u64,
    /// What was lost, by reason, as far as rows tell of it.
    pub lost: Vec<Lost>,
    /// What the process has written of itself: the memory that it took, and what was wrong.
    pub report: Option<String>,
}

/// What a run has lost for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The name of the reason.
    pub reason: String,
    /// Spans.
    pub spans: u64,
    /// Events.
    pub events: u64,
    /// Entries.
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
        let lost = lost(&self.conn, run.id).context(&self.path, doing)?;
        let gauges = "SELECT count(*) FROM main.gauge WHERE run_id = ?1";
        let gauges = self.conn.query_row(gauges, [run.id], |row| row.get(0));
        let gauges: i64 = gauges.context(&self.path, doing)?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let sums = &run.sums;
        let resumed = Resumed {
            run_id: run.id,
            info: run.info().clone(),
            first_id: run.first_id(),
            last_id: sums.last_id(),
            spans: count(sums.spans),
            unfinished: count(sums.unfinished),
            events: count(sums.events),
            links: count(sums.links),
            entries: count(sums.entries),
            gauges: count(gauges),
            lost,
            report: run.report.clone(),
        };
        self.run = Some(run);
        Ok(Some(resumed))
    }

    /// The report of a run whose process has died, with what that process had written of itself, if there is any.
    ///
    /// # Errors
    ///
    /// When the two cannot be joined.
    pub fn report_with(&self, report: String, of_process: Option<&str>) -> Result<String, Error> {
        let Some(of_process) = of_process else { return Ok(report) };
        let sql = "SELECT CASE WHEN json_valid(?2) THEN
                     CASE WHEN coalesce(json_type(?2, ?3), 'null') = 'null' THEN ?1
                       ELSE json_set(?1, ?3, json_extract(?2, ?3)) END
                   ELSE ?1 END";
        let joined = OF_THE_PROCESS.iter().try_fold(report, |report, name| {
            self.conn.query_row(sql, params![report, of_process, name], |row| row.get(0))
        });
        joined.context(&self.path, "join what is said of a run")
    }

    /// Whether the file has a run with this `uuid`, and if so whether that has ended.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn has_ended(&self, uuid: &str) -> Result<Option<bool>, Error> {
        drained::has_ended(&self.conn, uuid).context(&self.path, "look for a run")
    }

    /// The number of the run with this `uuid`, if the file has it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn run_number(&self, uuid: &str) -> Result<Option<i64>, Error> {
        drained::run_number(&self.conn, uuid).context(&self.path, "look for a run")
    }

    /// Whether ids of threads of the run with this `uuid` can begin above this one: none of its threads has one that is
    /// not above it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn threads_can_begin_above(&self, uuid: &str, above: i64) -> Result<bool, Error> {
        let sql = "SELECT min(id) FROM main.thread
                   WHERE run_id IN (SELECT id FROM main.run WHERE uuid = ?1)";
        let first = self.conn.query_row(sql, [uuid], |row| row.get::<_, Option<i64>>(0));
        let first = first.context(&self.path, "look for threads of a run")?;
        Ok(above >= 0 && first.is_none_or(|first| above < first))
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

    /// How far this ring is stored, by partition. Partitions of which nothing is stored are not in it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn drained(&self, ring: &RingId) -> Result<Vec<DrainedRow>, Error> {
        drained::read(&self.conn, ring).context(&self.path, "read how far a ring is stored")
    }

    /// Forgets how far this ring is stored: its file is gone.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn forget_drained(&mut self, ring: &RingId) -> Result<(), Error> {
        self.in_transaction("forget a ring", |tx| drained::forget(tx, ring))
    }

    /// Forgets how far rings are stored whose runs have ended: whoever removed the file of one may have been killed
    /// before [`forget_drained`](Self::forget_drained). Where a file is still there, the run says that nothing of it is
    /// needed.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn forget_drained_of_ended(&mut self) -> Result<(), Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM main.drained)";
        let has_any = self.conn.query_row(sql, [], |row| row.get(0));
        match has_any.context(&self.path, "read how far rings are stored")? {
            false => Ok(()),
            true => self.in_transaction("forget rings", |tx| drained::forget_ended(tx)),
        }
    }
}
