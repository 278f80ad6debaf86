//! Stacks that several threads add up, each of some parts of the spans, in a tree of its own.
//!
//! A parent that did not come by in a part is read from the pages as well. What only SQLite can tell, such as the entry
//! in which a span began, is left for later, and whoever asks does it then.

use super::ancestors::Ancestor;
use super::builder::TreeBuilder;
use super::entry_lookup::OngoingEntry;
use super::node_cache::NodeCache;
use super::placing::{LONG_ENTRIES_MIN, Placing, Surroundings};
use super::{SpanRef, Stacks};
use crate::Scan;
use crate::reader::{Reader, Span};
use crate::scanning::{LookUp, Sums};
use spandrel_storage::Error;

/// Spans that are left for later, some 300 bytes each; with more, one thread does it all.
const LATER_MAX: usize = 10_000;
/// Spans that are remembered: `1 << RECENT_BITS`, and those that were looked up.
const RECENT_BITS: u32 = 16;
const LOOKED_UP_MAX: usize = 16_384;

/// How a span is counted.
struct ByPath<'a> {
    empty: &'a TreeBuilder,
    /// Spans that are not among the stored ones may be among the open ones.
    has_open: bool,
    /// Entries of some callsites count, or may.
    has_entries: bool,
}

/// What one thread has.
struct Own {
    placing: Placing,
    later: Vec<Span>,
}

/// SQLite has to be asked.
struct Later;

/// Reads spans from the pages.
struct ByPages<'a, 'p> {
    look_up: &'a mut LookUp<'p>,
    how: &'a ByPath<'a>,
}

impl Surroundings for ByPages<'_, '_> {
    type Stop = Later;

    fn ancestor(&mut self, id: u64) -> Result<Option<Ancestor>, Later> {
        let Ok(found) = self.look_up.get(id) else { return Err(Later) };
        let Some((raw, named)) = found else {
            return if self.how.has_open { Err(Later) } else { Ok(None) };
        };
        let lives_long = match raw.duration_ns {
            Some(_) => raw.self_ns.is_none(),
            // It depends on the callsite.
            None if self.how.has_entries && raw.entries as u64 >= LONG_ENTRIES_MIN => {
                return Err(Later);
            }
            None => false,
        };
        Ok(Some(Ancestor {
            parent_id: raw.parent_id.map(|id| id as u64),
            callsite: named.callsite.clone(),
            lives_long,
            thread_id: raw.thread_id,
            start_ns: raw.start_ns,
        }))
    }

    fn entry_at(&mut self, _: u64, _: i64, _: i64) -> Result<Option<OngoingEntry>, Later> {
        Err(Later)
    }
}

impl Sums for ByPath<'_> {
    type Own = Own;

    fn begin(&self) -> Own {
        let known = NodeCache::with_room(RECENT_BITS, LOOKED_UP_MAX);
        Own { placing: Placing::new(self.empty.of_nothing(), known), later: Vec::new() }
    }

    #[inline]
    fn add(&self, own: &mut Own, span: &SpanRef<'_>, look_up: &mut LookUp<'_>) {
        match own.placing.span(span, &mut ByPages { look_up, how: self }) {
            Ok(node) => own.placing.growing.count(node, span),
            Err(Later) => own.later.push(span.to_span()),
        }
    }

    fn is_full(&self, own: &Own) -> bool {
        own.later.len() > LATER_MAX || own.placing.growing.is_full()
    }
}

impl Reader {
    /// Adds up the spans of a scan by several threads, if that is worth it and nothing was added up so far. Says
    /// whether it was done.
    pub(super) fn add_stacks_side_by_side(
        &self,
        scan: &Scan,
        stacks: &mut Stacks<'_>,
    ) -> Result<bool, Error> {
        if !stacks.placing.growing.is_empty() {
            return Ok(false);
        }
        let has_open = self.query("look for open spans", |tx| {
            tx.prepare("SELECT 1 FROM open_span LIMIT 1")?.exists([])
        })?;
        let has_entries = self.has_entries(scan.run_id)?;
        let how = ByPath { empty: &stacks.placing.growing, has_open, has_entries };
        let ranges = self.ranges(scan)?;
        let leaves = self.ahead().leaves_of_stacks;
        let found = self.scan_side_by_side(scan, (&ranges, leaves), None, &how)?;
        let Some((parts, rest)) = found else { return Ok(false) };
        let (mut trees, mut later) = (Vec::new(), Vec::new());
        for part in parts {
            trees.push(part.placing.growing);
            later.extend(part.later);
        }
        later.sort_unstable_by_key(|span| span.id);
        for span in &later {
            if stacks.add(&SpanRef::from(span)).is_break() {
                return Ok(true);
            }
        }
        // Of each tree the spans have come in the order of ids.
        trees.push(stacks.take());
        self.scan_ranges(scan, rest, &mut (), |(), span| stacks.add(span))?;
        trees.push(stacks.take());
        let Some(joined) = TreeBuilder::join(trees) else { return Ok(false) };
        stacks.placing.growing = joined;
        Ok(true)
    }
}
