//! Where the time went, by path from the root: the tree behind a flame graph.
//!
//! Spans come in the order of ids, and all that is kept of them is one node for each distinct path of
//! names. To find the node of a span, that of its parent has to be known:
//!
//! ```text
//!  span ──parent id──> known? ──yes──> child of that node ──> count it there
//!                        │ no: an ancestor by primary key, and its ancestors, until one is known
//!                        └──────────────────────────────> remembered, not counted
//! ```
//!
//! The memory of known spans has a fixed size; forgetting costs a look-up and never a wrong answer. So neither
//! the order of ids matters (threads take them in blocks: a child on another thread can have a smaller
//! id than its parent), nor whether the parent was selected. A span is counted when its own row comes
//! by, once; a parent that is not in the file is [`Frame::MissingParent`].
//!
//! An entry of a span that lives long stands below the span that its thread was in around it, whichever the
//! parent is; the lifetime of such a span takes no time anywhere ([`Frame::Entries`]). What began inside one of its
//! entries stands below that, be it a child of the span or another entry (`entry_lookup.rs`); what began in none, or in
//! one that was not recorded, stands below the span's name where its parents are.
//!
//! Paths are bounded in depth and number; what is beyond is counted under [`Frame::Cut`].
//!
//! An optimized profile has the sums by path of every few thousand spans; with
//! [`Reader::add_stacks`] only the rest is read span by span.

mod ancestors;
mod builder;
mod entry_lookup;
mod node_cache;
pub(crate) mod path_sums;
mod reshape;
mod tree;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use self::ancestors::Ancestors;
use self::builder::{TOP, TreeBuilder};
use self::entry_lookup::EntryLookup;
use self::node_cache::NodeCache;
pub use self::tree::{Frame, StackNode, StackTree, Sums, Weight};
use super::SpanRef;
use crate::reader::{Callsite, Entry, Reader};
use spandrel_storage::{Error, Status};

/// Ancestors that are looked at to place one span; a longer chain counts as one without a parent.
const CHAIN_MAX: usize = 100_000;
/// A span that is open at the end and was entered less often does not live long.
const LONG_ENTRIES_MIN: u64 = 100;
/// Entries inside each other that are followed to place one span.
const NESTED_MAX: u32 = 32;

/// Adds up spans by path, in one pass; see the [module](self)'s documentation.
pub struct Stacks<'a> {
    growing: TreeBuilder,
    known: NodeCache,
    ancestors: Ancestors<'a>,
    entries: EntryLookup<'a>,
    /// Entries that are followed at the moment, and ancestors that were looked at, to place one span: in a
    /// damaged file they may be in circles.
    nested: u32,
    looked_at: usize,
    error: Option<Error>,
}

impl<'a> Stacks<'a> {
    /// Nothing counted yet. The spans must be of the run `run_id` in the file that `reader` reads.
    pub fn new(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        Self::with(reader, run_id, TreeBuilder::new(), NodeCache::new())
    }

    /// The same, with a frame for each callsite and not for each name.
    #[doc(hidden)]
    pub fn by_callsite(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        Self::with(reader, run_id, TreeBuilder::by_callsite(), NodeCache::new())
    }

    fn with(
        reader: &'a Reader,
        run_id: i64,
        growing: TreeBuilder,
        known: NodeCache,
    ) -> Result<Self, Error> {
        let ancestors = Ancestors::new(reader, run_id)?;
        let entries = EntryLookup::new(reader, run_id);
        let (nested, looked_at) = (0, 0);
        Ok(Self { growing, known, ancestors, entries, nested, looked_at, error: None })
    }

    /// Counts a span, or an entry that is handed out as one (see [`Reader::scan_calls`]). Breaks when the file cannot be read; [`finish`](Self::finish) says why.
    pub fn add(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        match self.add_at(span) {
            Some(_) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    /// Counts an entry, if it counts; likewise.
    #[doc(hidden)]
    pub fn add_entry_at(&mut self, entry: &Entry, callsite: &Arc<Callsite>) -> Option<usize> {
        match self.place_entry(entry, callsite) {
            Ok(node) => {
                self.growing.count_entry(node, entry);
                Some(node as usize)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    /// Counts a span, and says at which of the [nodes](StackTree::nodes) of the tree. `None`: the file
    /// cannot be read.
    #[inline]
    #[doc(hidden)]
    pub fn add_at(&mut self, span: &SpanRef<'_>) -> Option<usize> {
        match self.place(span) {
            Ok(node) => {
                self.growing.count(node, span);
                Some(node as usize)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    /// The tree.
    ///
    /// # Errors
    ///
    /// When an ancestor could not be read.
    pub fn finish(self) -> Result<StackTree, Error> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.growing.finish()),
        }
    }

    fn place_entry(&mut self, entry: &Entry, callsite: &Arc<Callsite>) -> Result<u32, Error> {
        self.looked_at = 0;
        let began = (entry.thread_id, entry.start_ns);
        let around = self.around(entry.span_id, entry.around_id, began)?;
        Ok(self.growing.long_lived(around, callsite))
    }

    /// The node below which an entry of a span stands.
    fn around(
        &mut self,
        span_id: u64,
        around_id: Option<u64>,
        began: (i64, i64),
    ) -> Result<u32, Error> {
        let Some(around_id) = around_id else { return Ok(TOP) };
        let node = self.node_of(around_id)?;
        // In an entry of the same span it would find itself.
        if around_id == span_id { Ok(node) } else { self.in_entry(node, around_id, began) }
    }

    /// The node of the entry in which something began on a thread, if the span that it was in lives long and
    /// has the node `node`; or else that.
    #[inline]
    fn in_entry(&mut self, node: u32, span_id: u64, began: (i64, i64)) -> Result<u32, Error> {
        match self.growing.of_entries(node) {
            Some(callsite) if self.nested < NESTED_MAX && self.looked_at < CHAIN_MAX => {
                let callsite = callsite.clone();
                self.nested += 1;
                let found = self.entry_at(span_id, &callsite, began);
                self.nested -= 1;
                Ok(found?.unwrap_or(node))
            }
            _ => Ok(node),
        }
    }

    fn entry_at(
        &mut self,
        span_id: u64,
        callsite: &Arc<Callsite>,
        (thread_id, at_ns): (i64, i64),
    ) -> Result<Option<u32>, Error> {
        let Some(entry) = self.entries.at(span_id, thread_id, at_ns)? else { return Ok(None) };
        let began = (entry.thread_id, entry.start_ns);
        let around = self.around(span_id, entry.around_id, began)?;
        Ok(Some(self.growing.long_lived(around, callsite)))
    }

    fn place(&mut self, span: &SpanRef<'_>) -> Result<u32, Error> {
        if let Some(entry) = span.entry {
            return self.place_entry(entry, span.callsite);
        }
        self.looked_at = 0;
        let lives_long = span.counts_by_entries() || self.lived_long(span)?;
        let parent = match span.parent_id {
            Some(parent_id) => {
                let node = self.node_of(parent_id)?;
                match lives_long {
                    true => node,
                    false => self.in_entry(node, parent_id, (span.thread.id, span.start_ns))?,
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

    /// Whether a span was open at the end, and its entries count.
    #[inline]
    fn lived_long(&mut self, span: &SpanRef<'_>) -> Result<bool, Error> {
        if span.status != Status::Unfinished || span.entries < LONG_ENTRIES_MIN {
            return Ok(false);
        }
        Ok(self.ancestors.get(span.id)?.is_some_and(|span| span.lives_long))
    }

    /// The node of a span that may not have come by.
    fn node_of(&mut self, id: u64) -> Result<u32, Error> {
        if let Some(node) = self.known.get(id) {
            return Ok(node);
        }
        let mut chain = Vec::new();
        // Brent's way to notice a circle, which only a damaged file has: compare with a place that is
        // moved up after 1, 2, 4, 8 ... steps.
        let (mut at, mut marked, mut next_mark) = (id, id, 1);
        let mut node = loop {
            let Some(ancestor) = self.ancestors.get(at)? else {
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
                    node = self.in_entry(node, parent_id, (span.thread_id, span.start_ns))?;
                    self.growing.child(node, &span.callsite)
                }
                (false, None) => self.growing.child(node, &span.callsite),
            };
            self.known.looked_up(id, node);
        }
        Ok(node)
    }
}

impl fmt::Debug for Stacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("growing", &self.growing).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
