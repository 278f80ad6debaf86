//! Id ranges that can hold the spans of a window, of a trace, or the slowest ones, from the rows that describe
//! commits (`batches.rs`). A profile of 100 million spans has about ten thousand commits.
//!
//! If the commits do not account for all spans of a run (it was recorded before schema version 3, or somebody has
//! deleted rows), all spans are read.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Scan;
use super::id_range::Range;
use crate::order_rows::OrderRows as _;
use crate::reader::Reader;
use spandrel_storage::Error;

/// A range of ids that holds spans of one commit, and others.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommitRange {
    pub(super) batch_id: i64,
    first_id: i64,
    last_id: i64,
    pub(super) from_ns: i64,
    /// End of the latest row of the commit. Like the next field, for the whole commit and not only this range.
    pub(super) to_ns: i64,
    /// `None`: none of its spans has ended.
    pub(super) longest_ns: Option<i64>,
}

impl CommitRange {
    pub(super) fn range(&self) -> Range {
        Range { after: self.first_id.saturating_sub(1), last: self.last_id }
    }

    /// Ids from the first to the last.
    pub(super) fn width(&self) -> u64 {
        self.last_id.abs_diff(self.first_id).saturating_add(1)
    }

    /// Whether a row of the commit may have begun in one of these intervals, which are sorted and do not overlap.
    pub(super) fn is_in_any(&self, stretches: &[(i64, i64)]) -> bool {
        let next = stretches.partition_point(|(_, until_ns)| *until_ns <= self.from_ns);
        stretches.get(next).is_some_and(|(from_ns, _)| *from_ns <= self.to_ns)
    }

    /// Whether a span of the commit may have started in the window of a scan.
    pub(super) fn is_in_window(&self, scan: &Scan) -> bool {
        scan.from_ns.is_none_or(|from| self.to_ns >= from)
            && scan.until_ns.is_none_or(|until| self.from_ns < until)
    }
}

impl Reader {
    /// The ranges of all spans of a run; `None` if commits do not account for all of them.
    pub(super) fn commit_ranges(&self, run_id: i64) -> Result<Option<Vec<CommitRange>>, Error> {
        self.query("find the spans", |tx| ranges(tx, run_id, Kind::Span))
    }

    /// The id ranges that can hold the spans of a trace; `None` as above.
    pub(super) fn ranges_of_trace(
        &self,
        scan: &Scan,
        root_id: u64,
    ) -> Result<Option<Vec<Range>>, Error> {
        let read = |tx: &Connection| {
            let ranges = ranges(tx, scan.run_id, Kind::Span)?;
            ranges.map(|ranges| ranges_of_trace(tx, scan.run_id, ranges, root_id)).transpose()
        };
        let ranges = self.query("find the spans of a trace", |tx| read(tx))?;
        Ok(ranges.map(|ranges| ranges.into_iter().map(|range| scan.cut(range)).collect()))
    }
}

fn ranges_of_trace(
    conn: &Connection,
    run_id: i64,
    ranges: Vec<CommitRange>,
    root_id: u64,
) -> rusqlite::Result<Vec<Range>> {
    let mut query = conn.prepare(
        "SELECT r.batch_id FROM batch AS b CROSS JOIN batch_range AS r
         ON r.batch_id = b.id AND r.kind = 'root' AND r.first_id <= ?2 AND r.last_id >= ?2
         WHERE b.run_id = ?1",
    )?;
    let root_id = i64::try_from(root_id).unwrap_or(i64::MAX);
    let commits = query.query_map([run_id, root_id], |row| row.get(0))?;
    let commits = commits.collect::<rusqlite::Result<HashSet<i64>>>()?;
    // The root itself is in no range of roots.
    let root = Range { after: root_id.saturating_sub(1), last: root_id };
    let is_meant = |range: &CommitRange| commits.contains(&range.batch_id);
    let mut ranges: Vec<Range> =
        ranges.iter().filter(|range| is_meant(range)).map(CommitRange::range).collect();
    ranges.push(root);
    Ok(union(ranges))
}

/// Which table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Span,
    Entry,
}

pub(super) fn ranges(
    conn: &Connection,
    run_id: i64,
    kind: Kind,
) -> rusqlite::Result<Option<Vec<CommitRange>>> {
    let has_commits = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'batch_range'";
    if conn.query_row(has_commits, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let (kind, stored) = match kind {
        Kind::Span => ("span", "SELECT spans - pruned_spans FROM run WHERE id = ?1"),
        Kind::Entry => ("entry", "SELECT entries - pruned_entries FROM run WHERE id = ?1"),
    };
    let stored: Option<i64> = conn.query_row(stored, [run_id], |row| row.get(0)).optional()?;
    let mut query = conn.prepare(
        "SELECT r.batch_id, r.first_id, r.last_id, r.from_ns, b.to_ns, b.longest_ns, r.row_count
         FROM batch AS b CROSS JOIN batch_range AS r ON r.batch_id = b.id AND r.kind = ?2
         WHERE b.run_id = ?1",
    )?;
    let mut counted = 0_i64;
    let read = |row: &Row<'_>| {
        counted = counted.saturating_add(row.get(6)?);
        Ok(CommitRange {
            batch_id: row.get(0)?,
            first_id: row.get(1)?,
            last_id: row.get(2)?,
            from_ns: row.get(3)?,
            to_ns: row.get(4)?,
            longest_ns: row.get(5)?,
        })
    };
    let ranges =
        query.query_map(params![run_id, kind], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok((counted >= stored.unwrap_or(i64::MAX)).then_some(ranges))
}

/// Merges ranges that overlap, and sorts them by id.
pub(super) fn union(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.order_by_key(|range| range.after);
    let mut joined: Vec<Range> = Vec::new();
    for range in ranges {
        match joined.last_mut().filter(|before| before.last >= range.after) {
            Some(before) => before.last = before.last.max(range.last),
            None => joined.push(range),
        }
    }
    joined
}

/// The id ranges that can hold rows of a window.
pub(super) fn in_window(ranges: &[CommitRange], scan: &Scan) -> Vec<Range> {
    union(ranges.iter().filter(|range| range.is_in_window(scan)).map(CommitRange::range).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::reader::Span;
    use crate::test_profile::{TestProfile, count_steps};
    use crate::{Columns, SlowBy, SlowScope, Trace};
    use spandrel_storage::SpanRow;

    const COMMITS: u64 = 100;
    const ROWS: u64 = 400;

    /// Four threads take turns with blocks of 64 ids; each tenth span is the child of a root that ends
    /// after it. Every commit has spans that were open for long, and durations have no order.
    fn spans() -> Vec<SpanRow> {
        let span = |n: u64| {
            let id = 10 + n / 256 * 256 + n % 4 * 64 + n / 4 % 64;
            let duration_ns = (n * 7_919 % 100_003) as i64;
            let parent_id = if n.is_multiple_of(10) { 0 } else { id - (n / 4 % 64).min(n % 10) };
            SpanRow {
                parent_id,
                root_id: if parent_id == 0 { id } else { parent_id },
                duration_ns: (!n.is_multiple_of(97)).then_some(duration_ns),
                busy_ns: Some(duration_ns / 2),
                self_ns: (!n.is_multiple_of(97)).then_some(duration_ns / 3),
                ..TestProfile::span(id, 1, id as i64 * 1_000, duration_ns)
            }
        };
        let mut spans: Vec<SpanRow> = (0..COMMITS * ROWS).map(span).collect();
        // Some come much later than the others.
        let late = |span: &SpanRow| if span.id.is_multiple_of(200) { 5_000 } else { 0 };
        spans.sort_by_key(|span| span.id + late(span));
        spans
    }

    /// Still being recorded into, so that all rows are SQLite's to read, and cost it steps.
    fn profile() -> (TestProfile, Reader, Arc<AtomicU64>) {
        let mut profile = TestProfile::new();
        profile.callsite("work", "", 1);
        profile.thread(1, None);
        for rows in spans().chunks(ROWS as usize) {
            rows.iter().for_each(|row| profile.add(row.clone(), ""));
            profile.commit();
        }
        let mut reader = Reader::open(profile.path()).unwrap();
        let steps = count_steps(&mut reader);
        (profile, reader, steps)
    }

    /// What is asked, in turn, and the steps that SQLite took for each.
    fn answers(reader: &Reader, steps: &AtomicU64) -> Vec<(&'static str, Vec<u64>, u64)> {
        let ids = |spans: Vec<Span>| spans.iter().map(|span| span.id).collect::<Vec<_>>();
        let window = Scan::new(1).window(Some(15_000_000), Some(15_400_000));
        let in_window = || {
            let mut found = Vec::new();
            let scan = window.columns(Columns::All);
            let each = |span: &crate::SpanRef<'_>| {
                found.push(span.id);
                std::ops::ControlFlow::Continue(())
            };
            reader.scan(&scan, each).unwrap();
            found
        };
        let slowest =
            |scan: &Scan, which, by, limit| ids(reader.slowest(scan, which, by, limit).unwrap());
        let all = Scan::new(1);
        let asked: [(&str, &dyn Fn() -> Vec<u64>); 7] = [
            ("window", &in_window),
            ("slow", &|| slowest(&all, SlowScope::All, SlowBy::Duration, 5)),
            ("slow in the window", &|| slowest(&window, SlowScope::All, SlowBy::Duration, 5)),
            ("tree", &|| {
                ids(Trace::read(reader, 20_010, 1_000).unwrap().map_or(Vec::new(), |t| t.spans))
            }),
            // Of these SQLite has to look at more, or at all.
            ("slow by self time", &|| slowest(&all, SlowScope::All, SlowBy::SelfTime, 5)),
            ("slow by busy time", &|| slowest(&all, SlowScope::All, SlowBy::Busy, 5)),
            ("half of all", &|| slowest(&all, SlowScope::All, SlowBy::Duration, 20_000)),
        ];
        let answer = |(what, ask): &(&'static str, &dyn Fn() -> Vec<u64>)| {
            steps.store(0, Ordering::Relaxed);
            (*what, ask(), steps.load(Ordering::Relaxed))
        };
        asked.iter().map(answer).collect()
    }

    #[test]
    fn a_window_a_trace_and_the_slowest_are_found_without_looking_at_all_spans() {
        let (recording, reader, steps) = profile();
        let by_map = answers(&reader, &steps);
        // Without the rows of one commit nothing can be left out.
        let other = Connection::open(recording.path()).unwrap();
        other.execute("DELETE FROM batch WHERE id = 7", []).unwrap();
        assert!(reader.commit_ranges(1).unwrap().is_none());
        let by_scan = answers(&reader, &steps);
        for ((what, found, steps), (_, expected, of_scan)) in by_map.into_iter().zip(by_scan) {
            assert_eq!(found, expected, "{what}");
            assert!(!found.is_empty(), "{what}");
            let is_quick = ["window", "slow", "slow in the window", "tree"].contains(&what);
            assert!(!is_quick || steps * 4 < of_scan, "{what}: {steps} steps, not {of_scan}");
            assert!(steps < of_scan * 3, "{what}: {steps} steps, not {of_scan}");
        }
    }
}
