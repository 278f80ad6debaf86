//! Threads and open spans, which are deleted for whole runs: when no other row of the run is left and none will come.
//!
//! More rows may come only of the runs that this store has in hand, as nobody else writes to the file. Whoever goes on with
//! another run later, because its ring file is still somewhere, tells the file of its threads again, and gets other ids for
//! those that are taken by then. So what the file says of such a ring (table `drained`, a few rows for each run that has no
//! end) holds nothing here, and stays itself: nobody knows whether the ring is gone for good.

use super::WITH_ROWS;

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

    /// Whether nobody records.
    pub(super) fn is_empty(&self) -> bool {
        self.run_id.is_none() && self.aside.is_empty()
    }

    /// SQL: a list of numbers.
    fn list(&self) -> String {
        let ids = self.run_id.iter().chain(&self.aside).map(i64::to_string);
        ids.collect::<Vec<_>>().join(", ")
    }
}

/// SQL: whether the run of a row is old as a whole: before the run `:run`, or without anything from the time `:cutoff` or
/// later.
pub(super) fn is_gone(in_hand: &InHand) -> String {
    let in_hand = in_hand.list();
    // The last run may be all that the file tells of: its threads stay, as losses refer to them.
    format!(
        "run_id < (SELECT max(id) FROM main.run)
           AND (run_id < :run
             OR run_id IN (SELECT id FROM main.run WHERE last_ns < :cutoff - started_unix_ns))
           AND run_id NOT IN ({in_hand}) AND run_id NOT IN ({WITH_ROWS})"
    )
}
