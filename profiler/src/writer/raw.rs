//! Records as they came from the ring, waiting to be converted.

use std::collections::VecDeque;
use std::ops::Range;

use spandrel_ring::{Entry, Part};

use super::chunks::Chunks;
use crate::recorder::losses::{KINDS, Kind, PerKind};
use crate::recorder::record::{self, Record, SLOT_WORDS, Slot};

/// Records in the order in which they were drained, end to end in chunks. They are taken from the front,
/// a piece at a time; a chunk is given back when all of its records were taken.
#[derive(Debug, Default)]
pub(super) struct RawBatch {
    full: VecDeque<Chunk>,
    /// The one that is being filled.
    last: Chunk,
    /// Where the next record begins in the first chunk.
    begin: usize,
    /// Words of the chunks before the last one.
    full_words: usize,
    /// How many records came since the batch was empty.
    records: usize,
    /// How many of them were taken.
    taken: usize,
    /// How many of each kind were ever pushed ...
    pushed: PerKind,
    /// ... and are not here any more.
    gone: PerKind,
    /// Where runs of records of one partition end, if that has to be known.
    ends: VecDeque<End>,
    /// Ends whose records were taken, until somebody asks.
    passed: Vec<(u32, u64)>,
}

/// The end of a run of records that came from one partition.
#[derive(Debug, Clone, Copy)]
struct End {
    /// How many records came up to there since the batch was empty.
    records: usize,
    partition: u32,
    /// Up to where the partition was drained.
    position: u64,
}

/// Whole records, each after a word with its length.
#[derive(Debug, Default)]
struct Chunk {
    words: Part<u64>,
    /// How many of the words are in use.
    len: usize,
}

impl Chunk {
    fn records(&self) -> &[u64] {
        &self.words[..self.len]
    }
}

/// The words of some records, one after the other.
struct Words<'a, C> {
    chunks: C,
    /// What is left of the present chunk.
    rest: &'a [u64],
    left: usize,
}

impl<'a, C: Iterator<Item = &'a Chunk>> Iterator for Words<'a, C> {
    type Item = &'a [u64];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u64]> {
        self.left = self.left.checked_sub(1)?;
        loop {
            if let Some((len, rest)) = self.rest.split_first() {
                let (words, rest) = rest.split_at(*len as usize);
                self.rest = rest;
                return Some(words);
            }
            self.rest = self.chunks.next()?.records();
        }
    }
}

impl RawBatch {
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<'_, Slot>, chunks: &mut Chunks) {
        let slots = entry.slots();
        let len = slots.len() * SLOT_WORDS;
        if self.last.len + 1 + len > self.last.words.len() {
            self.begin_chunk(chunks);
        }
        let chunk = &mut self.last;
        let words = &mut chunk.words[chunk.len..chunk.len + 1 + len];
        words[0] = len as u64;
        let (to, _) = words[1..].as_chunks_mut::<SLOT_WORDS>();
        to.iter_mut().zip(slots).for_each(|(to, slot)| *to = *slot);
        let kind = record::kind(&words[1..]);
        chunk.len += 1 + len;
        self.records += 1;
        if let Some(kind) = kind {
            self.pushed[kind as usize] += 1;
        }
    }

    /// The same for a record that was read from a file, and is no longer than a claim may be. Returns its words, for
    /// whoever has other ids for it.
    #[cfg(feature = "crash-proof")]
    #[inline]
    pub(super) fn push_words(&mut self, record: &[u64], chunks: &mut Chunks) -> &mut [u64] {
        let len = record.len();
        if self.last.len + 1 + len > self.last.words.len() {
            self.begin_chunk(chunks);
        }
        let chunk = &mut self.last;
        let words = &mut chunk.words[chunk.len..chunk.len + 1 + len];
        words[0] = len as u64;
        words[1..].copy_from_slice(record);
        chunk.len += 1 + len;
        self.records += 1;
        if let Some(kind) = record::kind(record) {
            self.pushed[kind as usize] += 1;
        }
        &mut words[1..]
    }

    /// The same for a span of a single slot.
    #[cfg(feature = "collected")]
    #[inline(always)]
    pub(super) fn push_span(&mut self, span: &Slot, chunks: &mut Chunks) -> &mut Slot {
        if self.last.len + 1 + SLOT_WORDS > self.last.words.len() {
            self.begin_chunk(chunks);
        }
        let chunk = &mut self.last;
        let words = &mut chunk.words[chunk.len..chunk.len + 1 + SLOT_WORDS];
        chunk.len += 1 + SLOT_WORDS;
        self.records += 1;
        self.pushed[Kind::Span as usize] += 1;
        let (length, words) = words.split_at_mut(1);
        length[0] = SLOT_WORDS as u64;
        let (words, _) = words.as_chunks_mut::<SLOT_WORDS>();
        words[0] = *span;
        &mut words[0]
    }

    #[cold]
    fn begin_chunk(&mut self, chunks: &mut Chunks) {
        let chunk = Chunk { words: chunks.take(), len: 0 };
        let full = std::mem::replace(&mut self.last, chunk);
        if full.len > 0 {
            self.full_words += full.len;
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

    /// How many bytes the chunks hold, including records of the first chunk that were taken.
    pub(super) fn bytes(&self) -> usize {
        (self.full_words + self.last.len) * size_of::<u64>()
    }

    /// The next records to be taken, at most so many; where it is known where runs end, up to the end of one.
    pub(super) fn piece(&self, most: usize) -> Range<usize> {
        let end = self.taken.saturating_add(most);
        if end >= self.records {
            return self.taken..self.records;
        }
        // Those within, of which the last one counts; or the first one, though it is farther.
        let within = self.ends.partition_point(|known| known.records <= end);
        let known = self.ends.get(within.saturating_sub(1)).map_or(end, |known| known.records);
        self.taken..known
    }

    /// A run of records of this partition has ended, which was drained up to this position.
    pub(super) fn end_run(&mut self, partition: usize, position: u64) {
        self.ends.push_back(End { records: self.records, partition: partition as u32, position });
    }

    /// Whether there are runs, perhaps without records, that were not taken.
    pub(super) fn has_runs(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Up to where partitions were taken since the last call.
    pub(super) fn take_passed(&mut self) -> impl Iterator<Item = (u32, u64)> + use<'_> {
        self.passed.drain(..)
    }

    /// All runs up to this record were taken.
    fn pass_up_to(&mut self, record: usize) {
        while let Some(end) = self.ends.front()
            && end.records <= record
        {
            self.passed.push((end.partition, end.position));
            self.ends.pop_front();
        }
    }

    /// Frees a piece after use. Returns how many records of each kind it had.
    pub(super) fn take(&mut self, piece: Range<usize>, chunks: &mut Chunks) -> PerKind {
        let (mut counts, spoiled) = self.take_apart(piece, chunks);
        add(&mut counts, spoiled);
        counts
    }

    /// The same; counts separately the records that cannot be read, because something has overwritten
    /// the ring's memory. A record without a kind is taken for a span, as most are.
    pub(super) fn take_apart(
        &mut self,
        piece: Range<usize>,
        chunks: &mut Chunks,
    ) -> (PerKind, PerKind) {
        let (mut counts, mut spoiled) = ([0; KINDS], [0; KINDS]);
        // What is left of the last chunk that was begun, and how many chunks are behind it.
        let (rest, behind) = {
            let mut words = self.walk(piece.clone());
            words.by_ref().for_each(|words| count(words, &mut counts, &mut spoiled));
            (words.rest.len(), words.chunks.count())
        };
        let is_done = rest == 0 && behind > 0;
        let kept = behind - usize::from(is_done);
        add(&mut self.gone, counts);
        add(&mut self.gone, spoiled);
        self.taken = piece.end.max(self.taken);
        self.pass_up_to(self.taken);
        while self.full.len() > kept
            && let Some(chunk) = self.full.pop_front()
        {
            self.full_words -= chunk.len;
            chunks.give_back(chunk.words);
        }
        let first = self.full.front().unwrap_or(&self.last);
        self.begin = if is_done { 0 } else { first.len - rest };
        (counts, spoiled)
    }

    /// How many records of each kind a piece has: those that can be read, and those that cannot, because
    /// something has overwritten the ring's memory. A record without a kind is taken for a span, as most
    /// are.
    #[cfg(any(test, spandrel_fuzz))]
    pub(super) fn counts_apart(&self, piece: Range<usize>) -> (PerKind, PerKind) {
        let (mut counts, mut spoiled) = ([0; KINDS], [0; KINDS]);
        self.words_of(piece).for_each(|words| count(words, &mut counts, &mut spoiled));
        (counts, spoiled)
    }

    /// The records that are still to be taken.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records_of(self.piece(usize::MAX))
    }

    /// The records of a piece from [`piece`](Self::piece).
    #[inline]
    pub(super) fn records_of(&self, piece: Range<usize>) -> impl Iterator<Item = Record<'_>> {
        self.words_of(piece).filter_map(record::read)
    }

    /// The words of each record of a piece.
    #[inline]
    pub(super) fn words_of(&self, piece: Range<usize>) -> impl Iterator<Item = &[u64]> {
        self.walk(piece)
    }

    #[inline]
    fn walk(&self, piece: Range<usize>) -> Words<'_, impl Iterator<Item = &Chunk> + use<'_>> {
        debug_assert_eq!(piece.start, self.taken, "a piece begins where the last one has ended");
        let mut chunks = self.full.iter().chain([&self.last]);
        let first = chunks.next().map_or(&[][..], Chunk::records);
        Words { chunks, rest: &first[self.begin..], left: piece.len() }
    }

    /// The words of all records that are still to be taken; `between` is called between the chunks.
    #[inline]
    pub(super) fn for_each_mut(
        &mut self,
        mut visit: impl FnMut(&mut [u64]),
        mut between: impl FnMut(),
    ) {
        let mut begin = self.begin;
        for chunk in self.full.iter_mut().chain([&mut self.last]) {
            let mut rest = &mut chunk.words[begin..chunk.len];
            while let Some((len, words)) = rest.split_first_mut() {
                let (words, behind) = words.split_at_mut(*len as usize);
                visit(words);
                rest = behind;
            }
            begin = 0;
            between();
        }
    }

    /// Empties the batch.
    pub(super) fn clear(&mut self, chunks: &mut Chunks) {
        self.pass_up_to(usize::MAX);
        let last = std::mem::take(&mut self.last);
        for chunk in self.full.drain(..).chain([last]) {
            chunks.give_back(chunk.words);
        }
        (self.begin, self.full_words) = (0, 0);
        (self.records, self.taken) = (0, 0);
        self.gone = self.pushed;
    }
}

/// Counts a record by its kind.
#[inline]
fn count(words: &[u64], counts: &mut PerKind, spoiled: &mut PerKind) {
    match record::read(words) {
        Some(record) => counts[record.kind() as usize] += 1,
        None => spoiled[record::kind(words).unwrap_or(Kind::Span) as usize] += 1,
    }
}

/// Adds counts, kind by kind.
pub(super) fn add(sum: &mut PerKind, counts: PerKind) {
    sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
}

#[cfg(test)]
mod tests {
    use spandrel_ring::{Ring, RingOptions};

    use super::super::chunks::tests::few_and_free;
    use super::*;

    /// Pushes records of these lengths in slots. Their last words are numbers, in order.
    fn push(raw: &mut RawBatch, chunks: &mut Chunks, lengths: &[usize], first: usize) {
        let (ring, mut consumer) =
            Ring::<Slot>::new(RingOptions { capacity: 8_192, partitions: 1 });
        for (n, length) in lengths.iter().enumerate() {
            let mut claim = ring.try_claim(*length).unwrap();
            (0..*length).for_each(|slot| *claim.slot(slot) = [(first + n) as u64; SLOT_WORDS]);
            claim.publish();
            for partition in 0..consumer.partitions() {
                consumer.drain(partition, usize::MAX, |entry| raw.push(entry, chunks));
            }
        }
    }

    fn seen(raw: &RawBatch, piece: Range<usize>) -> Vec<(u64, usize)> {
        raw.words_of(piece)
            .map(|words| (words[words.len() - 1], words.len() / SLOT_WORDS))
            .collect()
    }

    /// The first chunks come from the allocator; when these are in use, further ones from the region.
    #[test]
    fn records_come_back_whole_and_in_order_whatever_the_pieces() {
        let lengths: Vec<usize> =
            (0..60_000).map(|n| if n % 1_000 == 700 { 900 } else { 1 + n % 4 }).collect();
        let expected: Vec<_> =
            lengths.iter().enumerate().map(|(n, length)| (n as u64, *length)).collect();
        let mut raw = RawBatch::default();
        let mut chunks = Chunks::new(usize::MAX);
        // Emptied in between, it starts over.
        for most in [1, 7, 1_000, 4_096, usize::MAX] {
            push(&mut raw, &mut chunks, &lengths[..3_000], 0);
            let mut taken = Vec::new();
            for _ in 0..2 {
                let piece = raw.piece(most);
                taken.extend(seen(&raw, piece.clone()));
                raw.take(piece, &mut chunks);
            }
            push(&mut raw, &mut chunks, &lengths[3_000..], 3_000);
            assert_eq!(seen(&raw, raw.piece(usize::MAX)), expected[taken.len()..]);
            let (mut visited, mut between) = (0, 0);
            let visit = |words: &mut [u64]| {
                assert_eq!(words[0], (taken.len() + visited) as u64);
                visited += 1;
            };
            raw.for_each_mut(visit, || between += 1);
            assert_eq!((visited, between), (raw.len(), raw.full.len() + 1));
            assert!(chunks.memory().used as usize >= raw.bytes());
            while !raw.is_empty() {
                let before = (raw.bytes(), raw.full.len());
                let piece = raw.piece(most);
                taken.extend(seen(&raw, piece.clone()));
                raw.take(piece, &mut chunks);
                assert_eq!(raw.bytes() < before.0, raw.full.len() < before.1);
            }
            assert_eq!(taken, expected);
            assert!(raw.full.is_empty(), "what was taken is given back");
            raw.clear(&mut chunks);
            assert_eq!((raw.len(), raw.bytes(), raw.piece(usize::MAX)), (0, 0, 0..0));
        }
        few_and_free(&chunks);
    }
}
