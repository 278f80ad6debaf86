//! The id of the first span from a moment on. Ids of a run grow with time, but between two of them may be any number of
//! those of another run that was recorded beside it: its commits say where its own are.

use rusqlite::{Connection, OptionalExtension, params};
use spandrel_storage::Error;

use crate::commit_map::union;
use crate::id_range::Range;
use crate::reader::Reader;

impl Reader {
    /// Roughly the id of the first span that starts at `at_ns` or later, found in some forty steps:
    /// threads take ids in blocks, so that neighbours can be out of order. The id behind the last one,
    /// if all start before.
    ///
    /// Of a run that others were recorded beside, commits since that moment are read as well, but no rows of others.
    pub fn id_near(&self, run_id: i64, at_ns: i64) -> Result<u64, Error> {
        self.query("find a moment", |tx| {
            let range = "SELECT first_id, last_id FROM run WHERE id = ?1";
            let range = tx.query_row(range, [run_id], |row| Ok((row.get(0)?, row.get(1)?)));
            let Some((first, last)): Option<(i64, i64)> = range.optional()? else { return Ok(0) };
            let pieces = Pieces::of(tx, run_id, (first, last), at_ns)?;
            let mut query = tx.prepare(
                "SELECT id, start_ns FROM span WHERE id > ?1 AND id <= ?2 AND run_id = ?3
                 ORDER BY id LIMIT 1",
            )?;
            // The first span from a place on.
            let mut find = |place: u64, end: u64| -> rusqlite::Result<Option<(u64, i64)>> {
                for (begin, range) in pieces.from(place).take_while(|(begin, _)| *begin < end) {
                    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                    let found: Option<(i64, i64)> = query
                        .query_row(params![range.after, range.last, run_id], read)
                        .optional()?;
                    if let Some((id, start_ns)) = found {
                        let place = begin + id.abs_diff(range.after) - 1;
                        return Ok(Some((place, start_ns)).filter(|_| place < end));
                    }
                }
                Ok(None)
            };
            // All before `low` start earlier, all from `high` on do not.
            let (mut low, mut high) = (0, pieces.width);
            while low < high {
                let middle = low + (high - low) / 2;
                match find(middle, high)? {
                    Some((place, start_ns)) if start_ns < at_ns => low = place + 1,
                    _ => high = middle,
                }
            }
            let id = pieces.from(low).next().map_or(last, |(_, range)| range.after);
            Ok(id.saturating_add(1) as u64)
        })
    }
}

/// Ids of a run, counted without those between.
#[derive(Debug)]
struct Pieces {
    /// The place of the first id of each, and its ids.
    pieces: Vec<(u64, Range)>,
    /// The places of all.
    width: u64,
}

impl Pieces {
    /// Those that can hold a span from this moment on, and one more commit.
    fn of(
        conn: &Connection,
        run_id: i64,
        (first, last): (i64, i64),
        at_ns: i64,
    ) -> rusqlite::Result<Self> {
        let has_others = "SELECT EXISTS (
            SELECT 1 FROM run WHERE id <> ?1 AND first_id <= ?3 AND last_id >= ?2)";
        let has_others = conn.query_row(has_others, [run_id, first, last], |row| row.get(0))?;
        let ranges = if has_others { ranges_since(conn, run_id, at_ns)? } else { Vec::new() };
        let whole = Range { after: first.saturating_sub(1), last };
        let ranges = if ranges.is_empty() { vec![whole] } else { union(ranges) };
        let mut width = 0_u64;
        let place = |range: Range| {
            let begin = width;
            let ids = u64::try_from(range.last.saturating_sub(range.after)).unwrap_or(0);
            width = width.saturating_add(ids);
            (begin, range)
        };
        let pieces = ranges.into_iter().map(place).collect();
        Ok(Self { pieces, width })
    }

    /// The ids from a place on, with the place of the first of each piece.
    fn from(&self, place: u64) -> impl Iterator<Item = (u64, Range)> + '_ {
        let behind = self.pieces.partition_point(|(begin, _)| *begin <= place);
        let here = behind.saturating_sub(1);
        let pieces = self.pieces.get(here..).unwrap_or_default().iter();
        let cut = move |(begin, range): &(u64, Range)| {
            let skipped = i64::try_from(place.saturating_sub(*begin)).unwrap_or(i64::MAX);
            let after = range.after.saturating_add(skipped);
            (begin.saturating_add(skipped.cast_unsigned()), Range { after, last: range.last })
        };
        pieces.map(cut).filter(|(_, range)| range.after < range.last)
    }
}

/// Where the spans of the latest commits are, back to the first that has nothing from this moment or later: what was stored
/// before that has closed before. None where no commits are known.
fn ranges_since(conn: &Connection, run_id: i64, at_ns: i64) -> rusqlite::Result<Vec<Range>> {
    let has_commits = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'batch_range'";
    if conn.query_row(has_commits, [], |_| Ok(())).optional()?.is_none() {
        return Ok(Vec::new());
    }
    let mut commits = conn
        .prepare("SELECT id, to_ns FROM batch WHERE run_id = ?1 AND spans > 0 ORDER BY id DESC")?;
    let mut select = conn.prepare(
        "SELECT first_id, last_id FROM batch_range WHERE batch_id = ?1 AND kind = 'span'",
    )?;
    let mut ranges = Vec::new();
    let mut rows = commits.query([run_id])?;
    while let Some(row) = rows.next()? {
        let (batch_id, to_ns): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
        let read = select.query_map([batch_id], |row| {
            Ok(Range { after: row.get::<_, i64>(0)?.saturating_sub(1), last: row.get(1)? })
        });
        ranges.extend(read?.collect::<rusqlite::Result<Vec<_>>>()?);
        if to_ns.is_some_and(|to_ns| to_ns < at_ns) {
            break;
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use spandrel_storage::{Batch, RunInfo, Store, StoreOptions};

    use super::*;
    use crate::test_profile::{TestProfile, count_steps};

    /// Two runs with pieces of so many ids in turns, of which each is two commits; each id of a run is a millisecond.
    fn beside(pieces: u64, ids: u64, others: u64) -> (tempfile::TempDir, Reader, Vec<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.db");
        let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
        let mut runs = Vec::new();
        for run in 0..2 {
            let info = RunInfo { uuid: run.to_string(), args: "[]".into(), ..RunInfo::default() };
            store.begin_run_at(&info, 1 + run * ids, 0).unwrap();
            runs.push(store.set_run_aside());
        }
        let (mut next, mut own) = (1, Vec::new());
        for piece in 0..pieces {
            for (run, count) in [(0, ids), (1, others)] {
                store.take_run_up(runs[run].take().unwrap());
                for half in 0..2 {
                    let spans = (half * count / 2..(half + 1) * count / 2).map(|at| {
                        let start_ns = (piece * count + at) as i64 * 1_000_000;
                        TestProfile::span(next + at, 1, start_ns, 1_000)
                    });
                    let spans: Vec<_> = spans.collect();
                    if run == 0 {
                        own.extend(spans.iter().map(|span| span.id));
                    }
                    store.append(&mut Batch { spans, ..Batch::default() }).unwrap();
                }
                next += count;
                runs[run] = store.set_run_aside();
            }
        }
        store.close().unwrap();
        (folder, Reader::open(path).unwrap(), own)
    }

    #[test]
    fn a_moment_is_found_in_the_pieces_of_a_run() {
        let (_folder, reader, own) = beside(5, 40, 60);
        let last = own.last().unwrap();
        for at in -1..=own.len() as i64 {
            let expected = own.get(at.max(0) as usize).copied().unwrap_or(last + 1);
            let found = reader.id_near(1, at * 1_000_000).unwrap();
            // Behind the last span of a piece is the same place as before the first of the next one.
            let first_from = own.iter().find(|id| **id >= found).copied().unwrap_or(last + 1);
            assert_eq!(first_from, expected, "{at}: {found}");
        }
        assert_eq!(reader.id_near(1, i64::MIN).unwrap(), 1);
        assert_eq!(reader.id_near(1, i64::MAX).unwrap(), last + 1);
    }

    #[test]
    fn spans_of_others_are_not_read() {
        let [few, many] = [2_000, 16_000].map(|others| {
            let (_folder, mut reader, own) = beside(4, 100, others);
            let steps = count_steps(&mut reader);
            let moments = [20, 150, 399].map(|at| {
                steps.store(0, Ordering::Relaxed);
                assert_eq!(reader.id_near(1, at * 1_000_000).unwrap(), own[at as usize]);
                steps.load(Ordering::Relaxed)
            });
            moments.into_iter().max().unwrap()
        });
        assert!(many < few + few / 10 + 200, "{few} {many}");
    }
}
