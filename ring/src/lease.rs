//! A lease: the right to be the only producer of a partition.

use crate::claim::{Claim, ClaimError};
use crate::ring::Shared;
use crate::sync::Arc;

/// A partition that belongs to one producer until the lease is dropped.
///
/// Claims need no read-modify-write instruction. May be moved to another thread, but is used by
/// one at a time (`&mut`).
#[derive(Debug)]
pub struct Lease<T> {
    ring: Arc<Shared<T>>,
    index: usize,
}

impl<T> Lease<T> {
    pub(crate) fn new(ring: Arc<Shared<T>>, index: usize) -> Self {
        Self { ring, index }
    }

    /// Which partition it is.
    #[inline]
    #[must_use]
    pub fn partition(&self) -> usize {
        self.index
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
    #[inline]
    pub fn try_claim(&mut self, slots: usize) -> Result<Claim<'_, T>, ClaimError> {
        let partition = &self.ring.partitions[self.index];
        self.ring.admit(slots)?;
        let first = partition.claim_exclusive(slots as u64, || self.ring.waker.wake())?;
        Ok(Claim::new(partition, first, slots, true))
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        self.ring.end_lease(self.index);
    }
}
