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
mod placing;
mod reshape;
mod side_by_side;
mod tree;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use self::ancestors::Ancestors;
use self::builder::TreeBuilder;
use self::entry_lookup::EntryLookup;
use self::node_cache::NodeCache;
use self::placing::{BySqlite, Placing};
pub use self::tree::{Frame, StackNode, StackTree, Sums, Weight};
use super::SpanRef;
use crate::reader::{Callsite, Entry, Reader};
use spandrel_storage::Error;

/// Adds up spans by path, in one pass; see the [module](self)'s documentation.
pub struct Stacks<'a> {
    placing: Placing,
    around: BySqlite<'a>,
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
        let around = BySqlite { ancestors, entries };
        Ok(Self { placing: Placing::new(growing, known), around, error: None })
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
        match self.placing.entry(entry, callsite, &mut self.around) {
            Ok(node) => {
                self.placing.growing.count_entry(node, entry);
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
                self.placing.growing.count(node, span);
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
            None => Ok(self.placing.growing.finish()),
        }
    }

    /// The tree so far, after which nothing was counted.
    fn take(&mut self) -> TreeBuilder {
        let empty = self.placing.growing.of_nothing();
        std::mem::replace(&mut self.placing, Placing::new(empty, NodeCache::new())).growing
    }

    #[inline]
    fn place(&mut self, span: &SpanRef<'_>) -> Result<u32, Error> {
        self.placing.span(span, &mut self.around)
    }
}

impl fmt::Debug for Stacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("growing", &self.placing.growing).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
