//! Assigns spans and entries to nodes of the tree of stacks, by the node of their parent.

use std::sync::Arc;

use super::super::SpanRef;
use super::ancestors::{Ancestor, Ancestors};
use super::builder::{TOP, TreeBuilder};
use super::entry_lookup::{EntryLookup, OngoingEntry};
use super::node_cache::NodeCache;
use crate::reader::{Callsite, Entry};
use spandrel_storage::Error;

/// Ancestors that are looked up to assign one span; a longer chain counts as a missing parent.
const CHAIN_MAX: usize = 100_000;
/// A span that was open at the end and was entered less often is not long-lived.
pub(super) const LONG_ENTRIES_MIN: u64 = 100;
/// Nested entries that are followed to assign one span.
const NESTED_MAX: u32 = 32;

/// Looks up spans that are not in the cache.
pub(super) trait AncestorSource {
    /// Why a look-up failed.
    type Error;

    /// A span, if it is in the file.
    fn ancestor(&mut self, id: u64) -> Result<Option<Ancestor>, Self::Error>;

    /// The entry of a span that contains a moment: on that thread, or else on any.
    fn entry_at(
        &mut self,
        span_id: u64,
        thread_id: i64,
        at_ns: i64,
    ) -> Result<Option<OngoingEntry>, Self::Error>;
}

/// Looks up by SQLite.
pub(super) struct SqliteAncestors<'a> {
    pub(super) ancestors: Ancestors<'a>,
    pub(super) entries: EntryLookup<'a>,
}

impl AncestorSource for SqliteAncestors<'_> {
    type Error = Error;

    fn ancestor(&mut self, id: u64) -> Result<Option<Ancestor>, Error> {
        self.ancestors.get(id)
    }

    fn entry_at(
        &mut self,
        span_id: u64,
        thread_id: i64,
        at_ns: i64,
    ) -> Result<Option<OngoingEntry>, Error> {
        self.entries.at(span_id, thread_id, at_ns)
    }
}

/// The tree that is built, and a cache of the nodes of spans.
pub(super) struct NodeAssigner {
    pub(super) tree: TreeBuilder,
    nodes: NodeCache,
    /// Nested entries that are being followed, and ancestors that were looked up for the current span: bounds for
    /// circles in a damaged file.
    nested: u32,
    looked_at: usize,
}

/// Whether a span was open at the end and its entries count.
#[inline]
fn lived_long<S: AncestorSource>(span: &SpanRef<'_>, source: &mut S) -> Result<bool, S::Error> {
    if span.status.has_closed() || span.entries < LONG_ENTRIES_MIN {
        return Ok(false);
    }
    Ok(source.ancestor(span.id)?.is_some_and(|span| span.lives_long))
}

impl NodeAssigner {
    pub(super) fn new(tree: TreeBuilder, nodes: NodeCache) -> Self {
        Self { tree, nodes, nested: 0, looked_at: 0 }
    }

    /// The node of an entry.
    pub(super) fn entry<S: AncestorSource>(
        &mut self,
        entry: &Entry,
        callsite: &Arc<Callsite>,
        source: &mut S,
    ) -> Result<u32, S::Error> {
        self.looked_at = 0;
        let began = (entry.thread_id, entry.start_ns);
        let around = self.around(entry.span_id, (entry.around_id, began), source)?;
        Ok(self.tree.long_lived(around, callsite))
    }

    /// The parent node of an entry.
    fn around<S: AncestorSource>(
        &mut self,
        span_id: u64,
        (around_id, began): (Option<u64>, (i64, i64)),
        source: &mut S,
    ) -> Result<u32, S::Error> {
        let Some(around_id) = around_id else { return Ok(TOP) };
        let node = self.node_of(around_id, source)?;
        // Inside an entry of the same span: it would find itself.
        if around_id == span_id {
            Ok(node)
        } else {
            self.in_entry(node, (around_id, began), source)
        }
    }

    /// If the node is that of a long-lived span: the node of its entry that contains the begin, or else the node
    /// itself.
    #[inline]
    fn in_entry<S: AncestorSource>(
        &mut self,
        node: u32,
        (span_id, began): (u64, (i64, i64)),
        source: &mut S,
    ) -> Result<u32, S::Error> {
        match self.tree.of_entries(node) {
            Some(callsite) if self.nested < NESTED_MAX && self.looked_at < CHAIN_MAX => {
                let callsite = callsite.clone();
                self.nested += 1;
                let found = self.entry_at((span_id, began), &callsite, source);
                self.nested -= 1;
                Ok(found?.unwrap_or(node))
            }
            _ => Ok(node),
        }
    }

    fn entry_at<S: AncestorSource>(
        &mut self,
        (span_id, (thread_id, at_ns)): (u64, (i64, i64)),
        callsite: &Arc<Callsite>,
        source: &mut S,
    ) -> Result<Option<u32>, S::Error> {
        let Some(entry) = source.entry_at(span_id, thread_id, at_ns)? else { return Ok(None) };
        let began = (entry.thread_id, entry.start_ns);
        let around = self.around(span_id, (entry.around_id, began), source)?;
        Ok(Some(self.tree.long_lived(around, callsite)))
    }

    /// The node of a span, or of an entry that is handed out as one.
    #[inline]
    pub(super) fn span<S: AncestorSource>(
        &mut self,
        span: &SpanRef<'_>,
        source: &mut S,
    ) -> Result<u32, S::Error> {
        self.tree.set_span(span.id);
        if let Some(entry) = span.entry {
            return self.entry(entry, span.callsite, source);
        }
        self.looked_at = 0;
        let lives_long = span.counts_by_entries() || lived_long(span, source)?;
        let parent = match span.parent_id {
            Some(parent_id) => {
                let node = self.node_of(parent_id, source)?;
                match lives_long {
                    true => node,
                    false => {
                        self.in_entry(node, (parent_id, (span.thread.id, span.start_ns)), source)?
                    }
                }
            }
            None => TOP,
        };
        let node = match lives_long {
            true => self.tree.long_lived(parent, span.callsite),
            false => self.tree.child(parent, span.callsite),
        };
        self.nodes.remember(span.id, node);
        Ok(node)
    }

    /// The node of a span: cached, or by its ancestors.
    #[inline]
    fn node_of<S: AncestorSource>(&mut self, id: u64, source: &mut S) -> Result<u32, S::Error> {
        match self.nodes.get(id) {
            Some(node) => Ok(node),
            None => self.find(id, source),
        }
    }

    fn find<S: AncestorSource>(&mut self, id: u64, source: &mut S) -> Result<u32, S::Error> {
        let mut chain = Vec::new();
        // Brent's algorithm to find a circle, which only a damaged file has: compare with a mark that moves up after
        // 1, 2, 4, 8 ... steps.
        let (mut at, mut marked, mut next_mark) = (id, id, 1);
        let mut node = loop {
            let Some(ancestor) = source.ancestor(at)? else {
                let missing = self.tree.missing_parent();
                self.nodes.looked_up(at, missing);
                break missing;
            };
            self.looked_at += 1;
            let parent_id = ancestor.parent_id;
            chain.push((at, ancestor));
            let Some(parent_id) = parent_id else { break TOP };
            if let Some(node) = self.nodes.get(parent_id) {
                break node;
            }
            at = parent_id;
            if at == marked || chain.len() >= CHAIN_MAX {
                chain.truncate(1);
                break self.tree.missing_parent();
            }
            if chain.len() == next_mark {
                (marked, next_mark) = (at, next_mark * 2);
            }
        };
        for (id, span) in chain.into_iter().rev() {
            node = match (span.lives_long, span.parent_id) {
                (true, _) => self.tree.long_lived(node, &span.callsite),
                (false, Some(parent_id)) => {
                    let began = (span.thread_id, span.start_ns);
                    node = self.in_entry(node, (parent_id, began), source)?;
                    self.tree.child(node, &span.callsite)
                }
                (false, None) => self.tree.child(node, &span.callsite),
            };
            self.nodes.looked_up(id, node);
        }
        Ok(node)
    }
}
