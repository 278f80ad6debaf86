//! The entries of a map's partition, each at a place of its own, and lists through them.
//!
//! In blocks, so that no entry is moved when there are more.

/// So large a block is, if more than one entry fits.
const BLOCK_BYTES: usize = 4096;
const BLOCK_ENTRIES_MAX: usize = 64;

/// No place.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Entries<E> {
    blocks: Vec<Vec<Option<E>>>,
    /// Places that were left.
    free: Vec<u32>,
}

impl<E> Entries<E> {
    /// A power of two.
    const BLOCK: usize = {
        let fit = BLOCK_BYTES / if size_of::<E>() == 0 { 1 } else { size_of::<E>() };
        if fit == 0 {
            1
        } else if fit < BLOCK_ENTRIES_MAX {
            1 << fit.ilog2()
        } else {
            BLOCK_ENTRIES_MAX
        }
    };

    pub(crate) fn new() -> Self {
        Self { blocks: Vec::new(), free: Vec::new() }
    }

    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&E> {
        self.blocks.get(at as usize / Self::BLOCK)?.get(at as usize % Self::BLOCK)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut E> {
        self.blocks.get_mut(at as usize / Self::BLOCK)?.get_mut(at as usize % Self::BLOCK)?.as_mut()
    }

    pub(crate) fn insert(&mut self, entry: E) -> u32 {
        if let Some(at) = self.free.pop() {
            if let Some(place) =
                self.blocks[at as usize / Self::BLOCK].get_mut(at as usize % Self::BLOCK)
            {
                *place = Some(entry);
            }
            return at;
        }
        if self.blocks.last().is_none_or(|block| block.len() == Self::BLOCK) {
            self.blocks.push(Vec::with_capacity(Self::BLOCK));
        }
        let block = self.blocks.len() - 1;
        self.blocks[block].push(Some(entry));
        (block * Self::BLOCK + self.blocks[block].len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, at: u32) -> Option<E> {
        let gone = self
            .blocks
            .get_mut(at as usize / Self::BLOCK)?
            .get_mut(at as usize % Self::BLOCK)?
            .take();
        if gone.is_some() {
            self.free.push(at);
        }
        gone
    }
}

/// The neighbours of an entry in the list in which it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links {
    before: u32,
    behind: u32,
}

pub(crate) const UNLINKED: Links = Links { before: NONE, behind: NONE };

/// An entry that can be in a list: one at a time.
pub(crate) trait Linked {
    fn links(&mut self) -> &mut Links;
}

/// A list through entries, oldest first.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) first: u32,
    last: u32,
    pub(crate) len: usize,
}

impl List {
    pub(crate) fn new() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }

    /// Of an entry that is in no list.
    pub(crate) fn push<E: Linked>(&mut self, entries: &mut Entries<E>, at: u32) {
        let Some(entry) = entries.get_mut(at) else { return };
        *entry.links() = Links { before: self.last, behind: NONE };
        match entries.get_mut(self.last) {
            Some(last) => last.links().behind = at,
            None => self.first = at,
        }
        self.last = at;
        self.len += 1;
    }

    /// Of an entry that is in this list.
    pub(crate) fn unlink<E: Linked>(&mut self, entries: &mut Entries<E>, at: u32) {
        let Some(entry) = entries.get_mut(at) else { return };
        let Links { before, behind } = std::mem::replace(entry.links(), UNLINKED);
        match entries.get_mut(before) {
            Some(entry) => entry.links().behind = behind,
            None => self.first = behind,
        }
        match entries.get_mut(behind) {
            Some(entry) => entry.links().before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    struct Entry(char, Links);

    impl Linked for Entry {
        fn links(&mut self) -> &mut Links {
            &mut self.1
        }
    }

    fn listed(list: &List, entries: &Entries<Entry>) -> String {
        let mut at = list.first;
        let mut said = String::new();
        while let Some(entry) = entries.get(at) {
            said.push(entry.0);
            at = entry.1.behind;
        }
        assert_eq!(said.len(), list.len);
        said
    }

    #[test]
    fn lists_are_unlinked_at_each_place() {
        let (mut entries, mut list) = (Entries::new(), List::new());
        let places = ['a', 'b', 'c', 'd'].map(|name| entries.insert(Entry(name, UNLINKED)));
        places.iter().for_each(|&at| list.push(&mut entries, at));
        assert_eq!(listed(&list, &entries), "abcd");
        for (gone, left) in [(1, "acd"), (0, "cd"), (3, "c"), (2, "")] {
            list.unlink(&mut entries, places[gone]);
            assert_eq!(listed(&list, &entries), left);
        }
        list.push(&mut entries, places[2]);
        list.push(&mut entries, places[0]);
        assert_eq!(listed(&list, &entries), "ca");
    }

    #[test]
    fn places_are_used_again() {
        let mut entries = Entries::new();
        let places: Vec<u32> = (0..200_u32).map(|number| entries.insert(number)).collect();
        assert!(places.iter().copied().eq(0..200));
        assert_eq!(entries.remove(77), Some(77));
        assert_eq!(entries.remove(77), None);
        assert_eq!(entries.get(77), None);
        assert_eq!(entries.insert(5), 77);
        assert_eq!(entries.insert(6), 200);
        assert_eq!(entries.get(NONE), None);
    }
}
