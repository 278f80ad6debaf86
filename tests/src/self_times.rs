//! Self times, computed anew from the rows by counting moments: the plain model of what the writer does.
//!
//! * Of a span that counts by its lifetime: its duration less the union of its children that count so,
//!   too, and ended before it, and of all entries with it around them.
//! * Of an entry that counts: its length less the union of what ran inside it on its thread: children that
//!   were entered once, and entries with its span around them.

use std::collections::HashMap;

use crate::database::{Database, Span};

/// A row of `entry`.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub span_id: i64,
    pub thread_id: i64,
    pub start_ns: i64,
    pub end_ns: i64,
    pub around_id: Option<i64>,
    /// `None` if it does not count.
    pub self_ns: Option<i64>,
}

/// All entries of the file, in the order in which they were stored.
pub fn entries(db: &Database) -> Vec<Entry> {
    let sql = "SELECT span_id, thread_id, start_ns, start_ns + duration_ns, around_id, self_ns FROM entry";
    db.rows(&format!("{sql} ORDER BY id"), [], |row| {
        Ok(Entry {
            span_id: row.get(0)?,
            thread_id: row.get(1)?,
            start_ns: row.get(2)?,
            end_ns: row.get(3)?,
            around_id: row.get(4)?,
            self_ns: row.get(5)?,
        })
    })
}

/// Compares all self times of the file. Holds where no span or entry is missing; what has unfinished
/// children is left out, since nobody knows when they ended.
pub fn check(db: &Database) {
    let (spans, entries) = (db.spans(), entries(db));
    let mut inside = HashMap::<i64, Inside>::new();
    for span in &spans {
        if let Some(parent) = span.parent_id {
            inside.entry(parent).or_default().children.push(span);
        }
    }
    for entry in &entries {
        if let Some(around) = entry.around_id {
            inside.entry(around).or_default().entries.push(entry);
        }
    }
    let nothing = Inside::default();
    for span in spans.iter().filter(|span| span.self_ns.is_some()) {
        let inside = inside.get(&span.id).unwrap_or(&nothing);
        if let Some(covered) = inside.of_lifetime(span) {
            let expected = Some(span.duration_ns.unwrap() - covered);
            assert_eq!(span.self_ns, expected, "self time of {span:#?}\nwith {inside:#?}");
        }
    }
    for entry in entries.iter().filter(|entry| entry.self_ns.is_some()) {
        let inside = inside.get(&entry.span_id).unwrap_or(&nothing);
        if let Some(covered) = inside.of_entry(entry) {
            let expected = Some(entry.end_ns - entry.start_ns - covered);
            assert_eq!(entry.self_ns, expected, "self time of {entry:#?}\nwith {inside:#?}");
        }
    }
}

/// What was inside a span, or is its child.
#[derive(Debug, Default)]
struct Inside<'a> {
    children: Vec<&'a Span>,
    entries: Vec<&'a Entry>,
}

impl Inside<'_> {
    /// How much of a span's lifetime that covers; `None` if nobody can know.
    fn of_lifetime(&self, span: &Span) -> Option<i64> {
        if self.children.iter().any(|child| child.duration_ns.is_none()) {
            return None;
        }
        let counting = self.children.iter().filter(|child| child.self_ns.is_some());
        let children = counting.map(|child| (child.start_ns, child.end_ns()));
        let entries = self.entries.iter().map(|entry| (entry.start_ns, entry.end_ns));
        // One that outlives it takes nothing off.
        let all = children.chain(entries).filter(|(_, end)| *end <= span.end_ns());
        Some(union(all, (span.start_ns, span.end_ns())))
    }

    /// How much of an entry.
    fn of_entry(&self, entry: &Entry) -> Option<i64> {
        let (from, to) = (entry.start_ns, entry.end_ns);
        let counting = self.children.iter().filter(|child| child.self_ns.is_some());
        // Of one that was entered several times only the sum is known; one that is still open when the entry
        // ends comes too late.
        let is_known = |child: &&&Span| child.entries == 1 && child.end_ns() <= to;
        if counting.clone().any(|child| !is_known(&child) && child.start_ns < to) {
            return None;
        }
        let here = counting.filter(|child| child.thread_id == entry.thread_id);
        let children = here.map(|child| (child.start_ns, child.end_ns()));
        let inside = self.entries.iter().filter(|inside| inside.thread_id == entry.thread_id);
        let entries = inside.map(|entry| (entry.start_ns, entry.end_ns));
        Some(union(children.chain(entries), (from, to)))
    }
}

/// How much of a time intervals cover.
pub fn union(intervals: impl Iterator<Item = (i64, i64)>, (from, to): (i64, i64)) -> i64 {
    let clipped = intervals.map(|(start, end)| (start.max(from), end.min(to)));
    let mut intervals: Vec<_> = clipped.filter(|(start, end)| start < end).collect();
    intervals.sort_unstable();
    let (mut covered, mut reached) = (0, from);
    for (start, end) in intervals {
        covered += (end - start.max(reached)).max(0);
        reached = reached.max(end);
    }
    covered
}
