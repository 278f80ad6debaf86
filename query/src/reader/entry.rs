//! Entries of spans, those that are recorded one by one.

use rusqlite::Row;

use super::{PIECE_ROWS, Reader};
use spandrel_storage::Error;

/// A thread was inside a span, and has left it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its number; grows with the time of storing.
    pub id: u64,
    /// The span.
    pub span_id: u64,
    /// The span's callsite.
    pub callsite_id: i64,
    /// The thread that was inside.
    pub thread_id: i64,
    /// When it entered, nanoseconds since the start of the run.
    pub start_ns: i64,
    /// How long it was inside, in nanoseconds.
    pub duration_ns: i64,
    /// The span that the thread was in around this one, if it was in one. Need not be the span's parent.
    pub around_id: Option<u64>,
    /// How long it was inside, less the time in other spans meanwhile. `None` if the span counts by its lifetime
    /// instead of its entries.
    pub self_ns: Option<i64>,
    /// Earlier entries of the span, which count but have no rows: they came too soon, or were dropped. Stored in the
    /// first row that counts. Changes as long as the span is open.
    pub earlier_entries: u64,
    /// The sum of their time, nanoseconds.
    pub earlier_ns: i64,
    /// The longest entry of the span, also of the earlier ones, if a scan over calls has all of them in its window;
    /// otherwise 0. It is no column of the row.
    pub longest_of_span_ns: i64,
}

/// What [`Entry::read`] reads, in this order.
pub(crate) const ENTRY_COLUMNS: &str = "id, span_id, callsite_id, thread_id, start_ns, duration_ns,
    around_id, self_ns, earlier_entries, earlier_ns";

impl Entry {
    /// When it left.
    pub fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns.max(0))
    }

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get::<_, i64>(0)? as u64,
            span_id: row.get::<_, i64>(1)? as u64,
            callsite_id: row.get(2)?,
            thread_id: row.get(3)?,
            start_ns: row.get(4)?,
            duration_ns: row.get(5)?,
            around_id: row.get::<_, Option<i64>>(6)?.map(|id| id as u64),
            self_ns: row.get(7)?,
            earlier_entries: row.get::<_, Option<i64>>(8)?.unwrap_or(0) as u64,
            earlier_ns: row.get::<_, Option<i64>>(9)?.unwrap_or(0),
            longest_of_span_ns: 0,
        })
    }
}

impl Reader {
    /// Calls `each` for each recorded entry of the run, in the order of storing: those of a thread come in order of
    /// end. Files before version 3 have none.
    ///
    /// A piece of rows has a read transaction of its own: of a live recording, what is committed
    /// meanwhile is seen or not.
    pub fn entries(&self, run_id: i64, mut each: impl FnMut(&Entry)) -> Result<(), Error> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM entry
             WHERE id > ?1 AND id <= ?2 AND run_id = ?3 ORDER BY id LIMIT {PIECE_ROWS}"
        );
        self.pieces(run_id, &sql, "read the entries", |row, _| {
            let entry = Entry::read(row)?;
            each(&entry);
            Ok(entry.id)
        })
    }
}
