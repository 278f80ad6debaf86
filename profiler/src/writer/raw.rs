//! Records as they came from the ring, waiting to be converted.

use std::ops::Range;

use spandrel_ring::Entry;

use crate::counters::{KINDS, Kind, PerKind};
use crate::record::{self, Record, Slot};

/// Memory for so many slots is kept from batch to batch, 7 MiB; what a larger one took is given back.
const SLOTS_KEPT: usize = 131_072;

/// Records in the order in which they were drained: their slots end to end. They are taken from the
/// front, a piece at a time.
#[derive(Debug, Default)]
pub(super) struct RawBatch {
    slots: Vec<Slot>,
    /// Where each record ends. A batch does not come near 2^32 slots, a quarter of a TiB.
    ends: Vec<u32>,
    /// How many records were taken.
    taken: usize,
    /// How many of each kind were ever pushed ...
    pushed: PerKind,
    /// ... and are not here any more.
    gone: PerKind,
}

impl RawBatch {
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<'_, Slot>) {
        let start = self.slots.len();
        self.slots.extend(entry.slots().copied());
        self.ends.push(self.slots.len() as u32);
        if let Some(kind) = record::kind(self.slots[start][0]) {
            self.pushed[kind as usize] += 1;
        }
    }

    /// How many records of each kind were ever pushed.
    pub(super) fn pushed(&self) -> PerKind {
        self.pushed
    }

    /// How many records of each kind are still to be taken.
    pub(super) fn waiting(&self) -> PerKind {
        std::array::from_fn(|kind| self.pushed[kind] - self.gone[kind])
    }

    /// Records that are still to be taken.
    pub(super) fn len(&self) -> usize {
        self.ends.len() - self.taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many slots the records take, those included that were taken already.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The next records to be taken, `most` of them.
    pub(super) fn piece(&self, most: usize) -> Range<usize> {
        self.taken..self.ends.len().min(self.taken.saturating_add(most))
    }

    /// A piece is done with. Returns how many records of each kind it has.
    pub(super) fn take(&mut self, piece: Range<usize>) -> PerKind {
        let (mut counts, spoiled) = self.take_apart(piece);
        add(&mut counts, spoiled);
        counts
    }

    /// The same apart, as [`counts_apart`](Self::counts_apart).
    pub(super) fn take_apart(&mut self, piece: Range<usize>) -> (PerKind, PerKind) {
        self.taken = piece.end;
        let (counts, spoiled) = self.counts_apart(piece);
        add(&mut self.gone, counts);
        add(&mut self.gone, spoiled);
        (counts, spoiled)
    }

    /// How many records of each kind there are in a piece: those that can be read, and those that cannot,
    /// as somebody has spoiled the ring's memory. What is of no kind is taken for a span, as most are.
    pub(super) fn counts_apart(&self, piece: Range<usize>) -> (PerKind, PerKind) {
        let (mut counts, mut spoiled) = ([0; KINDS], [0; KINDS]);
        let mut start = self.start(piece.start);
        for &end in &self.ends[piece] {
            let words = self.slots[start..end as usize].as_flattened();
            match (record::read(words), words.first()) {
                (Some(record), _) => counts[record.kind() as usize] += 1,
                (None, header) => {
                    let kind = header.and_then(|header| record::kind(*header));
                    spoiled[kind.unwrap_or(Kind::Span) as usize] += 1;
                }
            }
            start = end as usize;
        }
        (counts, spoiled)
    }

    /// The records that are still to be taken.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records_of(self.piece(usize::MAX))
    }

    #[inline]
    pub(super) fn records_of(&self, piece: Range<usize>) -> impl Iterator<Item = Record<'_>> {
        let mut start = self.start(piece.start);
        self.ends[piece].iter().filter_map(move |&end| {
            let words = self.slots[start..end as usize].as_flattened();
            start = end as usize;
            record::read(words)
        })
    }

    /// The words of all records.
    #[inline]
    pub(super) fn for_each_mut(&mut self, mut visit: impl FnMut(&mut [u64])) {
        let mut start = 0;
        for &end in &self.ends {
            visit(self.slots[start..end as usize].as_flattened_mut());
            start = end as usize;
        }
    }

    fn start(&self, record: usize) -> usize {
        record
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |end| *end as usize)
    }

    /// Empties the batch and keeps its memory, if it is not out of proportion.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.ends.clear();
        self.taken = 0;
        self.gone = self.pushed;
        if self.slots.capacity() > SLOTS_KEPT {
            self.slots.shrink_to(SLOTS_KEPT);
            self.ends.shrink_to(SLOTS_KEPT);
        }
    }
}

/// Adds what there is of each kind.
pub(super) fn add(sum: &mut PerKind, counts: PerKind) {
    sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
}
