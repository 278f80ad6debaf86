//! What names a stage.

/// A stage of one ring, whose builder has given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    ring: u64,
    index: usize,
}

impl Stage {
    pub(crate) fn new(ring: u64, index: usize) -> Self {
        Self { ring, index }
    }

    /// Which one it is, if it is of this ring.
    pub(crate) fn of(self, ring: u64) -> Option<usize> {
        (self.ring == ring).then_some(self.index)
    }
}
