//! The longest entries of spans that live long, among the slowest.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension};

use super::super::Scan;
use super::super::commit_map::{self, CommitRange, Kind};
use super::{SlowBy, Slowest, list};
use crate::order_rows::OrderRows as _;
use crate::reader::Reader;
use spandrel_storage::Error;

impl Reader {
    /// Ranks entries among the slowest spans: reads commits in the order of the longest entries that the rollups have
    /// for their time, until no other can have one that is slow enough.
    pub(super) fn with_entries(
        &self,
        scan: &Scan,
        callsites: Option<&[i64]>,
        mut slowest: Slowest,
    ) -> Result<Slowest, Error> {
        let named = callsites.map(|ids| format!(" AND callsite_id IN ({})", list(ids)));
        let named = named.unwrap_or_default();
        let time = if slowest.by == SlowBy::SelfTime { "self_ns" } else { "duration_ns" };
        let look = |slowest: &mut Slowest, ranges, commit: &str| {
            let bound = slowest.bound_ns().unwrap_or(i64::MIN);
            let condition = format!("{commit}{named} AND {time} >= {bound}");
            self.entries_of_ranges(scan, ranges, &condition, &mut |call| {
                slowest.add(call);
                ControlFlow::Continue(())
            })
        };
        let Some(mut ranges) = self.ranges_with_longest(scan, &named)? else {
            look(&mut slowest, self.ranges_of_entries(scan)?, "")?;
            return Ok(slowest);
        };
        ranges.order_by_key(|(longest_ns, _)| Reverse(*longest_ns));
        for (longest_ns, range) in ranges {
            if slowest.bound_ns().is_some_and(|bound| longest_ns < bound) {
                break;
            }
            let commit = format!(" AND batch_id = {}", range.batch_id);
            look(&mut slowest, vec![range.range()], &commit)?;
        }
        Ok(slowest)
    }

    /// The id ranges of a window, each with an upper bound on the length of its entries; `None` if commits do not
    /// tell.
    fn ranges_with_longest(
        &self,
        scan: &Scan,
        named: &str,
    ) -> Result<Option<Vec<(i64, CommitRange)>>, Error> {
        self.query("find the entries", |tx| {
            let Some(mut ranges) = commit_map::ranges(tx, scan.run_id, Kind::Entry)? else {
                return Ok(None);
            };
            ranges.retain(|range| range.is_in_window(scan));
            let longest = Longest::of(tx, scan.run_id, named)?;
            Ok(Some(ranges.into_iter().map(|range| (longest.within(&range), range)).collect()))
        })
    }
}

/// The longest entry in each second, from the rollups.
struct Longest {
    /// Start and end of an interval, in the order of time.
    by_time: Vec<(i64, i64, i64)>,
    /// Whether there may be entries without rollups: retention deletes rollups by the second.
    has_gaps: bool,
}

impl Longest {
    fn of(conn: &Connection, run_id: i64, named: &str) -> rusqlite::Result<Self> {
        let pruned = "SELECT pruned_entries > 0 OR pruned_spans > 0 FROM run WHERE id = ?1";
        let has_gaps = conn.query_row(pruned, [run_id], |row| row.get(0)).optional()?;
        let mut query = conn.prepare(&format!(
            "SELECT at_ns, max(at_ns + interval_ns), max(max_ns) FROM entry_rollup
             WHERE run_id = ?1{named} GROUP BY at_ns ORDER BY at_ns"
        ))?;
        let by_time =
            query.query_map([run_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(Self { by_time: by_time.collect::<Result<_, _>>()?, has_gaps: has_gaps.unwrap_or(true) })
    }

    /// An upper bound on the length of the entries of a range.
    fn within(&self, range: &CommitRange) -> i64 {
        if self.has_gaps {
            return i64::MAX;
        }
        // Entries count in the second in which they ended.
        let first = self.by_time.partition_point(|(_, end, _)| *end <= range.from_ns);
        let of_time = self.by_time.get(first..).unwrap_or_default().iter();
        let of_time = of_time.take_while(|(start, ..)| *start <= range.to_ns);
        of_time.map(|(.., longest)| *longest).max().unwrap_or(i64::MIN)
    }
}
