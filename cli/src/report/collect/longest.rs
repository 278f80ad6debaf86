//! The longest spans of each part of the window, and entries of those that live long: what a timeline can show of millions.
//!
//! The longest of the whole run would leave quiet parts empty; so each part has its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::names::Threads;
use super::row::Row;
use crate::report::bounds;
use crate::report::data::{Timeline, Window};
use spandrel_query::OrderRows as _;
use spandrel_storage::Status;

/// By duration, and then the earlier first; entries of a span have its id.
type Rank = (i64, Reverse<(u64, i64)>);

#[derive(Debug)]
pub(crate) struct Longest {
    window: Window,
    parts: Vec<BTreeMap<Rank, Row>>,
    seen: u64,
}

impl Longest {
    pub(crate) fn new(window: Window) -> Self {
        let window = Window { columns: bounds::TIMELINE_PARTS as u32, ..window };
        Self { window, parts: vec![BTreeMap::new(); bounds::TIMELINE_PARTS], seen: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.seen += u64::from(row.is_span() || row.call_ns().is_some());
        let Some(duration_ns) = row.call_ns() else {
            return;
        };
        let part = self.window.column(row.start_ns) as usize;
        let Some(part) = self.parts.get_mut(part) else {
            return;
        };
        let full = part.len() >= bounds::TIMELINE_SPANS;
        if full && part.first_key_value().is_some_and(|(least, _)| least.0 >= duration_ns) {
            return;
        }
        part.insert((duration_ns, Reverse((row.id, row.start_ns))), *row);
        if full {
            part.pop_first();
        }
    }

    /// The timeline, in the order of start.
    pub(crate) fn finish(self, threads: &Threads) -> Timeline {
        let mut rows: Vec<Row> = self.parts.into_iter().flat_map(BTreeMap::into_values).collect();
        // A parent before a child that began in the same moment.
        rows.order_by_key(|row| (row.start_ns, Reverse(row.duration_ns), row.id));
        // Which of its entries a child lies in is not told by the id of a span that lives long.
        let places = rows.iter().enumerate().filter(|(_, row)| row.is_span());
        let places: HashMap<u64, i64> = places.map(|(at, row)| (row.id, at as i64)).collect();
        let mut timeline = Timeline { of: self.seen, ..Timeline::default() };
        let mut shown: HashMap<u32, u32> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let parent = row.parent.and_then(|id| places.get(&id)).copied();
            let next = shown.len() as u32;
            let thread = *shown.entry(row.thread).or_insert_with(|| {
                timeline.threads.push(threads.name(row.thread).to_owned());
                next
            });
            timeline.id.push(format!("s{}", row.id));
            timeline.parent.push(parent.filter(|parent| *parent < at as i64).unwrap_or(-1));
            timeline.name.push(row.name);
            timeline.thread.push(thread);
            timeline.start_ns.push(row.start_ns);
            timeline.duration_ns.push(row.duration_ns.unwrap_or(0));
            timeline.busy_ns.push(row.busy_ns.unwrap_or(-1));
            timeline.status.push(match row.status {
                Status::Error => 1,
                Status::Panicked => 2,
                Status::Ok | Status::Unfinished | Status::Crashed => 0,
            });
        }
        timeline
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::span;
    use super::*;

    #[test]
    fn each_part_has_its_longest_and_parents_are_found() {
        let window = Window { from_ns: 0, until_ns: 64_000, columns: 1 };
        let mut longest = Longest::new(window);
        for n in 0..64_000_i64 {
            longest.add(&span(n as u64 + 1, 0, 0, n, n % 1_000));
        }
        longest.add(&span(70_000, 1_000, 1, 999, 5_000));
        let timeline = longest.finish(&Threads::default());
        assert_eq!(timeline.id.len(), bounds::TIMELINE_PARTS * bounds::TIMELINE_SPANS);
        assert_eq!(timeline.of, 64_001);
        assert!(timeline.duration_ns.iter().all(|duration| *duration >= 1_000 - 24));
        assert!(timeline.start_ns.is_sorted());
        let child = timeline.id.iter().position(|id| id == "s70000").unwrap();
        let parent = timeline.id.iter().position(|id| id == "s1000").unwrap();
        // It began with its parent, but is longer: no parent stands behind its child.
        assert!(child < parent && timeline.parent[child] == -1);
    }
}
