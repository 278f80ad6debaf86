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
//! parent is; the lifetime of such a span takes no time anywhere, and those below it stand below its name
//! ([`Frame::Entries`]).
//!
//! Paths are bounded in depth and number; what is beyond is counted under [`Frame::Cut`].
//!
//! An optimized profile has the sums by path of every few thousand spans; with
//! [`Reader::add_stacks`] only the rest is read span by span.

mod ancestors;
mod grow;
mod known;
pub(crate) mod path_sums;
mod reshape;
mod tree;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use self::ancestors::{Ancestor, Ancestors};
use self::grow::{Growing, TOP};
use self::known::Known;
pub use self::tree::{Frame, StackNode, StackTree, Sums, Weight};
use super::SpanRef;
use crate::error::Error;
use crate::reader::{Callsite, Entry, Reader};

/// Ancestors that are looked at to place one span; a longer chain counts as one without a parent.
const CHAIN_MAX: usize = 100_000;

/// Adds up spans by path, in one pass; see the [module](self)'s documentation.
pub struct Stacks<'a> {
    growing: Growing,
    known: Known,
    ancestors: Ancestors<'a>,
    error: Option<Error>,
}

impl<'a> Stacks<'a> {
    /// Nothing counted yet. The spans must be of the run `run_id` in the file that `reader` reads.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn new(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        Self::with(reader, run_id, Growing::new(), Known::new())
    }

    /// The same, with a frame for each callsite and not for each name.
    pub(crate) fn by_callsite(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        Self::with(reader, run_id, Growing::by_callsite(), Known::new())
    }

    fn with(
        reader: &'a Reader,
        run_id: i64,
        growing: Growing,
        known: Known,
    ) -> Result<Self, Error> {
        let ancestors = Ancestors::new(reader, run_id)?;
        Ok(Self { growing, known, ancestors, error: None })
    }

    /// Counts a span, or an entry that is handed out as one (see [`Reader::scan_calls`]). Breaks when the file cannot be read; [`finish`](Self::finish) says why.
    pub fn add(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        match self.add_at(span) {
            Some(_) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    /// Counts an entry, if it counts; likewise.
    pub(crate) fn add_entry_at(
        &mut self,
        entry: &Entry,
        callsite: &Arc<Callsite>,
    ) -> Option<usize> {
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
    pub(crate) fn add_at(&mut self, span: &SpanRef<'_>) -> Option<usize> {
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
        let around = match entry.around_id {
            Some(around_id) => self.node_of(around_id)?,
            None => TOP,
        };
        Ok(self.growing.long_lived(around, callsite))
    }

    fn place(&mut self, span: &SpanRef<'_>) -> Result<u32, Error> {
        if let Some(entry) = span.entry {
            return self.place_entry(entry, span.callsite);
        }
        let parent = match span.parent_id {
            Some(parent_id) => self.node_of(parent_id)?,
            None => TOP,
        };
        let node = match span.counts_by_entries() {
            true => self.growing.long_lived(parent, span.callsite),
            false => self.growing.child(parent, span.callsite),
        };
        self.known.seen(span.id, node);
        Ok(node)
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
            let Some(Ancestor { parent_id, callsite, lives_long }) = self.ancestors.get(at)? else {
                let missing = self.growing.missing_parent();
                self.known.looked_up(at, missing);
                break missing;
            };
            chain.push((at, callsite, lives_long));
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
        for (id, callsite, lives_long) in chain.into_iter().rev() {
            node = match lives_long {
                true => self.growing.long_lived(node, &callsite),
                false => self.growing.child(node, &callsite),
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
