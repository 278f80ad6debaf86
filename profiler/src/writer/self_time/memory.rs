//! Memory that the knowledge about children takes.

use super::{Children, Inside, Long, SelfTimes};
use crate::memory_use::MemoryUse;

impl Children {
    fn memory(&self) -> MemoryUse {
        MemoryUse::of(&self.others) + self.older.memory()
    }
}

impl Long {
    fn memory(&self) -> MemoryUse {
        let inside = |sum, inside: &Inside| sum + inside.spans.memory();
        self.threads.iter().fold(MemoryUse::of(&self.threads), inside)
    }
}

impl SelfTimes {
    /// Memory for all of it; walks through the tables.
    pub(in super::super) fn memory(&self) -> MemoryUse {
        let Self { children, long, closed, calls, rows, .. } = self;
        let Self { pieces, orphans, gone, spare, .. } = self;
        let tables = children.bytes() + long.bytes();
        let mut sum = MemoryUse::whole(tables + closed.capacity() * size_of::<(u64, u64)>());
        sum += calls.memory() + rows.memory();
        sum += MemoryUse::whole(gone.capacity() * (size_of::<u64>() + 1));
        sum += MemoryUse::of(pieces) + MemoryUse::of(orphans);
        children.values().for_each(|children| sum += children.memory());
        long.values().for_each(|long| sum += long.memory());
        sum + spare.intervals.memory() + spare.children.memory()
    }
}
