//! A claim: slots that a producer owns until it publishes them.

use std::marker::PhantomData;

use crate::partition::Partition;

/// Contiguous slots, owned by this producer until [`publish`](Claim::publish).
///
/// A slot holds what was written there a lap ago; write every word that the consumer will read.
/// Run no foreign code while a claim is open. A claim that is dropped is published as a tombstone,
/// which the consumer steps over. (Leaked with `mem::forget`, a claim of the shared partition
/// would stop its consumer: there is no reason to do so.)
#[derive(Debug)]
#[must_use = "a claim that is dropped is published as a tombstone"]
pub struct Claim<'a, T> {
    partition: Partition<T>,
    /// Of the ring, which has the partition.
    ring: PhantomData<&'a T>,
    first: u64,
    slots: u32,
    exclusive: bool,
}

impl<'a, T> Claim<'a, T> {
    #[inline(always)]
    /// The partition has to be there as long as `'a`.
    pub(crate) fn new(partition: Partition<T>, first: u64, slots: usize, exclusive: bool) -> Self {
        Self { partition, ring: PhantomData, first, slots: slots as u32, exclusive }
    }

    /// How many slots were claimed.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots as usize
    }

    /// Never: a claim has at least one slot.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The slot at `index`, to be written in place.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    #[inline(always)]
    #[allow(unsafe_code)] // the slots of the claim are ours
    pub fn slot(&mut self, index: usize) -> &mut T {
        assert!(index < self.slots as usize, "slot outside the claim");
        // SAFETY: `first + index` lies inside this unpublished claim, and `&mut self` forbids a
        // second reference to any of its slots.
        unsafe { self.partition.slots.cells().slot_mut(self.first.wrapping_add(index as u64)) }
    }

    /// Hands the slots to the consumer, and counts them as one claim of class 0.
    #[inline(always)]
    pub fn publish(self) {
        self.publish_as(0);
    }

    /// Hands the slots to the consumer, and counts them as one claim of this class; the count is
    /// visible to whoever sees the slots. See [`Ring::published`](crate::Ring::published).
    ///
    /// # Panics
    ///
    /// If `class` is not below [`CLASSES`](crate::CLASSES); what was claimed is a tombstone then.
    #[inline(always)]
    pub fn publish_as(self, class: usize) {
        if self.exclusive {
            self.partition.count_exclusive(class);
        } else {
            self.partition.count_shared(class);
        }
        self.finish(false);
        std::mem::forget(self);
    }

    #[inline(always)]
    fn finish(&self, tombstone: bool) {
        let (words, cells) = (self.partition.words(), self.partition.slots.cells());
        cells.publish(self.first, self.slots as usize, tombstone);
        if self.exclusive {
            words.commit_exclusive(self.first.wrapping_add(u64::from(self.slots)));
        }
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.finish(true);
    }
}
