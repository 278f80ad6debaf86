//! What the writer says about itself: its state over time, and what is missing.

use rusqlite::Row;

use super::Reader;
use spandrel_storage::Error;
use spandrel_storage::WriterStatRow;

/// The state of the writer at the end of an interval.
pub type WriterStat = WriterStatRow;

/// Spans, events and entries that are missing, why, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Loss {
    /// Name of the reason, such as `ring_full`.
    pub reason: String,
    /// The loss did not begin before this moment.
    pub from_ns: i64,
    /// The loss did not end after this moment.
    pub to_ns: i64,
    /// Spans lost.
    pub spans: u64,
    /// Events lost.
    pub events: u64,
    /// Entries lost, of those that are recorded one by one.
    pub entries: u64,
    /// Database id of the thread that lost them, when it is known.
    pub thread_id: Option<i64>,
}

impl Loss {
    /// Spans, events and entries.
    pub fn total(&self) -> u64 {
        self.spans.saturating_add(self.events).saturating_add(self.entries)
    }
}

/// The columns of `writer_stat`, in the order of the schema.
pub(crate) const WRITER_STAT_COLUMNS: &str = "at_ns, recorded, stored, dropped, events_recorded,
    events_stored, events_dropped, batches, largest_batch_ns, ring_high_water, wal_bytes, file_bytes,
    open_spans, entries_recorded, entries_stored, entries_dropped";

/// Reads [those](WRITER_STAT_COLUMNS).
pub(crate) fn read_writer_stat(row: &Row<'_>) -> rusqlite::Result<WriterStat> {
    Ok(WriterStat {
        at_ns: row.get(0)?,
        recorded: count(row, 1)?,
        stored: count(row, 2)?,
        dropped: row.get(3)?,
        events_recorded: count(row, 4)?,
        events_stored: count(row, 5)?,
        events_dropped: row.get(6)?,
        batches: count(row, 7)?,
        largest_batch_ns: count(row, 8)?,
        ring_high_water: count(row, 9)?,
        wal_bytes: count(row, 10)?,
        file_bytes: count(row, 11)?,
        open_spans: count(row, 12)?,
        entries_recorded: count(row, 13)?,
        entries_stored: count(row, 14)?,
        entries_dropped: row.get(15)?,
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}

impl Reader {
    /// What the run lost, in the order of writing.
    pub fn losses(&self, run_id: i64) -> Result<Vec<Loss>, Error> {
        self.query("read the losses", |tx| {
            let mut query = tx.prepare(
                "SELECT reason, from_ns, to_ns, spans, events, thread_id, entries FROM loss
                 WHERE run_id = ?1 ORDER BY id",
            )?;
            let read = |row: &Row<'_>| {
                Ok(Loss {
                    reason: row.get(0)?,
                    from_ns: row.get(1)?,
                    to_ns: row.get(2)?,
                    spans: count(row, 3)?,
                    events: count(row, 4)?,
                    thread_id: row.get(5)?,
                    entries: count(row, 6)?,
                })
            };
            query.query_map([run_id], read)?.collect()
        })
    }

    /// The states of the writer, in the order of time.
    pub fn writer_stats(&self, run_id: i64) -> Result<Vec<WriterStat>, Error> {
        self.query("read the state of the writer", |tx| {
            let mut query = tx.prepare(&format!(
                "SELECT {WRITER_STAT_COLUMNS} FROM writer_stat WHERE run_id = ?1 ORDER BY at_ns"
            ))?;
            query.query_map([run_id], read_writer_stat)?.collect()
        })
    }
}
