//! Where the entry of a key is: a table of hashes, in open addressing, whose slots have eight bytes.
//!
//! The hash is computed once, before the partition is locked, and kept with its slot: so growing needs neither the keys nor
//! a hasher. Linear probing; what is removed is closed up by what stands behind it, so that nothing
//! becomes slower by what was once there.

/// A hash in the upper half, and below it where the entry is, plus one; 0 is free.
type Slot = u64;

#[derive(Debug)]
pub(crate) struct Index {
    /// A power of two, of which at most three in four are used.
    slots: Vec<Slot>,
    used: usize,
}

const SLOTS_MIN: usize = 16;

impl Index {
    /// What an entry takes here, at most, also while the table grows: a slot in three eighths of a table, and that of the smaller one before.
    pub(crate) const ENTRY_BYTES: usize = 32;

    pub(crate) fn new() -> Self {
        Self { slots: vec![0; SLOTS_MIN], used: 0 }
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// The entry with this hash that is the right one.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize & self.mask();
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let entry = slot as u32 - 1;
            if (slot >> 32) as u32 == hash && is_it(entry) {
                return Some(entry);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// Of an entry that is not there.
    pub(crate) fn insert(&mut self, hash: u32, entry: u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.used += 1;
        self.place(u64::from(hash) << 32 | u64::from(entry + 1));
    }

    fn place(&mut self, slot: Slot) {
        let mut at = (slot >> 32) as usize & self.mask();
        while self.slots[at] != 0 {
            at = (at + 1) & self.mask();
        }
        self.slots[at] = slot;
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        for slot in std::mem::replace(&mut self.slots, vec![0; size]) {
            if slot != 0 {
                self.place(slot);
            }
        }
    }

    pub(crate) fn remove(&mut self, hash: u32, entry: u32) {
        let wanted = u64::from(hash) << 32 | u64::from(entry + 1);
        let mut hole = hash as usize & self.mask();
        while self.slots[hole] != wanted {
            if self.slots[hole] == 0 {
                return;
            }
            hole = (hole + 1) & self.mask();
        }
        self.used -= 1;
        // What stands behind moves up, unless it would then stand before where it is looked for.
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            let home = (slot >> 32) as usize & self.mask();
            if at.wrapping_sub(home) & self.mask() >= at.wrapping_sub(hole) & self.mask() {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Hashes that collide, wrap round the end, and come and go.
    #[test]
    fn it_agrees_with_a_map() {
        let turns = if cfg!(miri) { 150 } else { 100_000 };
        for spread in [1, 7, 40, u32::MAX] {
            let (mut index, mut model) = (Index::new(), HashMap::new());
            let mut random = 1_u64;
            for turn in 0..turns {
                random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let entry = (random >> 40) as u32 % 200;
                let hash = (entry.wrapping_mul(0x9E37_79B9) % spread).wrapping_sub(turn % 2);
                match model.get(&entry) {
                    Some(&hash) if random >> 63 == 0 => {
                        index.remove(hash, entry);
                        model.remove(&entry);
                    }
                    Some(_) => {}
                    None => {
                        index.insert(hash, entry);
                        model.insert(entry, hash);
                    }
                }
                if turn % 50 == 0 {
                    for entry in 0..200 {
                        for hash in model.get(&entry).copied().into_iter().chain([hash]) {
                            let found = index.find(hash, |found| found == entry);
                            assert_eq!(found, (model.get(&entry) == Some(&hash)).then_some(entry));
                        }
                    }
                    assert_eq!(index.used, model.len());
                }
            }
        }
    }
}
