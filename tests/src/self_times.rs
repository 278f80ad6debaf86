//! Self times, computed anew from the rows by counting moments: the plain model of what the writer does.
//!
//! * A span *works* from its start to its last exit, and not at all if it was never entered.
//! * Of a span that counts by its lifetime: as long as it works, less the union of the same of its children that count
//!   so, too, and were done before it, and of all entries with it around them. One that was inside, on the same
//!   thread, when it was left counts up to then.
//! * Of an entry that counts: its length less the union of what its thread was in meanwhile: children that were entered
//!   once, while they were, and entries with its span around them.

use std::collections::{HashMap, HashSet};

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

impl Entry {
    fn work(&self) -> Work {
        let Self { start_ns, end_ns, thread_id, .. } = *self;
        Work { start_ns, end_ns, inside: Some((start_ns, thread_id)), thread_id }
    }
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

/// When a span was inside of anything.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub start_ns: i64,
    /// Its last exit.
    pub end_ns: i64,
    /// Since when it was inside without a pause, and that on which thread.
    inside: Option<(i64, i64)>,
    thread_id: i64,
}

impl Work {
    /// How long it worked.
    pub fn length_ns(&self) -> i64 {
        self.end_ns - self.start_ns
    }

    /// From when to when it was inside, if there was no pause.
    pub fn inside_ns(&self) -> Option<(i64, i64)> {
        self.inside.map(|(since_ns, _)| (since_ns, self.end_ns))
    }

    /// What is taken off a span that works so, of what does.
    fn within(&self, above: &Work) -> Option<(i64, i64)> {
        if self.end_ns <= above.end_ns {
            return Some((self.start_ns, self.end_ns));
        }
        let (since, thread_id) = self.inside?;
        let is_in_its_place = since < above.end_ns && thread_id == above.thread_id;
        is_in_its_place.then_some((self.start_ns, above.end_ns))
    }
}

/// When all closed spans of the file were, by id.
pub fn works(db: &Database) -> HashMap<i64, Work> {
    let sql = "SELECT id, start_ns, start_ns + duration_ns, entries, first_entry_ns, busy_ns,
          last_exit_ns, coalesce(longest_thread_id, thread_id)
        FROM span WHERE duration_ns IS NOT NULL";
    let rows = db.rows(sql, [], |row| {
        let (start_ns, closed_ns, entries): (i64, i64, i64) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        let (first, busy): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
        let thread_id = row.get(7)?;
        let (end_ns, inside) = match (entries, first, busy) {
            (0, ..) => (start_ns, None),
            (1, Some(first), Some(busy)) => {
                (start_ns + first + busy, Some((start_ns + first, thread_id)))
            }
            (_, Some(_), _) => (start_ns + row.get::<_, i64>(6)?, None),
            // Not measured.
            (_, None, _) => (closed_ns, None),
        };
        Ok((row.get(0)?, Work { start_ns, end_ns, inside, thread_id }))
    });
    rows.into_iter().collect()
}

/// Compares all self times of the file. Holds where no span or entry is missing; what has unfinished
/// children is left out, since nobody knows when they were done, and so are spans whose children closed after them, of which
/// nobody knows what others did meanwhile.
pub fn check(db: &Database) {
    let odd = "SELECT count(*) FROM spans WHERE self_busy_ns NOT BETWEEN 0 AND busy_ns";
    assert_eq!(db.count(odd), 0);
    let (spans, entries, works) = (db.spans(), entries(db), works(db));
    let recorded: HashSet<i64> = entries.iter().map(|entry| entry.span_id).collect();
    let mut inside = HashMap::<i64, Inside>::new();
    for span in &spans {
        if let Some(parent) = span.parent_id {
            let was_recorded = recorded.contains(&span.id);
            let child = Child { span, work: works.get(&span.id), was_recorded };
            inside.entry(parent).or_default().children.push(child);
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
        let work = &works[&span.id];
        if let Some(covered) = inside.of_lifetime(span, work) {
            let expected = Some(work.length_ns() - covered);
            assert_eq!(
                span.self_ns, expected,
                "self time of {span:#?}, {work:?}\nwith {inside:#?}"
            );
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

/// A child of a span.
#[derive(Debug)]
struct Child<'a> {
    span: &'a Span,
    /// `None` if it has not closed.
    work: Option<&'a Work>,
    /// Whether any entry of it was recorded by itself.
    was_recorded: bool,
}

/// What was inside a span, or is its child.
#[derive(Debug, Default)]
struct Inside<'a> {
    children: Vec<Child<'a>>,
    entries: Vec<&'a Entry>,
}

impl Inside<'_> {
    /// How much of a span that works so that covers; `None` if nobody can know.
    fn of_lifetime(&self, span: &Span, work: &Work) -> Option<i64> {
        let mut all = Vec::new();
        for child in &self.children {
            // Even whether it counts so.
            let done = child.work?;
            if child.span.self_ns.is_some()
                && let Some(part) = done.within(work)
            {
                let is_late = child.span.end_ns() > span.end_ns() && part.0 < part.1;
                all.push((!is_late).then_some(part)?);
            }
        }
        for entry in &self.entries {
            if let Some(part) = entry.work().within(work) {
                all.push((entry.end_ns <= span.end_ns()).then_some(part)?);
            }
        }
        Some(union(all.into_iter(), (work.start_ns, work.end_ns)))
    }

    /// How much of an entry.
    fn of_entry(&self, entry: &Entry) -> Option<i64> {
        let (from, to) = (entry.start_ns, entry.end_ns);
        let mut all = Vec::new();
        let counting = |child: &&Child<'_>| child.span.self_ns.is_some() && child.span.entries > 0;
        for child in self.children.iter().filter(counting) {
            let work = child.work?;
            // Of one that was entered several times, or elsewhere, only the sum is known, which is taken off the entries at hand.
            let (since_ns, thread_id) = work.inside.filter(|_| !child.was_recorded)?;
            if work.end_ns > to {
                // One that is left later was perhaps around it.
                if work.start_ns < to {
                    return None;
                }
            } else if thread_id == entry.thread_id {
                all.push((since_ns, work.end_ns));
            }
        }
        let inside = self.entries.iter().filter(|inside| inside.thread_id == entry.thread_id);
        all.extend(inside.map(|entry| (entry.start_ns, entry.end_ns)));
        Some(union(all.into_iter(), (from, to)))
    }
}

/// What time was spent in spans themselves, all of them together.
pub fn self_busy_ns(db: &Database) -> i64 {
    db.value(
        "SELECT (SELECT coalesce(sum(self_busy_ns), 0) FROM spans)
           + (SELECT coalesce(sum(self_ns), 0) FROM entry)",
    )
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
