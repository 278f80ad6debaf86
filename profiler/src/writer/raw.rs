//! Records as they came from the ring, waiting to be converted.

use spandrel_ring::Entry;

use crate::counters::{KINDS, PerKind};
use crate::record::{self, Record, Slot};

/// Records in the order in which they were drained: their words end to end.
#[derive(Debug, Default)]
pub(crate) struct RawBatch {
    words: Vec<u64>,
    /// Where each record ends.
    ends: Vec<usize>,
    counts: PerKind,
}

impl RawBatch {
    pub(crate) fn push(&mut self, entry: Entry<'_, Slot>) {
        let start = self.words.len();
        for slot in entry.slots() {
            self.words.extend_from_slice(slot);
        }
        self.ends.push(self.words.len());
        if let Some(kind) = record::kind(self.words[start]) {
            self.counts[kind as usize] += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many records of each kind there are.
    pub(crate) fn counts(&self) -> PerKind {
        self.counts
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records_from(0)
    }

    /// The records but for the first `skipped`.
    pub(crate) fn records_from(&self, skipped: usize) -> impl Iterator<Item = Record<'_>> {
        let mut start =
            skipped.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |e| *e);
        self.ends.iter().skip(skipped).filter_map(move |&end| {
            let words = &self.words[start..end];
            start = end;
            record::read(words)
        })
    }

    /// Empties the batch and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.ends.clear();
        self.counts = [0; KINDS];
    }
}
