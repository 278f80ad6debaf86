//! The consumer: reads what is published, in batches, and gives the slots back.

use std::marker::PhantomData;
use std::time::Duration;

use crate::partition::Partition;
use crate::shared::Shared;
use crate::sync::Arc;

/// The reading side of a ring.
#[derive(Debug)]
pub struct Consumer<T> {
    ring: Arc<Shared<T>>,
    /// Of each partition, up to where its entries were read, though their slots may not be given back.
    read: Box<[u64]>,
    /// Whether slots stay the consumer's until [`give_back`](Self::give_back).
    keeps: bool,
    /// Most slots that were in use at once, as far as drains have seen.
    high_water: u64,
}

/// What one drain brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Claims that were published.
    pub entries: u64,
    /// Claims that were dropped unpublished.
    pub tombstones: u64,
    /// Slots of both, which are given back to the producers, or kept.
    pub slots: u64,
}

/// The slots of one published claim, in order.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a, T> {
    partition: Partition<T>,
    /// Of the ring, which has the partition.
    ring: PhantomData<&'a T>,
    first: u64,
    slots: usize,
}

impl<'a, T> Entry<'a, T> {
    /// How many slots the claim has.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots
    }

    /// Never: a claim has at least one slot.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The slots of the claim.
    #[inline]
    #[allow(unsafe_code)] // the slots are published and not yet given back
    pub fn slots(&self) -> impl ExactSizeIterator<Item = &'a T> + use<'a, T> {
        let Self { partition, first, slots, .. } = *self;
        (0..slots).map(move |index| {
            // SAFETY: an `Entry` is made for a published claim, lives no longer than the call of
            // the drain's closure, and the gating sequence moves only after that.
            unsafe { partition.slots.slot(first + index as u64) }
        })
    }
}

/// Moves the consumer's position when the drain ends, also when the closure panics: what was handed
/// out is not handed out again.
struct Progress<'a, T> {
    /// The partition, if its slots are given back.
    partition: Option<Partition<T>>,
    read: &'a mut u64,
    next: u64,
}

impl<T> Drop for Progress<'_, T> {
    fn drop(&mut self) {
        *self.read = self.next;
        if let Some(partition) = self.partition {
            partition.gating().release_to(self.next);
        }
    }
}

impl<T> Consumer<T> {
    pub(crate) fn new(ring: Arc<Shared<T>>) -> Self {
        let read =
            ring.partitions.iter().map(|partition| partition.get().gating().peek()).collect();
        Self { ring, read, keeps: false, high_water: 0 }
    }

    /// How many partitions there are, the shared one included.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.ring.partitions.len()
    }

    /// Where the next claim of a partition will begin; a drain up to there has seen everything
    /// that was published before this call.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    #[must_use]
    pub fn tail(&self, partition: usize) -> u64 {
        self.ring.partitions[partition].get().words().tail()
    }

    /// How far a partition has been drained; everything before has been handed out.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    #[must_use]
    pub fn position(&self, partition: usize) -> u64 {
        self.read[partition]
    }

    /// Up to where the slots of a partition were given back; by another process, if one drains the ring from its
    /// [file](crate::file).
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    #[must_use]
    pub fn given_back(&self, partition: usize) -> u64 {
        self.ring.partitions[partition].get().gating().acquire()
    }

    /// Calls for whoever drains the ring from its [file](crate::file): he comes at his next look, and not when he would
    /// otherwise.
    pub fn call_drainer(&self) {
        self.ring.partitions.iter().for_each(|partition| partition.get().call());
    }

    /// From now on drains keep the slots of what they hand out: they are the producers' again after
    /// [`give_back`](Self::give_back). So what was handed out stays in the ring until it is elsewhere for
    /// certain; a ring that lies in a file has it after the process is gone.
    pub fn keep_slots(&mut self) {
        self.keeps = true;
    }

    /// Whether it does.
    #[must_use]
    pub fn keeps_slots(&self) -> bool {
        self.keeps
    }

    /// Gives the slots of a partition back that were handed out and kept, up to a [position](Self::position).
    /// What was given back before stays so, and what was not handed out is not given back.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn give_back(&mut self, partition: usize, to: u64) {
        let to = to.min(self.read[partition]);
        let partition = self.ring.partitions[partition].get();
        if to > partition.gating().peek() {
            partition.gating().release_to(to);
        }
    }

    /// Hands every published entry of a partition, oldest first and at most `entries_max`, to
    /// `read`, and gives all their slots back at the end, unless it [keeps](Self::keep_slots) them.
    ///
    /// Stops at the first claim that is not published yet. If `read` panics, the entries handed
    /// out so far, the last one included, are given back.
    ///
    /// # Panics
    ///
    /// If there is no such partition, or `read` panics.
    ///
    /// # Blocking
    ///
    /// Never by itself.
    #[inline]
    pub fn drain(
        &mut self,
        partition: usize,
        entries_max: usize,
        mut read: impl FnMut(Entry<'_, T>),
    ) -> Drained {
        self.drain_while(partition, |_, entries| entries < entries_max as u64, &mut read)
    }

    /// The same for every entry that begins before `end`, a position such as [`tail`](Self::tail)
    /// tells: however fast the producers are, no more than the ring holds.
    ///
    /// # Panics
    ///
    /// If there is no such partition, or `read` panics.
    ///
    /// # Blocking
    ///
    /// Never by itself.
    #[inline]
    pub fn drain_until(
        &mut self,
        partition: usize,
        end: u64,
        mut read: impl FnMut(Entry<'_, T>),
    ) -> Drained {
        self.drain_while(partition, |at, _| at < end, &mut read)
    }

    /// Drains as long as `wanted` says so, from the position and how many claims were passed.
    #[inline(always)]
    fn drain_while(
        &mut self,
        index: usize,
        wanted: impl Fn(u64, u64) -> bool,
        read: &mut impl FnMut(Entry<'_, T>),
    ) -> Drained {
        let partition = self.ring.partitions[index].get();
        partition.nudge_answered();
        let read_before = &mut self.read[index];
        let first = *read_before;
        let given_back = (!self.keeps).then_some(partition);
        let mut progress = Progress { partition: given_back, read: read_before, next: first };
        let mut drained = Drained::default();
        while wanted(progress.next, drained.entries + drained.tombstones) {
            let at = progress.next;
            let Some(published) = partition.slots.published(at) else { break };
            // What no producer writes, in a file that somebody else has written to: it would come for ever.
            if published.slots == 0 {
                break;
            }
            progress.next += published.slots as u64;
            if published.tombstone {
                drained.tombstones += 1;
            } else {
                drained.entries += 1;
                read(Entry { partition, ring: PhantomData, first: at, slots: published.slots });
            }
        }
        drained.slots = progress.next - first;
        drained
    }

    /// Slots that were claimed and not handed out yet, over all partitions; slots that are [kept](Self::keep_slots) were.
    #[must_use]
    pub fn unread(&self) -> u64 {
        let tails = self.ring.all().map(|partition| partition.words().tail());
        tails.zip(&self.read).map(|(tail, read)| tail.saturating_sub(*read)).sum()
    }

    /// Whether more than half of the slots of any partition are in use, those that are [kept](Self::keep_slots)
    /// included.
    #[must_use]
    pub fn is_past_half(&self) -> bool {
        self.ring.all().any(|partition| partition.backlog() > partition.slots.capacity() / 2)
    }

    /// Slots in use now, over all partitions; remembered for [`high_water`](Self::high_water).
    pub fn backlog(&mut self) -> u64 {
        let backlog = self.ring.backlog();
        self.high_water = self.high_water.max(backlog);
        backlog
    }

    /// The largest backlog, in slots, that [`backlog`](Self::backlog) has seen.
    #[must_use]
    pub fn high_water(&self) -> u64 {
        self.high_water
    }

    /// Sleeps until a [`Waker`](crate::Waker) wakes this consumer, a partition passes half full,
    /// or `timeout` has passed. Says whether it was woken.
    ///
    /// # Blocking
    ///
    /// Up to `timeout`.
    pub fn park(&mut self, timeout: Duration) -> bool {
        self.ring.waker.register();
        self.ring.waker.park(timeout)
    }
}
