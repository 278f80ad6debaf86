//! Threads and open spans, which are deleted for whole runs: when no other row of the run is left and none will come.
//!
//! More rows may come only of the runs that this store has in hand, as nobody else writes to the file. Whoever goes on with
//! another run later, because its ring file is still somewhere, tells the file of its threads again, and gets other ids for
//! those that are taken by then. So what the file says of such a ring (table `drained`, a few rows for each run that has no
//! end) holds nothing here, and stays itself: nobody knows whether the ring is gone for good.

use rusqlite::{Transaction, params};

use super::{CALL_ROWS, Pruned, WITH_ROWS};

/// The runs of which rows may come.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    /// The one that is being recorded.
    pub(crate) run_id: Option<i64>,
    /// Those that are recorded beside it, in turns.
    pub(crate) aside: Vec<i64>,
}

impl InHand {
    pub(super) fn has(&self, run_id: i64) -> bool {
        self.run_id == Some(run_id) || self.aside.contains(&run_id)
    }

    /// SQL: a list of numbers.
    fn list(&self) -> String {
        let ids = self.run_id.iter().chain(&self.aside).map(i64::to_string);
        ids.collect::<Vec<_>>().join(", ")
    }
}

/// Which runs are old.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old {
    /// Those before this one.
    pub(super) before_run: i64,
    /// And those of which nothing is from this time or later.
    pub(super) cutoff_unix_ns: Option<i64>,
}

/// Deletes threads and open spans of old runs.
pub(super) fn delete(
    tx: &Transaction<'_>,
    old: Old,
    in_hand: &InHand,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let Old { before_run, cutoff_unix_ns } = old;
    let in_hand = in_hand.list();
    for table in ["thread", "open_span"] {
        // The last run may be all that the file tells of: its threads stay, as losses refer to them.
        let rows = tx.execute(
            &format!(
                "DELETE FROM main.{table} WHERE id IN (
                   SELECT id FROM (SELECT id, run_id FROM main.{table} ORDER BY id LIMIT ?3)
                   WHERE run_id < (SELECT max(id) FROM main.run)
                     AND (run_id < ?1
                       OR run_id IN (SELECT id FROM main.run WHERE last_ns < ?2 - started_unix_ns))
                     AND run_id NOT IN ({in_hand}) AND run_id NOT IN ({WITH_ROWS}))"
            ),
            params![before_run, cutoff_unix_ns, CALL_ROWS as i64],
        )?;
        pruned.more |= rows as u64 >= CALL_ROWS;
    }
    Ok(())
}
