//! Which entries belong to a trace, and which spans of other traces began inside them (adopted spans).
//!
//! An entry belongs to a trace if its thread was in a span of the trace at that time, or in another such entry. A
//! thread's inner entries are stored before the outer one, so entries are read backwards: the outer entry comes
//! first, and each entry can be decided at once. Only id ranges are read in which commits have rows of the time of
//! the trace.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use rusqlite::Transaction;

use super::layout::{Entered, is_long_lived};
use super::meanwhile::{Meanwhile, Sums};
use super::owners::Owners;
use super::{Found, TraceEntry};
use crate::Columns;
use crate::Scan;
use crate::order_rows::OrderRows as _;
use crate::reader::{Entry, Names, Reader, Run, Span};
use crate::scanning::Predicate;
use spandrel_storage::Error;

/// Entries of a trace that are kept.
const ENTRIES_MAX: usize = 100_000;
/// Entries that are read at most.
const LOOKED_AT_MAX: u64 = 4_000_000;
/// Roots of other traces in an SQL condition; with more, SQLite hands out all spans.
const ROOTS_MAX: usize = 256;

/// Entries and adopted spans of a trace.
pub(super) struct EnteredInside {
    pub(super) entries: Vec<TraceEntry>,
    /// How many there are.
    pub(super) total: u64,
    /// Whether there were more entries at that time than are read.
    pub(super) left_out: bool,
    /// Spans of other traces that began inside the entries.
    pub(super) adopted: Vec<Span>,
    /// How many there are.
    pub(super) adopted_total: u64,
    /// What other threads did at that time, outside of the trace.
    pub(super) meanwhile: Option<Meanwhile>,
}

pub(super) fn find(reader: &Reader, run: &Run, found: &Found) -> Result<EnteredInside, Error> {
    let mut members = Members::of(found, run.last_ns);
    let mut sums = found.subject(run.last_ns).and_then(|span| Sums::over(span, run.last_ns));
    let stretches = stretches(found, run.last_ns);
    let left_out = backwards(reader, run.id, &stretches, |entry| {
        members.look_at(entry);
        sums.iter_mut().for_each(|sums| sums.look_at(entry));
    })?;
    if left_out {
        // Only the end of that time was read; the time of the span alone may be shorter.
        sums = sums.map(|sums| of_its_time(reader, run.id, sums)).transpose()?;
    }
    members.keep_the_longest(ENTRIES_MAX);
    let total = members.total;
    let (entries, roots) = reader.query("read what was entered", |tx| named(tx, members.kept))?;
    let meanwhile = reader.query("read what was entered meanwhile", |tx| {
        sums.map(|sums| sums.named(tx, found.root_id)).transpose()
    })?;
    let over_ns = stretches.last().map_or(i64::MIN, |(_, until)| *until);
    let (adopted, adopted_total) = adopted(reader, (run.id, over_ns), found, &entries, roots)?;
    let meanwhile = meanwhile.flatten();
    Ok(EnteredInside { entries, total, left_out, adopted, adopted_total, meanwhile })
}

/// Reads the entries of some time intervals backwards; says whether there are more than are read.
fn backwards(
    reader: &Reader,
    run_id: i64,
    stretches: &[(i64, i64)],
    mut look_at: impl FnMut(&Entry),
) -> Result<bool, Error> {
    let mut looked_at = 0;
    reader.entries_backwards(run_id, stretches, |_, entry| {
        look_at(entry);
        looked_at += 1;
        let is_enough = looked_at >= LOOKED_AT_MAX;
        Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(looked_at >= LOOKED_AT_MAX)
}

/// Adds up once more, for this time alone.
fn of_its_time(reader: &Reader, run_id: i64, sums: Sums) -> Result<Sums, Error> {
    let mut sums = sums.again();
    if backwards(reader, run_id, &[sums.time()], |entry| sums.look_at(entry))? {
        sums.leave_out();
    }
    Ok(sums)
}

/// The time intervals in which spans were open, without long-lived ones; merged so that they do not overlap.
fn stretches(found: &Found, last_ns: i64) -> Vec<(i64, i64)> {
    let lived = found.spans.iter().filter(|span| !is_long_lived(span, last_ns));
    let mut lived: Vec<(i64, i64)> = lived
        .map(|span| {
            let end = span.duration_ns.map(|ns| span.start_ns.saturating_add(ns.max(0)));
            // An entry may be as long as its span, and so begin at its end.
            (span.start_ns, end.unwrap_or(last_ns.max(span.start_ns)).saturating_add(1))
        })
        .collect();
    lived.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, until) in lived {
        match joined.last_mut().filter(|before| before.1 >= from) {
            Some(before) => before.1 = before.1.max(until),
            None => joined.push((from, until)),
        }
    }
    joined
}

/// Decides which entries belong to a trace.
struct Members {
    /// Its spans, without long-lived ones: what is inside one of their entries belongs to the trace if that entry
    /// does.
    spans: HashSet<u64>,
    kept: Vec<Entry>,
    total: u64,
    /// By thread: start and end of entries that may contain others, the outermost first.
    inside: HashMap<i64, Vec<(i64, i64)>>,
}

impl Members {
    fn of(found: &Found, last_ns: i64) -> Self {
        let spans = found.spans.iter().filter(|span| !is_long_lived(span, last_ns));
        let spans = spans.map(|span| span.id).collect();
        Self { spans, kept: Vec::new(), total: 0, inside: HashMap::new() }
    }

    /// Adds an entry; those of a thread come by end, the latest first.
    fn look_at(&mut self, entry: &Entry) {
        let (from, until) = (entry.start_ns, entry.end_ns());
        let outer = self.inside.get_mut(&entry.thread_id);
        let is_inside = outer.is_some_and(|outer| {
            while outer.last().is_some_and(|(outer_from, _)| until <= *outer_from) {
                outer.pop();
            }
            outer.last().is_some_and(|(outer_from, outer_until)| {
                from >= *outer_from && until <= *outer_until
            })
        });
        if !is_inside && !entry.around_id.is_some_and(|around| self.spans.contains(&around)) {
            return;
        }
        self.inside.entry(entry.thread_id).or_default().push((from, until));
        self.total += 1;
        self.kept.push(*entry);
        if self.kept.len() >= 2 * ENTRIES_MAX {
            self.keep_the_longest(ENTRIES_MAX);
        }
    }

    /// Keeps the longest entries; an outer entry is at least as long, so it is kept, too.
    fn keep_the_longest(&mut self, most: usize) {
        if self.kept.len() > most {
            self.kept
                .select_nth_unstable_by_key(most, |entry| Reverse((entry.duration_ns, entry.id)));
            self.kept.truncate(most);
        }
    }
}

/// Gives entries names and fields, and gives the roots of their spans.
fn named(
    tx: &Transaction<'_>,
    entries: Vec<Entry>,
) -> rusqlite::Result<(Vec<TraceEntry>, HashSet<u64>)> {
    let mut names = Names::new(tx)?;
    let mut owners = Owners::new(tx)?;
    let mut roots = HashSet::new();
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let (root, fields) = owners.get(entry.span_id)?;
        roots.insert(root);
        let (callsite, thread) =
            (names.callsite(entry.callsite_id)?, names.thread(entry.thread_id)?);
        all.push(TraceEntry { entry, callsite, thread, fields });
    }
    all.order_by_key(|one| (one.entry.start_ns, Reverse(one.entry.end_ns()), one.entry.id));
    Ok((all, roots))
}

/// A condition: spans of some traces.
struct OfRoots(Vec<u64>);

impl Predicate for OfRoots {
    fn sql(&self) -> String {
        if self.0.len() > ROOTS_MAX {
            return String::new();
        }
        let roots: Vec<String> = self.0.iter().map(|root| (*root as i64).to_string()).collect();
        format!(" AND root_id IN ({})", roots.join(","))
    }
}

/// Spans of these traces that began in the entries, with all below them; and how many there are.
fn adopted(
    reader: &Reader,
    (run_id, over_ns): (i64, i64),
    found: &Found,
    entries: &[TraceEntry],
    mut roots: HashSet<u64>,
) -> Result<(Vec<Span>, u64), Error> {
    roots.remove(&found.root_id);
    let from_ns = entries.iter().map(|one| one.entry.start_ns).min();
    let until_ns = entries.iter().map(|one| one.entry.end_ns()).max();
    let (Some(from_ns), Some(until_ns)) = (from_ns, until_ns) else { return Ok((Vec::new(), 0)) };
    if roots.is_empty() {
        return Ok((Vec::new(), 0));
    }
    // A descendant may have begun after the entry.
    let until_ns = until_ns.saturating_add(1).max(over_ns);
    let scan = Scan::new(run_id).columns(Columns::All).window(Some(from_ns), Some(until_ns));
    let room = found.max.saturating_sub(found.spans.len());
    let entered = Entered::new(entries, |_| false);
    let (mut adopted, mut total): (Vec<Span>, u64) = (Vec::new(), 0);
    let mut known: HashSet<u64> = HashSet::new();
    // Spans whose parent has not come yet: it may have a higher id.
    let mut waiting: HashMap<u64, Vec<Span>> = HashMap::new();
    let mut in_waiting = 0;
    let mut sorted: Vec<u64> = roots.iter().copied().collect();
    sorted.sort_unstable();
    reader.scan_if(&scan, &mut OfRoots(sorted), |_, span| {
        let Some(parent_id) = span.parent_id.filter(|_| roots.contains(&span.root_id)) else {
            return ControlFlow::Continue(());
        };
        let is_adopted = known.contains(&parent_id)
            || entered.at(parent_id, span.thread.id, span.start_ns).is_some();
        if !is_adopted {
            // The number of waiting spans is bounded.
            if in_waiting < found.max {
                in_waiting += 1;
                waiting.entry(parent_id).or_default().push(span.to_span());
            }
            return ControlFlow::Continue(());
        }
        let mut new = vec![span.to_span()];
        while let Some(span) = new.pop() {
            let below = waiting.remove(&span.id).unwrap_or_default();
            in_waiting -= below.len();
            new.extend(below);
            total += 1;
            known.insert(span.id);
            if adopted.len() < room {
                adopted.push(span);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok((adopted, total))
}
