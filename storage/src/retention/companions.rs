//! What belongs to spans, events and entries, and is ordered by run and time: rollups, the state of the writer, commits.

use rusqlite::Transaction;

use super::{CALL_ROWS, Moment, Pruned};

/// How many commits are checked at a time for having lost all of their rows.
const COMMITS: usize = 64;

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
    delete_batches(tx)
}

/// Deletes ranges of commits whose rows are all gone, and commits without any rows left. Their numbers
/// are never used again: the row of the run knows the last one.
fn delete_batches(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let oldest = format!("SELECT id FROM main.batch ORDER BY id LIMIT {COMMITS}");
    let mut ranges = tx.prepare(&format!(
        "DELETE FROM main.batch_range WHERE batch_id IN ({oldest}) AND kind <> 'root'
           AND last_id < CASE kind
             WHEN 'event' THEN coalesce((SELECT min(id) FROM main.event), last_id + 1)
             WHEN 'entry' THEN coalesce((SELECT min(id) FROM main.entry), last_id + 1)
             ELSE coalesce((SELECT min(id) FROM main.span), last_id + 1) END"
    ))?;
    // Ranges of roots are needed as long as there are spans.
    let mut roots = tx.prepare(&format!(
        "DELETE FROM main.batch_range WHERE batch_id IN ({oldest}) AND kind = 'root'
           AND NOT EXISTS (SELECT 1 FROM main.batch_range AS r
             WHERE r.batch_id = batch_range.batch_id AND r.kind = 'span')"
    ))?;
    let mut commits = tx.prepare(&format!(
        "DELETE FROM main.batch WHERE id IN ({oldest})
           AND NOT EXISTS (SELECT 1 FROM main.batch_range WHERE batch_id = batch.id)"
    ))?;
    loop {
        ranges.execute([])?;
        roots.execute([])?;
        if commits.execute([])? < COMMITS {
            return Ok(());
        }
    }
}
