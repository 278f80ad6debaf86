//! Stacks in parallel: each thread counts parts of the spans in a tree of its own.
//!
//! Parents outside of a part are read from the pages, too. Spans that need SQLite, for instance to find the entry in
//! which they began, are deferred and counted by the calling thread at the end.

use super::ancestors::Ancestor;
use super::builder::TreeBuilder;
use super::entry_lookup::OngoingEntry;
use super::node_assigner::{AncestorSource, LONG_ENTRIES_MIN, NodeAssigner};
use super::node_cache::NodeCache;
use super::{SpanRef, Stacks};
use crate::Scan;
use crate::reader::{Reader, Span};
use crate::scanning::{LookUp, Sums};
use spandrel_storage::Error;

/// Deferred spans at most, some 300 bytes each; with more, one thread counts all.
const DEFERRED_MAX: usize = 10_000;
/// Bounds of the cache of nodes; see `node_cache.rs`.
const RECENT_BITS: u32 = 16;
const LOOKED_UP_MAX: usize = 16_384;

/// How a span is counted.
struct ByPath<'a> {
    empty: &'a TreeBuilder,
    /// Whether a span that is not stored may be among the open ones.
    has_open: bool,
    /// Whether entries of some callsites may count.
    has_entries: bool,
}

/// The tree of one thread, and the spans that it deferred.
struct Partial {
    assigner: NodeAssigner,
    deferred: Vec<Span>,
}

/// The pages do not tell: SQLite has to be asked.
struct NeedsSqlite;

/// Looks up by pages.
struct PageAncestors<'a, 'p> {
    look_up: &'a mut LookUp<'p>,
    by_path: &'a ByPath<'a>,
}

impl AncestorSource for PageAncestors<'_, '_> {
    type Error = NeedsSqlite;

    fn ancestor(&mut self, id: u64) -> Result<Option<Ancestor>, NeedsSqlite> {
        let Ok(found) = self.look_up.get(id) else { return Err(NeedsSqlite) };
        let Some((raw, named)) = found else {
            return if self.by_path.has_open { Err(NeedsSqlite) } else { Ok(None) };
        };
        let lives_long = match raw.duration_ns {
            Some(_) => raw.self_ns.is_none(),
            // That depends on the callsite.
            None if self.by_path.has_entries && raw.entries as u64 >= LONG_ENTRIES_MIN => {
                return Err(NeedsSqlite);
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

    fn entry_at(&mut self, _: u64, _: i64, _: i64) -> Result<Option<OngoingEntry>, NeedsSqlite> {
        Err(NeedsSqlite)
    }
}

impl Sums for ByPath<'_> {
    type Partial = Partial;

    fn begin(&self) -> Partial {
        let nodes = NodeCache::with_capacity(RECENT_BITS, LOOKED_UP_MAX);
        Partial {
            assigner: NodeAssigner::new(self.empty.empty_like(), nodes),
            deferred: Vec::new(),
        }
    }

    #[inline]
    fn add(&self, partial: &mut Partial, span: &SpanRef<'_>, look_up: &mut LookUp<'_>) {
        match partial.assigner.span(span, &mut PageAncestors { look_up, by_path: self }) {
            Ok(node) => partial.assigner.tree.count(node, span),
            Err(NeedsSqlite) => partial.deferred.push(span.to_span()),
        }
    }

    fn is_full(&self, partial: &Partial) -> bool {
        partial.deferred.len() > DEFERRED_MAX || partial.assigner.tree.is_full()
    }
}

impl Reader {
    /// Counts the spans of a scan on several threads, if that is worth it and nothing was counted before. Says
    /// whether it was done.
    pub(super) fn add_stacks_side_by_side(
        &self,
        scan: &Scan,
        stacks: &mut Stacks<'_>,
    ) -> Result<bool, Error> {
        if !stacks.assigner.tree.is_empty() {
            return Ok(false);
        }
        let has_open = self.query("look for open spans", |tx| {
            tx.prepare("SELECT 1 FROM open_span LIMIT 1")?.exists([])
        })?;
        let has_entries = self.has_entries(scan.run_id)?;
        let by_path = ByPath { empty: &stacks.assigner.tree, has_open, has_entries };
        let ranges = self.ranges(scan)?;
        let leaves = self.ahead().leaves_of_stacks;
        let found = self.scan_side_by_side(scan, (&ranges, leaves), None, &by_path)?;
        let Some((parts, rest)) = found else { return Ok(false) };
        let (mut trees, mut deferred) = (Vec::new(), Vec::new());
        for part in parts {
            trees.push(part.assigner.tree);
            deferred.extend(part.deferred);
        }
        deferred.sort_unstable_by_key(|span| span.id);
        for span in &deferred {
            if stacks.add(&SpanRef::from(span)).is_break() {
                return Ok(true);
            }
        }
        // Within each tree, the spans came in order of id.
        trees.push(stacks.take());
        self.scan_ranges(scan, rest, &mut (), |(), span| stacks.add(span))?;
        trees.push(stacks.take());
        let Some(joined) = TreeBuilder::join(trees) else { return Ok(false) };
        stacks.assigner.tree = joined;
        Ok(true)
    }
}
