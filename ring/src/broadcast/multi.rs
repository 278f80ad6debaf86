//! Several producers, which never wait for each other.

use crossbeam_utils::CachePadded;

use super::error::ClaimError;
use super::sequencer::{InHand, Look, Producers, Sizes, Wanted};
use super::stages::Stages;
use super::sync::{raise, spin_loop};
use super::work::LAST;
use crate::size::{TooLarge, try_collect};
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// In `tail`: nothing is claimed any more. Sequences never come so far.
const CLOSED: u64 = 1 << 63;
/// In a stamp: without a value.
const SKIPPED: u64 = 1;

/// Any number of producers.
#[derive(Debug)]
pub struct Multi {
    sizes: Sizes,
    /// Where the next claim begins, with `CLOSED`.
    tail: CachePadded<AtomicU64>,
    /// How far producers may claim without another look at the gates. Only grows.
    limit: CachePadded<AtomicU64>,
    /// For each slot twice the sequence after that for which it was published last, with `SKIPPED`. A number that only
    /// grows: nobody claims a slot again before it was published.
    stamps: Box<[AtomicU64]>,
    /// Whether a slot was ever published without a value.
    has_skipped: AtomicBool,
}

/// A claim of which its producer was not told yet that it is published.
#[derive(Debug, Default)]
pub struct Claimed {
    first: u64,
    /// None once it is.
    slots: u64,
}

impl InHand for Claimed {
    #[inline(always)]
    fn pick_up(&mut self, first: u64, slots: u64) {
        (self.first, self.slots) = (first, slots);
    }

    #[inline(always)]
    fn put_down(&mut self) {
        self.slots = 0;
    }

    #[inline(always)]
    fn forgotten(&mut self) -> Option<(u64, u64)> {
        if self.slots == 0 {
            return None;
        }
        Some((self.first, std::mem::take(&mut self.slots)))
    }
}

fn stamp(sequence: u64) -> u64 {
    (sequence + 1) << 1
}

impl Multi {
    #[inline(always)]
    fn stamp(&self, sequence: u64) -> &AtomicU64 {
        &self.stamps[sequence as usize & (self.stamps.len() - 1)]
    }

    #[cold]
    fn skip(&self, first: u64, slots: u64) {
        // Relaxed: the stamps hand it over.
        self.has_skipped.store(true, Ordering::Relaxed);
        self.put(first, slots, SKIPPED);
    }

    #[inline(always)]
    fn put(&self, first: u64, slots: u64, flag: u64) {
        // Taken once: behind each atomic operation the compiler would look again where the stamps are.
        let stamps = &*self.stamps;
        let mask = stamps.len() - 1;
        for sequence in first..first + slots {
            // Release: pairs with the Acquire in `published` and `look`; the slot was written before.
            stamps[sequence as usize & mask].store(stamp(sequence) | flag, Ordering::Release);
        }
    }

    #[inline(always)]
    fn has_room(&self, stages: &Stages, end: u64) -> bool {
        // Acquire: pairs with the Release below; the look of whoever has found this limit becomes ours.
        end <= self.limit.load(Ordering::Acquire) || self.look_for_room(stages, end)
    }

    /// The end of what is published without a gap, from the beginning.
    fn first_gap(&self) -> u64 {
        // Acquire: pairs with the Release in `look_for_room`; everything a lap below the limit is published.
        let known = self.limit.load(Ordering::Acquire) - self.sizes.capacity;
        self.published(known, u64::MAX)
    }

    #[cold]
    fn look_for_room(&self, stages: &Stages, end: u64) -> bool {
        let limit = if self.sizes.overwrites {
            // What is overwritten was published, so that nobody else is writing there.
            Some(self.first_gap() + self.sizes.capacity)
        } else {
            stages.room(end, |from| self.published(from, u64::MAX))
        };
        let limit = limit.map(|limit| limit.min(LAST));
        let Some(limit) = limit.filter(|limit| end <= *limit) else { return false };
        // Release, in there: as above.
        raise(&self.limit, limit);
        true
    }
}

impl Producers for Multi {
    type InHand = Claimed;
    const WAIT_FOR_EACH_OTHER: bool = true;

    fn new(sizes: Sizes) -> Result<Self, TooLarge> {
        Ok(Self {
            sizes,
            tail: CachePadded::new(AtomicU64::new(sizes.begin)),
            limit: CachePadded::new(AtomicU64::new(LAST.min(sizes.begin + sizes.capacity))),
            has_skipped: AtomicBool::new(false),
            stamps: try_collect(sizes.capacity as usize, || AtomicU64::new(0))?,
        })
    }

    #[inline(always)]
    fn claim(
        &self,
        stages: &Stages,
        wanted: Wanted,
        skipped: &mut bool,
    ) -> Result<u64, ClaimError> {
        // Relaxed: a guess, which the compare-and-swap confirms.
        let mut first = self.tail.load(Ordering::Relaxed);
        loop {
            if first & CLOSED != 0 {
                return Err(ClaimError::Closed);
            }
            let left = self.sizes.capacity - (first & (self.sizes.capacity - 1));
            let goes_round = wanted.contiguous && wanted.slots > left;
            let end = first + if goes_round { left } else { wanted.slots };
            if !self.has_room(stages, end) {
                return Err(if end > LAST { ClaimError::Closed } else { ClaimError::Full });
            }
            // Relaxed: only divides the sequences. That the slots are free was learnt above; that they are full is
            // told by their stamps.
            match self.tail.compare_exchange_weak(first, end, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) if goes_round => {
                    self.skip(first, left);
                    *skipped = true;
                    first = end;
                }
                Ok(_) => return Ok(first),
                Err(now) => {
                    first = now;
                    spin_loop();
                }
            }
        }
    }

    #[inline(always)]
    fn publish(&self, first: u64, slots: u64) {
        self.put(first, slots, 0);
    }

    fn abandon(&self, first: u64, slots: u64) -> bool {
        self.skip(first, slots);
        true
    }

    #[inline]
    fn published(&self, from: u64, most: u64) -> u64 {
        // Taken once: as in `put`.
        let stamps = &*self.stamps;
        let mask = stamps.len() - 1;
        let end = from.saturating_add(most.min(self.sizes.capacity));
        // Acquire: pairs with the Release in `put`. A later lap means that this one was published, too.
        let is_published =
            |at: u64| stamps[at as usize & mask].load(Ordering::Acquire) >= stamp(at);
        let mut at = from;
        while at < end && is_published(at) {
            at += 1;
        }
        at
    }

    #[inline(always)]
    fn has_skipped(&self) -> bool {
        // Relaxed: who knows of the slot by its stamp, or by who has, knows of this.
        self.has_skipped.load(Ordering::Relaxed)
    }

    #[inline]
    fn is_skipped(&self, sequence: u64) -> bool {
        // Relaxed: whoever asks knows that it is published, and holds it, so that it does not change.
        self.stamp(sequence).load(Ordering::Relaxed) & SKIPPED != 0
    }

    fn look(&self, sequence: u64) -> Look {
        // Acquire: as in `published`.
        let found = self.stamp(sequence).load(Ordering::Acquire);
        match (found & !SKIPPED).cmp(&stamp(sequence)) {
            std::cmp::Ordering::Less => Look::NotYet,
            std::cmp::Ordering::Greater => Look::Gone,
            std::cmp::Ordering::Equal if found & SKIPPED != 0 => Look::Skipped,
            std::cmp::Ordering::Equal => Look::Published,
        }
    }

    fn tail(&self) -> u64 {
        // Acquire: what is looked at next is looked at later.
        self.tail.load(Ordering::Acquire) & !CLOSED
    }

    #[inline]
    fn begun(&self) -> u64 {
        // A claim moves the tail before its first word is written (Release, in `WordsCell::set`): who has seen
        // the word (Acquire, before this) sees that. Relaxed: so it is ordered by those.
        self.tail.load(Ordering::Relaxed) & !CLOSED
    }

    fn pending(&self) -> Option<std::ops::Range<u64>> {
        // The tail first: what is claimed later is not looked at.
        let tail = self.tail();
        let gap = self.first_gap();
        (gap < tail).then_some(gap..tail)
    }

    fn close(&self) {
        // AcqRel: claims come before it, and are published or skipped some time; or fail.
        self.tail.fetch_or(CLOSED, Ordering::AcqRel);
    }

    fn end(&self) -> Option<u64> {
        // Acquire: pairs with the Release above.
        let tail = self.tail.load(Ordering::Acquire);
        (tail & CLOSED != 0).then_some(tail & !CLOSED)
    }
}
