//! How much memory the recording takes. What the writer holds is counted with each commit, when it is
//! most; the rest is counted once a second.

use std::time::{Duration, Instant};

use super::Writer;
use crate::memory_use::{Memory, MemoryPart, MemoryUse};

/// How often the rest is counted: this asks for the pages of tables one by one.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was counted, and when.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) memory: Memory,
    /// When everything was counted last.
    all_at: Option<Instant>,
}

/// What the store tells of its memory.
fn told(bytes: spandrel_storage::MemoryUse) -> MemoryUse {
    let spandrel_storage::MemoryUse { reserved, used } = bytes;
    MemoryUse { reserved, used }
}

impl Writer {
    /// Counts what changes with each batch.
    pub(super) fn count_memory_in_hand(&mut self) {
        let Self { chunks, batch, converter, counted, state, .. } = self;
        let memory = &mut counted.memory;
        memory.set(MemoryPart::Drained, chunks.memory());
        memory.set(MemoryPart::Rows, told(batch.memory()) + converter.rows_memory());
        memory.counted();
        state.memory.show(memory);
    }

    /// Counts everything if it is due: a thread that waits for a commit may look at it then.
    pub(super) fn count_memory_if_due(&mut self) {
        let is_over = |at: Instant| at.elapsed() >= INTERVAL;
        if self.counted.all_at.is_none_or(is_over) || !self.waiting.is_empty() {
            self.count_memory();
        }
    }

    /// Counts everything.
    pub(super) fn count_memory(&mut self) {
        let Self { recorder, converter, store, counted, .. } = self;
        counted.all_at = Some(Instant::now());
        let stored = store.as_ref().map(|store| store.memory()).unwrap_or_default();
        let memory = &mut counted.memory;
        memory.set(MemoryPart::Ring, MemoryUse::whole(recorder.ring.bytes()));
        memory.set(MemoryPart::OpenSpans, recorder.open_spans_memory());
        let names = recorder.names_memory() + converter.names_memory() + told(stored.names);
        memory.set(MemoryPart::Names, names);
        memory.set(MemoryPart::SelfTimes, converter.self_times_memory());
        memory.set(MemoryPart::Rollups, told(stored.rollups));
        memory.set(MemoryPart::Image, told(stored.image));
        memory.set(MemoryPart::Pages, told(stored.pages));
        self.count_memory_in_hand();
    }
}
