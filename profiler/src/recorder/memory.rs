//! Memory that a recorder takes.

use super::Recorder;
use crate::memory_use::MemoryUse;
use crate::recorder::page_map::PageMap;
use crate::recorder::sites::FAST_BYTES;
use crate::sync::Ordering;

impl Recorder {
    /// The table of open spans.
    pub(crate) fn open_spans_memory(&self) -> MemoryUse {
        self.open.memory(PageMap::open())
    }

    /// Callsites and threads.
    pub(crate) fn names_memory(&self) -> MemoryUse {
        // Relaxed: the first front end has a table of callsites; it is there, or about to be.
        let has_front = self.next_layer.load(Ordering::Relaxed) > 0;
        let fast = if has_front { FAST_BYTES } else { 0 };
        self.threads.memory() + MemoryUse::whole(self.callsites.bytes() + fast)
    }
}
