//! Child time: the part of a span's time that belongs to its children and to entries inside it.
//!
//! A child that counts by its lifetime is child time of its parent, up to its last exit. An entry is child time of
//! the span that its thread was in, even if that is not the parent; except that entries of a child whose lifetime
//! already counts there are not counted again. The lifetime of a long-lived span is child time of no span.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction};

use super::id_set::IdSet;
use super::scanning::ChildrenOf;
use super::{Columns, Scan};
use crate::reader::{Callsite, Entry, Names, Reader};
use spandrel_storage::Error;

/// Spans whose parents are remembered.
const PARENTS_MAX: usize = 65_536;

/// A piece of child time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChildTime {
    /// The span that it is child time of.
    pub inside_id: u64,
    /// The callsite of the child, or of the entry's span.
    pub callsite: Arc<Callsite>,
    /// The thread of the entry, or the one that created the child.
    pub thread_id: i64,
    /// From when, nanoseconds since the start of the run.
    pub start_ns: i64,
    /// Until when.
    pub end_ns: i64,
}

impl Reader {
    /// Calls `each` for the child time that begins in the window of a scan.
    ///
    /// # Blocking
    ///
    /// As [`scan`](Self::scan), with entries for rows, too.
    pub fn child_times(&self, scan: &Scan, each: impl FnMut(&ChildTime)) -> Result<(), Error> {
        self.child_times_of(scan, None, each)
    }

    /// Child time of some spans, and perhaps of others; faster than all of it.
    #[doc(hidden)]
    pub fn child_times_in(
        &self,
        scan: &Scan,
        inside: &IdSet,
        each: impl FnMut(&ChildTime),
    ) -> Result<(), Error> {
        self.child_times_of(scan, Some(inside), each)
    }

    fn child_times_of(
        &self,
        scan: &Scan,
        inside: Option<&IdSet>,
        mut each: impl FnMut(&ChildTime),
    ) -> Result<(), Error> {
        let is_meant = |id: u64| inside.is_none_or(|inside| inside.may_have(id));
        let with_exits = scan.columns(scan.columns.max(Columns::Entries));
        self.scan_if(&with_exits, &mut ChildrenOf(inside), |_, span| {
            if let Some(inside_id) = span.parent_id.filter(|id| is_meant(*id))
                && let Some(end_ns) = span.worked_until_ns().filter(|_| !span.counts_by_entries())
            {
                let (callsite, thread_id) = (span.callsite.clone(), span.thread.id);
                let start_ns = span.start_ns;
                each(&ChildTime { inside_id, callsite, thread_id, start_ns, end_ns });
            }
            ControlFlow::Continue(())
        })?;
        let (from_ns, until_ns) =
            (scan.from_ns.unwrap_or(i64::MIN), scan.until_ns.unwrap_or(i64::MAX));
        let mut known = LookedUp::default();
        self.entries_backwards(scan.run_id, &[(from_ns, until_ns)], |tx, entry| {
            let Some(inside_id) = entry.around_id.filter(|id| is_meant(*id)) else {
                return Ok(ControlFlow::Continue(()));
            };
            let is_then = (from_ns..until_ns).contains(&entry.start_ns);
            if is_then && !known.is_in_its_parent(tx, entry, inside_id)? {
                let (callsite, thread_id) = (known.callsite(tx, entry)?, entry.thread_id);
                let (start_ns, end_ns) = (entry.start_ns, entry.end_ns());
                each(&ChildTime { inside_id, callsite, thread_id, start_ns, end_ns });
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Callsites and parents that were looked up for entries.
#[derive(Default)]
struct LookedUp {
    callsites: HashMap<i64, Arc<Callsite>>,
    parents: HashMap<u64, Option<u64>>,
}

impl LookedUp {
    fn callsite(&mut self, tx: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<Arc<Callsite>> {
        if let Some(known) = self.callsites.get(&entry.callsite_id) {
            return Ok(known.clone());
        }
        let found = Names::new(tx)?.callsite_once(entry.callsite_id)?;
        self.callsites.insert(entry.callsite_id, found.clone());
        Ok(found)
    }

    /// Whether the entry lies in the lifetime of a child of the span around it.
    fn is_in_its_parent(
        &mut self,
        tx: &Transaction<'_>,
        entry: &Entry,
        around_id: u64,
    ) -> rusqlite::Result<bool> {
        if entry.self_ns.is_some() {
            return Ok(false);
        }
        if let Some(parent) = self.parents.get(&entry.span_id) {
            return Ok(*parent == Some(around_id));
        }
        let sql = "SELECT parent_id FROM span WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| row.get::<_, Option<i64>>(0);
        let parent = tx.query_row(sql, [entry.span_id as i64], read).optional()?.flatten();
        let parent = parent.map(|id| id as u64);
        if self.parents.len() >= PARENTS_MAX {
            self.parents.clear();
        }
        self.parents.insert(entry.span_id, parent);
        Ok(parent == Some(around_id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_profile::TestProfile;
    use super::*;
    use spandrel_storage::SpanRow;

    #[test]
    fn a_child_is_child_time_up_to_its_last_exit_if_that_is_known() {
        let mut profile = TestProfile::new();
        let callsite = profile.callsite("child", "shop", 1);
        let child = |id, from, length| SpanRow {
            parent_id: 1,
            root_id: 1,
            ..TestProfile::span(id, callsite, from, length)
        };
        profile.add(TestProfile::span(1, callsite, 0, 1_000), "");
        // Entered once, entered again, never, and where nothing was measured.
        profile
            .add(SpanRow { first_entry_ns: Some(10), busy_ns: Some(20), ..child(2, 100, 500) }, "");
        profile.add(SpanRow { entries: 2, last_exit_ns: Some(50), ..child(3, 200, 500) }, "");
        profile.add(SpanRow { entries: 0, self_ns: Some(0), ..child(4, 300, 500) }, "");
        profile.add(SpanRow { busy_ns: None, ..child(5, 400, 500) }, "");
        profile.commit();
        let mut found = Vec::new();
        profile
            .reader()
            .child_times(&Scan::new(1), |child| found.push((child.start_ns, child.end_ns)))
            .unwrap();
        assert_eq!(found, [(100, 130), (200, 250), (300, 300), (400, 900)]);
    }
}
