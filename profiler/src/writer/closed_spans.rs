//! A set of the spans that have closed: a bit for each id.

use crate::memory_use::MemoryUse;

const WORD: usize = u64::BITS as usize;
const BITS_MIN: usize = 1024;
/// Bits for each span. Ids grow with time, so those of a batch are close together: eight bits for each
/// leave room for nearly all of them without overlap.
const BITS_PER_SPAN: usize = 8;

/// A set of span ids. It may claim to hold ids that it does not hold.
#[derive(Debug, Default)]
pub(super) struct ClosedSpans {
    /// A power of two of bits; an id's lower digits are its index.
    bits: Vec<u64>,
}

impl ClosedSpans {
    /// Empties the set and makes room for so many spans.
    pub(super) fn clear(&mut self, spans: usize) {
        let bits = (BITS_PER_SPAN * spans).next_power_of_two().max(BITS_MIN);
        self.bits.clear();
        self.bits.shrink_to(bits / WORD);
        self.bits.resize(bits / WORD, 0);
    }

    pub(super) fn memory(&self) -> MemoryUse {
        MemoryUse::of(&self.bits)
    }

    #[inline(always)]
    fn position(&self, id: u64) -> (usize, u64) {
        ((id as usize / WORD) & (self.bits.len() - 1), 1 << (id % WORD as u64))
    }

    #[inline(always)]
    pub(super) fn insert(&mut self, id: u64) {
        let (word, bit) = self.position(id);
        self.bits[word] |= bit;
    }

    /// Never false for a span that is in the set.
    #[inline(always)]
    pub(super) fn may_contain(&self, id: u64) -> bool {
        let (word, bit) = self.position(id);
        self.bits[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_is_found_and_neighbours_are_not() {
        let mut closed = ClosedSpans::default();
        for (first, spans) in [(1_u64 << 40, 5000), (17, 10)] {
            closed.clear(spans);
            let ids = first..first + spans as u64;
            ids.clone().for_each(|id| closed.insert(id));
            assert!(ids.clone().all(|id| closed.may_contain(id)));
            assert!(!closed.may_contain(first - 1) && !closed.may_contain(ids.end));
        }
    }
}
