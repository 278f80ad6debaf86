//! Records as they came from the ring, waiting to be converted.

use std::collections::VecDeque;
use std::ops::Range;

use spandrel_ring::Entry;
use spandrel_storage::MemoryUse;

use crate::recorder::losses::{KINDS, Kind, PerKind};
use crate::recorder::record::{self, Record, Slot};

/// Slots of a chunk, 112 KiB: small enough that an allocator hands one that was given back to the next who asks.
const CHUNK: usize = 2_048;
/// So many empty chunks are kept for records to come.
const SPARE_MAX: usize = 4;

/// Records in the order in which they were drained: their slots end to end, in chunks, each of which is given
/// back when all of its records were taken. They are taken from the front, a piece at a time.
#[derive(Debug, Default)]
pub(super) struct RawBatch {
    full: VecDeque<Chunk>,
    /// The one that is being filled.
    last: Chunk,
    spare: Vec<Chunk>,
    /// How many records came since the batch was empty.
    records: usize,
    /// How many of them were taken.
    taken: usize,
    /// How many of each kind were ever pushed ...
    pushed: PerKind,
    /// ... and are not here any more.
    gone: PerKind,
}

/// Some records, each of them whole.
#[derive(Debug, Default)]
struct Chunk {
    /// How many records came before it.
    first: usize,
    slots: Vec<Slot>,
    /// Where each record ends.
    ends: Vec<u32>,
}

impl Chunk {
    fn start(&self, index: usize) -> usize {
        let before = index.checked_sub(1).and_then(|before| self.ends.get(before));
        before.map_or(0, |end| *end as usize)
    }
}

/// The words of some records, one after the other.
struct Words<'a, C> {
    chunks: C,
    slots: &'a [Slot],
    ends: std::slice::Iter<'a, u32>,
    start: usize,
    left: usize,
}

impl<'a, C: Iterator<Item = &'a Chunk>> Iterator for Words<'a, C> {
    type Item = &'a [u64];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u64]> {
        self.left = self.left.checked_sub(1)?;
        loop {
            if let Some(end) = self.ends.next() {
                let words = self.slots[self.start..*end as usize].as_flattened();
                self.start = *end as usize;
                return Some(words);
            }
            let Chunk { slots, ends, .. } = self.chunks.next()?;
            (self.slots, self.ends, self.start) = (slots, ends.iter(), 0);
        }
    }
}

impl RawBatch {
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<'_, Slot>) {
        let slots = entry.slots();
        if self.last.slots.len() + slots.len() > self.last.slots.capacity() {
            self.begin_chunk(slots.len());
        }
        let chunk = &mut self.last;
        let start = chunk.slots.len();
        chunk.slots.extend(slots.copied());
        chunk.ends.push(chunk.slots.len() as u32);
        let kind = record::kind(&chunk.slots[start]);
        self.records += 1;
        if let Some(kind) = kind {
            self.pushed[kind as usize] += 1;
        }
    }

    /// A chunk for a record of so many slots, and those behind it.
    #[cold]
    fn begin_chunk(&mut self, slots: usize) {
        let spare = self.spare.pop().filter(|spare| spare.slots.capacity() >= slots);
        let mut chunk = spare.unwrap_or_default();
        chunk.slots.reserve_exact(CHUNK.max(slots));
        chunk.first = self.records;
        let full = std::mem::replace(&mut self.last, chunk);
        if !full.ends.is_empty() {
            self.full.push_back(full);
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
        self.records - self.taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many slots the records take, with those before them in their chunk.
    pub(super) fn slots(&self) -> usize {
        let full: usize = self.full.iter().map(|chunk| chunk.slots.len()).sum();
        full + self.last.slots.len()
    }

    /// Memory for them, and for some to come.
    pub(super) fn memory(&self) -> MemoryUse {
        let of = |chunk: &Chunk| MemoryUse::of(&chunk.slots) + MemoryUse::of(&chunk.ends);
        let chunks = self.full.iter().chain([&self.last]).chain(&self.spare);
        chunks.fold(MemoryUse::default(), |sum, chunk| sum + of(chunk))
    }

    /// The next records to be taken, `most` of them.
    pub(super) fn piece(&self, most: usize) -> Range<usize> {
        self.taken..self.records.min(self.taken.saturating_add(most))
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
        let (counts, spoiled) = self.counts_apart(piece.clone());
        add(&mut self.gone, counts);
        add(&mut self.gone, spoiled);
        let is_taken = |chunk: &Chunk| chunk.first + chunk.ends.len() <= piece.end;
        while self.full.front().is_some_and(is_taken) {
            let chunk = self.full.pop_front();
            chunk.into_iter().for_each(|chunk| self.give_back(chunk));
        }
        (counts, spoiled)
    }

    fn give_back(&mut self, mut chunk: Chunk) {
        if self.spare.len() < SPARE_MAX && chunk.slots.capacity() <= CHUNK {
            chunk.slots.clear();
            chunk.ends.clear();
            self.spare.push(chunk);
        }
    }

    /// How many records of each kind there are in a piece: those that can be read, and those that cannot,
    /// as somebody has spoiled the ring's memory. What is of no kind is taken for a span, as most are.
    pub(super) fn counts_apart(&self, piece: Range<usize>) -> (PerKind, PerKind) {
        let (mut counts, mut spoiled) = ([0; KINDS], [0; KINDS]);
        for words in self.words_of(piece) {
            match record::read(words) {
                Some(record) => counts[record.kind() as usize] += 1,
                None => spoiled[record::kind(words).unwrap_or(Kind::Span) as usize] += 1,
            }
        }
        (counts, spoiled)
    }

    /// The records that are still to be taken.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records_of(self.piece(usize::MAX))
    }

    #[inline]
    pub(super) fn records_of(&self, piece: Range<usize>) -> impl Iterator<Item = Record<'_>> {
        self.words_of(piece).filter_map(record::read)
    }

    #[inline]
    pub(super) fn words_of(&self, piece: Range<usize>) -> impl Iterator<Item = &[u64]> {
        let before = self.full.partition_point(|chunk| chunk.first <= piece.start);
        let mut chunks = self.full.range(before.saturating_sub(1)..).chain([&self.last]);
        let left = piece.len();
        let mut begin = chunks.next();
        if begin.is_some_and(|chunk| chunk.first + chunk.ends.len() <= piece.start) {
            begin = chunks.next();
        }
        let Some(Chunk { first, slots, ends }) = begin else {
            return Words { chunks, slots: &[], ends: [].iter(), start: 0, left: 0 };
        };
        let skipped = piece.start.saturating_sub(*first).min(ends.len());
        let start = skipped.checked_sub(1).map_or(0, |before| ends[before] as usize);
        Words { chunks, slots, ends: ends[skipped..].iter(), start, left }
    }

    /// The words of all records that are still to be taken.
    #[inline]
    pub(super) fn for_each_mut(&mut self, mut visit: impl FnMut(&mut [u64])) {
        let taken = self.taken;
        for chunk in self.full.iter_mut().chain([&mut self.last]) {
            let skipped = taken.saturating_sub(chunk.first);
            let mut start = chunk.start(skipped);
            for &end in chunk.ends.iter().skip(skipped) {
                visit(chunk.slots[start..end as usize].as_flattened_mut());
                start = end as usize;
            }
        }
    }

    /// Empties the batch and keeps memory for some records.
    pub(super) fn clear(&mut self) {
        while let Some(chunk) = self.full.pop_front() {
            self.give_back(chunk);
        }
        let last = std::mem::take(&mut self.last);
        self.give_back(last);
        self.records = 0;
        self.taken = 0;
        self.gone = self.pushed;
    }
}

/// Adds what there is of each kind.
pub(super) fn add(sum: &mut PerKind, counts: PerKind) {
    sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
}

#[cfg(test)]
mod tests {
    use spandrel_ring::{Ring, RingOptions};

    use crate::recorder::record::SLOT_WORDS;

    use super::*;

    /// Pushes records of these lengths in slots, which say in their last word how many came before.
    fn push(raw: &mut RawBatch, lengths: &[usize], first: usize) {
        let (ring, mut consumer) =
            Ring::<Slot>::new(RingOptions { capacity: 8_192, partitions: 1 });
        for (n, length) in lengths.iter().enumerate() {
            let mut claim = ring.try_claim(*length).unwrap();
            (0..*length).for_each(|slot| *claim.slot(slot) = [(first + n) as u64; SLOT_WORDS]);
            claim.publish();
            for partition in 0..consumer.partitions() {
                consumer.drain(partition, usize::MAX, |entry| raw.push(entry));
            }
        }
    }

    fn seen(raw: &RawBatch, piece: Range<usize>) -> Vec<(u64, usize)> {
        raw.words_of(piece)
            .map(|words| (words[words.len() - 1], words.len() / SLOT_WORDS))
            .collect()
    }

    #[test]
    fn records_come_back_whole_and_in_order_whatever_the_pieces() {
        let lengths: Vec<usize> =
            (0..9_000).map(|n| if n % 1_000 == 700 { 900 } else { 1 + n % 4 }).collect();
        let expected: Vec<_> =
            lengths.iter().enumerate().map(|(n, length)| (n as u64, *length)).collect();
        let mut raw = RawBatch::default();
        // Emptied in between, it begins anew.
        for most in [1, 7, 1_000, 4_096, usize::MAX] {
            push(&mut raw, &lengths[..3_000], 0);
            let mut taken = Vec::new();
            for _ in 0..2 {
                let piece = raw.piece(most);
                taken.extend(seen(&raw, piece.clone()));
                raw.take(piece);
            }
            push(&mut raw, &lengths[3_000..], 3_000);
            assert_eq!(seen(&raw, raw.piece(usize::MAX)), expected[taken.len()..]);
            let mut visited = 0;
            raw.for_each_mut(|words| {
                assert_eq!(words[0], (taken.len() + visited) as u64);
                visited += 1;
            });
            assert_eq!(visited, raw.len());
            while !raw.is_empty() {
                let piece = raw.piece(most);
                taken.extend(seen(&raw, piece.clone()));
                raw.take(piece);
            }
            assert_eq!(taken, expected);
            assert!(raw.full.is_empty(), "what was taken is given back");
            raw.clear();
            assert_eq!((raw.len(), raw.slots(), raw.piece(usize::MAX)), (0, 0, 0..0));
        }
        assert!(raw.spare.len() <= SPARE_MAX);
        assert!(raw.spare.iter().all(|chunk| chunk.slots.capacity() <= CHUNK));
    }
}
