//! What producers and consumer of a ring share.

use crossbeam_utils::CachePadded;

use crate::claim_error::ClaimError;
use crate::partition::{OwnedPartition, Partition};
use crate::sync::{AtomicBool, Ordering};
use crate::wake::Waker;

/// What producers and consumer share.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    /// The leased partitions, and last the shared one.
    pub(crate) partitions: Box<[OwnedPartition<T>]>,
    /// One flag for each leased partition: taken or free.
    pub(crate) taken: Box<[CachePadded<AtomicBool>]>,
    /// Largest claim that fits every partition.
    pub(crate) claim_max: usize,
    pub(crate) closed: AtomicBool,
    pub(crate) waker: Waker,
}

impl<T> Shared<T> {
    /// All partitions, which are there as long as this.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = Partition<T>> + '_ {
        self.partitions.iter().map(OwnedPartition::get)
    }

    /// Slots between consumer and producers.
    pub(crate) fn backlog(&self) -> u64 {
        self.all().fold(0, |sum, partition| sum.saturating_add(partition.backlog()))
    }

    /// Checks what does not depend on the partition.
    #[inline(always)]
    pub(crate) fn admit(&self, slots: usize) -> Result<(), ClaimError> {
        if slots.wrapping_sub(1) >= self.claim_max {
            return Err(ClaimError::BadLength);
        }
        if self.is_closed() { Err(ClaimError::Closed) } else { Ok(()) }
    }

    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: closing is a request, not a hand-over. A producer that has not seen it yet
        // still publishes; `Ring::close` says what becomes of that.
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn end_lease(&self, index: usize) {
        // Release: pairs with the Acquire in `Ring::lease`; the next lessee finds the partition's
        // tail and limit as this one left them.
        self.taken[index].store(false, Ordering::Release);
    }
}
