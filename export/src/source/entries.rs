//! The entries of a source: those of its spans, and entries in its window of other spans that match its filter. A
//! long-lived span may have begun hours before a window in which it is entered a thousand times.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row};

use super::super::error::ExportError;
use super::super::id_set::IdSet;
use super::{PIECE_ROWS, Source};
use spandrel_query::internals::Names;
use spandrel_query::{Callsite, Entry, Thread};
use spandrel_storage::EntryRow;
use spandrel_storage::Error;

/// An entry, with its callsite and thread.
pub(crate) struct NamedEntry {
    /// Callsite and thread have the numbers of this profile.
    pub(crate) row: EntryRow,
    pub(crate) callsite: Arc<Callsite>,
    pub(crate) thread: Arc<Thread>,
}

impl NamedEntry {
    /// The entry as [`Entry`].
    pub(crate) fn entry(&self) -> Entry {
        let row = &self.row;
        Entry {
            id: row.id,
            span_id: row.span_id,
            callsite_id: row.callsite_id,
            thread_id: row.thread_id,
            start_ns: row.start_ns,
            duration_ns: row.duration_ns,
            around_id: (row.around_id != 0).then_some(row.around_id),
            self_ns: row.self_ns,
            earlier_entries: row.earlier_entries,
            earlier_ns: row.earlier_ns,
            longest_of_span_ns: 0,
        }
    }
}

/// Which spans that began outside of the window match, and which do not.
#[derive(Default)]
struct OutsideSpans {
    tested: IdSet,
    matching: IdSet,
}

impl Source<'_> {
    /// Calls `each` for the selected entries in order of id, which is that of storing; to be called after a scan over
    /// the spans. Returns their number.
    pub(crate) fn chosen_entries(
        &mut self,
        mut each: impl FnMut(&NamedEntry) -> Result<(), ExportError>,
    ) -> Result<u64, ExportError> {
        let mut others = OutsideSpans::default();
        let (mut after, mut count) = (self.before_window()?, 0);
        loop {
            let piece = self.entries(after)?;
            let Some(last) = piece.last() else {
                self.passed.entries = Some(count);
                return Ok(count);
            };
            after = last.row.id;
            self.test_others(&piece, &mut others)?;
            for entry in &piece {
                self.tell()?;
                let (span_id, start_ns) = (entry.row.span_id, entry.row.start_ns);
                let is_matching = self.filter.is_empty() || others.matching.contains(span_id);
                if self.has_span(span_id) || is_matching && self.in_window(start_ns) {
                    count += 1;
                    each(entry)?;
                }
            }
        }
    }

    /// Finds out which spans of these entries match the filter, if they began outside of the window.
    fn test_others(
        &self,
        piece: &[NamedEntry],
        others: &mut OutsideSpans,
    ) -> Result<(), ExportError> {
        if self.is_whole() || self.filter.is_empty() {
            return Ok(());
        }
        let mut unknown = Vec::new();
        for NamedEntry { row, .. } in piece {
            let is_known = self.has_span(row.span_id) || others.tested.contains(row.span_id);
            if !is_known && self.in_window(row.start_ns) {
                others.tested.insert(row.span_id);
                unknown.push(row.span_id);
            }
        }
        let matching = self.reader.matching(self.run.id, &unknown, &self.filter)?;
        matching.into_iter().for_each(|id| others.matching.insert(id));
        Ok(())
    }

    /// A lower bound on the ids of entries that began in the window: they were stored after it had begun. 0 if
    /// commits do not tell.
    fn before_window(&self) -> Result<u64, ExportError> {
        let Some(from_ns) = self.window.0 else { return Ok(0) };
        let reader = self.reader;
        let tx = reader.begin()?;
        let read = || -> rusqlite::Result<u64> {
            let has = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'batch_range'";
            if tx.query_row(has, [], |_| Ok(())).optional()?.is_none() {
                return Ok(0);
            }
            let sql = "SELECT min(r.first_id) FILTER (WHERE b.to_ns >= ?2),
                         coalesce(sum(r.row_count), 0)
                       FROM batch AS b CROSS JOIN batch_range AS r
                       ON r.batch_id = b.id AND r.kind = 'entry' WHERE b.run_id = ?1";
            let row = |row: &Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, i64>(1)?));
            let (first, counted) = tx.query_row(sql, [self.run.id, from_ns], row)?;
            let sql = "SELECT entries - pruned_entries FROM run WHERE id = ?1";
            let stored: i64 = tx.query_row(sql, [self.run.id], |row| row.get(0))?;
            Ok(match first {
                _ if counted < stored => 0,
                Some(first) => first.saturating_sub(1).max(0) as u64,
                None => i64::MAX as u64,
            })
        };
        read().map_err(|error| Error::sqlite(reader.path(), "find the entries", error).into())
    }

    /// The next entries of the run with ids above `after`, of all spans; empty at the end.
    pub(crate) fn entries(&self, after: u64) -> Result<Vec<NamedEntry>, ExportError> {
        if self.run.entries == 0 {
            return Ok(Vec::new());
        }
        let (reader, last) = (self.reader, self.last_id()?);
        let tx = reader.begin()?;
        let read = || -> rusqlite::Result<Vec<NamedEntry>> {
            let mut names = Names::new(&tx)?;
            let mut query = tx.prepare(&format!(
                "SELECT id, span_id, callsite_id, thread_id, start_ns, duration_ns,
                   coalesce(around_id, 0), self_ns, coalesce(earlier_entries, 0), coalesce(earlier_ns, 0)
                 FROM entry WHERE id > max(?1, ?2) AND id <= ?3 AND run_id = ?4
                 ORDER BY id LIMIT {PIECE_ROWS}"
            ))?;
            let first = (self.run.first_id as i64).saturating_sub(1);
            let mut rows = query.query([after as i64, first, last, self.run.id])?;
            let mut piece = Vec::new();
            while let Some(row) = rows.next()? {
                let row = entry(row)?;
                let callsite = names.callsite(row.callsite_id)?;
                let thread = names.thread(row.thread_id)?;
                piece.push(NamedEntry { row, callsite, thread });
            }
            Ok(piece)
        };
        read().map_err(|error| Error::sqlite(reader.path(), "read the entries", error).into())
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    Ok(EntryRow {
        id: row.get::<_, i64>(0)? as u64,
        span_id: row.get::<_, i64>(1)? as u64,
        callsite_id: row.get(2)?,
        thread_id: row.get(3)?,
        start_ns: row.get(4)?,
        duration_ns: row.get(5)?,
        around_id: row.get::<_, i64>(6)? as u64,
        self_ns: row.get(7)?,
        earlier_entries: row.get::<_, i64>(8)? as u64,
        earlier_ns: row.get(9)?,
    })
}
