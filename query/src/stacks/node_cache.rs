//! A cache from spans to nodes, of fixed size.
//!
//! Most parents are among the latest spans, which are in a table by the low bits of their ids: a new span replaces
//! one that is a whole table older. Parents that stay open longer, such as that of a whole program, are looked up and
//! then cached apart, so that spans without children do not push them out.

use spandrel_storage::internals::FastHashMap;

/// Slots for the latest spans: `1 << RECENT_BITS`.
const RECENT_BITS: u32 = 18;
/// Spans that were looked up, at most; with more, all of them are forgotten.
const LOOKED_UP_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct NodeCache {
    /// Id and node; no span has the id 0.
    recent: Vec<(u64, u32)>,
    looked_up: FastHashMap<u64, u32>,
    looked_up_max: usize,
}

impl NodeCache {
    pub(super) fn new() -> Self {
        Self::with_capacity(RECENT_BITS, LOOKED_UP_MAX)
    }

    pub(super) fn with_capacity(recent_bits: u32, looked_up_max: usize) -> Self {
        Self {
            recent: vec![(0, 0); 1 << recent_bits],
            looked_up: FastHashMap::default(),
            looked_up_max,
        }
    }

    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<u32> {
        match self.recent.get(self.at(id)) {
            Some((known, node)) if *known == id => Some(*node),
            _ => self.looked_up.get(&id).copied(),
        }
    }

    /// Keeps the node of a span that came by, until another one takes its slot.
    #[inline]
    pub(super) fn remember(&mut self, id: u64, node: u32) {
        let at = self.at(id);
        if let Some(slot) = self.recent.get_mut(at) {
            *slot = (id, node);
        }
    }

    /// A span was looked up, and will be needed again.
    pub(super) fn looked_up(&mut self, id: u64, node: u32) {
        if self.looked_up.len() >= self.looked_up_max {
            self.looked_up.clear();
        }
        self.looked_up.insert(id, node);
    }

    #[inline]
    fn at(&self, id: u64) -> usize {
        id as usize & (self.recent.len() - 1)
    }
}
