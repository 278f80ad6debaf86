//! The cells of a partition: a stamp and a value each.
//!
//! ```text
//!   63                                11  10  9          0
//!  +------------------------------------+---+------------+
//!  | sequence of the claim + 1          | T | slots      |   T: tombstone
//!  +------------------------------------+---+------------+
//! ```
//!
//! The stamp of the *first* slot of a claim publishes the whole claim: the consumer that waits at
//! sequence `s` reads the stamp of slot `s & mask` and finds either an older lap (nothing there
//! yet) or `s + 1` and how many slots belong together. Stamps of the following slots stay as they
//! were; nobody looks at them, because the consumer steps over them. 53 bits of sequence last 285
//! years at a million slots a second.
//!
//! The consumer never writes into a slot: that would take the line away from the producer, who
//! comes round to it again (measured: 57 to 234 ns a push instead of 6 to 54).

#![allow(unsafe_code)] // the one place where the ring's memory is shared between threads

use crate::size::{TooLarge, try_collect};
use crate::sync::{AtomicU64, Ordering, UnsafeCell};

const LENGTH_BITS: u32 = 10;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
const TOMBSTONE: u64 = 1 << LENGTH_BITS;
const SEQUENCE_SHIFT: u32 = LENGTH_BITS + 1;

/// Most slots of one claim.
pub(crate) const LENGTH_MAX: usize = LENGTH_MASK as usize;

/// One slot: 64 bytes when the value has 56.
#[derive(Debug)]
#[repr(C, align(64))]
struct Slot<T> {
    /// Written by the producer that claimed this slot first of its claim, read by the consumer.
    stamp: AtomicU64,
    /// Written by its claimant between claim and publish, read by the consumer between publish
    /// and the move of its gating sequence; nobody else touches it.
    value: UnsafeCell<T>,
}

/// What a stamp says of the claim that begins at a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) slots: usize,
    pub(crate) tombstone: bool,
}

/// The slots of one partition.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Box<[Slot<T>]>,
    mask: u64,
}

// SAFETY: a `&Slots` gives access to the values only through `slot_mut` and `slot`, whose
// contracts make every access exclusive or read-only; the values are plain `Copy` data that may
// move between threads (Send), and be read by several at once (Sync): whoever drains may share what it
// is handed.
unsafe impl<T: Copy + Send + Sync> Sync for Slots<T> {}

impl<T: Copy + Default> Slots<T> {
    /// Allocates and touches `capacity` slots, a power of two, so that no page fault is left for
    /// the producers.
    pub(crate) fn try_new(capacity: usize) -> Result<Self, TooLarge> {
        assert!(capacity.is_power_of_two(), "the capacity must be a power of two");
        let slots = try_collect(capacity, || Slot {
            stamp: AtomicU64::new(0),
            value: UnsafeCell::new(T::default()),
        })?;
        Ok(Self { slots, mask: capacity as u64 - 1 })
    }
}

impl<T> Slots<T> {
    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// The slots as a producer uses them. Taken once for several steps: what is written to the slots
    /// might be this struct, for all that the compiler knows, and it would look again each time.
    #[inline(always)]
    pub(crate) fn cells(&self) -> Cells<'_, T> {
        Cells { slots: &self.slots, mask: self.mask }
    }

    /// The slot of `sequence`, to read.
    ///
    /// # Safety
    ///
    /// The caller is the consumer, has seen `published` answer for the claim that covers
    /// `sequence`, and has not yet moved its gating sequence past it.
    #[inline]
    pub(crate) unsafe fn slot(&self, sequence: u64) -> &T {
        self.cells().at(sequence).value.with(|value| {
            // SAFETY: the claimant has published and will not write again; other producers reach
            // this slot only once the gating sequence has passed it.
            unsafe { &*value }
        })
    }

    /// What is published at `sequence`, if anything is.
    #[inline]
    pub(crate) fn published(&self, sequence: u64) -> Option<Published> {
        // Acquire: pairs with the Release in `publish`.
        let stamp = self.cells().at(sequence).stamp.load(Ordering::Acquire);
        (stamp >> SEQUENCE_SHIFT == sequence + 1).then_some(Published {
            slots: (stamp & LENGTH_MASK) as usize,
            tombstone: stamp & TOMBSTONE != 0,
        })
    }
}

/// See [`Slots::cells`].
#[derive(Debug)]
pub(crate) struct Cells<'a, T> {
    slots: &'a [Slot<T>],
    mask: u64,
}

impl<T> Clone for Cells<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cells<'_, T> {}

impl<'a, T> Cells<'a, T> {
    #[inline(always)]
    fn at(self, sequence: u64) -> &'a Slot<T> {
        let index = (sequence & self.mask) as usize;
        debug_assert!(index < self.slots.len());
        // SAFETY: `mask` is one less than the number of slots, a power of two, and neither changes;
        // so the index is in bounds. The compiler cannot know, and would check at each access.
        unsafe { self.slots.get_unchecked(index) }
    }

    /// The slot of `sequence`, to write into.
    ///
    /// # Safety
    ///
    /// The caller has claimed `sequence` and not yet published it, and holds no other reference
    /// to this slot.
    #[inline(always)]
    pub(crate) unsafe fn slot_mut(self, sequence: u64) -> &'a mut T {
        self.at(sequence).value.with_mut(|value| {
            // SAFETY: the claim makes this thread the only one that touches the slot: producers
            // own disjoint claims, and the consumer passes the claim's first slot only after
            // `publish`.
            unsafe { &mut *value }
        })
    }

    /// Publishes the claim of `slots` slots that begins at `sequence`.
    #[inline(always)]
    pub(crate) fn publish(self, sequence: u64, slots: usize, tombstone: bool) {
        let stamp =
            (sequence + 1) << SEQUENCE_SHIFT | if tombstone { TOMBSTONE } else { 0 } | slots as u64;
        // Release: pairs with the Acquire in `published`; makes every slot of the claim visible.
        self.at(sequence).stamp.store(stamp, Ordering::Release);
    }
}
