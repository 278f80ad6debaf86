//! Producers, and their claims.

#![allow(unsafe_code)] // writes into the slots of a claim

use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Duration;

use super::cells::{Access, Cell, InPlace};
use super::error::ClaimError;
use super::multi::Multi;
use super::sequencer::{InHand, Producers, Wanted};
use super::shared::{Shared, count, deadline};
use super::wait::{SpinYield, WaitStrategy};
use crate::sync::{Arc, Ordering};

/// Publishes into a ring. When the last one is dropped, the ring is closed.
///
/// There is one only of a ring that is [`single`](super::Builder::single); else it can be cloned.
pub struct Producer<T, P: Producers = Multi, W: WaitStrategy = SpinYield, A: Access<T> = InPlace> {
    shared: Arc<Shared<T, P, W, A>>,
    in_hand: P::InHand,
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Producer<T, P, W, A> {
    pub(crate) fn new(shared: Arc<Shared<T, P, W, A>>) -> Self {
        // Relaxed: as of `Arc`: whoever makes one has one.
        shared.producers.fetch_add(1, Ordering::Relaxed);
        Self { shared, in_hand: P::InHand::default() }
    }

    /// Claims so many slots, whose sequences follow each other.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Full`], which is counted, if there is no room; [`ClaimError::Closed`];
    /// [`ClaimError::BadLength`] of none, or more than [`Builder::claim_max`](super::Builder::claim_max).
    #[inline(always)]
    pub fn try_claim(&mut self, slots: usize) -> Result<Claim<'_, T, P, W, A>, ClaimError> {
        self.try_wanted(slots, false)
    }

    /// The same, of slots that also lie beside each other: [`Claim::as_mut_slices`] has them all in the first one. What
    /// is left at the end of the ring is skipped, and nobody sees it.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim).
    pub fn try_claim_contiguous(
        &mut self,
        slots: usize,
    ) -> Result<Claim<'_, T, P, W, A>, ClaimError> {
        self.try_wanted(slots, true)
    }

    /// Claims so many slots, when there is room.
    ///
    /// # Blocking
    ///
    /// Until there is room, the ring is closed, or so much time has passed.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim), with [`ClaimError::TimedOut`], which is counted, for `Full`.
    pub fn claim(
        &mut self,
        slots: usize,
        timeout: Duration,
    ) -> Result<Claim<'_, T, P, W, A>, ClaimError> {
        self.wait_wanted(slots, false, timeout)
    }

    /// As [`claim`](Self::claim), of slots that also lie beside each other.
    ///
    /// # Blocking
    ///
    /// As `claim`.
    ///
    /// # Errors
    ///
    /// As `claim`.
    pub fn claim_contiguous(
        &mut self,
        slots: usize,
        timeout: Duration,
    ) -> Result<Claim<'_, T, P, W, A>, ClaimError> {
        self.wait_wanted(slots, true, timeout)
    }

    /// Publishes a value, and says its sequence.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim).
    #[inline]
    pub fn try_send(&mut self, value: T) -> Result<u64, ClaimError> {
        self.give_up_forgotten();
        let first = self.try_look(1, false)?;
        let mut kept = P::InHand::default();
        let mut claim = self.kept(first, &mut kept);
        claim.set(0, value);
        Ok(claim.publish())
    }

    /// Publishes a value when there is room, and says its sequence.
    ///
    /// # Blocking
    ///
    /// As [`claim`](Self::claim).
    ///
    /// # Errors
    ///
    /// As [`claim`](Self::claim).
    #[inline]
    pub fn send(&mut self, value: T, timeout: Duration) -> Result<u64, ClaimError> {
        self.give_up_forgotten();
        let first = self.wait_look(1, false, timeout)?;
        let mut kept = P::InHand::default();
        let mut claim = self.kept(first, &mut kept);
        claim.set(0, value);
        Ok(claim.publish())
    }

    /// No more is claimed, by anybody. Consumers read what is published, and are told `Closed` then: for good with one
    /// producer, which has no claim in hand here, and after the claims of the others with several. See
    /// [`Ring::close`](super::Ring::close).
    pub fn close(&self) {
        self.shared.close();
    }

    #[inline(always)]
    fn try_wanted(
        &mut self,
        slots: usize,
        contiguous: bool,
    ) -> Result<Claim<'_, T, P, W, A>, ClaimError> {
        self.give_up_forgotten();
        let first = self.try_look(slots, contiguous)?;
        Ok(self.claimed(first, slots))
    }

    fn wait_wanted(
        &mut self,
        slots: usize,
        contiguous: bool,
        timeout: Duration,
    ) -> Result<Claim<'_, T, P, W, A>, ClaimError> {
        self.give_up_forgotten();
        let first = self.wait_look(slots, contiguous, timeout)?;
        Ok(self.claimed(first, slots))
    }

    #[inline(always)]
    fn try_look(&self, slots: usize, contiguous: bool) -> Result<u64, ClaimError> {
        let found = self.look(slots, contiguous);
        if let Err(ClaimError::Full) = found {
            count(&self.shared.counts.refused, 1);
        }
        found
    }

    fn wait_look(
        &self,
        slots: usize,
        contiguous: bool,
        timeout: Duration,
    ) -> Result<u64, ClaimError> {
        let mut found = self.look(slots, contiguous);
        if let Err(ClaimError::Full) = found {
            let mut look = || match self.look(slots, contiguous) {
                Err(ClaimError::Full) => None,
                found => Some(found),
            };
            found = self.shared.room.wait(deadline(timeout), &mut look).unwrap_or_else(|| {
                count(&self.shared.counts.timed_out, 1);
                Err(ClaimError::TimedOut)
            });
        }
        found
    }

    #[inline(always)]
    fn look(&self, slots: usize, contiguous: bool) -> Result<u64, ClaimError> {
        let shared = &*self.shared;
        let wanted = Wanted { slots: slots as u64, contiguous };
        if wanted.slots.wrapping_sub(1) >= shared.claim_max {
            return Err(ClaimError::BadLength { asked: slots, most: shared.claim_max as usize });
        }
        let mut skipped = false;
        let first = shared.sequencer.claim(&shared.stages, wanted, &mut skipped);
        if skipped {
            shared.signal_publish();
        }
        if let Err(ClaimError::Closed) = first {
            // If nobody has: there are no more sequences.
            shared.close();
        }
        first
    }

    #[inline(always)]
    fn claimed(&mut self, first: u64, slots: usize) -> Claim<'_, T, P, W, A> {
        let slots = slots as u64;
        self.in_hand.pick_up(first, slots);
        Claim { shared: &self.shared, in_hand: &mut self.in_hand, first, slots }
    }

    /// A claim of one slot that is given to nobody, so that nobody can forget it.
    #[inline(always)]
    fn kept<'a>(&'a self, first: u64, in_hand: &'a mut P::InHand) -> Claim<'a, T, P, W, A> {
        Claim { shared: &self.shared, in_hand, first, slots: 1 }
    }

    /// A claim that is in hand still, while its producer is not borrowed any more, was forgotten.
    #[inline(always)]
    fn give_up_forgotten(&mut self) {
        if let Some((first, slots)) = self.in_hand.forgotten() {
            self.shared.give_up(first, slots);
        }
    }
}

impl<T: Send + Sync, P: Producers, W: WaitStrategy> Producer<T, P, W, InPlace> {
    /// Publishes what `write` leaves in the slot, where it finds what was there a lap ago. Says its sequence.
    ///
    /// # Blocking
    ///
    /// Never; `write` should not either: with several producers, consumers see nothing behind this slot before it is
    /// published.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim); `write` is not called then.
    #[inline]
    pub fn try_publish(&mut self, write: impl FnOnce(&mut T)) -> Result<u64, ClaimError> {
        self.give_up_forgotten();
        let first = self.try_look(1, false)?;
        let mut kept = P::InHand::default();
        let mut claim = self.kept(first, &mut kept);
        write(claim.slot_mut(0));
        Ok(claim.publish())
    }
}

impl<T, W: WaitStrategy, A: Access<T>> Clone for Producer<T, Multi, W, A> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Drop for Producer<T, P, W, A> {
    fn drop(&mut self) {
        self.give_up_forgotten();
        // AcqRel: what the others have published comes before the close.
        if self.shared.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close();
        }
    }
}

/// Slots to write in. Dropped without [`publish`](Self::publish), also by a panic, nobody sees them.
///
/// One that is forgotten (`mem::forget`) is given up when its producer claims again or is dropped, and
/// [counted](super::Counts::forgotten): a claim borrows its producer, so by then nobody can publish it any more. (A
/// [single](super::Builder::single) producer's next claim begins where the forgotten one did, uncounted.)
///
/// With several producers, consumers see nothing behind a claim while it is in hand. One that is kept by a thread that
/// hangs, or forgotten together with its producer, can be found, by [`Ring::pending`](super::Ring::pending), and
/// not be taken away: somebody may still write there, and a thread that is slow looks like one that never comes
/// back. Waits of consumers have their time-outs meanwhile, producers find the ring full after a lap, and
/// [`Ring::close_now`](super::Ring::close_now) ends all waits.
#[must_use = "what is claimed has to be published"]
pub struct Claim<'a, T, P: Producers, W: WaitStrategy, A: Access<T>> {
    shared: &'a Shared<T, P, W, A>,
    in_hand: &'a mut P::InHand,
    first: u64,
    slots: u64,
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Claim<'_, T, P, W, A> {
    /// How many slots were claimed.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // there is no empty claim
    pub fn len(&self) -> usize {
        self.slots as usize
    }

    /// The sequence of the first slot.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.first
    }

    /// Replaces the value of a slot.
    ///
    /// # Panics
    ///
    /// If the claim has no such slot.
    #[inline(always)]
    #[track_caller]
    pub fn set(&mut self, index: usize, value: T) {
        let sequence = self.sequence_of(index);
        // SAFETY: the slot is claimed and not published, and `self` is borrowed, of which all references are.
        unsafe { self.shared.cells.at(sequence).set(value) };
    }

    /// Lets everybody see the slots. Says the sequence of the first.
    #[inline(always)]
    pub fn publish(self) -> u64 {
        let mut claim = ManuallyDrop::new(self);
        claim.shared.sequencer.publish(claim.first, claim.slots);
        claim.in_hand.put_down();
        claim.shared.signal_publish();
        claim.first
    }

    #[inline(always)]
    #[track_caller]
    fn sequence_of(&self, index: usize) -> u64 {
        assert!((index as u64) < self.slots, "slot {index} of a claim of {}", self.slots);
        self.first + index as u64
    }
}

impl<T: Send + Sync, P: Producers, W: WaitStrategy> Claim<'_, T, P, W, InPlace> {
    /// A slot, which has what was there a lap ago.
    ///
    /// # Panics
    ///
    /// If the claim has no such slot.
    #[inline]
    #[track_caller]
    pub fn slot_mut(&mut self, index: usize) -> &mut T {
        let sequence = self.sequence_of(index);
        // SAFETY: as in `set`.
        unsafe { self.shared.cells.at(sequence).get_mut() }
    }

    /// All slots, one after the other.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let cells = self.shared.cells.view();
        (self.first..self.first + self.slots).map(move |sequence| {
            // SAFETY: as in `set`; no slot comes twice, as no claim is longer than the ring.
            unsafe { cells.at(sequence).get_mut() }
        })
    }

    /// All slots, in the two pieces in which they lie; the second is empty unless the claim goes round the end of the
    /// ring.
    #[cfg(not(spandrel_loom))]
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        let cells = &self.shared.cells;
        let before_end = cells.before_end(self.first).min(self.slots);
        // SAFETY: as in `set`; these end with the claim, or the ring.
        let first = unsafe { cells.slice_mut(self.first, before_end) };
        // SAFETY: as above; they begin where the ring does, and none was in the first piece.
        let second = unsafe { cells.slice_mut(self.first + before_end, self.slots - before_end) };
        (first, second)
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Drop for Claim<'_, T, P, W, A> {
    fn drop(&mut self) {
        self.in_hand.put_down();
        count(&self.shared.counts.abandoned, self.slots);
        if self.shared.sequencer.abandon(self.first, self.slots) {
            self.shared.signal_publish();
        }
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> fmt::Debug for Producer<T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> fmt::Debug for Claim<'_, T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut claim = f.debug_struct("Claim");
        claim.field("sequence", &self.first).field("len", &self.slots).finish_non_exhaustive()
    }
}
