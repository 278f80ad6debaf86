//! Empty lists that keep their memory.

use crate::memory_use::MemoryUse;

/// Most lists that are kept.
const MOST: usize = 256;

/// Lists that were in use, to be used again.
#[derive(Debug)]
pub(super) struct SpareLists<T>(Vec<Vec<T>>);

impl<T> Default for SpareLists<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> SpareLists<T> {
    #[inline]
    pub(super) fn take(&mut self) -> Option<Vec<T>> {
        self.0.pop()
    }

    /// Keeps the memory of a list, if it has any.
    #[inline]
    pub(super) fn keep(&mut self, list: &mut Vec<T>) {
        if list.capacity() > 0 && self.0.len() < MOST {
            list.clear();
            self.0.push(std::mem::take(list));
        }
    }

    /// All of their memory was touched, as they have been in use.
    pub(super) fn memory(&self) -> MemoryUse {
        let lists: u64 = self.0.iter().map(|list| MemoryUse::of(list).reserved).sum();
        MemoryUse::of(&self.0) + MemoryUse { reserved: lists, used: lists }
    }
}
