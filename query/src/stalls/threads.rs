//! Which threads run futures, and when.
//!
//! A span that was entered more than once belongs to a future: each poll enters it, and so does dropping the
//! future, by one thread at a time. (Or to something else that is taken up again and again, as the systems of a game, for whose
//! threads the same holds.) The thread of its longest entry runs futures, from the first entry to the last
//! exit of such spans.

use std::collections::HashMap;

use rusqlite::{Row, params};

use super::SpanRef;
use crate::reader::Reader;
use spandrel_storage::Error;

/// Whether a row of `span` may be of a future: what was longer inside than from its first entry to its last exit has
/// had several threads inside at once, and no future has. Some nanoseconds are lost to rounding.
pub(super) const MAY_BE_FUTURE: &str = "entries > 1 AND coalesce(busy_ns, 0)
    <= coalesce(last_exit_ns, 9223372036854775807) - coalesce(first_entry_ns, 0) + 4";

/// The same of a span that was read.
pub(super) fn may_be_future(span: &SpanRef<'_>) -> bool {
    let left = span.last_exit_ns.or(span.duration_ns).unwrap_or(i64::MAX);
    let inside = left.saturating_sub(span.first_entry_ns.unwrap_or(0)).saturating_add(4);
    span.entries > 1 && span.busy_ns.unwrap_or(0) <= inside
}

/// When they were entered, row by row: SQLite would keep all rows to put them together by thread. Sums that are
/// too large for an integer are real numbers there, hence the casts.
const OF_CLOSED: &str = "SELECT coalesce(longest_thread_id, thread_id),
    CAST(start_ns + coalesce(first_entry_ns, 0) AS INTEGER),
    CAST(start_ns + coalesce(last_exit_ns, duration_ns, 0) AS INTEGER),
    longest_entry_ns IS NULL
  FROM span NOT INDEXED
  WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1) AND (SELECT last_id FROM run WHERE id = ?1)
    AND run_id = ?1 AND ";
const OF_OPEN: &str = "SELECT coalesce(longest_thread_id, thread_id),
    CAST(start_ns + coalesce(first_entry_ns, 0) AS INTEGER), seen_ns, 0
  FROM open_span WHERE run_id = ?1 AND ";

/// The threads of a run that run futures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeThreads {
    /// From when to when, by `thread.id`.
    spans: HashMap<i64, (i64, i64)>,
    unmeasured: u64,
}

impl RuntimeThreads {
    pub(super) fn read(reader: &Reader, run_id: i64) -> Result<Self, Error> {
        let read = |row: &Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?), row.get(3)?));
        reader.query("find the threads of futures", |tx| {
            let mut spans: HashMap<i64, (i64, i64)> = HashMap::new();
            let mut unmeasured = 0_u64;
            for sql in [OF_CLOSED, OF_OPEN] {
                let mut query = tx.prepare(&format!("{sql}{MAY_BE_FUTURE}"))?;
                for thread in query.query_map(params![run_id], read)? {
                    let (id, (since, until), not_known): (i64, (i64, i64), i64) = thread?;
                    unmeasured = unmeasured.saturating_add(not_known as u64);
                    let known = spans.entry(id).or_insert((since, until));
                    *known = (known.0.min(since), known.1.max(until));
                }
            }
            Ok(Self { spans, unmeasured })
        })
    }

    /// Looks at a span: whether it may be a future's.
    pub(super) fn add(&mut self, span: &SpanRef<'_>) {
        if !may_be_future(span) {
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
