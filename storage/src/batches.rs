//! The row of a commit, and where its rows are.
//!
//! Ids grow with creation, but rows come when spans close. So the rows of a commit are not a range of
//! ids: each row names its commit, and the commit names a few ranges that contain its rows. They are
//! split at the largest gaps, so that a span that was open for long does not make one range of the whole
//! file. A follower of a recording asks for commits above the last one that it has read.

use rusqlite::{Connection, params};

use crate::record::{Batch, EntryRow, EventRow, LinkRow, SpanRow};

/// Most ranges of a commit, for each kind of row.
const RANGES_MAX: usize = 8;
/// Ids that are no further apart than this stay in one range: threads take ids in blocks.
const GAP_MAX: i64 = 4_096;

/// A stretch of ids with rows of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first_id: i64,
    last_id: i64,
    rows: i64,
    from_ns: i64,
}

/// The ranges of one kind of rows, in the order of ids.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    ranges: Vec<Range>,
    /// Ids of the roots of spans, except spans that are roots themselves.
    roots: Roots,
}

impl Ranges {
    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
        self.roots.ranges.clear();
    }

    /// The ranges of spans in the order of ids.
    pub(crate) fn of_spans<'a>(&mut self, spans: impl Iterator<Item = &'a SpanRow>) {
        self.clear();
        let mut roots = Roots { ranges: std::mem::take(&mut self.roots.ranges) };
        let mut root = Range::NONE;
        self.fill(spans.map(|span| {
            let root_id = span.root_id as i64;
            if root_id != span.id as i64 && !root.takes(root_id) {
                roots.put_back(root);
                root = roots.take_out(root_id);
            }
            Range::of(span.id as i64, span.start_ns)
        }));
        roots.put_back(root);
        roots.put_in_order();
        self.roots = roots;
    }

    /// The ranges of events in the order of ids.
    pub(crate) fn of_events<'a>(&mut self, events: impl Iterator<Item = &'a EventRow>) {
        self.clear();
        self.fill(events.map(|event| Range::of(event.id as i64, event.at_ns)));
    }

    /// The ranges of entries in the order of ids.
    pub(crate) fn of_entries<'a>(&mut self, entries: impl Iterator<Item = &'a EntryRow>) {
        self.clear();
        self.fill(entries.map(|entry| Range::of(entry.id as i64, entry.start_ns)));
    }

    fn of_links(links: &[LinkRow]) -> Self {
        let mut ids: Vec<i64> = links.iter().map(|link| link.span_id as i64).collect();
        ids.sort_unstable();
        let mut ranges = Self::default();
        ranges.fill(ids.into_iter().map(|id| Range::of(id, 0)));
        ranges
    }

    /// A separate pass, in which the range that is being made stays in registers.
    #[inline(always)]
    fn fill(&mut self, mut rows: impl Iterator<Item = Range>) {
        let Some(mut range) = rows.next() else { return };
        for row in rows {
            if row.first_id.wrapping_sub(range.last_id) <= GAP_MAX {
                range.last_id = row.last_id;
                range.rows += 1;
                range.from_ns = range.from_ns.min(row.from_ns);
            } else {
                self.add(range);
                range = row;
            }
        }
        self.add(range);
    }

    #[cold]
    fn add(&mut self, range: Range) {
        self.ranges.push(range);
        join_the_nearest(&mut self.ranges);
    }
}

impl Range {
    /// Contains no id.
    const NONE: Self = Self { first_id: i64::MAX, last_id: i64::MIN, rows: 0, from_ns: 0 };

    fn of(id: i64, at_ns: i64) -> Self {
        Self { first_id: id, last_id: id, rows: 1, from_ns: at_ns }
    }

    /// Adds a row with this id, if it is in the range or not far behind it.
    #[inline(always)]
    fn takes(&mut self, id: i64) -> bool {
        if id < self.first_id || id > self.last_id.saturating_add(GAP_MAX) {
            return false;
        }
        self.last_id = self.last_id.max(id);
        self.rows += 1;
        true
    }

    fn join(&mut self, other: &Self) {
        self.first_id = self.first_id.min(other.first_id);
        self.last_id = self.last_id.max(other.last_id);
        self.rows += other.rows;
        self.from_ns = self.from_ns.min(other.from_ns);
    }

    /// How far two ranges are apart; zero if they touch.
    fn gap(&self, later: &Self) -> u64 {
        match later.first_id > self.last_id {
            true => later.first_id.wrapping_sub(self.last_id) as u64,
            false => 0,
        }
    }
}

/// If there are too many ranges, joins the two nearest; they are in the order of ids.
fn join_the_nearest(ranges: &mut Vec<Range>) {
    if ranges.len() <= RANGES_MAX {
        return;
    }
    let gap = |pair: &[Range]| match pair {
        [one, other] => one.gap(other),
        _ => u64::MAX,
    };
    let gaps = ranges.windows(2).map(gap).enumerate();
    let Some((at, _)) = gaps.min_by_key(|(_, gap)| *gap) else { return };
    let other = ranges.remove(at + 1);
    if let Some(one) = ranges.get_mut(at) {
        one.join(&other);
    }
}

/// Ranges of ids that come in no order, though often near the one before.
#[derive(Debug, Default)]
struct Roots {
    ranges: Vec<Range>,
}

impl Roots {
    #[cold]
    fn put_back(&mut self, range: Range) {
        if range.rows > 0 {
            let at = self.ranges.partition_point(|other| other.first_id < range.first_id);
            self.ranges.insert(at, range);
            join_the_nearest(&mut self.ranges);
        }
    }

    /// Takes out the range that has this id, or is near it, and adds the id; a new range if there is
    /// none.
    #[cold]
    fn take_out(&mut self, id: i64) -> Range {
        let one = Range::of(id, 0);
        let is_near = |range: &Range| range.gap(&one).max(one.gap(range)) <= GAP_MAX as u64;
        match self.ranges.iter().position(is_near) {
            Some(at) => {
                let mut range = self.ranges.remove(at);
                range.join(&one);
                range
            }
            None => one,
        }
    }

    /// Sorts and joins them, so that no two touch.
    fn put_in_order(&mut self) {
        self.ranges.dedup_by(|later, one| {
            let touch = one.gap(later) <= GAP_MAX as u64;
            if touch {
                one.join(later);
            }
            touch
        });
    }
}

/// The times of all rows of a commit together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// The latest end of a span (its start if it has no end), moment of an event, or end of an entry.
    pub(crate) to_ns: i64,
    /// The longest span; below zero if none has ended.
    pub(crate) longest_ns: i64,
}

impl Extent {
    pub(crate) const NONE: Self = Self { to_ns: i64::MIN, longest_ns: -1 };
}

/// A commit that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commit {
    /// The number of its row.
    pub(crate) id: i64,
    pub(crate) run_id: i64,
    pub(crate) at_unix_ns: i64,
}

/// Whether a batch has rows that followers look for.
pub(crate) fn is_followed(batch: &Batch) -> bool {
    let Batch { spans, events, links, entries, contexts, .. } = batch;
    let is_empty = spans.is_empty() && events.is_empty() && links.is_empty();
    !(is_empty && entries.is_empty() && contexts.is_empty())
}

/// Stores the row of a commit that stores this batch, and its ranges: of spans, events and entries.
pub(crate) fn insert(
    conn: &Connection,
    commit: Commit,
    batch: &Batch,
    extent: Extent,
    [spans, events, entries]: [&Ranges; 3],
) -> rusqlite::Result<()> {
    let Batch { spans: a, events: b, entries: c, .. } = batch;
    let has_time = !(a.is_empty() && b.is_empty() && c.is_empty());
    conn.execute(
        "INSERT INTO main.batch (id, run_id, at_unix_ns, spans, events, links, to_ns, longest_ns,
           entries)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            commit.id,
            commit.run_id,
            commit.at_unix_ns,
            batch.spans.len() as i64,
            batch.events.len() as i64,
            batch.links.len() as i64,
            has_time.then_some(extent.to_ns),
            (extent.longest_ns >= 0).then_some(extent.longest_ns),
            batch.entries.len() as i64,
        ],
    )?;
    let mut insert = conn.prepare(
        "INSERT INTO main.batch_range (batch_id, kind, first_id, last_id, row_count, from_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let links = Ranges::of_links(&batch.links);
    for (kind, ranges, has_time) in [
        ("span", &spans.ranges, true),
        ("root", &spans.roots.ranges, false),
        ("event", &events.ranges, true),
        ("link", &links.ranges, false),
        ("entry", &entries.ranges, true),
    ] {
        for range in ranges {
            insert.execute(params![
                commit.id,
                kind,
                range.first_id,
                range.last_id,
                range.rows,
                has_time.then_some(range.from_ns),
            ])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every id is in exactly one range; the ranges are few and in order; and no gap between two of
        /// them is smaller than one inside of another.
        #[test]
        fn ranges_are_split_at_the_largest_gaps(
            steps in prop::collection::vec(prop_oneof![4 => 1_i64..100, 1 => 1_i64..1_000_000], 1..300),
        ) {
            let mut id = 0;
            let ids: Vec<i64> = steps.iter().map(|step| { id += step; id }).collect();
            let mut ranges = Ranges::default();
            ranges.fill(ids.iter().map(|id| Range::of(*id, *id)));
            let ranges = ranges.ranges;
            prop_assert!(ranges.len() <= RANGES_MAX);
            prop_assert_eq!(ranges.iter().map(|range| range.rows).sum::<i64>(), ids.len() as i64);
            for range in &ranges {
                let inside = ids.iter().filter(|id| (range.first_id..=range.last_id).contains(id));
                prop_assert_eq!(inside.count() as i64, range.rows);
                prop_assert_eq!(range.from_ns, range.first_id);
            }
            for pair in ranges.windows(2) {
                prop_assert!(pair[1].first_id - pair[0].last_id > GAP_MAX);
            }
        }
    }
}
