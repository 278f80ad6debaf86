//! Memory that the converter takes.

use super::{Callsite, Converter};
use crate::memory_use::MemoryUse;
use crate::recorder::status_hints::Role;

impl Callsite {
    fn memory(&self) -> MemoryUse {
        let roles = self.roles.as_ref().map_or(0, |roles| roles.len() * size_of::<(u8, Role)>());
        self.keys.memory() + MemoryUse::whole(roles)
    }
}

impl Converter {
    /// For what it knows about callsites and threads.
    pub(in super::super) fn names_memory(&self) -> MemoryUse {
        let known = self.callsites.iter().flatten();
        let keys = known.fold(MemoryUse::of(&self.callsites), |sum, one| sum + one.memory());
        let before_rotation =
            self.threads_before_rotation.known.capacity() * (size_of::<u32>() + 1);
        keys + MemoryUse::whole(self.log_sites.bytes() + before_rotation)
    }

    /// For what it knows about children; walks through all of it.
    pub(in super::super) fn self_times_memory(&self) -> MemoryUse {
        self.self_times.memory() + self.closed.memory() + MemoryUse::whole(self.left.bytes())
    }

    /// For rows that go into the next batch.
    pub(in super::super) fn rows_memory(&self) -> MemoryUse {
        MemoryUse::of(&self.contexts)
    }
}
