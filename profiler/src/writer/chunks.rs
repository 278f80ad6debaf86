//! Memory for records: chunks, and where they come from.
//!
//! The first few come from the allocator, and are kept for later. When a burst needs more, chunks are
//! parts of one large region. It is so large that every allocator takes it from the system, and gives it
//! back to the system: chunks freed one by one might stay with the allocator, below memory that is still
//! in use. The system provides only those pages of the region that are touched; the region is freed when
//! no chunk of it is in use.

use spandrel_ring::{Part, SLOTS_PER_CLAIM_MAX, Zeros};

use crate::memory;
use crate::memory_use::MemoryUse;
use crate::recorder::record::SLOT_WORDS;

const WORD: usize = size_of::<u64>();
/// Words of a chunk from the allocator, 112 KiB: small enough that the allocator reuses a freed one for
/// the next.
pub(super) const CHUNK: usize = (112 << 10) / WORD;
/// How many free ones are kept.
pub(super) const SPARE_MAX: usize = 4;
/// When so many are in use, further ones come from the region.
const SMALL_MAX: usize = 16;
/// Words of a chunk in the region.
const LARGE_CHUNK: usize = (256 << 10) / WORD;
pub(super) const LARGE_CHUNK_BYTES: usize = LARGE_CHUNK * WORD;
/// Address space of the region. The GNU allocator takes everything larger than 32 MiB directly from the
/// system.
const REGION: usize = 64 << 20;

const _: () = assert!(SLOTS_PER_CLAIM_MAX * SLOT_WORDS < CHUNK, "a chunk holds any record");

/// The free chunks, and counts of all.
#[derive(Debug)]
pub(super) struct Chunks {
    /// How many bytes may be in use.
    most: usize,
    /// The same, limited by the memory that there was when the region was taken.
    left: usize,
    expects_many: bool,
    spare: Vec<Part<u64>>,
    /// Chunks from the allocator, the free ones included.
    small: usize,
    /// Free chunks of the region, the one that was given back last at the end.
    large: Vec<Part<u64>>,
    /// How many chunks the region has; 0 if there is no region.
    region: usize,
    /// How many of them were in use at most: so much of the region was touched.
    touched: usize,
}

impl Chunks {
    /// For so many bytes at most. The caller has to ask [`has_room`](Self::has_room) first.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            left: usize::MAX,
            expects_many: false,
            spare: Vec::new(),
            small: 0,
            large: Vec::new(),
            region: 0,
            touched: 0,
        }
    }

    /// Whether so many bytes are left for chunks.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.in_use().saturating_add(bytes) <= self.most.min(self.left)
    }

    /// Bytes of the chunks that were taken and not given back.
    fn in_use(&self) -> usize {
        let (small, large) = (self.small - self.spare.len(), self.region - self.large.len());
        (small * CHUNK + large * LARGE_CHUNK) * WORD
    }

    /// Says whether many will be taken now.
    pub(super) fn expect_many(&mut self, many: bool) {
        self.expects_many = many;
    }

    /// Takes a chunk, with room for any record. It holds zeros, or whatever was in it before.
    pub(super) fn take(&mut self) -> Part<u64> {
        if let Some(chunk) = self.spare.pop() {
            return chunk;
        }
        if self.expects_many || self.small >= SMALL_MAX {
            if self.region == 0 {
                self.take_region();
            }
            if let Some(chunk) = self.large.pop() {
                self.touched = self.touched.max(self.region - self.large.len());
                return chunk;
            }
        }
        self.small += 1;
        let mut one = Zeros::new(CHUNK).into_parts(CHUNK);
        // There is always one: a region has as many words as its chunks.
        one.swap_remove(0)
    }

    /// Takes the region. Of the memory that the system, or the program's control group, has left, half is for others. If the
    /// program's address space is too small for a region, nothing is left for a backlog: the allocator provides what has to be
    /// taken, and no more is taken.
    #[cold]
    fn take_region(&mut self) {
        let Ok(region) = Zeros::try_new(REGION / WORD) else {
            self.left = self.in_use();
            return;
        };
        let left = memory::available().map_or(usize::MAX, |bytes| bytes as usize / 2);
        self.left = self.in_use().saturating_add(left);
        region.prefer_small_pages();
        self.large = region.into_parts(LARGE_CHUNK);
        self.large.reverse();
        (self.region, self.touched) = (self.large.len(), 0);
    }

    pub(super) fn give_back(&mut self, chunk: Part<u64>) {
        match chunk.len() {
            LARGE_CHUNK => {
                self.large.push(chunk);
                if self.large.len() == self.region {
                    self.large = Vec::new();
                    (self.region, self.touched, self.left) = (0, 0, usize::MAX);
                }
            }
            CHUNK if self.spare.len() < SPARE_MAX => self.spare.push(chunk),
            CHUNK => self.small -= 1,
            // No memory: nothing was taken yet.
            _ => {}
        }
    }

    /// How much is allocated, and how much of it was ever touched.
    pub(super) fn memory(&self) -> MemoryUse {
        let bytes = |small: usize, large: usize| (small * CHUNK + large * LARGE_CHUNK) * WORD;
        MemoryUse {
            reserved: bytes(self.small, self.region) as u64,
            used: bytes(self.small, self.touched) as u64,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Nothing is in use, and only little is kept.
    pub(in super::super) fn few_and_free(chunks: &Chunks) {
        assert!(chunks.in_use() == 0 && chunks.spare.len() <= SPARE_MAX, "{chunks:?}");
        assert_eq!(chunks.memory(), MemoryUse::whole(chunks.spare.len() * CHUNK * WORD));
    }

    #[test]
    fn a_burst_has_a_region_of_its_own_which_goes_with_it() {
        let mut chunks = Chunks::new(usize::MAX);
        let few: Vec<_> = (0..SMALL_MAX).map(|_| chunks.take()).collect();
        assert!(few.iter().all(|chunk| chunk.len() == CHUNK) && chunks.region == 0);
        let small = chunks.memory();
        assert_eq!(small, MemoryUse::whole(SMALL_MAX * CHUNK * WORD));

        let mut many: Vec<_> = (0..10).map(|_| chunks.take()).collect();
        assert!(many.iter().all(|chunk| chunk.len() == LARGE_CHUNK));
        let large = (LARGE_CHUNK * WORD) as u64;
        let most =
            MemoryUse { reserved: small.reserved + REGION as u64, used: small.used + 10 * large };
        assert_eq!(chunks.memory(), most);
        // Chunks that were touched are taken again first.
        many.drain(2..).for_each(|chunk| chunks.give_back(chunk));
        many.extend((0..8).map(|_| chunks.take()));
        assert_eq!(chunks.memory(), most);
        many.push(chunks.take());
        assert_eq!(chunks.memory().used, most.used + large);

        many.drain(..).for_each(|chunk| chunks.give_back(chunk));
        assert_eq!(chunks.memory(), small, "the region is gone");
        few.into_iter().for_each(|chunk| chunks.give_back(chunk));
        assert_eq!(chunks.memory(), MemoryUse::whole(SPARE_MAX * CHUNK * WORD));
    }

    #[test]
    fn whoever_wants_more_than_the_region_has_it_from_the_allocator() {
        let mut chunks = Chunks::new(usize::MAX);
        let all: Vec<_> = (0..SMALL_MAX + 300).map(|_| chunks.take()).collect();
        let of = |words| all.iter().filter(|chunk| chunk.len() == words).count();
        assert_eq!(of(LARGE_CHUNK), REGION / WORD / LARGE_CHUNK);
        assert_eq!(of(LARGE_CHUNK) + of(CHUNK), all.len());
        all.into_iter().for_each(|chunk| chunks.give_back(chunk));
        assert_eq!(chunks.memory(), MemoryUse::whole(SPARE_MAX * CHUNK * WORD));
    }
}
