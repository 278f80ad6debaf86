//! Until the file is small enough: the rows with the smallest ids, whosever they are, a small part of all at a time.

use rusqlite::{OptionalExtension, Transaction};

use super::companions::delete_companions;
use super::numbered::{NUMBERED, delete_up_to, oldest_moment};
use super::pages::used_bytes;
use super::{CALL_ROWS, Pace, Pruned, STEP_ROWS};

/// If there are only a few rows, this part of them ...
const STEP_PART: u64 = 8;
/// ... but at least so many.
const STEP_ROWS_MIN: u64 = 16;

/// Deletes the oldest rows, until the others need no more bytes than that. Says whether there was anything to do.
pub(super) fn prune_to_size(
    tx: &Transaction<'_>,
    target: u64,
    pace: Pace,
    pruned: &mut Pruned,
) -> rusqlite::Result<bool> {
    let before = used_bytes(tx)?;
    if before <= target {
        return Ok(false);
    }
    let mut used = before;
    let mut since_companions = 0;
    let step_max = step_rows(tx)?;
    while used > target && !pace.is_over(pruned, before.saturating_sub(used)) {
        let left = match pace.bytes {
            0 => pace.rows_left(pruned.rows()),
            _ => STEP_ROWS,
        };
        let step = left.min(step_max);
        let Some(last) = last_of_oldest(tx, step)? else { break };
        for table in NUMBERED {
            delete_up_to(tx, table, last, pruned)?;
        }
        since_companions += step;
        if step < STEP_ROWS || since_companions >= CALL_ROWS {
            since_companions = 0;
            delete_companions(tx, oldest_moment(tx)?, pruned)?;
        }
        used = used_bytes(tx)?;
    }
    delete_companions(tx, oldest_moment(tx)?, pruned)?;
    let deleted = pruned.rows() + pruned.rollups > 0;
    pruned.more |= deleted && used_bytes(tx)? > target;
    Ok(true)
}

/// How many of the oldest rows to delete at a time: only a small part of all.
fn step_rows(tx: &Transaction<'_>) -> rusqlite::Result<u64> {
    let count = |table| {
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM main.{table} LIMIT ?1)");
        tx.query_row(&sql, [(STEP_ROWS * STEP_PART) as i64], |row| row.get::<_, i64>(0))
    };
    let rows = u64::try_from(count("span")? + count("event")? + count("entry")?).unwrap_or(0);
    Ok((rows / STEP_PART).clamp(STEP_ROWS_MIN, STEP_ROWS))
}

/// The largest id among so many of the oldest spans, events and entries.
fn last_of_oldest(tx: &Transaction<'_>, rows: u64) -> rusqlite::Result<Option<i64>> {
    let nth = "SELECT id FROM main.span UNION ALL SELECT id FROM main.event
               UNION ALL SELECT id FROM main.entry
               ORDER BY 1 LIMIT 1 OFFSET ?1";
    let last = tx.query_row(nth, [rows.saturating_sub(1) as i64], |row| row.get(0)).optional()?;
    if last.is_some() {
        return Ok(last);
    }
    let largest = "SELECT max(id) FROM (SELECT max(id) AS id FROM main.span
                     UNION ALL SELECT max(id) FROM main.event
                     UNION ALL SELECT max(id) FROM main.entry)";
    tx.query_row(largest, [], |row| row.get(0))
}
