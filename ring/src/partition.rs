//! A partition: slots, the sequences of both sides, and the two ways to claim.
//!
//! ```text
//!        gating                      tail            limit
//!          |                           |               |
//!   -------+---------------------------+---------------+------
//!    free  |  published or being       |  free         |  still owned by the consumer
//!          |  written                  |               |  when last looked
//! ```
//!
//! * `tail` is where the next claim begins. In a leased partition only the lessee moves it (a
//!   plain store); in the shared one producers race for it with a compare-and-swap.
//! * `limit` is how far `tail` may go without another look at `gating`. It is first set to *half*
//!   a lap past `gating`, so that the producer that crosses half full takes the slow path once,
//!   where it wakes the consumer, and then to a whole lap. In a leased partition of a ring that is
//!   closed it is `SEALED`, for good: so a lessee that asks for room has asked that, too.
//! * Room is certain before anything is claimed; a claim is never taken back.
//! * Publication is by slot (module `slot`), never in producer order. In-order
//!   publication makes every producer wait for the slowest one; with more producers than cores
//!   that is a scheduler turn for each claim.
//!
//! # Why this is right
//!
//! *Exclusive slots.* A claim owns `[tail, tail + n)`. Claims of one partition are disjoint: the
//! lessee is alone, and producers of the shared partition divide the numbers by compare-and-swap
//! on `tail`, which only grows. Two live claims could still name the same *cell* one lap apart;
//! this would need `tail + n > gating + capacity`, but `limit <= gating + capacity` when it was
//! computed, and `gating` only grows.
//!
//! *No read before write.* The consumer at sequence `s` passes only a stamp that says `s + 1`. It
//! is stored with Release after the slots were written, and loaded with Acquire before they are
//! read. Stamps of older laps carry smaller numbers, so none can be mistaken.
//!
//! *No write before the read is over.* The consumer moves `gating` with Release after its reads.
//! The producer that computes a `limit` loads it with Acquire; in the shared partition the limit
//! is handed on to other producers with Release and Acquire.
//!
//! *Bounded steps.* A lease claims in a fixed number of steps. The shared partition tries its
//! compare-and-swap [`ATTEMPTS`] times and then reports contention: lock-free and bounded.
//!
//! *No stall.* Between claim and publish no foreign code runs, and the claim is a guard: dropped,
//! it publishes a tombstone that the consumer steps over.
//!
//! # Sources
//!
//! The vocabulary and the gating sequence: M. Thompson and others, "Disruptor: High performance
//! alternative to bounded queues", LMAX 2011, and its `MultiProducerSequencer` (per-slot
//! availability by lap). Stamps in the slots: D. Vyukov, "Bounded MPMC queue", 1024cores.net; here
//! the consumer does not write them back. A limit that is cached by the producer: P. Lee and
//! others, "MCRingBuffer", 2009.

#![allow(unsafe_code)] // a pointer to it is told by that of its words

use std::ptr::NonNull;

use crate::claim_error::ClaimError;
pub use crate::counts::CLASSES;
use crate::counts::Counts;
use crate::region::Region;
use crate::sequence::{Gate, Sequence};
use crate::size::TooLarge;
use crate::slot::{OwnedSlots, Slots};
use crate::sync::{AtomicU64, Ordering};

/// How often a producer of the shared partition tries to win its slots before it gives up.
///
/// A failed attempt means that another producer succeeded in between. With as many attempts, to
/// fail them all a thread would have to lose against 64 others in a row within some microseconds.
pub const ATTEMPTS: u32 = 64;

/// `limit` of a partition whose ring is closed: no claim ends there.
const SEALED: u64 = 0;

/// One disruptor: slots and sequences. See the [module](self). A copy of a pointer to it, as [`Slots`].
#[derive(Debug)]
pub(crate) struct Partition<T> {
    pub(crate) slots: Slots<Words, T>,
}

impl<T> Clone for Partition<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Partition<T> {}

/// A partition, as long as this is kept.
#[derive(Debug)]
pub(crate) struct OwnedPartition<T>(OwnedSlots<Words, T>);

/// The words of a partition beside its slots, before which they lie; each line is one side's. Where they are is
/// part of what a file has.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Words {
    pub(crate) producers: Line<Producers, 10>,
    /// How far `tail` may go before a producer has to look at `gating` again, or `SEALED`. Written and
    /// read by producers, and by whoever closes the ring.
    pub(crate) limit: Line<AtomicU64, 15>,
    /// The consumer's line: everything below it is free again.
    pub(crate) gating: Line<Gate, 14>,
    /// Whether a producer has asked for the consumer since it last came.
    pub(crate) nudged: Line<AtomicU64, 15>,
}

/// Words on lines of their own, also where the processor fetches two at a time; and so many that are 0, up to the end.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Line<T, const REST: usize>(T, [u64; REST]);

impl<T, const REST: usize> Line<T, REST> {
    fn new(words: T) -> Self {
        Self(words, [0; REST])
    }
}

#[cfg(not(spandrel_loom))]
const _: () = assert!(size_of::<Words>() == 4 * 128, "each line is one");

/// The producers' line.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Producers {
    /// Where the next claim begins.
    pub(crate) tail: Sequence,
    /// Claims published, as whoever reads a file finds them.
    #[cfg_attr(not(feature = "mapped"), allow(dead_code, reason = "part of the layout"))]
    pub(crate) published: Counts,
}

/// What a look at the gating sequence brought.
enum Room {
    /// Claim at once.
    Enough,
    /// Claim, but wake the consumer: the partition passes half full.
    PastHalf,
}

impl<T: Copy + Default> OwnedPartition<T> {
    /// With memory of its own.
    pub(crate) fn try_new(capacity: usize) -> Result<Self, TooLarge> {
        let bytes = Partition::<T>::bytes(capacity).ok_or(TooLarge { bytes: None })?;
        Ok(Self::new_in(Region::heap(bytes)?, capacity))
    }

    /// In this region, which has to be of so many [`bytes`](Partition::bytes).
    pub(crate) fn new_in(region: Region, capacity: usize) -> Self {
        let words = Words {
            producers: Line::new(Producers { tail: Sequence::new(0), published: Counts::new() }),
            limit: Line::new(AtomicU64::new((capacity as u64 / 2).max(SEALED + 1))),
            gating: Line::new(Gate::new(0)),
            nudged: Line::new(AtomicU64::new(0)),
        };
        Self(OwnedSlots::new(region, capacity, words))
    }
}

impl<T> OwnedPartition<T> {
    /// The partition, which is there as long as this.
    #[inline(always)]
    pub(crate) fn get(&self) -> Partition<T> {
        Partition { slots: self.0.slots() }
    }

    /// Bytes that its slots take.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Words {
    /// Whether the lessee may claim without a look at the gating sequence; never once this is sealed.
    #[inline(always)]
    pub(crate) fn has_room(&self, first: u64, slots: u64) -> bool {
        // Relaxed: as in `claim_exclusive`. Wrapping, here and below: in a file the words may be anything, and then lead to
        // some slot of this partition, and to no panic.
        first.wrapping_add(slots) <= self.limit.0.load(Ordering::Relaxed)
    }

    /// Where the next claim begins.
    #[inline(always)]
    pub(crate) fn tail(&self) -> u64 {
        self.producers.0.tail.peek()
    }

    /// Ends an exclusive claim; its first slot is published already.
    #[inline(always)]
    pub(crate) fn commit_exclusive(&self, next: u64) {
        self.producers.0.tail.advance(next);
    }
}

impl<T> Partition<T> {
    /// The partition with these words.
    ///
    /// # Safety
    ///
    /// They are what [`as_ptr`](Self::as_ptr) has said of one, and that is there as long as this, or any copy of it, is
    /// used.
    #[inline(always)]
    pub(crate) unsafe fn at(words: NonNull<Words>) -> Self {
        // SAFETY: the caller says so.
        Self { slots: unsafe { Slots::at(words) } }
    }

    /// Where its words are.
    #[inline(always)]
    pub(crate) fn as_ptr(self) -> NonNull<Words> {
        self.slots.as_ptr()
    }

    /// Where the slots are, from its words on.
    #[cfg(feature = "mapped")]
    pub(crate) const SLOTS_AT: usize = Slots::<Words, T>::FIRST;

    /// Bytes that a partition of so many slots takes.
    pub(crate) fn bytes(capacity: usize) -> Option<usize> {
        Slots::<Words, T>::bytes_with_head(capacity)
    }

    /// Its words. Taken once for several steps, as the [cells](Slots::cells), and before anything is written.
    #[inline(always)]
    pub(crate) fn words(&self) -> &Words {
        self.slots.head()
    }

    /// Counts a claim that the lessee is about to publish.
    #[inline(always)]
    pub(crate) fn count_exclusive(&self, class: usize) {
        self.slots.counts().count_exclusive(class);
        #[cfg(feature = "mapped")]
        self.words().producers.0.published.count_exclusive(class);
    }

    /// Counts a claim that one of several producers is about to publish.
    #[inline(always)]
    pub(crate) fn count_shared(&self, class: usize) {
        self.slots.counts().count_shared(class);
        #[cfg(feature = "mapped")]
        self.words().producers.0.published.count_shared(class);
    }

    /// How many claims of each class this process has published, or is just publishing.
    pub(crate) fn published(&self) -> [u64; CLASSES] {
        self.slots.counts().get()
    }

    /// The consumer's sequence.
    #[inline(always)]
    pub(crate) fn gating(&self) -> &Gate {
        &self.words().gating.0
    }

    /// Slots between the consumer and the producers: published, being written, or abandoned.
    pub(crate) fn backlog(&self) -> u64 {
        let words = self.words();
        // The order matters: `gating` first, so that the difference cannot be negative.
        let gating = words.gating.0.peek_acquire();
        words.tail().saturating_sub(gating)
    }

    /// Whether a quarter of the slots stays free behind a claim of so many. Somebody else may claim some
    /// at the same moment.
    pub(crate) fn has_spare(&self, slots: u64) -> bool {
        let capacity = self.slots.capacity();
        self.backlog().saturating_add(slots) <= capacity - capacity / 4
    }

    /// Refuses all later claims by a lessee that has seen this.
    pub(crate) fn seal(&self) {
        // Relaxed: closing is a request, not a hand-over, see `Ring::close`. A read-modify-write: pairs with
        // the compare-and-swap in `look_for_room`, which either comes before and is overwritten, or
        // fails. (Loom lets a plain store come between what that has read and what it writes.)
        _ = self.words().limit.0.swap(SEALED, Ordering::Relaxed);
    }

    /// Claims `slots` slots for the lessee, who is alone here. Returns the first sequence; the
    /// slots count as claimed only after [`Words::commit_exclusive`].
    #[inline(always)]
    pub(crate) fn claim_exclusive(
        &self,
        slots: u64,
        nudge: impl FnOnce(),
    ) -> Result<u64, ClaimError> {
        let words = self.words();
        let first = words.tail();
        // Relaxed: written by this lessee, or by an earlier one whose lease was handed over with
        // Release and Acquire.
        let end = first.wrapping_add(slots);
        if end > words.limit.0.load(Ordering::Relaxed)
            && let Room::PastHalf = self.look_for_room(end)?
        {
            self.nudge(nudge);
        }
        Ok(first)
    }

    /// Claims `slots` slots among several producers. Returns the first sequence.
    #[inline]
    pub(crate) fn claim_shared(&self, slots: u64, nudge: impl FnOnce()) -> Result<u64, ClaimError> {
        let words = self.words();
        let mut past_half = false;
        for _ in 0..ATTEMPTS {
            let first = words.tail();
            // Acquire: pairs with the Release in `look_for_room`, by whichever producer computed
            // this limit; its look at `gating` becomes ours.
            let end = first.wrapping_add(slots);
            if end > words.limit.0.load(Ordering::Acquire) {
                past_half |= matches!(self.look_for_room(end)?, Room::PastHalf);
            }
            if words.producers.0.tail.try_advance(first, end) {
                if past_half {
                    self.nudge(nudge);
                }
                return Ok(first);
            }
        }
        Err(ClaimError::Contended)
    }

    /// Computes a new limit from the gating sequence.
    #[cold]
    fn look_for_room(&self, end: u64) -> Result<Room, ClaimError> {
        let (words, capacity) = (self.words(), self.slots.capacity());
        // Relaxed: compared with below, and otherwise only with `SEALED`.
        let before = words.limit.0.load(Ordering::Relaxed);
        if before == SEALED {
            return Err(ClaimError::Closed);
        }
        let gating = words.gating.0.acquire();
        let (half, whole) = (gating.saturating_add(capacity / 2), gating.saturating_add(capacity));
        let (limit, room) = if end <= half {
            (half, Room::Enough)
        } else if end <= whole {
            (whole, Room::PastHalf)
        } else {
            return Err(ClaimError::Full);
        };
        // Release: pairs with the Acquire in `claim_shared`. No plain store, which could undo `seal`.
        // Where another producer has been faster, its limit stays: perhaps an older, smaller one;
        // that costs another look, never a slot. What was seen here holds for this claim.
        match words.limit.0.compare_exchange(before, limit, Ordering::Release, Ordering::Relaxed) {
            Err(SEALED) => Err(ClaimError::Closed),
            _ => Ok(room),
        }
    }

    /// Calls for the consumer once until it comes.
    #[cold]
    fn nudge(&self, nudge: impl FnOnce()) {
        // Relaxed: decides only who calls; `Waker::wake` orders what the consumer will see.
        if self.words().nudged.0.swap(1, Ordering::Relaxed) == 0 {
            nudge();
        }
    }

    /// Asks for a consumer that looks at these words itself, in another process.
    pub(crate) fn call(&self) {
        // Release: what the caller wants to be drained was published, or seen, before.
        self.words().nudged.0.store(1, Ordering::Release);
    }

    /// The consumer has come.
    pub(crate) fn nudge_answered(&self) {
        // Relaxed: as in `nudge`. A nudge between this store and the drain that follows it wakes
        // the consumer for nothing; one before it is answered by that drain.
        let nudged = &self.words().nudged.0;
        if nudged.load(Ordering::Relaxed) != 0 {
            nudged.store(0, Ordering::Relaxed);
        }
    }
}
