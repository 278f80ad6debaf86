//! The set of selected spans: a bit for each id.
//!
//! Events and links are exported with their spans, in another scan. Ids are dense (threads take them in blocks), so
//! ten million spans take a few megabytes; empty blocks of bits take none.

use spandrel_storage::internals::FastHashMap;

/// Ids in a piece.
const PIECE: u64 = 32_768;

/// A set of ids.
#[derive(Default)]
pub(super) struct IdSet {
    pieces: FastHashMap<u64, Box<[u64; (PIECE / 64) as usize]>>,
}

impl IdSet {
    pub(super) fn insert(&mut self, id: u64) {
        let piece = self.pieces.entry(id / PIECE).or_insert_with(|| Box::new([0; 512]));
        if let Some(word) = piece.get_mut((id % PIECE / 64) as usize) {
            *word |= 1 << (id % 64);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        let piece = self.pieces.get(&(id / PIECE));
        let word = piece.and_then(|piece| piece.get((id % PIECE / 64) as usize));
        word.is_some_and(|word| word & (1 << (id % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(ids in proptest::collection::vec(
            prop_oneof![0..200_u64, any::<u64>(), Just(u64::MAX)], 0..200))
        {
            let (odd, even): (Vec<u64>, Vec<u64>) = ids.iter().partition(|id| *id % 2 == 1);
            let model: HashSet<u64> = odd.iter().copied().collect();
            let mut set = IdSet::default();
            odd.iter().for_each(|id| set.insert(*id));
            for id in odd.iter().chain(&even).flat_map(|id| [*id, id ^ 1, id ^ PIECE]) {
                prop_assert_eq!(set.contains(id), model.contains(&id), "{}", id);
            }
        }
    }
}
