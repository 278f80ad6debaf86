//! A lease that lies in a thread-local variable.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::lease::Lease;

/// A [`Lease`], or none, made to be a thread-local variable.
///
/// It has no destructor, so that a `const` thread-local of this type is plain memory and no access has to
/// ask whether it is still alive. **Whoever puts a lease here takes it out again**, at the end of
/// the thread at the latest; otherwise the partition stays taken for as long as the ring lives,
/// and the ring for as long as the process does.
///
/// ```
/// use spandrel_ring::{Ring, RingOptions, ThreadLease};
///
/// thread_local! {
///     static LEASE: ThreadLease<u64> = const { ThreadLease::new() };
/// }
///
/// let (ring, mut consumer) = Ring::<u64>::new(RingOptions { capacity: 1024, partitions: 2 });
/// LEASE.with(|lease| {
///     lease.put(ring.lease());
///     let filled = ring.publish_if_roomy::<2>(lease.token(), 0, |index, slot| *slot = index as u64);
///     assert!(filled);
///     drop(lease.take());
/// });
/// let mut seen = Vec::new();
/// consumer.drain(0, usize::MAX, |entry| seen.extend(entry.slots().copied()));
/// assert_eq!(seen, [0, 1]);
/// ```
pub struct ThreadLease<T> {
    token: Cell<LeaseToken>,
    lease: Cell<Option<ManuallyDrop<Lease<T>>>>,
}

/// Names a lease that lies in a [`ThreadLease`], or none. Of use only on the thread where it was
/// made, for [`Ring::publish_if_roomy`](crate::Ring::publish_if_roomy).
#[derive(Debug, Clone, Copy)]
pub struct LeaseToken {
    partition: u32,
    id: u64,
    /// Stays on its thread.
    thread: PhantomData<*const ()>,
}

/// The id of no lease.
const NO_LEASE: u64 = 0;
/// Stands in a partition for the id of its lease while slots are being filled.
pub(crate) const IN_USE: u64 = 1;

impl LeaseToken {
    const NONE: Self = Self { partition: u32::MAX, id: NO_LEASE, thread: PhantomData };

    #[inline(always)]
    pub(crate) fn partition(self) -> usize {
        self.partition as usize
    }

    #[inline(always)]
    pub(crate) fn id(self) -> u64 {
        self.id
    }
}

impl<T> ThreadLease<T> {
    /// Without a lease.
    #[must_use]
    pub const fn new() -> Self {
        Self { token: Cell::new(LeaseToken::NONE), lease: Cell::new(None) }
    }

    /// Names the lease that is here now.
    #[inline(always)]
    #[must_use]
    pub fn token(&self) -> LeaseToken {
        self.token.get()
    }

    /// Whether there is a lease.
    #[inline]
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.token.get().id != NO_LEASE
    }

    /// Keeps a lease; drops the one that was here before, or the new one while slots of the old
    /// one's partition are being filled.
    pub fn put(&self, lease: Option<Lease<T>>) {
        /// Not loom's: it only has to differ, and 64 bits never come to an end.
        static IDS: AtomicU64 = AtomicU64::new(IN_USE + 1);
        drop(self.take());
        let Some(lease) = lease.filter(|_| !self.is_leased()) else { return };
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        lease.leased().set_thread_lease(id);
        // There are far fewer partitions than that; one beyond them would only never be found.
        let partition = u32::try_from(lease.partition()).unwrap_or(u32::MAX);
        self.token.set(LeaseToken { partition, id, thread: PhantomData });
        self.lease.set(Some(ManuallyDrop::new(lease)));
    }

    /// Takes the lease out; tokens of it are worth nothing any more. `None` if there is none, and
    /// while slots of the partition are being filled.
    pub fn take(&self) -> Option<Lease<T>> {
        let lease = self.lease.take()?;
        if lease.leased().thread_lease() != self.token.get().id {
            self.lease.set(Some(lease));
            return None;
        }
        self.token.set(LeaseToken::NONE);
        lease.leased().set_thread_lease(NO_LEASE);
        Some(ManuallyDrop::into_inner(lease))
    }
}

impl<T> Default for ThreadLease<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for ThreadLease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadLease").field("is_leased", &self.is_leased()).finish()
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;
    use crate::{Ring, RingOptions};

    fn publish<const N: usize>(ring: &Ring<u64>, token: LeaseToken, values: [u64; N]) -> bool {
        ring.publish_if_roomy::<N>(token, 2, |index, slot| *slot = values[index])
    }

    #[test]
    fn has_no_destructor() {
        assert!(!std::mem::needs_drop::<ThreadLease<u64>>());
    }

    #[test]
    fn gives_back_what_it_was_given() {
        let (ring, _consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 1 });
        let here = ThreadLease::new();
        assert!(!here.is_leased() && !publish(&ring, here.token(), [1]));
        here.put(ring.lease());
        assert!(here.is_leased() && ring.lease().is_none());
        assert_eq!(here.take().map(|lease| lease.partition()), Some(0));
        assert!(!here.is_leased() && here.take().is_none());
        let first = ring.lease();
        assert!(first.is_some(), "it was given back");
        here.put(first);
        here.put(None);
        assert!(ring.lease().is_some(), "what was here is dropped");
    }

    #[test]
    fn publishes_up_to_half_a_partition_and_counts() {
        let (ring, mut consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 1 });
        let here = ThreadLease::new();
        here.put(ring.lease());
        let capacity = ring.capacities()[0];
        for n in 0..capacity as u64 / 4 {
            assert!(publish(&ring, here.token(), [n, n]));
        }
        assert!(!publish(&ring, here.token(), [0]));
        assert_eq!(ring.published(), [0, 0, capacity as u64 / 4, 0]);
        let mut seen = Vec::new();
        consumer.drain(0, usize::MAX, |entry| seen.extend(entry.slots().copied()));
        assert_eq!(seen, (0..capacity as u64 / 4).flat_map(|n| [n, n]).collect::<Vec<_>>());
        drop(here.take());
    }

    #[test]
    fn a_token_is_worth_nothing_once_the_lease_is_elsewhere() {
        let (ring, _consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 1 });
        let (other, _consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 1 });
        let (here, there) = (ThreadLease::new(), ThreadLease::new());
        here.put(ring.lease());
        let old = here.token();
        assert!(publish(&ring, old, [1]));
        assert!(!publish(&other, old, [1]), "another ring");
        there.put(here.take());
        assert!(!publish(&ring, old, [1]), "another variable");
        assert!(publish(&ring, there.token(), [1]));
        drop(there.take());
        here.put(ring.lease());
        assert!(!publish(&ring, old, [1]), "another lease of the same partition");
        assert!(publish(&ring, here.token(), [1]));
        drop(here.take());
    }

    #[test]
    fn nobody_else_gets_the_partition_while_slots_are_filled() {
        let (ring, mut consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 1 });
        let here = ThreadLease::new();
        here.put(ring.lease());
        let token = here.token();
        assert!(ring.publish_if_roomy::<1>(token, 0, |_, slot| {
            assert!(!publish(&ring, token, [7]) && !publish(&ring, here.token(), [7]));
            assert!(here.take().is_none() && here.is_leased());
            here.put(None);
            assert!(ring.lease().is_none());
            *slot = 5;
        }));
        assert!(publish(&ring, token, [6]));
        let mut seen = Vec::new();
        consumer.drain(0, usize::MAX, |entry| seen.extend(entry.slots().copied()));
        assert_eq!(seen, [5, 6]);
        assert!(here.take().is_some());
    }

    #[test]
    fn a_panic_while_slots_are_filled_publishes_nothing() {
        let (ring, mut consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 1 });
        let here = ThreadLease::new();
        here.put(ring.lease());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ring.publish_if_roomy::<1>(here.token(), 0, |_, _| panic!("wanted"))
        }));
        assert!(panicked.is_err());
        assert_eq!(consumer.drain(0, usize::MAX, |_| {}).entries, 0);
        assert_eq!(ring.published(), [0; 4]);
        assert!(publish(&ring, here.token(), [1]));
        assert_eq!(consumer.drain(0, usize::MAX, |_| {}).entries, 1);
        assert!(here.take().is_some());
    }

    #[test]
    fn a_claim_larger_than_a_partition_is_refused() {
        let (ring, _consumer) = Ring::<u64>::new(RingOptions { capacity: 0, partitions: 1 });
        let here = ThreadLease::new();
        here.put(ring.lease());
        assert!(!publish(&ring, here.token(), [0; 3]));
        drop(here.take());
    }
}
