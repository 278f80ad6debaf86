//! Finds the entry of a long-lived span in which a span or another entry began.
//!
//! Entries are read for a second of the run at a time, from id ranges of commits with rows of that time
//! (`commit_map.rs`), and the last few seconds are cached: spans come roughly in order of start. If commits do not
//! tell, or spans come in no such order, nothing is found.

use std::collections::VecDeque;

use rusqlite::{Connection, params};

use crate::commit_map::{self, CommitRange, Kind, union};
use crate::reader::Reader;
use spandrel_storage::Error;
use spandrel_storage::internals::Context;
use spandrel_storage::internals::FastHashMap;

/// Length of a slice of the run; entries that begin or end in it are read together.
const SLICE_NS: i64 = 1_000_000_000;
/// Slices in the cache.
const SLICES_MAX: usize = 4;
/// A slice with more entries than this is treated as empty.
const ENTRIES_MAX: usize = 1_000_000;
/// If slices are read more often than this on average, reading stops.
const READ_EACH: i64 = 8;
/// Entries of a span that are tested at most; more overlap only if as many threads are inside it at once.
const OVERLAPPING_MAX: usize = 64;

/// An entry that contains some moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct OngoingEntry {
    pub(super) thread_id: i64,
    pub(super) start_ns: i64,
    end_ns: i64,
    /// The span that its thread was in when it entered.
    pub(super) around_id: Option<u64>,
}

/// By span, by start.
type Slice = FastHashMap<u64, Vec<OngoingEntry>>;

pub(super) struct EntryLookup<'a> {
    reader: &'a Reader,
    run_id: i64,
    /// Where the entries are; `None`: not read yet.
    ranges: Option<Vec<CommitRange>>,
    /// By number, the latest used first.
    slices: VecDeque<(i64, Slice)>,
    reads_left: i64,
}

impl<'a> EntryLookup<'a> {
    pub(super) fn new(reader: &'a Reader, run_id: i64) -> Self {
        Self { reader, run_id, ranges: None, slices: VecDeque::new(), reads_left: 0 }
    }

    /// The entry of a span in which something began: on that thread, or else on any.
    pub(super) fn at(
        &mut self,
        span_id: u64,
        thread_id: i64,
        at_ns: i64,
    ) -> Result<Option<OngoingEntry>, Error> {
        let reader = self.reader;
        let slice = self.slice(at_ns.div_euclid(SLICE_NS));
        let slice = slice.context(reader.path(), "read what was entered")?;
        let Some(all) = slice.and_then(|slice| slice.get(&span_id)) else { return Ok(None) };
        let begun = all.partition_point(|entry| entry.start_ns <= at_ns);
        let begun = all.get(..begun).unwrap_or_default().iter().rev().take(OVERLAPPING_MAX);
        let mut elsewhere = None;
        for entry in begun.filter(|entry| at_ns <= entry.end_ns) {
            if entry.thread_id == thread_id {
                return Ok(Some(*entry));
            }
            elsewhere.get_or_insert(*entry);
        }
        Ok(elsewhere)
    }

    fn slice(&mut self, number: i64) -> rusqlite::Result<Option<&Slice>> {
        if let Some(at) = self.slices.iter().position(|(known, _)| *known == number) {
            self.slices.swap(0, at);
            return Ok(self.slices.front().map(|(_, slice)| slice));
        }
        let conn = self.reader.connection();
        if self.ranges.is_none() {
            let found = commit_map::ranges(conn, self.run_id, Kind::Entry)?.unwrap_or_default();
            let last_ns = found.iter().map(|range| range.to_ns).max().unwrap_or(0);
            self.reads_left = (last_ns / SLICE_NS + 2).saturating_mul(READ_EACH);
            self.ranges = Some(found);
        }
        let ranges = self.ranges.as_deref().unwrap_or_default();
        if ranges.is_empty() || self.reads_left <= 0 {
            return Ok(None);
        }
        self.reads_left -= 1;
        let slice = read(conn, self.run_id, ranges, number)?;
        self.slices.truncate(SLICES_MAX - 1);
        self.slices.push_front((number, slice));
        Ok(self.slices.front().map(|(_, slice)| slice))
    }
}

fn read(
    conn: &Connection,
    run_id: i64,
    ranges: &[CommitRange],
    number: i64,
) -> rusqlite::Result<Slice> {
    let from_ns = number.saturating_mul(SLICE_NS);
    let until_ns = from_ns.saturating_add(SLICE_NS);
    let then = ranges.iter().filter(|range| range.is_in_any(&[(from_ns, until_ns)]));
    let mut query = conn.prepare(
        "SELECT span_id, thread_id, start_ns, duration_ns, around_id FROM entry
         WHERE id > ?1 AND id <= ?2 AND run_id = ?3 AND start_ns < ?5 AND start_ns + duration_ns >= ?4",
    )?;
    let (mut slice, mut count) = (Slice::default(), 0);
    for range in union(then.map(CommitRange::range).collect()) {
        let mut rows = query.query(params![range.after, range.last, run_id, from_ns, until_ns])?;
        while let Some(row) = rows.next()? {
            let (start_ns, duration_ns): (i64, i64) = (row.get(2)?, row.get(3)?);
            count += 1;
            if count > ENTRIES_MAX {
                return Ok(Slice::default());
            }
            slice.entry(row.get::<_, i64>(0)? as u64).or_default().push(OngoingEntry {
                thread_id: row.get(1)?,
                start_ns,
                end_ns: start_ns.saturating_add(duration_ns.max(0)),
                around_id: row.get::<_, Option<i64>>(4)?.map(|id| id as u64),
            });
        }
    }
    slice.values_mut().for_each(|all| all.sort_by_key(|entry| entry.start_ns));
    Ok(slice)
}

#[cfg(test)]
mod tests;
