//! A hash table by span id.
//!
//! Open addressing with linear probing, at most half full; what is removed is closed up by the
//! entries behind it (D. Knuth, "The Art of Computer Programming", vol. 3, 6.4, algorithm R), so there
//! are no tombstones and a look for what is not there ends at the first free place. The standard
//! library's table takes about three times as many instructions for these short keys.

/// Values by id; 0 is no id.
#[derive(Debug)]
pub(super) struct IdTable<V> {
    /// A power of two; the id 0 marks a free place.
    places: Box<[(u64, V)]>,
    len: usize,
}

const PLACES_MIN: usize = 64;

impl<V: Default> Default for IdTable<V> {
    fn default() -> Self {
        Self { places: free(PLACES_MIN), len: 0 }
    }
}

fn free<V: Default>(places: usize) -> Box<[(u64, V)]> {
    std::iter::repeat_with(|| (0, V::default())).take(places).collect()
}

impl<V: Default> IdTable<V> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the table; what its values own is for who knows them.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.places)
    }

    /// All values, in no particular order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.places.iter().filter(|(id, _)| *id != 0).map(|(_, value)| value)
    }

    /// The same with their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.places.iter().filter(|(id, _)| *id != 0).map(|(id, value)| (*id, value))
    }

    /// The values, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.places.iter_mut().filter(|(id, _)| *id != 0).map(|(_, value)| value)
    }

    /// The same with their ids.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut V)> {
        self.places.iter_mut().filter(|(id, _)| *id != 0).map(|(id, value)| (*id, value))
    }

    fn mask(&self) -> usize {
        self.places.len() - 1
    }

    /// Where an id is looked for first. Ids are counted up: the product's upper bits spread them.
    #[inline(always)]
    fn home(&self, id: u64) -> usize {
        (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & self.mask()
    }

    /// The place of an id, or the free one where it would be.
    #[inline(always)]
    fn find(&self, id: u64) -> (usize, bool) {
        let mut at = self.home(id);
        // At least half of the places are free.
        loop {
            match self.places[at].0 {
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
            if self.len >= self.places.len() / 2 {
                self.rebuild(2 * self.places.len(), |_| true);
                (at, found) = self.find(id);
                debug_assert!(!found);
            }
            self.places[at].0 = id;
            self.len += 1;
        }
        &mut self.places[at].1
    }

    /// The value of an id, if there is one.
    #[inline]
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut V> {
        let (at, found) = self.find(id);
        found.then(|| &mut self.places[at].1)
    }

    /// Takes a value out.
    #[inline]
    pub(super) fn remove(&mut self, id: u64) -> Option<V> {
        self.remove_with(id, std::mem::take)
    }

    /// Removes a value, after a last look at it where it is: large ones are not moved.
    #[inline]
    pub(super) fn remove_with<R>(&mut self, id: u64, last: impl FnOnce(&mut V) -> R) -> Option<R> {
        if self.len == 0 {
            return None;
        }
        let (mut hole, found) = self.find(id);
        if !found {
            return None;
        }
        let result = last(&mut self.places[hole].1);
        self.places[hole] = Default::default();
        self.len -= 1;
        let mask = self.mask();
        let mut at = (hole + 1) & mask;
        while self.places[at].0 != 0 {
            // It may move into the hole unless that lies before its home.
            let home = self.home(self.places[at].0);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.places.swap(hole, at);
                hole = at;
            }
            at = (at + 1) & mask;
        }
        Some(result)
    }

    /// Removes all values but those of the ids that are wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(u64) -> bool) {
        self.rebuild(self.places.len(), wanted);
    }

    #[cold]
    fn rebuild(&mut self, places: usize, wanted: impl Fn(u64) -> bool) {
        let old = std::mem::replace(&mut self.places, free(places));
        self.len = 0;
        for (id, value) in old.into_iter().filter(|(id, _)| *id != 0 && wanted(*id)) {
            let (at, _) = self.find(id);
            self.places[at] = (id, value);
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
            // Ids that share their homes: the table has at most 256 places here.
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
            prop_assert!(table.places.iter().all(|place| place.0 == 0));
        }
    }
}
