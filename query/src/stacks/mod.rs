//! Where the time went, by path from the root: the tree behind a flame graph.
//!
//! Spans come in order of id, and all that is kept of them is one node for each distinct path of names. A span's node
//! is a child of its parent's node:
//!
//! ```text
//!  span ──parent id──> known? ──yes──> child of that node ──> count it there
//!                        │ no: an ancestor by primary key, and its ancestors, until one is known
//!                        └──────────────────────────────> remembered, not counted
//! ```
//!
//! The cache of nodes has a fixed size; a miss costs a look-up and never a wrong answer. So neither the order of ids
//! matters (threads take them in blocks: a child on another thread can have a smaller id than its parent), nor
//! whether the parent was selected. A span is counted once, when its own row comes; a parent that is not in the file
//! is [`Frame::MissingParent`].
//!
//! An entry of a long-lived span is below the span that its thread was in, whichever the parent is; the lifetime of a
//! long-lived span takes no time anywhere ([`Frame::Entries`]). A child or an entry that began inside one of these
//! entries is below it (`entry_lookup.rs`); one that began in none, or in one that was not recorded, is below the
//! long-lived span's own node, which is below its parent's.
//!
//! Paths are bounded in depth and number; what is beyond is counted under [`Frame::Cut`].
//!
//! An optimized profile has sums by path for every few thousand spans; [`Reader::add_stacks`] reads only the rest
//! span by span.

mod ancestors;
mod builder;
mod entry_lookup;
mod node_assigner;
mod node_cache;
pub(crate) mod path_sums;
mod reshape;
mod side_by_side;
mod tree;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use self::ancestors::Ancestors;
use self::builder::TreeBuilder;
use self::entry_lookup::EntryLookup;
use self::node_assigner::{NodeAssigner, SqliteAncestors};
use self::node_cache::NodeCache;
pub use self::tree::{Frame, StackNode, StackTree, Sums, Weight};
use super::SpanRef;
use crate::reader::{Callsite, Entry, Reader};
use spandrel_storage::Error;

/// Adds up spans by path, in one pass; see the [module](self)'s documentation.
pub struct Stacks<'a> {
    assigner: NodeAssigner,
    sqlite: SqliteAncestors<'a>,
    error: Option<Error>,
}

impl<'a> Stacks<'a> {
    /// Nothing counted yet. The spans must be of the run `run_id` in the file that `reader` reads.
    pub fn new(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        Self::with(reader, run_id, TreeBuilder::new(), NodeCache::new())
    }

    /// The same, with a frame for each callsite instead of each name.
    #[doc(hidden)]
    pub fn by_callsite(reader: &'a Reader, run_id: i64) -> Result<Self, Error> {
        Self::with(reader, run_id, TreeBuilder::by_callsite(), NodeCache::new())
    }

    fn with(
        reader: &'a Reader,
        run_id: i64,
        tree: TreeBuilder,
        nodes: NodeCache,
    ) -> Result<Self, Error> {
        let ancestors = Ancestors::new(reader, run_id)?;
        let entries = EntryLookup::new(reader, run_id);
        let sqlite = SqliteAncestors { ancestors, entries };
        Ok(Self { assigner: NodeAssigner::new(tree, nodes), sqlite, error: None })
    }

    /// Counts a span, or an entry that is handed out as one (see [`Reader::scan_calls`]). Breaks when the file cannot
    /// be read; [`finish`](Self::finish) then gives the error.
    pub fn add(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        match self.add_at(span) {
            Some(_) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    /// Counts an entry and gives the index of its [node](StackTree::nodes). `None`: the file cannot be read.
    #[doc(hidden)]
    pub fn add_entry_at(&mut self, entry: &Entry, callsite: &Arc<Callsite>) -> Option<usize> {
        match self.assigner.entry(entry, callsite, &mut self.sqlite) {
            Ok(node) => {
                self.assigner.tree.count_entry(node, entry);
                Some(node as usize)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    /// Counts a span and gives the index of its [node](StackTree::nodes). `None`: the file cannot be read.
    #[inline]
    #[doc(hidden)]
    pub fn add_at(&mut self, span: &SpanRef<'_>) -> Option<usize> {
        match self.assign(span) {
            Ok(node) => {
                self.assigner.tree.count(node, span);
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
            None => Ok(self.assigner.tree.finish()),
        }
    }

    /// Takes the tree so far and begins an empty one.
    fn take(&mut self) -> TreeBuilder {
        let empty = self.assigner.tree.empty_like();
        std::mem::replace(&mut self.assigner, NodeAssigner::new(empty, NodeCache::new())).tree
    }

    #[inline]
    fn assign(&mut self, span: &SpanRef<'_>) -> Result<u32, Error> {
        self.assigner.span(span, &mut self.sqlite)
    }
}

impl fmt::Debug for Stacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("tree", &self.assigner.tree).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
