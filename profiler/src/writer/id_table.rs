//! A hash table by span id.
//!
//! Open addressing with linear probing, at most half full. When an entry is removed, the ones behind it
//! move up (D. Knuth, "The Art of Computer Programming", vol. 3, 6.4, algorithm R); so there are no
//! tombstones, and a search for a missing id ends at the first free slot. The standard library's table
//! takes about three times as many instructions for these short keys.

/// Values by id; 0 is no id.
#[derive(Debug)]
pub(super) struct IdTable<V> {
    /// A power of two; the id 0 marks a free slot.
    slots: Box<[(u64, V)]>,
    len: usize,
}

const SLOTS_MIN: usize = 64;

impl<V: Default> Default for IdTable<V> {
    fn default() -> Self {
        Self { slots: free(SLOTS_MIN), len: 0 }
    }
}

fn free<V: Default>(slots: usize) -> Box<[(u64, V)]> {
    std::iter::repeat_with(|| (0, V::default())).take(slots).collect()
}

impl<V: Default> IdTable<V> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the table, without what its values own.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// All values, in no particular order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().filter(|(id, _)| *id != 0).map(|(_, value)| value)
    }

    /// The same with their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.slots.iter().filter(|(id, _)| *id != 0).map(|(id, value)| (*id, value))
    }

    /// The values, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.slots.iter_mut().filter(|(id, _)| *id != 0).map(|(_, value)| value)
    }

    /// The same with their ids.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut V)> {
        self.slots.iter_mut().filter(|(id, _)| *id != 0).map(|(id, value)| (*id, value))
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// Where the search for an id begins. Ids grow by one: the product's upper bits spread them.
    #[inline(always)]
    fn home(&self, id: u64) -> usize {
        (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & self.mask()
    }

    /// The slot of an id, or the free one where it would go.
    #[inline(always)]
    fn find(&self, id: u64) -> (usize, bool) {
        let mut at = self.home(id);
        // At least half of the slots are free.
        loop {
            match self.slots[at].0 {
                found if found == id => return (at, true),
                0 => return (at, false),
                _ => at = (at + 1) & self.mask(),
            }
        }
    }

    /// The value of an id, a new one if there is none.
    #[inline]
    pub(super) fn entry(&mut self, id: u64) -> &mut V {
        let (mut at, mut found) = self.find(id);
        if !found {
            if self.len >= self.slots.len() / 2 {
                self.rebuild(2 * self.slots.len(), |_| true);
                (at, found) = self.find(id);
                debug_assert!(!found);
            }
            self.slots[at].0 = id;
            self.len += 1;
        }
        &mut self.slots[at].1
    }

    /// The value of an id, if there is one.
    #[inline]
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut V> {
        let (at, found) = self.find(id);
        found.then(|| &mut self.slots[at].1)
    }

    /// Takes a value out.
    #[inline]
    pub(super) fn remove(&mut self, id: u64) -> Option<V> {
        self.remove_with(id, std::mem::take)
    }

    /// Removes a value, after a last look at it in its slot: large values are not moved.
    #[inline]
    pub(super) fn remove_with<R>(&mut self, id: u64, last: impl FnOnce(&mut V) -> R) -> Option<R> {
        if self.len == 0 {
            return None;
        }
        let (mut hole, found) = self.find(id);
        if !found {
            return None;
        }
        let result = last(&mut self.slots[hole].1);
        self.slots[hole] = Default::default();
        self.len -= 1;
        let mask = self.mask();
        let mut at = (hole + 1) & mask;
        while self.slots[at].0 != 0 {
            // It may move into the hole, unless the hole is before its home.
            let home = self.home(self.slots[at].0);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots.swap(hole, at);
                hole = at;
            }
            at = (at + 1) & mask;
        }
        Some(result)
    }

    /// Removes all values except those of the wanted ids.
    pub(super) fn retain(&mut self, wanted: impl Fn(u64) -> bool) {
        self.rebuild(self.slots.len(), wanted);
    }

    #[cold]
    fn rebuild(&mut self, slots: usize, wanted: impl Fn(u64) -> bool) {
        let old = std::mem::replace(&mut self.slots, free(slots));
        self.len = 0;
        for (id, value) in old.into_iter().filter(|(id, _)| *id != 0 && wanted(*id)) {
            let (at, _) = self.find(id);
            self.slots[at] = (id, value);
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_the_standard_library_holds(
            steps in prop::collection::vec((0..4_u8, 1..80_u64), 0..600)
        ) {
            let mut table = IdTable::<u64>::default();
            let mut model = HashMap::<u64, u64>::new();
            // Ids that share their homes: the table has at most 256 slots here.
            for (step, n) in steps {
                let id = 1 + n % 20 + (n / 20) * 0x1_0000_0000;
                match step {
                    0 | 1 => {
                        *table.entry(id) += n;
                        *model.entry(id).or_default() += n;
                    }
                    2 => prop_assert_eq!(table.remove(id), model.remove(&id)),
                    _ if n < 3 => {
                        table.retain(|id| id % 3 > 0);
                        model.retain(|id, _| id % 3 > 0);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for (id, value) in model {
                prop_assert_eq!(table.remove(id), Some(value));
            }
            prop_assert!(table.slots.iter().all(|slot| slot.0 == 0));
        }
    }
}
