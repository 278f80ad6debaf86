//! The node of a span in the tree of stacks, by the node of its parent.

use std::sync::Arc;

use super::super::SpanRef;
use super::ancestors::{Ancestor, Ancestors};
use super::builder::{TOP, TreeBuilder};
use super::entry_lookup::{EntryLookup, OngoingEntry};
use super::node_cache::NodeCache;
use crate::reader::{Callsite, Entry};
use spandrel_storage::Error;

/// Ancestors that are looked at to place one span; a longer chain counts as one without a parent.
const CHAIN_MAX: usize = 100_000;
/// A span that is open at the end and was entered less often does not live long.
pub(super) const LONG_ENTRIES_MIN: u64 = 100;
/// Entries inside each other that are followed to place one span.
const NESTED_MAX: u32 = 32;

/// What has to be known of spans that did not come by.
pub(super) trait Surroundings {
    /// Why something is not known.
    type Stop;

    /// A span, if it is in the file.
    fn ancestor(&mut self, id: u64) -> Result<Option<Ancestor>, Self::Stop>;

    /// The entry of a span in which something began: on that thread, or else on any.
    fn entry_at(
        &mut self,
        span_id: u64,
        thread_id: i64,
        at_ns: i64,
    ) -> Result<Option<OngoingEntry>, Self::Stop>;
}

/// Asks SQLite.
pub(super) struct BySqlite<'a> {
    pub(super) ancestors: Ancestors<'a>,
    pub(super) entries: EntryLookup<'a>,
}

impl Surroundings for BySqlite<'_> {
    type Stop = Error;

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

/// A tree that grows, and which spans stand where in it.
pub(super) struct Placing {
    pub(super) growing: TreeBuilder,
    known: NodeCache,
    /// Entries that are followed at the moment, and ancestors that were looked at, to place one span: in a
    /// damaged file they may be in circles.
    nested: u32,
    looked_at: usize,
}

/// Whether a span was open at the end, and its entries count.
#[inline]
fn lived_long<S: Surroundings>(span: &SpanRef<'_>, by: &mut S) -> Result<bool, S::Stop> {
    if span.status.has_closed() || span.entries < LONG_ENTRIES_MIN {
        return Ok(false);
    }
    Ok(by.ancestor(span.id)?.is_some_and(|span| span.lives_long))
}

impl Placing {
    pub(super) fn new(growing: TreeBuilder, known: NodeCache) -> Self {
        Self { growing, known, nested: 0, looked_at: 0 }
    }

    /// The node of an entry.
    pub(super) fn entry<S: Surroundings>(
        &mut self,
        entry: &Entry,
        callsite: &Arc<Callsite>,
        by: &mut S,
    ) -> Result<u32, S::Stop> {
        self.looked_at = 0;
        let began = (entry.thread_id, entry.start_ns);
        let around = self.around(entry.span_id, (entry.around_id, began), by)?;
        Ok(self.growing.long_lived(around, callsite))
    }

    /// The node below which an entry of a span stands.
    fn around<S: Surroundings>(
        &mut self,
        span_id: u64,
        (around_id, began): (Option<u64>, (i64, i64)),
        by: &mut S,
    ) -> Result<u32, S::Stop> {
        let Some(around_id) = around_id else { return Ok(TOP) };
        let node = self.node_of(around_id, by)?;
        // In an entry of the same span it would find itself.
        if around_id == span_id { Ok(node) } else { self.in_entry(node, (around_id, began), by) }
    }

    /// The node of the entry in which something began on a thread, if the span that it was in lives long and
    /// has the node `node`; or else that.
    #[inline]
    fn in_entry<S: Surroundings>(
        &mut self,
        node: u32,
        (span_id, began): (u64, (i64, i64)),
        by: &mut S,
    ) -> Result<u32, S::Stop> {
        match self.growing.of_entries(node) {
            Some(callsite) if self.nested < NESTED_MAX && self.looked_at < CHAIN_MAX => {
                let callsite = callsite.clone();
                self.nested += 1;
                let found = self.entry_at((span_id, began), &callsite, by);
                self.nested -= 1;
                Ok(found?.unwrap_or(node))
            }
            _ => Ok(node),
        }
    }

    fn entry_at<S: Surroundings>(
        &mut self,
        (span_id, (thread_id, at_ns)): (u64, (i64, i64)),
        callsite: &Arc<Callsite>,
        by: &mut S,
    ) -> Result<Option<u32>, S::Stop> {
        let Some(entry) = by.entry_at(span_id, thread_id, at_ns)? else { return Ok(None) };
        let began = (entry.thread_id, entry.start_ns);
        let around = self.around(span_id, (entry.around_id, began), by)?;
        Ok(Some(self.growing.long_lived(around, callsite)))
    }

    /// The node of a span, or of an entry that is handed out as one.
    #[inline]
    pub(super) fn span<S: Surroundings>(
        &mut self,
        span: &SpanRef<'_>,
        by: &mut S,
    ) -> Result<u32, S::Stop> {
        self.growing.is_for(span.id);
        if let Some(entry) = span.entry {
            return self.entry(entry, span.callsite, by);
        }
        self.looked_at = 0;
        let lives_long = span.counts_by_entries() || lived_long(span, by)?;
        let parent = match span.parent_id {
            Some(parent_id) => {
                let node = self.node_of(parent_id, by)?;
                match lives_long {
                    true => node,
                    false => {
                        self.in_entry(node, (parent_id, (span.thread.id, span.start_ns)), by)?
                    }
                }
            }
            None => TOP,
        };
        let node = match lives_long {
            true => self.growing.long_lived(parent, span.callsite),
            false => self.growing.child(parent, span.callsite),
        };
        self.known.seen(span.id, node);
        Ok(node)
    }

    /// The node of a span that may not have come by.
    #[inline]
    fn node_of<S: Surroundings>(&mut self, id: u64, by: &mut S) -> Result<u32, S::Stop> {
        match self.known.get(id) {
            Some(node) => Ok(node),
            None => self.find(id, by),
        }
    }

    fn find<S: Surroundings>(&mut self, id: u64, by: &mut S) -> Result<u32, S::Stop> {
        let mut chain = Vec::new();
        // Brent's way to notice a circle, which only a damaged file has: compare with a place that is
        // moved up after 1, 2, 4, 8 ... steps.
        let (mut at, mut marked, mut next_mark) = (id, id, 1);
        let mut node = loop {
            let Some(ancestor) = by.ancestor(at)? else {
                let missing = self.growing.missing_parent();
                self.known.looked_up(at, missing);
                break missing;
            };
            self.looked_at += 1;
            let parent_id = ancestor.parent_id;
            chain.push((at, ancestor));
            let Some(parent_id) = parent_id else { break TOP };
            if let Some(node) = self.known.get(parent_id) {
                break node;
            }
            at = parent_id;
            if at == marked || chain.len() >= CHAIN_MAX {
                chain.truncate(1);
                break self.growing.missing_parent();
            }
            if chain.len() == next_mark {
                (marked, next_mark) = (at, next_mark * 2);
            }
        };
        for (id, span) in chain.into_iter().rev() {
            node = match (span.lives_long, span.parent_id) {
                (true, _) => self.growing.long_lived(node, &span.callsite),
                (false, Some(parent_id)) => {
                    let began = (span.thread_id, span.start_ns);
                    node = self.in_entry(node, (parent_id, began), by)?;
                    self.growing.child(node, &span.callsite)
                }
                (false, None) => self.growing.child(node, &span.callsite),
            };
            self.known.looked_up(id, node);
        }
        Ok(node)
    }
}
