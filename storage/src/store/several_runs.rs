//! Several runs that are recorded at the same time, by one writer in turns: one of them is the store's, and the others
//! are set aside.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::{Store, begin};
use crate::append;
use crate::error::{Context, Error};
use crate::mend::Moved;
use crate::record::RunInfo;
use crate::rollup::{self, Rollups};
use crate::run_row::RunRow;

/// A run that has begun, while another one is the store's.
#[derive(Debug)]
pub struct RunAside {
    run: RunRow,
    moved: Moved,
    rollups: Rollups,
    entry_rollups: Rollups,
    threads_above: i64,
    moved_threads: HashMap<u32, i64>,
    in_hand: Arc<()>,
}

/// What the store remembers of a run that is set aside: its number, and whether somebody still has it.
pub(super) type Aside = (i64, Weak<()>);

/// The numbers of those that somebody still has.
pub(super) fn ids(aside: &[Aside]) -> Vec<i64> {
    let in_hand = aside.iter().filter(|(_, in_hand)| in_hand.strong_count() > 0);
    in_hand.map(|(run_id, _)| *run_id).collect()
}

impl Store {
    /// As [`begin_run`](Self::begin_run), for a run whose ids begin here, above all in the file. The caller sees to it that
    /// no other run gets ids that this one will have.
    ///
    /// # Errors
    ///
    /// When the row cannot be written.
    pub fn begin_run_at(
        &mut self,
        run: &RunInfo,
        first_id: u64,
        threads_above: i64,
    ) -> Result<i64, Error> {
        let doing = "begin a run";
        self.check_files()?;
        let tx = begin(&mut self.conn, &self.path)?;
        let number = self.first.run.saturating_add(1);
        let run = RunRow::begin(&tx, number, first_id as i64, run).context(&self.path, doing)?;
        append::commit(tx, &self.path)?;
        let run_id = run.id;
        self.last_id = self.last_id.max(first_id.saturating_sub(1));
        self.moved = Moved::default();
        self.rollups = Rollups::new(rollup::Table::Spans);
        self.entry_rollups = Rollups::new(rollup::Table::Entries);
        self.interner.begin_threads_above(threads_above);
        self.run = Some(run);
        self.has_others = true;
        Ok(run_id)
    }

    /// Sets the store's run aside, so that another one can be; `None` if it has none. As long as the answer is kept,
    /// retention leaves the threads of the run.
    pub fn set_run_aside(&mut self) -> Option<RunAside> {
        self.has_others = true;
        let (threads_above, moved_threads) = self.interner.take_threads();
        let run = self.run.take()?;
        let in_hand = Arc::new(());
        self.aside.retain(|(_, in_hand)| in_hand.strong_count() > 0);
        self.aside.push((run.id, Arc::downgrade(&in_hand)));
        Some(RunAside {
            run,
            moved: std::mem::take(&mut self.moved),
            rollups: std::mem::replace(&mut self.rollups, Rollups::new(rollup::Table::Spans)),
            entry_rollups: std::mem::replace(
                &mut self.entry_rollups,
                Rollups::new(rollup::Table::Entries),
            ),
            threads_above,
            moved_threads,
            in_hand,
        })
    }

    /// Goes on with a run that was set aside.
    pub fn take_run_up(&mut self, run: RunAside) {
        let RunAside { run, moved, rollups, entry_rollups, threads_above, moved_threads, in_hand } =
            run;
        // From here on the store has it itself.
        drop(in_hand);
        self.run = Some(run);
        self.moved = moved;
        self.rollups = rollups;
        self.entry_rollups = entry_rollups;
        self.interner.put_threads(threads_above, moved_threads);
    }

    /// The largest id that a thread in the file has.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn last_thread_id(&self) -> Result<i64, Error> {
        let sql = "SELECT coalesce(max(id), 0) FROM main.thread";
        let found = self.conn.query_row(sql, [], |row| row.get(0));
        found.context(&self.path, "read the largest id of a thread")
    }
}
