//! The ring: partitions to lease, and one that is shared.

use crossbeam_utils::CachePadded;

use crate::claim::{Claim, ClaimError};
use crate::consumer::Consumer;
use crate::lease::Lease;
use crate::partition::{CLASSES, Partition};
use crate::slot::LENGTH_MAX;
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::wake::Waker;

/// Most contiguous slots of one claim.
pub const SLOTS_PER_CLAIM_MAX: usize = LENGTH_MAX;

/// The size of a [`Ring`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingOptions {
    /// Slots over all partitions, rounded down to a power of two (and up to what `partitions`
    /// need at the least: two slots each).
    pub capacity: usize,
    /// Partitions to lease; one more is shared by the producers that come too late for a lease.
    /// At least 1.
    pub partitions: usize,
}

impl RingOptions {
    /// Slots of a leased and of the shared partition: powers of two that together do not exceed
    /// the capacity. The shared one gets what is left, half of the ring at two or four
    /// partitions: it serves everybody who has none.
    fn layout(self) -> (usize, usize, usize) {
        let partitions = self.partitions.max(1);
        let ways = (partitions + 1).next_power_of_two();
        let capacity = if self.capacity.is_power_of_two() {
            self.capacity
        } else {
            self.capacity.next_power_of_two() / 2
        };
        let capacity = capacity.max(2 * ways);
        let leased = capacity / ways;
        let rest = capacity - leased * partitions;
        let shared = if rest.is_power_of_two() { rest } else { rest.next_power_of_two() / 2 };
        (partitions, leased, shared)
    }
}

/// What producers and consumer share.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    /// The leased partitions, and last the shared one.
    pub(crate) partitions: Box<[Partition<T>]>,
    /// One flag for each leased partition: taken or free.
    taken: Box<[CachePadded<AtomicBool>]>,
    /// Largest claim that fits every partition.
    claim_max: usize,
    closed: AtomicBool,
    pub(crate) waker: Waker,
}

impl<T> Shared<T> {
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

/// The producers' side of a ring. Cheap to clone; every clone is the same ring.
#[derive(Debug)]
pub struct Ring<T>(Arc<Shared<T>>);

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Copy + Default + Send> Ring<T> {
    /// Allocates a ring, touches all its memory, and returns it with its only consumer.
    #[must_use]
    pub fn new(options: RingOptions) -> (Self, Consumer<T>) {
        let (leased, capacity, shared) = options.layout();
        let mut partitions: Vec<_> = (0..leased).map(|_| Partition::new(capacity)).collect();
        partitions.push(Partition::new(shared));
        let claim_max = capacity.min(shared).min(SLOTS_PER_CLAIM_MAX);
        let ring = Arc::new(Shared {
            partitions: partitions.into(),
            taken: (0..leased).map(|_| CachePadded::new(AtomicBool::new(false))).collect(),
            claim_max,
            closed: AtomicBool::new(false),
            waker: Waker::new(),
        });
        (Self(Arc::clone(&ring)), Consumer::new(ring))
    }
}

impl<T> Ring<T> {
    /// Leases a free partition, if there is one.
    ///
    /// # Blocking
    ///
    /// Never; at most one attempt for each partition.
    #[must_use]
    pub fn lease(&self) -> Option<Lease<T>> {
        let index = self.0.taken.iter().position(|taken| {
            // Relaxed on failure: nothing is learnt. Acquire on success: pairs with the Release
            // in `end_lease`.
            !taken.load(Ordering::Relaxed)
                && taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })?;
        Some(Lease::new(Arc::clone(&self.0), index))
    }

    /// Claims `slots` contiguous slots of the shared partition.
    ///
    /// # Errors
    ///
    /// Any [`ClaimError`].
    ///
    /// # Blocking
    ///
    /// Never; at most [`ATTEMPTS`](crate::partition::ATTEMPTS) attempts. When the partition passes
    /// half full, the consumer is woken once (a system call if it sleeps).
    #[inline(always)]
    pub fn try_claim(&self, slots: usize) -> Result<Claim<'_, T>, ClaimError> {
        self.0.admit(slots)?;
        let partition = &self.0.partitions[self.shared_partition()];
        let first = partition.claim_shared(slots as u64, || self.0.waker.wake())?;
        Ok(Claim::new(partition, first, slots, false))
    }

    /// Refuses all later claims.
    ///
    /// Whatever was published before this call will be found by a drain that begins after it. A
    /// producer that is in the middle of a claim, on another thread, may still publish, and the
    /// consumer may or may not find that: such a claim happens neither before nor after the close.
    /// The caller that counts what was published and what was drained knows how many there were.
    pub fn close(&self) {
        // Relaxed: see `Shared::is_closed`.
        self.0.closed.store(true, Ordering::Relaxed);
        let (leased, _) = self.0.partitions.split_at(self.shared_partition());
        leased.iter().for_each(Partition::seal);
    }

    /// Whether the ring is closed.
    #[inline(always)]
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Number of the shared partition, the last one.
    #[inline]
    #[must_use]
    pub fn shared_partition(&self) -> usize {
        self.0.partitions.len() - 1
    }

    /// Slots of each partition, the shared one last.
    #[must_use]
    pub fn capacities(&self) -> Vec<usize> {
        self.0.partitions.iter().map(|partition| partition.slots.capacity() as usize).collect()
    }

    /// The largest claim that any partition grants, in slots.
    #[must_use]
    pub fn claim_max(&self) -> usize {
        self.0.claim_max
    }

    /// Slots between consumer and producers now, over all partitions.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.0.partitions.iter().map(Partition::backlog).sum()
    }

    /// How many claims of each class were published, or are just being published, over all
    /// partitions. Tombstones are not counted.
    ///
    /// A producer counts before it publishes, so whoever has seen a claim sees it counted here.
    #[must_use]
    pub fn published(&self) -> [u64; CLASSES] {
        let mut sums = [0; CLASSES];
        for partition in &self.0.partitions {
            for (sum, n) in sums.iter_mut().zip(partition.published()) {
                *sum += n;
            }
        }
        sums
    }

    /// A handle that wakes the consumer.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.0.waker.clone()
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_layout_never_exceeds_the_capacity_and_wastes_less_than_half() {
        for partitions in 1..=64 {
            for capacity in [256, 1000, 1024, 65_536, 100_000, 1 << 20] {
                let (n, leased, shared) = RingOptions { capacity, partitions }.layout();
                assert!(leased.is_power_of_two() && shared.is_power_of_two());
                let total = n * leased + shared;
                assert!(total <= capacity, "{partitions} partitions, {capacity} slots: {total}");
                assert!(total * 4 > capacity, "{partitions} partitions, {capacity} slots: {total}");
            }
        }
    }

    #[test]
    fn a_ring_too_small_for_its_partitions_is_made_large_enough() {
        let (ring, _consumer) = Ring::<u64>::new(RingOptions { capacity: 0, partitions: 0 });
        assert_eq!(ring.capacities(), [2, 2]);
    }

    #[test]
    fn leases_come_back() {
        let (ring, _consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 2 });
        let first = ring.lease().unwrap();
        let second = ring.lease().unwrap();
        assert_ne!(first.partition(), second.partition());
        assert!(ring.lease().is_none());
        let freed = first.partition();
        drop(first);
        assert_eq!(ring.lease().unwrap().partition(), freed);
    }
}
