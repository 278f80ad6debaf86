//! Which ids were seen: a bit for each of the newest, nothing of older ones.

use std::collections::VecDeque;

/// Bits that are kept, at most: 2 MiB of memory.
const IDS_MAX: usize = 1 << 24;

/// A window of bits that moves with the largest id.
#[derive(Debug)]
pub(super) struct SeenIds {
    /// The id of the first bit, a multiple of 64.
    floor: i64,
    words: VecDeque<u64>,
    ids_max: usize,
}

impl SeenIds {
    /// A window from this id on; smaller ids are unknown.
    pub(super) fn from(id: i64) -> Self {
        Self { floor: id & !63, words: VecDeque::new(), ids_max: IDS_MAX }
    }

    /// Ids below this are not known.
    pub(super) fn floor(&self) -> i64 {
        self.floor
    }

    pub(super) fn has(&self, id: i64) -> bool {
        let Some((word, bit)) = self.position(id) else { return false };
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Takes note of an id; says whether it is new. Of one below the window nothing is noted.
    pub(super) fn insert(&mut self, id: i64) -> bool {
        self.make_room(id);
        let Some((at, bit)) = self.position(id) else { return true };
        let Some(word) = self.words.get_mut(at) else { return true };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn position(&self, id: i64) -> Option<(usize, u64)> {
        let at = usize::try_from(id.checked_sub(self.floor)?).ok()?;
        Some((at / 64, 1 << (at % 64)))
    }

    /// Moves the window up to an id above it.
    fn make_room(&mut self, id: i64) {
        let words_max = self.ids_max / 64;
        let Some((word, _)) = self.position(id) else { return };
        if word >= self.words.len() + words_max {
            self.words.clear();
            self.floor = id & !63;
        }
        let Some((word, _)) = self.position(id) else { return };
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        while self.words.len() > words_max {
            self.words.pop_front();
            self.floor += 64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a set that forgets what is below the window.
        #[test]
        fn ids_of_the_window_are_known(
            steps in proptest::collection::vec((0_i64..200, prop::bool::weighted(0.02)), 1..600),
        ) {
            let mut seen = SeenIds { ids_max: 256, ..SeenIds::from(1_000) };
            let mut model = BTreeSet::new();
            let mut top = 1_000;
            for (back, leap) in steps {
                top += if leap { 1_000 } else { back % 7 };
                let id = top - back;
                let is_known = id >= seen.floor();
                prop_assert!(!is_known || seen.has(id) == model.contains(&id));
                let is_new = seen.insert(id);
                prop_assert!(id < seen.floor() || is_new == model.insert(id));
                prop_assert!(seen.words.len() <= 4);
            }
        }
    }
}
