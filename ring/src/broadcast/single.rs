//! One producer: no read-modify-write, and no word beside the slots.

use crossbeam_utils::CachePadded;

use super::error::ClaimError;
use super::sequencer::{InHand, Look, Producers, Sizes, Wanted};
use super::stages::Stages;
use super::work::LAST;
use crate::size::TooLarge;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// `limit` of a ring that is closed: no claim ends there.
const SEALED: u64 = 0;

/// One producer; its type sees to that.
#[derive(Debug)]
pub struct Single {
    sizes: Sizes,
    /// Everything below is published. Written by the producer alone; a claim begins here.
    cursor: CachePadded<AtomicU64>,
    /// How far the producer may claim without another look at the gates, or `SEALED`. Written by the producer,
    /// and by whoever closes.
    limit: CachePadded<AtomicU64>,
    closed: CachePadded<AtomicBool>,
    /// Where the end of the ring is skipped, in laps of even and of odd number: so many slots in front of a claim that
    /// must not go round it. A lap begins only when consumers have left the one before the last.
    skipped_from: [AtomicU64; 2],
    /// Whether anything was ever skipped. Beside what else is hardly ever written to.
    has_skipped: AtomicBool,
}

impl Single {
    fn skipped_from(&self, sequence: u64) -> &AtomicU64 {
        &self.skipped_from[usize::from(sequence & self.sizes.capacity != 0)]
    }

    #[inline(always)]
    fn has_room(&self, stages: &Stages, end: u64) -> Result<(), ClaimError> {
        // Relaxed: written by this producer, or sealed, which is no hand-over.
        if end <= self.limit.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.look_for_room(stages, end)
    }

    #[cold]
    fn look_for_room(&self, stages: &Stages, end: u64) -> Result<(), ClaimError> {
        // Relaxed: as above.
        let before = self.limit.load(Ordering::Relaxed);
        if before == SEALED {
            return Err(ClaimError::Closed);
        }
        if end > LAST {
            return Err(ClaimError::Closed);
        }
        // Relaxed: our own.
        let limit = stages.room(end, |_| self.cursor.load(Ordering::Relaxed));
        let limit = limit.ok_or(ClaimError::Full)?.min(LAST);
        // No plain store, which could undo `close`.
        self.limit
            .compare_exchange(before, limit, Ordering::Relaxed, Ordering::Relaxed)
            .map(drop)
            .map_err(|_sealed| ClaimError::Closed)
    }
}

/// Nothing: where a claim was forgotten, the next one begins.
#[derive(Debug, Default)]
pub struct Nothing;

impl InHand for Nothing {
    #[inline(always)]
    fn pick_up(&mut self, _first: u64, _slots: u64) {}

    #[inline(always)]
    fn put_down(&mut self) {}

    #[inline(always)]
    fn forgotten(&mut self) -> Option<(u64, u64)> {
        None
    }
}

impl Producers for Single {
    type InHand = Nothing;
    const WAIT_FOR_EACH_OTHER: bool = false;

    fn new(sizes: Sizes) -> Result<Self, TooLarge> {
        let limit = if sizes.overwrites { LAST } else { LAST.min(sizes.begin + sizes.capacity) };
        Ok(Self {
            sizes,
            cursor: CachePadded::new(AtomicU64::new(sizes.begin)),
            limit: CachePadded::new(AtomicU64::new(limit)),
            closed: CachePadded::new(AtomicBool::new(false)),
            skipped_from: [const { u64::MAX }; 2].map(AtomicU64::new),
            has_skipped: AtomicBool::new(false),
        })
    }

    #[inline(always)]
    fn claim(
        &self,
        stages: &Stages,
        wanted: Wanted,
        skipped: &mut bool,
    ) -> Result<u64, ClaimError> {
        // Relaxed: our own.
        let first = self.cursor.load(Ordering::Relaxed);
        if wanted.contiguous {
            let left = self.sizes.capacity - (first & (self.sizes.capacity - 1));
            if wanted.slots > left {
                self.has_room(stages, first + left)?;
                // Release: before the cursor, and before anything of a later lap is written; pairs with the
                // Acquire in `is_skipped`.
                self.skipped_from(first).store(first, Ordering::Release);
                // Relaxed: the cursor hands it over.
                self.has_skipped.store(true, Ordering::Relaxed);
                self.publish(first, left);
                *skipped = true;
                self.has_room(stages, first + left + wanted.slots)?;
                return Ok(first + left);
            }
        }
        self.has_room(stages, first + wanted.slots)?;
        Ok(first)
    }

    #[inline(always)]
    fn publish(&self, first: u64, slots: u64) {
        // Release: pairs with the Acquire in `published`; the slots were written before.
        self.cursor.store(first + slots, Ordering::Release);
    }

    fn abandon(&self, _first: u64, _slots: u64) -> bool {
        // The next claim begins where this one did.
        false
    }

    #[inline(always)]
    fn published(&self, _from: u64, _most: u64) -> u64 {
        // Acquire: pairs with the Release in `publish`.
        self.cursor.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn has_skipped(&self) -> bool {
        // Relaxed: who knows of the slot by the cursor knows of this.
        self.has_skipped.load(Ordering::Relaxed)
    }

    #[inline]
    fn is_skipped(&self, sequence: u64) -> bool {
        // Acquire: for readers, which look afterwards whether this may be of a later lap.
        let from = self.skipped_from(sequence).load(Ordering::Acquire);
        from <= sequence && from ^ sequence < self.sizes.capacity
    }

    fn look(&self, sequence: u64) -> Look {
        if self.published(sequence, 1) <= sequence {
            Look::NotYet
        } else if self.is_skipped(sequence) {
            Look::Skipped
        } else {
            Look::Published
        }
    }

    fn tail(&self) -> u64 {
        self.published(0, 0)
    }

    #[inline]
    fn begun(&self) -> u64 {
        // What the producer may be writing at this moment it has claimed from here on. It had published so much
        // before it wrote the first word (Release, in `WordsCell::set`): who has seen the word (Acquire, before
        // this) sees that. Relaxed: so it is ordered by those.
        self.cursor.load(Ordering::Relaxed) + self.sizes.claim_max
    }

    fn pending(&self) -> Option<std::ops::Range<u64>> {
        None
    }

    fn close(&self) {
        // A read-modify-write: pairs with that in `look_for_room`, which either comes before and is overwritten,
        // or fails. Relaxed: closing is a request to the producer, and hands nothing over.
        _ = self.limit.swap(SEALED, Ordering::Relaxed);
        // Release: pairs with the Acquire in `end`. When it is the producer that closes, all that it has published
        // comes before.
        self.closed.store(true, Ordering::Release);
    }

    fn end(&self) -> Option<u64> {
        // Acquire: pairs with the Release above.
        self.closed.load(Ordering::Acquire).then(|| self.published(0, 0))
    }
}
