//! Which spans stand at which node: a memory of fixed size that may forget.
//!
//! Most parents are among the last spans that were seen, and those are kept in a table by the last
//! digits of their ids: a new span takes the place of one that is a whole table older. Parents that
//! stay open longer, as that of a whole program does, come back by a look-up and are kept apart, so
//! that spans without children do not push them out.

use spandrel_storage::internals::FastHashMap;

/// The last spans that are remembered: `1 << RECENT_BITS`.
const RECENT_BITS: u32 = 18;
/// Spans that were looked up are remembered up to so many, then all are forgotten.
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
        Self::with_room(RECENT_BITS, LOOKED_UP_MAX)
    }

    pub(super) fn with_room(recent_bits: u32, looked_up_max: usize) -> Self {
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

    /// A span came by.
    #[inline]
    pub(super) fn seen(&mut self, id: u64, node: u32) {
        let at = self.at(id);
        if let Some(place) = self.recent.get_mut(at) {
            *place = (id, node);
        }
    }

    /// A span was looked up: it will be asked for again.
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
