//! Corrects the self times of rows that were stored before all of their children were known: of spans
//! and entries that have children whose handles were kept for longer.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::record::{LateChild, LateEntryTime};
use crate::rollup::{Source, Staged};

/// Subtracts time from entries, and from the sums of the seconds in which they count. A row that was
/// deleted needs nothing.
pub(crate) fn off_entries(
    tx: &Connection,
    late: &[LateEntryTime],
    run_id: i64,
    staged: &mut Staged,
    source: &mut Source<'_>,
) -> rusqlite::Result<()> {
    if late.is_empty() {
        return Ok(());
    }
    let mut find = tx.prepare(
        "SELECT callsite_id, start_ns, duration_ns, self_ns FROM main.entry
         WHERE id = ?1 AND run_id = ?2 AND self_ns IS NOT NULL",
    )?;
    let mut update = tx.prepare("UPDATE main.entry SET self_ns = ?2 WHERE id = ?1")?;
    for LateEntryTime { id, ns } in late {
        let id = id.cast_signed();
        let found = find.query_row([id, run_id], Counted::read).optional()?;
        if let Some(found) = found {
            let left = found.self_ns.saturating_sub(*ns).max(0);
            update.execute([id, left])?;
            staged.add_self(found.key, (left.saturating_sub(found.self_ns), 0), source)?;
        }
    }
    Ok(())
}

/// What a row adds to the rollups, and when.
struct Counted {
    key: (i64, i64),
    self_ns: i64,
}

impl Counted {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (start_ns, duration_ns): (i64, i64) = (row.get(1)?, row.get(2)?);
        let key = (row.get(0)?, start_ns.saturating_add(duration_ns));
        Ok(Self { key, self_ns: row.get(3)? })
    }
}

/// Subtracts the time of children from spans that have closed before them. From a span that counts by
/// its entries, it is subtracted from the time that is in no entry. Children of one span are next to
/// each other, in any order. Other children that ran at the same time are not looked up: so for a child
/// that waited for earlier ones before it was entered, too much may be subtracted, but never more than
/// there is.
pub(crate) fn off_spans(
    tx: &Connection,
    late: &[LateChild],
    run_id: i64,
    staged: &mut Staged,
    source: &mut Source<'_>,
) -> rusqlite::Result<()> {
    if late.is_empty() {
        return Ok(());
    }
    let mut find = tx.prepare(
        "SELECT callsite_id, start_ns, duration_ns, self_ns, entries, first_entry_ns, busy_ns, last_exit_ns,
           coalesce(longest_thread_id, thread_id), coalesce(self_busy_ns, busy_ns) FROM main.span
         WHERE id = ?1 AND run_id = ?2 AND self_ns IS NOT NULL AND duration_ns IS NOT NULL",
    )?;
    let mut update_long = tx.prepare(
        "UPDATE main.span SET self_busy_ns = nullif(max(self_busy_ns - ?3, 0), 0)
         WHERE id = ?1 AND run_id = ?2 AND self_ns IS NULL AND self_busy_ns IS NOT NULL",
    )?;
    let mut update =
        tx.prepare("UPDATE main.span SET self_ns = ?2, self_busy_ns = ?3 WHERE id = ?1")?;
    for children in late.chunk_by(|one, other| one.parent_id == other.parent_id) {
        let id = children[0].parent_id.cast_signed();
        let read = |row: &Row<'_>| Ok((Counted::read(row)?, Work::read(row)?));
        let busy = children.iter().map(|child| child.busy_ns).fold(0, i64::saturating_add);
        let Some((found, work)) = find.query_row([id, run_id], read).optional()? else {
            update_long.execute([id, run_id, busy])?;
            continue;
        };
        let covered = work.covered(children);
        let left = found.self_ns.saturating_sub(covered).max(0);
        let busy_left = work.self_busy_ns.map(|ns| ns.saturating_sub(busy).max(0));
        if left != found.self_ns || busy_left != work.self_busy_ns {
            update.execute(params![id, left, busy_left])?;
            let busy = busy_left.zip(work.self_busy_ns).map_or(0, |(left, was)| left - was);
            staged.add_self(found.key, (left.saturating_sub(found.self_ns), busy), source)?;
        }
    }
    Ok(())
}

/// When a span worked, and on which thread.
struct Work {
    from_ns: i64,
    /// Its last exit.
    to_ns: i64,
    thread_id: i64,
    /// The busy time of its own.
    self_busy_ns: Option<i64>,
}

impl Work {
    /// From the row of a span.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (from_ns, duration_ns): (i64, i64) = (row.get(1)?, row.get(2)?);
        let entries: i64 = row.get(4)?;
        let (first, busy): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
        let last_exit: Option<i64> = row.get(7)?;
        let once = first.zip(busy).map(|(first, busy)| first.saturating_add(busy));
        let until = match entries {
            0 => 0,
            1 => once.unwrap_or(duration_ns),
            _ => last_exit.unwrap_or(duration_ns),
        };
        let to_ns = from_ns.saturating_add(until);
        Ok(Self { from_ns, to_ns, thread_id: row.get(8)?, self_busy_ns: row.get(9)? })
    }

    /// How much of it the children cover.
    fn covered(&self, children: &[LateChild]) -> i64 {
        let mut parts: Vec<_> = children.iter().filter_map(|child| self.part(child)).collect();
        parts.sort_unstable();
        let (mut covered, mut reached) = (0_i64, i64::MIN);
        for (start, end) in parts {
            covered = covered.saturating_add(end.saturating_sub(start.max(reached)).max(0));
            reached = reached.max(end);
        }
        covered
    }

    /// What a child covers: all of it if it was done before the last exit; up to that exit if a thread
    /// was inside the child then.
    fn part(&self, child: &LateChild) -> Option<(i64, i64)> {
        let was_inside = child.inside_since_ns < self.to_ns && child.thread_id == self.thread_id;
        let counts = child.end_ns <= self.to_ns || was_inside;
        let part = (child.start_ns.max(self.from_ns), child.end_ns.min(self.to_ns));
        (counts && part.0 < part.1).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(start_ns: i64, end_ns: i64, inside_since_ns: i64, thread_id: i64) -> LateChild {
        LateChild { parent_id: 1, start_ns, end_ns, inside_since_ns, thread_id, busy_ns: 0 }
    }

    #[test]
    fn children_cover_what_they_did_before_the_span_was_left_and_never_twice() {
        let work = Work { from_ns: 100, to_ns: 200, thread_id: 7, self_busy_ns: None };
        let never = i64::MAX;
        // A child that was made before the span counts from the span's start.
        assert_eq!(work.covered(&[child(90, 110, never, 3), child(105, 120, 105, 7)]), 20);
        assert_eq!(work.covered(&[child(150, 170, never, 7), child(120, 160, never, 7)]), 50);
        // Children that go on count up to then, if the span's thread was inside them.
        assert_eq!(work.covered(&[child(150, 250, 160, 7)]), 50);
        for other in [child(150, 250, 160, 3), child(150, 250, 210, 7), child(200, 250, 200, 7)] {
            assert_eq!(work.covered(&[other]), 0);
        }
    }
}
