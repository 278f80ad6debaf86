//! Which threads run futures, and when.
//!
//! A span that was entered more than once belongs to a future: each poll enters it, and so does dropping the future,
//! by one thread at a time. The thread of its longest entry runs futures from the first entry to the last exit of
//! such spans.
//!
//! A span that is entered again inside of a younger span which was entered only once is no future: a loop calls it,
//! like a system in the frames of a game. A loop that enters a span of its own again and again, inside of no span,
//! looks like a future, and nothing that is recorded tells the difference.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::SpanRef;
use crate::reader::Reader;
use spandrel_storage::Error;

/// SQL: whether a row of `span` may be of a future. If the busy time is longer than from first entry to last exit,
/// several threads were inside at once, which no future has. Some nanoseconds are lost to rounding.
pub(super) const MAY_BE_FUTURE: &str = "entries > 1 AND coalesce(busy_ns, 0)
    <= coalesce(last_exit_ns, 9223372036854775807) - coalesce(first_entry_ns, 0) + 4";

/// The same for a span.
pub(super) fn may_be_future(span: &SpanRef<'_>) -> bool {
    let left = span.last_exit_ns.or(span.duration_ns).unwrap_or(i64::MAX);
    let inside = left.saturating_sub(span.first_entry_ns.unwrap_or(0)).saturating_add(4);
    span.entries > 1 && span.busy_ns.unwrap_or(0) <= inside
}

/// When they were entered, row by row: grouped by thread, SQLite would keep all rows. Sums that overflow an integer
/// are real numbers, hence the casts.
const OF_CLOSED: &str = "SELECT id, coalesce(longest_thread_id, thread_id),
    CAST(start_ns + coalesce(first_entry_ns, 0) AS INTEGER),
    CAST(start_ns + coalesce(last_exit_ns, duration_ns, 0) AS INTEGER),
    longest_entry_ns IS NULL
  FROM span NOT INDEXED
  WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1) AND (SELECT last_id FROM run WHERE id = ?1)
    AND run_id = ?1 AND ";
const OF_OPEN: &str = "SELECT id, coalesce(longest_thread_id, thread_id),
    CAST(start_ns + coalesce(first_entry_ns, 0) AS INTEGER), seen_ns, 0
  FROM open_span WHERE run_id = ?1 AND ";

/// Spans that were entered inside of a younger span, and the youngest such. Ids of a thread grow with the time of
/// creation.
const INSIDE_YOUNGER: &str = "SELECT span_id, max(around_id) FROM entry
  WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1) AND (SELECT last_id FROM run WHERE id = ?1)
    AND run_id = ?1 AND around_id > span_id GROUP BY span_id";
/// When a span was created, and how often it was entered.
const OF_SPAN: &str = "SELECT start_ns, entries FROM span WHERE id = ?1
  UNION ALL SELECT start_ns, entries FROM open_span WHERE id = ?1 LIMIT 1";

/// Whether a span that was entered inside of another one was called by it in a loop, and is no future; by when they
/// were created and how often they were entered.
fn is_called((made_ns, _): (i64, u64), (around_made_ns, around_entries): (i64, u64)) -> bool {
    around_made_ns > made_ns && around_entries <= 1
}

/// The spans of a run that loops enter again: no futures.
fn called(tx: &Transaction<'_>, run_id: i64) -> rusqlite::Result<HashSet<u64>> {
    let mut of_span = tx.prepare(OF_SPAN)?;
    let mut known = |id: i64| {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)? as u64));
        of_span.query_row([id], read).optional()
    };
    let mut called = HashSet::new();
    let mut query = tx.prepare(INSIDE_YOUNGER)?;
    let mut rows = query.query([run_id])?;
    while let Some(row) = rows.next()? {
        let (id, around_id): (i64, i64) = (row.get(0)?, row.get(1)?);
        if let (Some(span), Some(around)) = (known(id)?, known(around_id)?)
            && is_called(span, around)
        {
            called.insert(id as u64);
        }
    }
    Ok(called)
}

/// The same for spans that are handed out with their entries.
#[derive(Default)]
pub(super) struct Called {
    known: HashMap<u64, (i64, u64)>,
    inside: HashMap<u64, u64>,
    /// Spans of entries.
    entered: HashSet<u64>,
}

impl Called {
    pub(super) fn add(&mut self, span: &SpanRef<'_>) {
        match span.entry {
            Some(entry) => {
                self.entered.insert(span.id);
                if let Some(around_id) = entry.around_id.filter(|around_id| *around_id > span.id) {
                    let youngest = self.inside.entry(span.id).or_default();
                    *youngest = (*youngest).max(around_id);
                }
            }
            None => {
                self.known.insert(span.id, (span.start_ns, span.entries));
            }
        }
    }

    /// Spans of entries, and spans around them, that were not handed out.
    pub(super) fn unknown(&self) -> Vec<u64> {
        let asked: HashSet<u64> =
            self.entered.iter().chain(self.inside.values()).copied().collect();
        asked.into_iter().filter(|id| !self.known.contains_key(id)).collect()
    }

    /// The threads that run futures, without any yet.
    pub(super) fn threads(self) -> RuntimeThreads {
        let known = |id: &u64| self.known.get(id).copied();
        let is_called = |(id, around_id): &(&u64, &u64)| {
            known(id).zip(known(around_id)).is_some_and(|(span, around)| is_called(span, around))
        };
        let called = self.inside.iter().filter(is_called).map(|(id, _)| *id).collect();
        RuntimeThreads { called, ..RuntimeThreads::default() }
    }
}

/// The threads of a run that run futures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeThreads {
    /// From when to when, by `thread.id`.
    spans: HashMap<i64, (i64, i64)>,
    unmeasured: u64,
    /// Spans that were entered more than once and are no futures.
    called: HashSet<u64>,
}

impl RuntimeThreads {
    pub(super) fn read(reader: &Reader, run_id: i64) -> Result<Self, Error> {
        let read =
            |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?), row.get(4)?));
        let has_entries = reader.has_entries(run_id)?;
        reader.query("find the threads of futures", |tx| {
            let mut spans: HashMap<i64, (i64, i64)> = HashMap::new();
            let mut unmeasured = 0_u64;
            let called = if has_entries { called(tx, run_id)? } else { HashSet::new() };
            for sql in [OF_CLOSED, OF_OPEN] {
                let mut query = tx.prepare(&format!("{sql}{MAY_BE_FUTURE}"))?;
                for thread in query.query_map(params![run_id], read)? {
                    let (span, id, (since, until), not_known): (i64, i64, (i64, i64), i64) =
                        thread?;
                    if called.contains(&(span as u64)) {
                        continue;
                    }
                    unmeasured = unmeasured.saturating_add(not_known as u64);
                    let known = spans.entry(id).or_insert((since, until));
                    *known = (known.0.min(since), known.1.max(until));
                }
            }
            Ok(Self { spans, unmeasured, called })
        })
    }

    /// Adds a span that may be a future's.
    pub(super) fn add(&mut self, span: &SpanRef<'_>) {
        if !self.may_be_future(span) {
            return;
        }
        self.unmeasured =
            self.unmeasured.saturating_add(u64::from(span.longest_entry_ns.is_none()));
        let moment = |ns: Option<i64>| span.start_ns.saturating_add(ns.unwrap_or(0));
        let since = moment(span.first_entry_ns);
        let until = moment(span.last_exit_ns.or(span.duration_ns));
        let known = self.spans.entry(span.longest_thread.id).or_insert((since, until));
        *known = (known.0.min(since), known.1.max(until));
    }

    /// Whether a span may be a future's: it is not if a loop is known to call it.
    pub(super) fn may_be_future(&self, span: &SpanRef<'_>) -> bool {
        may_be_future(span) && !self.called.contains(&span.id)
    }

    /// Whether there are spans that were entered more than once but by loops.
    pub fn has_loops(&self) -> bool {
        !self.called.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Spans that were entered more than once and whose longest entry is not known: recorded without busy
    /// times, or before version 3 of the schema.
    pub fn unmeasured(&self) -> u64 {
        self.unmeasured
    }

    /// Whether a thread, by `thread.id`, runs futures at a moment.
    pub fn runs_at(&self, thread_id: i64, at_ns: i64) -> bool {
        self.spans.get(&thread_id).is_some_and(|(since, until)| (*since..=*until).contains(&at_ns))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn rows_are_not_kept_to_put_them_together() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(spandrel_storage::schema()).unwrap();
        for sql in [OF_CLOSED, OF_OPEN] {
            let mut query =
                conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}{MAY_BE_FUTURE}")).unwrap();
            let plan = query.query_map([1], |row| row.get::<_, String>(3)).unwrap();
            for step in plan {
                let step = step.unwrap();
                assert!(!step.contains("TEMP B-TREE"), "{step}");
            }
        }
    }
}
