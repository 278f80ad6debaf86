//! What was in the longest entry of a span: its direct children that ran in it.
//!
//! Of a child the longest entry is known, too. It was in that of its parent if it was on the same thread,
//! and longer than all other entries of the parent are together: then it fits into none of them. Of a
//! parent that was entered once, all that its children did on its thread meanwhile was in that entry. So
//! the times are at least those; nothing is guessed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::longest_entry_began;
use crate::reader::{Reader, Span};
use crate::scanning::Predicate;
use crate::{Columns, Scan, SpanRef};
use spandrel_storage::Error;

/// Children of one name in the longest entry of their parent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inside {
    /// Their name.
    pub name: String,
    /// How many there are.
    pub spans: u64,
    /// Time that the thread was inside of them, at least.
    pub ns: i64,
}

struct Children(String);

impl Predicate for Children {
    fn sql(&self) -> String {
        format!(" AND parent_id IN ({})", self.0)
    }
}

impl Reader {
    /// For each of these spans of a run, what was in its longest entry by name, most time first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// SQLite looks at the spans of the run that began after the first of these, some 0.1 s for a million.
    pub fn inside_longest_entries(
        &self,
        run_id: i64,
        spans: &[&Span],
    ) -> Result<Vec<Vec<Inside>>, Error> {
        let mut found = Insides::of(spans);
        let Some(first) = found.parents.keys().min() else { return Ok(Vec::new()) };
        let scan = Scan::new(run_id).ids(*first, i64::MAX as u64).columns(Columns::Entries);
        let ids: Vec<String> = found.parents.keys().map(u64::to_string).collect();
        self.scan_if(&scan, &mut Children(ids.join(",")), |_, child| {
            found.add(child);
            ControlFlow::Continue(())
        })?;
        for open in self.open_spans(run_id)? {
            found.add(&SpanRef::from(&open.span));
        }
        Ok(spans.iter().map(|span| found.of_span(span.id)).collect())
    }
}

/// What was found in the longest entries of some spans.
pub(super) struct Insides<'a> {
    parents: HashMap<u64, &'a Span>,
    found: HashMap<u64, HashMap<String, Inside>>,
}

impl<'a> Insides<'a> {
    pub(super) fn of(spans: &[&'a Span]) -> Self {
        let parents = spans.iter().map(|span| (span.id, *span)).collect();
        Self { parents, found: HashMap::new() }
    }

    /// Looks at a span, which may be a child of one of them.
    pub(super) fn add(&mut self, child: &SpanRef<'_>) {
        let parent = child.parent_id.and_then(|id| self.parents.get(&id));
        let Some(parent) = parent else { return };
        let Some(ns) = time_inside(&SpanRef::from(*parent), child) else { return };
        let name = &child.callsite.name;
        let of_parent = self.found.entry(parent.id).or_default();
        let new = || Inside { name: name.clone(), spans: 0, ns: 0 };
        let inside = of_parent.entry(name.clone()).or_insert_with(new);
        inside.spans += 1;
        inside.ns = inside.ns.saturating_add(ns);
    }

    /// What was in that of one, most time first.
    pub(super) fn of_span(&self, id: u64) -> Vec<Inside> {
        let inside = self.found.get(&id).into_iter().flat_map(HashMap::values);
        let mut inside: Vec<Inside> = inside.cloned().collect();
        inside.sort_by(|one, other| {
            (Reverse(one.ns), &one.name).cmp(&(Reverse(other.ns), &other.name))
        });
        inside
    }
}

/// How long a thread was inside a child within the longest entry of its parent, at least; `None` if that is
/// not known, or not at all.
fn time_inside(parent: &SpanRef<'_>, child: &SpanRef<'_>) -> Option<i64> {
    let (longest, of_child) = (parent.longest_entry_ns?, child.longest_entry_ns?);
    if child.longest_thread.id != parent.longest_thread.id || of_child > longest {
        return None;
    }
    let (earliest, latest) = longest_entry_began(parent);
    let until = latest.saturating_add(longest);
    let entered = child.start_ns.saturating_add(child.first_entry_ns.unwrap_or(0));
    let left = child.start_ns.saturating_add(child.last_exit_ns.or(child.duration_ns)?);
    if parent.entries <= 1 {
        return if earliest <= entered && left <= until { child.busy_ns } else { None };
    }
    let others = parent.busy_ns?.saturating_sub(longest);
    (of_child > others && entered < until && left > earliest).then_some(of_child)
}
