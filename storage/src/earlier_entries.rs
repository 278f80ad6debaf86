//! Corrects the first row of a span's entries, which says how many entries there were that are no rows.
//! That number is certain only when the span has closed, and the row may be in the file by then.

use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::record::EarlierRow;
use crate::rollup::{Source, Staged};

/// What the row of an entry says.
struct StoredEntries {
    id: i64,
    callsite_id: i64,
    end_ns: i64,
    entries: i64,
    ns: i64,
}

/// Changes what rows say, and the sums of the seconds in which they count. If a row was deleted, so was
/// what it said; then the span's last row gets what is to be added.
pub(crate) fn change(
    tx: &Connection,
    earlier: &[EarlierRow],
    run_id: i64,
    staged: &mut Staged,
    source: &mut Source<'_>,
) -> rusqlite::Result<()> {
    if earlier.is_empty() {
        return Ok(());
    }
    let mut find = tx.prepare(
        "SELECT callsite_id, start_ns, duration_ns, coalesce(earlier_entries, 0), coalesce(earlier_ns, 0)
         FROM main.entry WHERE id = ?1 AND run_id = ?2 AND self_ns IS NOT NULL",
    )?;
    let mut update =
        tx.prepare("UPDATE main.entry SET earlier_entries = ?2, earlier_ns = ?3 WHERE id = ?1")?;
    for row in earlier {
        let stored = match stored_entries(&mut find, row.first_id, run_id)? {
            None if row.last_id != row.first_id => stored_entries(&mut find, row.last_id, run_id)?,
            stored => stored,
        };
        let Some(stored) = stored else { continue };
        let entries = stored.entries.saturating_add(row.entries).max(0);
        let ns = if entries == 0 { 0 } else { stored.ns.saturating_add(row.ns).max(0) };
        let has_any = entries > 0;
        update.execute(params![stored.id, has_any.then_some(entries), has_any.then_some(ns)])?;
        let more = (entries.saturating_sub(stored.entries), ns.saturating_sub(stored.ns));
        staged.add_earlier((stored.callsite_id, stored.end_ns), more, source)?;
    }
    Ok(())
}

fn stored_entries(
    find: &mut Statement<'_>,
    id: u64,
    run_id: i64,
) -> rusqlite::Result<Option<StoredEntries>> {
    let id = id.cast_signed();
    find.query_row([id, run_id], |row| {
        let (start_ns, duration_ns): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(StoredEntries {
            id,
            callsite_id: row.get(0)?,
            end_ns: start_ns.saturating_add(duration_ns),
            entries: row.get(3)?,
            ns: row.get(4)?,
        })
    })
    .optional()
}
