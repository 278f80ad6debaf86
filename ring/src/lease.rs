//! A lease: the right to be the only producer of a partition.

#![allow(unsafe_code)] // the slots are the lessee's

use crate::claim::Claim;
use crate::claim_error::ClaimError;
use crate::partition::Partition;
use crate::shared::Shared;
use crate::sync::Arc;

/// A partition that belongs to one producer until the lease is dropped.
///
/// Claims need no read-modify-write instruction. May be moved to another thread, but is used by
/// one at a time (`&mut`).
#[derive(Debug)]
pub struct Lease<T> {
    /// Keeps the partition alive.
    ring: Arc<Shared<T>>,
    /// The partition at `index`, found once and not at each claim.
    partition: Partition<T>,
    index: usize,
}

impl<T> Lease<T> {
    pub(crate) fn new(ring: Arc<Shared<T>>, index: usize) -> Self {
        let partition = ring.partitions[index].get();
        Self { ring, partition, index }
    }

    /// Which partition it is.
    #[inline(always)]
    #[must_use]
    pub fn partition(&self) -> usize {
        self.index
    }

    /// Whether a quarter of the partition stays free behind a claim of so many slots: for what must not
    /// take the room of what matters more.
    #[must_use]
    pub fn has_spare(&self, slots: usize) -> bool {
        self.leased().has_spare(slots as u64)
    }

    #[inline(always)]
    pub(crate) fn leased(&self) -> Partition<T> {
        // It is there as long as `ring`, which we hold.
        self.partition
    }

    /// Claims `slots` contiguous slots.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Full`], [`ClaimError::Closed`] or [`ClaimError::BadLength`].
    ///
    /// # Blocking
    ///
    /// Never; a fixed number of steps. When the partition passes half full, the consumer is woken
    /// once (a system call if it sleeps).
    #[inline(always)]
    pub fn try_claim(&mut self, slots: usize) -> Result<Claim<'_, T>, ClaimError> {
        self.ring.admit(slots)?;
        let first = self.leased().claim_exclusive(slots as u64, || self.ring.waker.wake())?;
        Ok(Claim::new(self.leased(), first, slots, true))
    }

    /// Claims `slots` contiguous slots, fills each with what `value` returns for its index, and
    /// publishes them as one claim of `class`: the same as [`try_claim`](Self::try_claim) by hand,
    /// in fewer instructions.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim); `value` was not called then.
    ///
    /// # Panics
    ///
    /// If `value` does, or `class` is not below [`CLASSES`](crate::CLASSES). Nothing is published
    /// then, and the slots are claimed again by the next claim.
    ///
    /// # Blocking
    ///
    /// Never, apart from what `value` does.
    #[inline(always)]
    pub fn try_publish(
        &mut self,
        class: usize,
        slots: usize,
        mut value: impl FnMut(usize) -> T,
    ) -> Result<(), ClaimError> {
        self.ring.admit(slots)?;
        let partition = self.leased();
        let first = partition.claim_exclusive(slots as u64, || self.ring.waker.wake())?;
        let (words, cells) = (partition.words(), partition.slots.cells());
        for index in 0..slots {
            let value = value(index);
            // SAFETY: the lessee is alone, has room for `slots` slots from `first` on, and has not
            // published them; the reference ends with this statement.
            unsafe { *cells.slot_mut(first.wrapping_add(index as u64)) = value };
        }
        partition.count_exclusive(class);
        cells.publish(first, slots, false);
        words.commit_exclusive(first.wrapping_add(slots as u64));
        Ok(())
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        self.ring.end_lease(self.index);
    }
}
