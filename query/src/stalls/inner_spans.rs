//! Inner spans of a stall: spans that the thread was in during its longest entry.
//!
//! If entries were recorded one by one and it is known when the longest one began, they tell exactly. Of other
//! children only the longest entry is known. It was in the longest entry of its parent if it was on the same thread,
//! and longer than all other entries of the parent together: then it fits into none of them. If it is nearly as long
//! as the parent's longest entry, and may have been in it, it most probably was; the result says so
//! ([`InnerSpan::is_certain`]). If the parent was entered once, all that its children did on its thread meanwhile was
//! in that entry. So times are lower bounds.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::long_entries::{LongEntries, SLACK_NS};
use super::{Stall, longest_entry_began};
use crate::order_rows::OrderRows as _;
use crate::reader::{Reader, Span};
use crate::scanning::Predicate;
use crate::{Columns, Scan, SpanRef};
use spandrel_storage::Error;

/// Stalls whose inner spans are looked up: those with the longest entries.
const LOOKED_INTO: usize = 1_000;

/// Inner spans of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InnerSpan {
    /// Their name.
    pub name: String,
    /// How many there are.
    pub spans: u64,
    /// Time that the thread was inside of them: a lower bound.
    pub ns: i64,
    /// Whether that is certain; otherwise it is inferred from the length of their longest entry.
    pub is_certain: bool,
}

struct Children(String);

impl Predicate for Children {
    fn sql(&self) -> String {
        format!(" AND parent_id IN ({})", self.0)
    }
}

/// The longest entry of a stall, and what was found in it.
struct Longest {
    span: Span,
    /// When it began: the earliest and the latest possible time.
    began: (i64, i64),
    ns: i64,
    found: HashMap<String, InnerSpan>,
    /// Time in inner entries that are stalls themselves.
    held_ns: i64,
    /// Of the children that may have been in it, the one with the longest entry: there is no room for two of them.
    likely: Option<Candidate>,
    /// Spans with recorded entries in it: those tell all of it.
    by_entries: HashSet<u64>,
}

/// A child that may have been in it, and whether its name is that of a stall.
struct Candidate {
    name: String,
    part: Part,
    is_stall: bool,
}

/// A part of it.
struct Part {
    ns: i64,
    /// The longest single entry in it.
    longest_ns: i64,
    is_certain: bool,
}

/// What was found in the longest entries of some stalls.
pub(super) struct InnerSpans<'a> {
    of: HashMap<u64, Longest>,
    long: &'a LongEntries,
    limit_ns: i64,
    /// The names of stalls.
    names: HashSet<String>,
}

impl<'a> InnerSpans<'a> {
    /// The stalls are sorted by their longest entries.
    pub(super) fn of(stalls: &[Stall], limit_ns: i64, long: &'a LongEntries) -> Self {
        let longest = |stall: &Stall| Longest {
            span: stall.worst.clone(),
            began: stall.began(),
            ns: stall.longest_ns(),
            found: HashMap::new(),
            held_ns: 0,
            likely: None,
            by_entries: HashSet::new(),
        };
        let looked_into = stalls.iter().take(LOOKED_INTO);
        let of = looked_into.map(|stall| (stall.worst.id, longest(stall))).collect();
        let names = stalls.iter().map(|stall| stall.worst.callsite.name.clone()).collect();
        Self { of, long, limit_ns, names }
    }

    /// Looks at the entries and spans of a run.
    pub(super) fn read(&mut self, reader: &Reader, run_id: i64) -> Result<(), Error> {
        let Some(first) = self.of.keys().min().copied() else { return Ok(()) };
        let ids: Vec<String> = self.of.keys().map(u64::to_string).collect();
        let ids = ids.join(",");
        let scan = Scan::new(run_id).columns(Columns::Entries);
        self.read_entries(reader, run_id, &ids)?;
        let children = scan.ids(first, i64::MAX as u64);
        reader.scan_if(&children, &mut Children(ids), |_, child| {
            self.add(child);
            ControlFlow::Continue(())
        })?;
        for open in reader.open_spans(run_id)? {
            self.add(&SpanRef::from(&open.span));
        }
        Ok(())
    }

    fn read_entries(&mut self, reader: &Reader, run_id: i64, ids: &str) -> Result<(), Error> {
        if !reader.has_entries(run_id)? {
            return Ok(());
        }
        let sql = format!(
            "SELECT around_id, span_id, thread_id, start_ns, duration_ns,
               (SELECT name FROM callsite WHERE id = callsite_id)
             FROM entry
             WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1)
               AND (SELECT last_id FROM run WHERE id = ?1)
               AND run_id = ?1 AND around_id IN ({ids})"
        );
        reader.query("find what was in long entries", |tx| {
            let mut query = tx.prepare(&sql)?;
            let mut rows = query.query([run_id])?;
            while let Some(row) = rows.next()? {
                let id = |at| row.get::<_, i64>(at).map(|id| id as u64);
                let (around_id, span_id, thread_id) = (id(0)?, id(1)?, row.get(2)?);
                let (start_ns, ns) = (row.get(3)?, row.get(4)?);
                if self.is_in((around_id, span_id), thread_id, start_ns, ns) {
                    let name: Option<String> = row.get(5)?;
                    self.put_entry((around_id, span_id), &name.unwrap_or_default(), ns);
                }
            }
            Ok(())
        })
    }

    /// Looks at an entry that is handed out as a call; all of them come before spans do.
    pub(super) fn add_entry(&mut self, call: &SpanRef<'_>) {
        let Some(entry) = call.entry else { return };
        let Some(around_id) = entry.around_id else { return };
        let ids = (around_id, call.id);
        if self.is_in(ids, entry.thread_id, entry.start_ns, entry.duration_ns) {
            self.put_entry(ids, &call.callsite.name, entry.duration_ns);
        }
    }

    /// Whether an entry was in the longest one of the span around it.
    fn is_in(&self, (around, span): (u64, u64), thread_id: i64, start_ns: i64, ns: i64) -> bool {
        let Some(longest) = self.of.get(&around).filter(|_| around != span) else { return false };
        longest.span.longest_thread.id == thread_id
            && longest.is_exact()
            && longest.has(start_ns, start_ns.saturating_add(ns))
    }

    fn put_entry(&mut self, (around_id, span_id): (u64, u64), name: &str, ns: i64) {
        let is_stall = ns >= self.limit_ns && self.names.contains(name);
        let Some(longest) = self.of.get_mut(&around_id) else { return };
        let is_new = longest.by_entries.insert(span_id);
        let part = Part { ns, longest_ns: ns, is_certain: true };
        longest.put(name, is_new, &part, is_stall);
    }

    /// Looks at a span, which may be a child of one of them.
    pub(super) fn add(&mut self, child: &SpanRef<'_>) {
        let parent = child.parent_id.and_then(|id| self.of.get_mut(&id));
        let Some(longest) = parent.filter(|_| child.entry.is_none()) else { return };
        if longest.by_entries.contains(&child.id) {
            return;
        }
        let start_ns = self.long.start_of(child.id, child.longest_entry_ns);
        let Some(part) = longest.part_of(child, start_ns) else { return };
        let name = &child.callsite.name;
        let is_stall = part.longest_ns >= self.limit_ns && self.names.contains(name);
        if part.is_certain {
            longest.put(name, true, &part, is_stall);
        } else if longest.likely.as_ref().is_none_or(|likely| part.ns > likely.part.ns) {
            longest.likely = Some(Candidate { name: name.clone(), part, is_stall });
        }
    }

    /// Tells the stalls what was in their longest entries, most time first.
    pub(super) fn put_into(mut self, stalls: &mut [Stall]) {
        for stall in stalls {
            let Some(mut longest) = self.of.remove(&stall.worst.id) else { continue };
            longest.count_likely();
            stall.inside = longest.found.into_values().collect();
            stall.inside.order_by(|one, other| {
                (Reverse(one.ns), &one.name).cmp(&(Reverse(other.ns), &other.name))
            });
            stall.self_ns = longest.ns.saturating_sub(longest.held_ns).max(0);
        }
    }
}

impl Longest {
    fn is_exact(&self) -> bool {
        self.began.0 == self.began.1
    }

    /// Whether what was from one moment to another was in it, if that is known.
    fn has(&self, from_ns: i64, until_ns: i64) -> bool {
        let end_ns = self.began.1.saturating_add(self.ns);
        from_ns >= self.began.0.saturating_sub(SLACK_NS)
            && until_ns <= end_ns.saturating_add(SLACK_NS)
    }

    fn put(&mut self, name: &str, is_new: bool, part: &Part, is_stall: bool) {
        let new =
            || InnerSpan { name: name.to_owned(), spans: 0, ns: 0, is_certain: part.is_certain };
        let inside = self.found.entry(name.to_owned()).or_insert_with(new);
        inside.spans += u64::from(is_new);
        inside.ns = inside.ns.saturating_add(part.ns);
        inside.is_certain &= part.is_certain;
        if is_stall {
            self.held_ns = self.held_ns.saturating_add(part.longest_ns);
        }
    }

    /// Counts the likely child, if there is room for it beside what is certain.
    fn count_likely(&mut self) {
        let Some(Candidate { name, part, is_stall }) = self.likely.take() else { return };
        let certain = self.found.values().fold(part.ns, |sum, one| sum.saturating_add(one.ns));
        if certain <= self.ns.saturating_add(SLACK_NS) {
            self.put(&name, true, &part, is_stall);
        }
    }

    /// How long the thread was inside a child meanwhile: a lower bound; `None` if that is not known, or not at all.
    /// `start_ns`: when the longest entry of the child began, if that is known.
    fn part_of(&self, child: &SpanRef<'_>, start_ns: Option<i64>) -> Option<Part> {
        let longest_ns = child.longest_entry_ns?;
        let is_too_long = longest_ns > self.ns.saturating_add(SLACK_NS);
        if child.longest_thread.id != self.span.longest_thread.id || is_too_long {
            return None;
        }
        let entered = child.start_ns.saturating_add(child.first_entry_ns.unwrap_or(0));
        let left = child.start_ns.saturating_add(child.last_exit_ns.or(child.duration_ns)?);
        if self.is_exact() && self.has(entered, left) {
            return Some(Part { ns: child.busy_ns?, longest_ns, is_certain: true });
        }
        // A parent that was entered once was left behind the last of its children, or these went on elsewhere.
        if self.span.entries <= 1 {
            return None;
        }
        let known = start_ns.map(|start_ns| (start_ns, start_ns));
        let (earliest, latest) = known.unwrap_or_else(|| longest_entry_began(child));
        let ended = latest.saturating_add(longest_ns);
        if self.is_exact() && earliest == latest {
            let part = Part { ns: longest_ns, longest_ns, is_certain: true };
            return self.has(earliest, ended).then_some(part);
        }
        if earliest >= self.began.1.saturating_add(self.ns) || ended <= self.began.0 {
            return None;
        }
        let others = self.span.busy_ns.map(|busy| busy.saturating_sub(self.ns));
        let is_certain = others.is_some_and(|others| longest_ns > others);
        // In another entry of the parent, that one would be nearly as long.
        let is_likely = longest_ns > self.ns - self.ns / 5;
        (is_certain || is_likely).then_some(Part { ns: longest_ns, longest_ns, is_certain })
    }
}
