//! A scan backwards over the entries of some time intervals. Only id ranges are read in which commits have rows of
//! that time (`commit_map.rs`).

use std::ops::ControlFlow;

use rusqlite::{Transaction, params};

use super::commit_map::{self, CommitRange, Kind, union};
use super::id_range::Range;
use super::scanning::{PIECE_ROWS, of_run};
use crate::reader::{ENTRY_COLUMNS, Entry, Reader};
use spandrel_storage::Error;

impl Reader {
    /// Calls `each` for each entry that may have begun in one of these intervals, which are sorted and do not
    /// overlap, and for some others; the last one stored comes first, so an entry comes before the entries inside it.
    pub(super) fn entries_backwards(
        &self,
        run_id: i64,
        stretches: &[(i64, i64)],
        mut each: impl FnMut(&Transaction<'_>, &Entry) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<(), Error> {
        for mut range in self.entry_ranges(run_id, stretches)?.into_iter().rev() {
            while range.after < range.last {
                let flow = self.query("read the entries", |tx| {
                    let sql = format!(
                        "SELECT {ENTRY_COLUMNS} FROM entry WHERE id > ?1 AND id <= ?2 AND run_id = ?3
                         ORDER BY id DESC LIMIT {PIECE_ROWS}"
                    );
                    let mut query = tx.prepare(&sql)?;
                    let mut rows = query.query(params![range.after, range.last, run_id])?;
                    let mut read = 0;
                    while let Some(row) = rows.next()? {
                        let entry = Entry::read(row)?;
                        read += 1;
                        range.last = (entry.id as i64).saturating_sub(1);
                        if each(tx, &entry)?.is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    if read < PIECE_ROWS {
                        range.last = range.after;
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
                if flow.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The id ranges that can hold entries that began in one of these intervals, in order of id.
    fn entry_ranges(&self, run_id: i64, stretches: &[(i64, i64)]) -> Result<Vec<Range>, Error> {
        if !self.has_entries(run_id)? {
            return Ok(Vec::new());
        }
        self.query("find the entries", |tx| {
            let Some(ranges) = commit_map::ranges(tx, run_id, Kind::Entry)? else {
                return Ok(of_run(tx, run_id)?.into_iter().collect());
            };
            let then = ranges.iter().filter(|range| range.is_in_any(stretches));
            Ok(union(then.map(CommitRange::range).collect()))
        })
    }
}
