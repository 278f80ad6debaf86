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

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::counts::Counts;
use crate::region::{ALIGN, Region};
use crate::sync::{AtomicU64, Ordering, UnsafeCell};

pub(crate) const LENGTH_BITS: u32 = 10;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
pub(crate) const TOMBSTONE: u64 = 1 << LENGTH_BITS;
pub(crate) const SEQUENCE_SHIFT: u32 = LENGTH_BITS + 1;

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

/// What a stamp says, if it was set for the claim that begins at `sequence`.
#[inline(always)]
pub(crate) fn published_at(sequence: u64, stamp: u64) -> Option<Published> {
    (stamp >> SEQUENCE_SHIFT == sequence.wrapping_add(1)).then_some(Published {
        slots: (stamp & LENGTH_MASK) as usize,
        tombstone: stamp & TOMBSTONE != 0,
    })
}

/// Bytes of a slot with such a value, if that is no larger than any memory.
pub(crate) fn slot_bytes(value: usize) -> Option<usize> {
    value.checked_add(8)?.checked_next_multiple_of(64)
}

/// Bytes before the head, which are the process's own also where the rest is another's, too: what is counted, and on a
/// line of its own how many slots there are, which consumers look at, too.
pub(crate) const OWN: usize = size_of::<Counts>().next_multiple_of(ALIGN) + ALIGN;

/// Where the slots of one partition are: behind the `H`, its words. A copy of a pointer; whoever has one sees to it that
/// there are slots, as long as he has it.
///
/// Before the head is how many there are, and before that what producers have counted, on lines that nobody but this process
/// can write to. So one pointer leads to all of it, without another look, and whatever is written to a file leads nobody astray.
#[derive(Debug)]
pub(crate) struct Slots<H, T> {
    head: NonNull<H>,
    slots: PhantomData<Slot<T>>,
}

/// The slots themselves, as long as this is kept.
#[derive(Debug)]
pub(crate) struct OwnedSlots<H, T> {
    slots: Slots<H, T>,
    /// Keeps the memory.
    region: Region,
}

/// How many slots there are, less one.
#[derive(Debug)]
#[repr(C)]
struct Own {
    mask: u64,
}

impl<H, T> Clone for Slots<H, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<H, T> Copy for Slots<H, T> {}

// SAFETY: as a reference to both, see below.
unsafe impl<H: Sync, T: Copy + Send + Sync> Send for Slots<H, T> {}
// SAFETY: a `Slots` gives access to the values only through `slot_mut` and `slot`, whose
// contracts make every access exclusive or read-only; the values are plain `Copy` data that may
// move between threads (Send), and be read by several at once (Sync): whoever drains may share what it
// is handed. Of the head it gives a `&`.
unsafe impl<H: Sync, T: Copy + Send + Sync> Sync for Slots<H, T> {}

impl<H, T> OwnedSlots<H, T> {
    /// Writes the head and each of `capacity` slots, a power of two, so that no page fault is left for the
    /// producers. The region has to be of `Slots::bytes_with_head`; nobody else reaches it.
    pub(crate) fn new(region: Region, capacity: usize, head: H) -> Self
    where
        T: Copy + Default,
    {
        assert!(capacity.is_power_of_two(), "the capacity must be a power of two");
        let bytes = Slots::<H, T>::bytes_with_head(capacity);
        assert!(bytes == Some(region.bytes()), "as large as it has to be");
        assert!(align_of::<Slot<T>>() <= crate::region::ALIGN, "no value is aligned to more");
        // SAFETY: the region begins with so many bytes.
        let at = unsafe { region.at().add(OWN) }.cast::<H>();
        // SAFETY: there is room for it, aligned, and nothing in it.
        unsafe { region.at().cast().write(Counts::new()) };
        // SAFETY: so many bytes lie before the head.
        let own = unsafe { at.byte_sub(ALIGN) }.cast();
        // SAFETY: as above.
        unsafe { own.write(Own { mask: capacity as u64 - 1 }) };
        // SAFETY: as above.
        unsafe { at.write(head) };
        // SAFETY: there are slots behind the head from here on: they are just about to be written.
        let slots = unsafe { Slots::<H, T>::at(at) };
        let cells = slots.cells();
        for index in 0..capacity as u64 {
            let slot = cells.place(index);
            // One after the other: what is behind the value stays what it was, which in a file is zero.
            // SAFETY: there is room for it, and nothing there yet.
            let stamp = unsafe { &raw mut (*slot.as_ptr()).stamp };
            // SAFETY: as above.
            unsafe { stamp.write(AtomicU64::new(0)) };
            // SAFETY: as above.
            let value = unsafe { &raw mut (*slot.as_ptr()).value };
            // SAFETY: as above.
            unsafe { value.write(UnsafeCell::new(T::default())) };
        }
        Self { slots, region }
    }

    /// Where they are, which is for as long as this is kept.
    #[inline(always)]
    pub(crate) fn slots(&self) -> Slots<H, T> {
        self.slots
    }

    /// Bytes that they take, without the head.
    pub(crate) fn bytes(&self) -> usize {
        self.region.bytes() - OWN - Slots::<H, T>::FIRST
    }
}

impl<H, T> Drop for OwnedSlots<H, T> {
    fn drop(&mut self) {
        // Of loom's words; others need no drop.
        if std::mem::needs_drop::<H>() || std::mem::needs_drop::<Slot<T>>() {
            let cells = self.slots.cells();
            for index in 0..self.slots.capacity() {
                let slot = cells.place(index);
                // SAFETY: it was written there, and nobody has it any more.
                unsafe { slot.drop_in_place() };
            }
            // SAFETY: as above.
            unsafe { self.slots.head.drop_in_place() };
            // SAFETY: so many bytes lie before the head.
            let counts = unsafe { self.slots.head.byte_sub(OWN) }.cast::<Counts>();
            // SAFETY: as above.
            unsafe { counts.drop_in_place() };
        }
    }
}

impl<H, T> Slots<H, T> {
    /// Where the slots begin, from the head on.
    pub(crate) const FIRST: usize = {
        assert!(align_of::<H>() <= crate::region::ALIGN);
        size_of::<H>().next_multiple_of(align_of::<Slot<T>>())
    };

    /// Bytes that a head and so many slots take, with those before it.
    pub(crate) fn bytes_with_head(capacity: usize) -> Option<usize> {
        let slots = capacity.checked_mul(size_of::<Slot<T>>())?;
        slots.checked_add(OWN + Self::FIRST).filter(|bytes| *bytes <= isize::MAX as usize)
    }

    /// Those with this head.
    ///
    /// # Safety
    ///
    /// It is the [head](Self::as_ptr) of slots, and they are there as long as this, or any copy of it, is used.
    #[inline(always)]
    pub(crate) unsafe fn at(head: NonNull<H>) -> Self {
        Self { head, slots: PhantomData }
    }

    /// The head as a pointer, to be kept and given to [`at`](Self::at).
    #[inline(always)]
    pub(crate) fn as_ptr(self) -> NonNull<H> {
        self.head
    }

    /// What lies before the slots.
    #[inline(always)]
    pub(crate) fn head(&self) -> &H {
        // SAFETY: it was written when the slots were made, stays as long as they, and is only ever borrowed shared.
        unsafe { self.head.as_ref() }
    }

    /// What producers of this process have counted.
    #[inline(always)]
    pub(crate) fn counts(&self) -> &Counts {
        // SAFETY: so many bytes lie before the head.
        let counts = unsafe { self.head.byte_sub(OWN) }.cast::<Counts>();
        // SAFETY: as the head.
        unsafe { counts.as_ref() }
    }

    #[inline(always)]
    fn mask(self) -> u64 {
        // SAFETY: so many bytes lie before the head.
        let own = unsafe { self.head.byte_sub(ALIGN) }.cast::<Own>();
        // SAFETY: it was written when the slots were made, and nobody writes to it any more.
        unsafe { own.as_ref() }.mask
    }

    #[inline]
    pub(crate) fn capacity(self) -> u64 {
        self.mask() + 1
    }

    /// The slots as a producer uses them. Taken once for several steps: what is written to the slots
    /// might be how many they are, for all that the compiler knows, and it would look again each time.
    #[inline(always)]
    pub(crate) fn cells<'a>(self) -> Cells<'a, H, T>
    where
        Self: 'a,
    {
        Cells { head: self.head, mask: self.mask(), slots: PhantomData }
    }

    /// The slot of `sequence`, to read.
    ///
    /// # Safety
    ///
    /// The caller is the consumer, has seen `published` answer for the claim that covers
    /// `sequence`, and has not yet moved its gating sequence past it.
    #[inline]
    pub(crate) unsafe fn slot<'a>(self, sequence: u64) -> &'a T
    where
        Self: 'a,
    {
        self.cells().at(sequence).value.with(|value| {
            // SAFETY: the claimant has published and will not write again; other producers reach
            // this slot only once the gating sequence has passed it.
            unsafe { &*value }
        })
    }

    /// What is published at `sequence`, if anything is.
    #[inline]
    pub(crate) fn published(self, sequence: u64) -> Option<Published> {
        // Acquire: pairs with the Release in `publish`.
        published_at(sequence, self.cells().at(sequence).stamp.load(Ordering::Acquire))
    }
}

/// See [`Slots::cells`].
#[derive(Debug)]
pub(crate) struct Cells<'a, H, T> {
    head: NonNull<H>,
    mask: u64,
    slots: PhantomData<&'a Slot<T>>,
}

impl<H, T> Clone for Cells<'_, H, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<H, T> Copy for Cells<'_, H, T> {}

impl<'a, H, T> Cells<'a, H, T> {
    /// Where the slot of a sequence is.
    #[inline(always)]
    fn place(self, sequence: u64) -> NonNull<Slot<T>> {
        let index = (sequence & self.mask) as usize;
        // From the head on, and only then over the head: that is a part of the access itself, and takes no register.
        // SAFETY: `mask` is one less than the number of slots, a power of two, and neither changes; so there are so
        // many bytes behind the head.
        let place = unsafe { self.head.byte_add(index * size_of::<Slot<T>>()) };
        // SAFETY: as above; they begin so many bytes behind the head.
        unsafe { place.byte_add(Slots::<H, T>::FIRST) }.cast()
    }

    #[inline(always)]
    fn at(self, sequence: u64) -> &'a Slot<T> {
        // SAFETY: there is such a slot, it was written when the slots were made, stays as long as they are used, and is
        // only ever borrowed shared.
        unsafe { self.place(sequence).as_ref() }
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

    /// Fills the first slot of a claim of `slots` slots, of which the others are filled already, and publishes it.
    ///
    /// # Safety
    ///
    /// As [`slot_mut`](Self::slot_mut).
    #[inline(always)]
    pub(crate) unsafe fn fill_first(self, sequence: u64, slots: usize, fill: impl FnOnce(&mut T)) {
        let slot = self.at(sequence);
        slot.value.with_mut(|value| {
            // SAFETY: as in `slot_mut`.
            fill(unsafe { &mut *value });
        });
        // Release: as in `publish`.
        let stamp = sequence.wrapping_add(1) << SEQUENCE_SHIFT | slots as u64;
        slot.stamp.store(stamp, Ordering::Release);
    }

    /// Publishes the claim of `slots` slots that begins at `sequence`.
    #[inline(always)]
    pub(crate) fn publish(self, sequence: u64, slots: usize, tombstone: bool) {
        let stamp = sequence.wrapping_add(1) << SEQUENCE_SHIFT
            | if tombstone { TOMBSTONE } else { 0 }
            | slots as u64;
        // Release: pairs with the Acquire in `published`; makes every slot of the claim visible.
        self.at(sequence).stamp.store(stamp, Ordering::Release);
    }
}
