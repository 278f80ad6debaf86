//! The ring: partitions to lease, and one that is shared.

use crossbeam_utils::CachePadded;

use crate::claim::Claim;
use crate::claim_error::ClaimError;
use crate::consumer::Consumer;
use crate::lease::Lease;
use crate::partition::{CLASSES, OwnedPartition, Partition};
use crate::shared::Shared;
use crate::size::{TooLarge, power_of_two_within, probe, try_collect};
use crate::slot::{LENGTH_MAX, slot_bytes};
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
    pub(crate) fn layout(self) -> Option<(usize, usize, usize)> {
        let partitions = self.partitions.max(1);
        let ways = partitions.checked_add(1)?.checked_next_power_of_two()?;
        let capacity = power_of_two_within(self.capacity).max(ways.checked_mul(2)?);
        let leased = capacity / ways;
        // Less than the capacity: there are more ways than partitions.
        let rest = capacity - leased * partitions;
        Some((partitions, leased, power_of_two_within(rest)))
    }

    /// The largest claim that any partition of a ring of this size grants, in slots: what [`Ring::claim_max`] will say.
    /// 0 if there is no such ring.
    #[must_use]
    pub fn claim_max(self) -> usize {
        let smallest = self.layout().map_or(0, |(_, leased, shared)| leased.min(shared));
        smallest.min(SLOTS_PER_CLAIM_MAX)
    }

    /// Bytes that the slots of a ring of this size take, if each has a value of so many.
    #[must_use]
    pub fn bytes(self, value: usize) -> Option<usize> {
        let (partitions, leased, shared) = self.layout()?;
        let slots = leased.checked_mul(partitions)?.checked_add(shared)?;
        let slot = slot_bytes(value)?;
        slots.checked_mul(slot).filter(|bytes| *bytes <= isize::MAX as usize)
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

impl<T: Copy + Default + Send + Sync> Ring<T> {
    /// Allocates a ring, touches all its memory, and returns it with its only consumer.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if so much cannot be allocated. A system that promises more memory than it has finds
    /// out only when it is touched, and may end the process then: whoever takes sizes from elsewhere
    /// compares [`RingOptions::bytes`] with what there is.
    pub fn try_new(options: RingOptions) -> Result<(Self, Consumer<T>), TooLarge> {
        let too_large = TooLarge { bytes: options.bytes(size_of::<T>()) };
        let (leased, capacity, shared) = options.layout().ok_or(too_large)?;
        probe(too_large.bytes)?;
        let mut partitions = Vec::new();
        partitions.try_reserve_exact(leased + 1).map_err(|_| too_large)?;
        for _ in 0..leased {
            partitions.push(OwnedPartition::try_new(capacity)?);
        }
        partitions.push(OwnedPartition::try_new(shared)?);
        Self::of(partitions)
    }

    /// Of these partitions, the shared one last; there are at least two.
    pub(crate) fn of(partitions: Vec<OwnedPartition<T>>) -> Result<(Self, Consumer<T>), TooLarge> {
        let leased = partitions.len() - 1;
        let slots = partitions.iter().map(|partition| partition.get().slots.capacity() as usize);
        let claim_max = slots.min().unwrap_or(0).min(SLOTS_PER_CLAIM_MAX);
        let ring = Arc::new(Shared {
            partitions: partitions.into(),
            taken: try_collect(leased, || CachePadded::new(AtomicBool::new(false)))?,
            claim_max,
            closed: AtomicBool::new(false),
            waker: Waker::new(),
        });
        Ok((Self(Arc::clone(&ring)), Consumer::new(ring)))
    }

    /// The same for sizes that are known to be sensible.
    ///
    /// # Panics
    ///
    /// If so much cannot be allocated.
    #[must_use]
    #[allow(clippy::panic, reason = "said in the documentation; `try_new` does not")]
    pub fn new(options: RingOptions) -> (Self, Consumer<T>) {
        Self::try_new(options).unwrap_or_else(|error| panic!("no ring of {options:?}: {error}"))
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
        let partition = self.shared();
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
        self.0.all().take(self.shared_partition()).for_each(|leased| leased.seal());
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

    #[inline(always)]
    fn shared(&self) -> Partition<T> {
        self.0.partitions[self.shared_partition()].get()
    }

    /// Whether a quarter of the shared partition stays free behind a claim of so many slots, as far as
    /// nobody else claims some at the same moment.
    #[must_use]
    pub fn has_spare(&self, slots: usize) -> bool {
        self.shared().has_spare(slots as u64)
    }

    /// Slots of each partition, the shared one last.
    #[must_use]
    pub fn capacities(&self) -> Vec<usize> {
        self.0.all().map(|partition| partition.slots.capacity() as usize).collect()
    }

    /// Bytes that its slots take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.partitions.iter().map(OwnedPartition::bytes).sum()
    }

    /// The largest claim that any partition grants, in slots.
    #[must_use]
    pub fn claim_max(&self) -> usize {
        self.0.claim_max
    }

    /// Slots between consumer and producers now, over all partitions.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.0.backlog()
    }

    /// How many claims of each class were published, or are just being published, over all
    /// partitions. Tombstones are not counted.
    ///
    /// A producer counts before it publishes, so whoever has seen a claim sees it counted here. Where the ring lies in a
    /// file, these are counted beside it as well: whatever becomes of the file, they are all there.
    #[must_use]
    pub fn published(&self) -> [u64; CLASSES] {
        let mut sums = [0_u64; CLASSES];
        for partition in self.0.all() {
            for (sum, n) in sums.iter_mut().zip(partition.published()) {
                *sum = sum.wrapping_add(n);
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
    use std::cell::Cell;
    use std::marker::PhantomData;

    use super::*;
    use crate::Table;

    /// Whether a `&` of the type may be handed to another thread: the inherent constant comes first, where
    /// there is one.
    macro_rules! may_be_shared {
        ($type:ty) => {{
            struct Asked<T>(PhantomData<T>);
            #[allow(dead_code, reason = "one of the two is used")]
            impl<T: Sync> Asked<T> {
                const MAY: bool = true;
            }
            #[allow(dead_code, reason = "one of the two is used")]
            trait Otherwise {
                const MAY: bool = false;
            }
            impl<T> Otherwise for Asked<T> {}
            <Asked<$type>>::MAY
        }};
    }

    #[test]
    fn what_may_not_be_shared_is_in_no_ring_and_no_table_that_may() {
        type OneAtATime = PhantomData<Cell<u8>>;
        assert!(!may_be_shared!(OneAtATime) && may_be_shared!(u64));
        assert!(may_be_shared!(Ring<u64>) && may_be_shared!(Table<u64>));
        assert!(!may_be_shared!(Ring<OneAtATime>), "a drain hands its values to several threads");
        assert!(!may_be_shared!(Table<OneAtATime>));
    }

    #[test]
    fn the_layout_never_exceeds_the_capacity_and_wastes_less_than_half() {
        for partitions in 1..=64 {
            for capacity in [256, 1000, 1024, 65_536, 100_000, 1 << 20] {
                let (n, leased, shared) = RingOptions { capacity, partitions }.layout().unwrap();
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
    fn whatever_its_size_a_ring_is_made_as_told_or_refused() {
        let sizes = crate::size::bits()
            .flat_map(|bits| [1_usize << bits, (1 << bits) - 1, (1 << bits) + 1])
            .chain([0, usize::MAX]);
        for capacity in sizes.clone() {
            for partitions in sizes.clone() {
                let options = RingOptions { capacity, partitions };
                let bytes = options.bytes(size_of::<u64>());
                // What a test may allocate, and what nobody can.
                if bytes.is_some_and(|bytes| bytes > 1 << 16 && bytes < 1 << 50) {
                    continue;
                }
                match Ring::<u64>::try_new(options) {
                    Ok((ring, mut consumer)) => {
                        let slots: usize = ring.capacities().iter().sum();
                        assert_eq!(bytes, Some(slots * 64), "{options:?}");
                        assert_eq!(bytes, Some(ring.bytes()), "{options:?}");
                        assert!(ring.capacities().iter().all(|slots| slots.is_power_of_two()));
                        assert_eq!(options.claim_max(), ring.claim_max(), "{options:?}");
                        let claim = ring.try_claim(ring.claim_max()).unwrap();
                        claim.publish();
                        let drained = consumer.drain(ring.shared_partition(), 9, |_| {});
                        assert_eq!(drained.slots, ring.claim_max() as u64);
                    }
                    Err(refused) => {
                        assert!(bytes.is_none_or(|bytes| bytes >= 1 << 50), "{options:?}");
                        assert!(refused.to_string().contains("memory"));
                    }
                }
            }
        }
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
