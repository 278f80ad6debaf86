//! Recorded entries that were too long: they tell when the longest entry of a span began, and which spans older than
//! the window were entered for too long in it.

use std::collections::HashMap;

use crate::Scan;
use crate::calls::owners::Find;
use crate::reader::{Reader, Span};
use spandrel_storage::Error;

/// Two lengths of the same entry differ by at most this, as each is rounded from ticks by itself.
pub(super) const SLACK_NS: i64 = 5_000;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct LongEntry {
    pub(super) start_ns: i64,
    pub(super) ns: i64,
    pub(super) thread_id: i64,
}

/// The longest of each span.
#[derive(Debug, Default)]
pub(super) struct LongEntries {
    longest: HashMap<u64, LongEntry>,
    /// The longest of each span that began in the window, if there is one.
    in_window: HashMap<u64, LongEntry>,
}

impl LongEntries {
    /// Reads the long entries of a run.
    pub(super) fn read(reader: &Reader, scan: &Scan, limit_ns: i64) -> Result<Self, Error> {
        let mut found = Self::default();
        if !reader.has_entries(scan.run_id)? {
            return Ok(found);
        }
        let sql = "SELECT span_id, start_ns, duration_ns, thread_id FROM entry
            WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1)
              AND (SELECT last_id FROM run WHERE id = ?1)
              AND run_id = ?1 AND duration_ns >= ?2 ORDER BY id";
        let window = scan.from_ns.unwrap_or(i64::MIN)..scan.until_ns.unwrap_or(i64::MAX);
        reader.query("find long entries", |tx| {
            let mut query = tx.prepare(sql)?;
            let mut rows = query.query([scan.run_id, limit_ns.saturating_sub(SLACK_NS)])?;
            while let Some(row) = rows.next()? {
                let id = row.get::<_, i64>(0)? as u64;
                let (start_ns, ns, thread_id) = (row.get(1)?, row.get(2)?, row.get(3)?);
                let entry = LongEntry { start_ns, ns, thread_id };
                found.add(id, entry);
                if scan.has_window() && window.contains(&start_ns) {
                    keep(&mut found.in_window, id, entry);
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Adds a long entry that was read elsewhere.
    pub(super) fn add(&mut self, span_id: u64, entry: LongEntry) {
        keep(&mut self.longest, span_id, entry);
    }

    /// When the longest entry of a span began, if it was recorded by itself.
    pub(super) fn start_of(&self, span_id: u64, longest_ns: Option<i64>) -> Option<i64> {
        let entry = self.longest.get(&span_id)?;
        let is_it = entry.ns.abs_diff(longest_ns?) <= SLACK_NS.unsigned_abs();
        is_it.then_some(entry.start_ns)
    }

    /// Forgets the entries of a span in the window.
    pub(super) fn forget(&mut self, span_id: u64) {
        self.in_window.remove(&span_id);
    }

    /// Calls `each` for the spans with long entries in the window that were not forgotten, each with its longest
    /// entry in the window as its longest entry, and the begin of that.
    pub(super) fn in_window(
        &self,
        reader: &Reader,
        mut each: impl FnMut(Span, i64),
    ) -> Result<(), Error> {
        if self.in_window.is_empty() {
            return Ok(());
        }
        reader.query("read the spans of long entries", |tx| {
            let mut find = Find::new(tx)?;
            for (id, entry) in &self.in_window {
                // It may have been pruned meanwhile.
                let Some(span) = find.span(*id)? else { continue };
                let longest_thread = find.thread(entry.thread_id)?;
                // Use the length in the span's row if it is the same entry.
                let is_longest = self.start_of(*id, span.longest_entry_ns) == Some(entry.start_ns);
                let longest_entry_ns =
                    if is_longest { span.longest_entry_ns } else { Some(entry.ns) };
                each(Span { longest_entry_ns, longest_thread, ..span }, entry.start_ns);
            }
            Ok(())
        })
    }
}

/// Of equally long ones, keeps the first.
fn keep(longest: &mut HashMap<u64, LongEntry>, span_id: u64, entry: LongEntry) {
    let known = longest.entry(span_id).or_insert(entry);
    if entry.ns > known.ns {
        *known = entry;
    }
}
