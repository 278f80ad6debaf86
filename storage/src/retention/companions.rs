//! What belongs to spans, events and entries, and is ordered by run and time: rollups, the state of the writer, commits.

use rusqlite::Transaction;

use super::{CALL_ROWS, Moment, Pruned, commits};

/// SQL: runs with spans, events or entries. Those of one that was recorded beside others may come behind theirs.
pub(super) const WITH_ROWS: &str = "SELECT id FROM main.run
    WHERE spans > pruned_spans OR events > pruned_events OR entries > pruned_entries";

/// Deletes what belongs to spans and events before the horizon, but nothing of earlier runs that have rows left.
pub(super) fn delete_companions(
    tx: &Transaction<'_>,
    horizon: Moment,
    pruned: &mut Pruned,
) -> rusqlite::Result<()> {
    let Moment { run_id, at_ns } = horizon;
    let mut rollups = 0;
    for table in ["rollup", "entry_rollup"] {
        let deleted = tx.execute(
            &format!(
                "DELETE FROM main.{table} WHERE (run_id, at_ns, callsite_id) IN (
                   SELECT run_id, at_ns, callsite_id FROM main.{table}
                   WHERE (run_id, at_ns) < (?1, ?2) AND (run_id < ?1 OR at_ns + interval_ns <= ?2)
                     AND (run_id = ?1 OR run_id NOT IN ({WITH_ROWS}))
                   ORDER BY run_id, at_ns, callsite_id LIMIT ?3)"
            ),
            [run_id, at_ns, CALL_ROWS as i64],
        )?;
        pruned.rollups += deleted as u64;
        rollups = deleted.max(rollups);
    }
    let stats = tx.execute(
        &format!(
            "DELETE FROM writer_stat WHERE (run_id, at_ns) IN (
               SELECT run_id, at_ns FROM writer_stat WHERE (run_id, at_ns) < (?1, ?2)
                 AND (run_id = ?1 OR run_id NOT IN ({WITH_ROWS}))
               ORDER BY run_id, at_ns LIMIT ?3)"
        ),
        [run_id, at_ns, CALL_ROWS as i64],
    )?;
    pruned.more |= rollups.max(stats) as i64 >= CALL_ROWS as i64;
    commits::delete_oldest(tx)
}
