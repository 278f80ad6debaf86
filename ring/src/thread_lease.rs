//! A lease that lies in a thread-local variable.

#![allow(unsafe_code)] // the partition is kept as a pointer; its slots are the lessee's

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering, compiler_fence};

use crate::lease::Lease;
use crate::partition::{Partition, Words};
use crate::slot::LENGTH_MAX;

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
/// LEASE.with(|lease| lease.put(ring.lease()));
///
/// let mut borrowed = LEASE.with(|lease| lease.borrow()).unwrap();
/// assert!(borrowed.publish_if_roomy::<2>(0, 2, |index, slot| *slot = index as u64));
/// LEASE.with(|lease| lease.give_back(borrowed));
///
/// let mut seen = Vec::new();
/// consumer.drain(0, usize::MAX, |entry| seen.extend(entry.slots().copied()));
/// assert_eq!(seen, [0, 1]);
/// LEASE.with(|lease| drop(lease.take()));
/// ```
///
/// # Signals
///
/// A handler of a signal may interrupt its thread anywhere in [`borrow`](Self::borrow),
/// [`with`](Self::with), [`give_back`](Self::give_back) and the methods of [`Borrowed`], and call them itself:
/// whatever it has done when it returns is as if it had not been there, because the one word that says
/// whether the lease is borrowed is changed first and changed back last. It must not interrupt
/// [`put`](Self::put) and [`take`](Self::take) with one of those two.
pub struct ThreadLease<T> {
    /// The partition of `lease`; none while that is borrowed. Atomic for the sake of the order in which the
    /// compiler lets a handler see it.
    partition: AtomicPtr<Words>,
    /// Stays on its thread.
    here: PhantomData<*const ()>,
    /// Whether there is a lease, borrowed or not.
    is_leased: Cell<bool>,
    lease: Cell<Option<ManuallyDrop<Lease<T>>>>,
    /// The partition of `lease`, borrowed or not; none while the lease is lent, when nobody but whoever has
    /// it touches `lease`, not even to look at it.
    unlent: Cell<*mut Words>,
}

/// A lease that is borrowed from a [`ThreadLease`] for a moment. One that is dropped, and not given
/// back, stays borrowed for ever: its partition is taken, and its ring never freed.
///
/// Stays on its thread.
#[must_use = "a lease that is not given back is lost"]
pub struct Borrowed<T>(NonNull<Words>, PhantomData<*const Partition<T>>);

impl<T> Borrowed<T> {
    /// Whether a quarter of the partition stays free behind a claim of so many slots.
    #[inline]
    #[must_use]
    pub fn has_spare(&self, slots: usize) -> bool {
        // SAFETY: as in `publish_if_roomy`.
        unsafe { Partition::<T>::at(self.0) }.has_spare(slots as u64)
    }

    /// Fills `slots` slots, at most `N`, each by a call of `fill` with its index and the slot as it was
    /// left a lap ago, and publishes them as one claim of `class`; unless the partition may be half
    /// full, the ring is closed, or `slots` is not from 1 to `N`: `false`, and nothing was done.
    ///
    /// It calls nothing but `fill`, which lets the compiler keep the caller free of spilled
    /// registers.
    ///
    /// # Panics
    ///
    /// If `fill` does, or `class` is not below [`CLASSES`](crate::CLASSES). Nothing is published
    /// then, and the slots are filled again by the next claim.
    ///
    /// # Blocking
    ///
    /// Never, apart from what `fill` does.
    #[inline(always)]
    pub fn publish_if_roomy<const N: usize>(
        &mut self,
        class: usize,
        slots: usize,
        mut fill: impl FnMut(usize, &mut T),
    ) -> bool {
        const { assert!(N > 0 && N <= LENGTH_MAX) }
        if slots == 0 || slots > N {
            return false;
        }
        // SAFETY: the partition lies in a ring that a lease keeps alive, and that lease lies in the
        // `ThreadLease` from which this was borrowed. It does not leave it before this is given back
        // there, see `lend`, and is never dropped in it.
        let partition = unsafe { Partition::<T>::at(self.0) };
        let words = partition.words();
        let first = words.tail();
        if !words.has_room(first, slots as u64) {
            return false;
        }
        let cells = partition.slots.cells();
        // Up to the constant, so that few slots are filled without a loop.
        for index in (0..N).take_while(|index| *index < slots) {
            // SAFETY: this thread has the lease, which is borrowed for this `Borrowed`, so it is alone; there is
            // room for `slots` slots from `first` on, and they are not published; the reference ends
            // with this statement.
            fill(index, unsafe { cells.slot_mut(first.wrapping_add(index as u64)) });
        }
        partition.count_exclusive(class);
        cells.publish(first, slots, false);
        words.commit_exclusive(first.wrapping_add(slots as u64));
        true
    }
}

impl<T> Borrowed<T> {
    /// As [`publish_if_roomy`](Self::publish_if_roomy) for one slot, with fewer registers.
    ///
    /// # Panics
    ///
    /// If `fill` does, or `class` is not below [`CLASSES`](crate::CLASSES). Nothing is published then.
    ///
    /// # Blocking
    ///
    /// Never, apart from what `fill` does.
    #[inline(always)]
    pub fn publish_one_if_roomy(&mut self, class: usize, fill: impl FnOnce(&mut T)) -> bool {
        // SAFETY: as in `publish_if_roomy`.
        let partition = unsafe { Partition::<T>::at(self.0) };
        let words = partition.words();
        let first = words.tail();
        if !words.has_room(first, 1) {
            return false;
        }
        let fill = |value: &mut T| {
            fill(value);
            partition.count_exclusive(class);
        };
        // SAFETY: this thread has the lease, which is borrowed for this `Borrowed`, so it is alone, and nobody else moves
        // the tail; there is room for a slot there, and it is not published. (Whoever writes to a ring file that is not his
        // does not lead it out of the slots.)
        unsafe { partition.slots.cells().fill_first(first, 1, fill) };
        // Read again, and not kept meanwhile.
        words.commit_exclusive(words.tail().wrapping_add(1));
        true
    }

    /// The same for two slots, of which the second one is filled first.
    ///
    /// # Panics
    ///
    /// As [`publish_one_if_roomy`](Self::publish_one_if_roomy).
    ///
    /// # Blocking
    ///
    /// As [`publish_one_if_roomy`](Self::publish_one_if_roomy).
    #[inline(always)]
    pub fn publish_two_if_roomy(
        &mut self,
        class: usize,
        fill_second: impl FnOnce(&mut T),
        fill_first: impl FnOnce(&mut T),
    ) -> bool {
        // SAFETY: as in `publish_if_roomy`.
        let partition = unsafe { Partition::<T>::at(self.0) };
        let words = partition.words();
        let first = words.tail();
        if !words.has_room(first, 2) {
            return false;
        }
        // SAFETY: as in `publish_one_if_roomy`; the reference ends with this statement.
        fill_second(unsafe { partition.slots.cells().slot_mut(first.wrapping_add(1)) });
        let fill = |value: &mut T| {
            fill_first(value);
            partition.count_exclusive(class);
        };
        // Read again, here and below, and not kept meanwhile.
        // SAFETY: as in `publish_one_if_roomy`.
        unsafe { partition.slots.cells().fill_first(words.tail(), 2, fill) };
        words.commit_exclusive(words.tail().wrapping_add(2));
        true
    }
}

impl<T> ThreadLease<T> {
    /// Without a lease.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            partition: AtomicPtr::new(ptr::null_mut()),
            here: PhantomData,
            is_leased: Cell::new(false),
            lease: Cell::new(None),
            unlent: Cell::new(ptr::null_mut()),
        }
    }

    /// Borrows the lease that is here. `None` if there is none, and while it is borrowed.
    ///
    /// In two steps, and not around a closure, so that a thread-local variable is accessed twice for
    /// a moment: that is inlined, and one access around all that is done with the lease is not.
    #[inline(always)]
    pub fn borrow(&self) -> Option<Borrowed<T>> {
        let partition = NonNull::new(self.partition.load(Ordering::Relaxed))?;
        // Relaxed, and the fence after it: whatever is done with the partition comes later, also for a
        // handler of a signal that interrupts this thread here.
        self.partition.store(ptr::null_mut(), Ordering::Relaxed);
        in_this_order();
        Some(Borrowed(partition, PhantomData))
    }

    /// Ends what [`borrow`](Self::borrow) began. What was borrowed elsewhere can be used from here from then
    /// on; the lease that it is of stays borrowed, and the one that is here cannot be taken out.
    #[inline(always)]
    pub fn give_back(&self, borrowed: Borrowed<T>) {
        // Release: pairs with the load in `borrow` in a handler of a signal that interrupts this thread; what
        // was done with the partition is over.
        self.partition.store(borrowed.0.as_ptr(), Ordering::Release);
    }

    /// Runs `f` with the lease, which is borrowed meanwhile. `None`, and `f` does not run, if there is no
    /// lease, and while it is borrowed.
    pub fn with<R>(&self, f: impl FnOnce(&mut Lease<T>) -> R) -> Option<R> {
        /// Ends the loan also when `f` panics.
        struct Loan<'a, T>(&'a ThreadLease<T>);
        impl<T> Drop for Loan<'_, T> {
            fn drop(&mut self) {
                // SAFETY: the lease is lent, so nobody else touches it, and `f`, for whom it was, is over.
                let lease = unsafe { &*self.0.lease.as_ptr() };
                if let Some(lease) = lease {
                    // `f` may have put another lease there.
                    let partition = lease.leased().as_ptr();
                    self.0.unlent.set(partition.as_ptr());
                    self.0.give_back(Borrowed(partition, PhantomData));
                }
            }
        }
        self.lend()?;
        let _loan = Loan(self);
        // SAFETY: the lease is lent from here on until `_loan` is dropped, which is after `f`: nobody else
        // touches it, see `lend`. Where it lies does not move meanwhile, as `self` is borrowed.
        let lease = unsafe { &mut *self.lease.as_ptr() };
        lease.as_mut().map(|lease| f(lease))
    }

    /// Whether there is a lease, borrowed or not.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.is_leased.get()
    }

    /// Whether there is a lease that is borrowed.
    #[must_use]
    pub fn is_borrowed(&self) -> bool {
        // Relaxed: of the same thread.
        self.is_leased.get() && self.partition.load(Ordering::Relaxed).is_null()
    }

    /// Keeps a lease; drops the one that was here before, or the new one while the old one is
    /// borrowed.
    pub fn put(&self, lease: Option<Lease<T>>) {
        drop(self.take());
        let Some(lease) = lease.filter(|_| !self.is_leased()) else { return };
        let partition = lease.leased().as_ptr();
        self.lease.set(Some(ManuallyDrop::new(lease)));
        self.unlent.set(partition.as_ptr());
        self.is_leased.set(true);
        self.give_back(Borrowed(partition, PhantomData));
    }

    /// Takes the lease out. `None` if there is none, and while it is borrowed.
    pub fn take(&self) -> Option<Lease<T>> {
        self.lend()?;
        self.is_leased.set(false);
        self.lease.take().map(ManuallyDrop::into_inner)
    }

    /// Lends the lease to somebody who does with it what he likes: nobody else has it, or looks at it, before
    /// its partition is in `unlent` again; the partition is borrowed from then on. `None`, and nothing was
    /// done, if what was given back here is another one's partition: its lease may be used by nobody, and
    /// not be dropped, while that partition's lease is elsewhere.
    fn lend(&self) -> Option<()> {
        let borrowed = self.borrow()?;
        if borrowed.0.as_ptr() != self.unlent.get() {
            self.give_back(borrowed);
            return None;
        }
        self.unlent.set(ptr::null_mut());
        Some(())
    }
}

/// Keeps the compiler from moving memory accesses from one side to the other, for handlers of signals. Orders
/// nothing between threads, and is no instruction.
#[inline(always)]
fn in_this_order() {
    compiler_fence(Ordering::AcqRel);
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

impl<T> fmt::Debug for Borrowed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrowed").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;
    use crate::{Ring, RingOptions};

    fn ring() -> (Ring<u64>, crate::Consumer<u64>) {
        Ring::new(RingOptions { capacity: 64, partitions: 1 })
    }

    fn publish<const N: usize>(here: &ThreadLease<u64>, values: [u64; N]) -> bool {
        let Some(mut borrowed) = here.borrow() else { return false };
        let published = borrowed.publish_if_roomy::<N>(2, N, |index, slot| *slot = values[index]);
        here.give_back(borrowed);
        published
    }

    fn drain(consumer: &mut crate::Consumer<u64>) -> Vec<u64> {
        let mut seen = Vec::new();
        consumer.drain(0, usize::MAX, |entry| seen.extend(entry.slots().copied()));
        seen
    }

    #[test]
    fn has_no_destructor() {
        assert!(!std::mem::needs_drop::<ThreadLease<u64>>());
    }

    #[test]
    fn gives_back_what_it_was_given() {
        let (ring, _consumer) = ring();
        let here = ThreadLease::new();
        assert!(!here.is_leased() && !publish(&here, [1]));
        here.put(ring.lease());
        assert!(here.is_leased() && ring.lease().is_none());
        assert_eq!(here.take().map(|lease| lease.partition()), Some(0));
        assert!(!here.is_leased() && here.take().is_none() && !publish(&here, [1]));
        let first = ring.lease();
        assert!(first.is_some(), "it was given back");
        here.put(first);
        here.put(None);
        assert!(ring.lease().is_some(), "what was here is dropped");
    }

    #[test]
    fn publishes_up_to_half_a_partition_and_counts() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        here.put(ring.lease());
        let capacity = ring.capacities()[0];
        for n in 0..capacity as u64 / 4 {
            assert!(publish(&here, [n, n]));
        }
        assert!(!publish(&here, [0]));
        assert_eq!(ring.published(), [0, 0, capacity as u64 / 4, 0, 0]);
        let expected: Vec<_> = (0..capacity as u64 / 4).flat_map(|n| [n, n]).collect();
        assert_eq!(drain(&mut consumer), expected);
        drop(here.take());
    }

    #[test]
    fn one_slot_or_two_are_what_as_many_are() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        here.put(ring.lease());
        let capacity = ring.capacities()[0];
        let mut borrowed = here.borrow().unwrap();
        for n in 0..capacity as u64 / 4 {
            if n.is_multiple_of(2) {
                assert!(borrowed.publish_one_if_roomy(2, |slot| *slot = n));
                assert!(borrowed.publish_one_if_roomy(1, |slot| *slot = n));
            } else {
                assert!(borrowed.publish_two_if_roomy(2, |slot| *slot = n + 500, |slot| *slot = n));
            }
        }
        assert!(!borrowed.publish_one_if_roomy(2, |slot| *slot = 0));
        assert!(!borrowed.publish_two_if_roomy(2, |slot| *slot = 0, |slot| *slot = 0));
        here.give_back(borrowed);
        let n = capacity as u64 / 4;
        assert_eq!(ring.published(), [0, n / 2, n, 0, 0]);
        let mut seen = Vec::new();
        consumer.drain(0, usize::MAX, |entry| {
            seen.push(entry.slots().copied().collect::<Vec<_>>());
        });
        let expected = |n: u64| match n.is_multiple_of(2) {
            true => vec![vec![n], vec![n]],
            false => vec![vec![n, n + 500]],
        };
        assert_eq!(seen, (0..n).flat_map(expected).collect::<Vec<_>>());
        drop(here.take());
    }

    #[test]
    fn a_quarter_is_not_to_spare() {
        let (ring, mut consumer) = ring();
        let mut lease = ring.lease().unwrap();
        let capacity = ring.capacities()[0];
        let mut claimed = 0;
        while lease.has_spare(1) {
            lease.try_publish(0, 1, |_| 0).unwrap();
            claimed += 1;
        }
        assert_eq!(claimed, capacity - capacity / 4);
        assert!(ring.has_spare(1), "the shared one");
        consumer.drain(0, 2, |_| {});
        assert!(lease.has_spare(2) && !lease.has_spare(3));
    }

    #[test]
    fn fewer_slots_than_allowed_are_one_claim_and_none_or_more_are_refused() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        here.put(ring.lease());
        let mut borrowed = here.borrow().unwrap();
        let published = [0, 1, 2, 3, 4]
            .map(|slots| borrowed.publish_if_roomy::<3>(0, slots, |_, slot| *slot = slots as u64));
        here.give_back(borrowed);
        assert_eq!(published, [false, true, true, true, false]);
        assert_eq!(drain(&mut consumer), [1, 2, 2, 3, 3, 3]);
        drop(here.take());
    }

    #[test]
    fn what_is_borrowed_is_nobody_elses() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        here.put(ring.lease());
        let mut borrowed = here.borrow().unwrap();
        assert!(borrowed.publish_if_roomy::<1>(0, 1, |_, slot| {
            assert!(here.borrow().is_none() && !publish(&here, [7]));
            assert!(here.take().is_none() && here.is_leased());
            here.put(None);
            assert!(ring.lease().is_none());
            *slot = 5;
        }));
        here.give_back(borrowed);
        assert!(publish(&here, [6]));
        assert_eq!(drain(&mut consumer), [5, 6]);
        assert!(here.take().is_some());
    }

    #[test]
    fn a_lease_that_is_not_given_back_is_lost_and_harmless() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        here.put(ring.lease());
        let _lost = here.borrow();
        drop(ring);
        assert!(here.take().is_none() && here.borrow().is_none());
        assert_eq!(drain(&mut consumer), []);
        // For Miri, which looks for leaks.
        drop(here.lease.take().map(ManuallyDrop::into_inner));
    }

    #[test]
    fn one_given_back_elsewhere_is_used_there() {
        let ((ring, mut consumer), (other, mut others)) = (self::ring(), self::ring());
        let (here, there) = (ThreadLease::new(), ThreadLease::new());
        here.put(ring.lease());
        there.put(other.lease());
        there.give_back(here.borrow().unwrap());
        assert!(publish(&there, [1]) && !publish(&here, [2]));
        assert_eq!((drain(&mut consumer), drain(&mut others)), (vec![1], vec![]));
        assert!(there.take().is_none() && here.take().is_none());
        assert!(there.with(|_| ()).is_none() && publish(&there, [3]));
        drop(here.lease.take().map(ManuallyDrop::into_inner)); // as above
        drop(there.lease.take().map(ManuallyDrop::into_inner));
    }

    #[test]
    fn leases_that_are_given_back_crosswise_keep_both_rings() {
        let ((ring, consumer), (other, mut others)) = (self::ring(), self::ring());
        let (here, there) = (ThreadLease::new(), ThreadLease::new());
        here.put(ring.lease());
        there.put(other.lease());
        let (first, second) = (here.borrow().unwrap(), there.borrow().unwrap());
        here.give_back(second);
        there.give_back(first);
        // The lease that is here keeps the ring in which `there` writes.
        drop(here.take());
        drop((ring, consumer));
        assert!(publish(&there, [1]) && publish(&here, [2]));
        assert_eq!(drain(&mut others), [2]);
        for of in [here, there] {
            drop(of.lease.take().map(ManuallyDrop::into_inner)); // as above
        }
    }

    #[test]
    fn a_lease_that_is_exchanged_while_it_is_used_is_the_one_that_is_borrowed_next() {
        let (ring, mut consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 2 });
        let here = ThreadLease::new();
        here.put(ring.lease());
        let mut other = ring.lease().unwrap();
        here.with(|lease| std::mem::swap(lease, &mut other)).unwrap();
        assert!(publish(&here, [1]), "the one that came last");
        assert_eq!(other.try_publish(2, 1, |_| 0), Ok(()));
        let seen = [0, 1].map(|partition| {
            let mut seen = Vec::new();
            consumer.drain(partition, usize::MAX, |entry| seen.extend(entry.slots().copied()));
            seen
        });
        assert_eq!(seen, [[0], [1]]);
        assert_eq!(here.take().map(|lease| lease.partition()), Some(1));
    }

    #[test]
    fn while_it_is_used_it_is_leased_and_borrowed() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        assert!(here.with(|_| ()).is_none());
        here.put(ring.lease());
        let published = here.with(|lease| {
            // What a handler of a signal would find.
            assert!(here.is_leased() && here.is_borrowed() && here.with(|_| ()).is_none());
            assert!(here.borrow().is_none() && here.take().is_none());
            here.put(None);
            lease.try_publish(0, 1, |_| 3)
        });
        assert_eq!(published, Some(Ok(())));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            here.with(|_| panic!("on purpose"))
        }));
        assert!(panicked.is_err() && here.is_leased() && !here.is_borrowed());
        assert!(publish(&here, [4]));
        assert_eq!(drain(&mut consumer), [3, 4]);
        assert_eq!(here.take().map(|lease| lease.partition()), Some(0));
        assert!(!here.is_leased() && !here.is_borrowed());
    }

    #[test]
    fn a_lease_that_is_used_is_nobody_elses_whatever_is_given_back_meanwhile() {
        let (ring, mut consumer) = Ring::<u64>::new(RingOptions { capacity: 64, partitions: 2 });
        let (here, there) = (ThreadLease::new(), ThreadLease::new());
        here.put(ring.lease());
        let mut other = ring.lease().unwrap();
        here.with(|lease| {
            std::mem::swap(lease, &mut other);
            // Here comes the partition again of which the lease was when this began.
            there.put(Some(other));
            here.give_back(there.borrow().unwrap());
            assert!(here.with(|_| ()).is_none() && here.take().is_none() && here.is_leased());
            lease.try_publish(0, 1, |_| 1).unwrap();
        });
        assert!(publish(&here, [2]));
        assert_eq!(consumer.drain(1, usize::MAX, |_| {}).entries, 2);
        assert_eq!(here.take().map(|lease| lease.partition()), Some(1));
        assert!(there.take().is_none(), "what is given back elsewhere is lost");
        drop(there.lease.take().map(ManuallyDrop::into_inner)); // as above
    }

    #[test]
    fn a_panic_while_slots_are_filled_publishes_nothing() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        here.put(ring.lease());
        let mut borrowed = here.borrow().unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            borrowed.publish_if_roomy::<1>(0, 1, |_, _| panic!("wanted"))
        }));
        here.give_back(borrowed);
        assert!(panicked.is_err());
        assert_eq!(consumer.drain(0, usize::MAX, |_| {}).entries, 0);
        assert_eq!(ring.published(), [0; 5]);
        assert!(publish(&here, [1]));
        assert_eq!(consumer.drain(0, usize::MAX, |_| {}).entries, 1);
        assert!(here.take().is_some());
    }

    #[test]
    fn a_closed_ring_refuses_however_much_room_there_is() {
        let (ring, mut consumer) = ring();
        let here = ThreadLease::new();
        here.put(ring.lease());
        assert!(publish(&here, [1]));
        ring.close();
        assert!(!publish(&here, [2]));
        assert_eq!(drain(&mut consumer), [1]);
        // Nor does one that has a lease from then on, or looks for room.
        drop(here.take());
        let mut lease = ring.lease().unwrap();
        assert_eq!(lease.try_claim(1).err(), Some(crate::ClaimError::Closed));
        here.put(Some(lease));
        assert!(!publish(&here, [3]));
        drop(here.take());
    }

    #[test]
    fn a_claim_larger_than_a_partition_is_refused() {
        let (ring, _consumer) = Ring::<u64>::new(RingOptions { capacity: 0, partitions: 1 });
        let here = ThreadLease::new();
        here.put(ring.lease());
        assert!(!publish(&here, [0; 3]));
        drop(here.take());
    }
}
