//! Who publishes.

#![allow(unsafe_code)] // bytes of a claim, as a slice

use std::fmt;
use std::time::Duration;

use super::error::WriteError;
use super::layout::WRITERS_EVER;
use super::participants::Seat;
use super::patience::{Limits, Patience, Pause, deadline, is_past};
use super::payload;
use super::role::Role;
use super::shared::{Refused, Shared, Turn};
use super::state::Phase;
use crate::sync::{Arc, Ordering};

/// Publishes into a ring. When it is dropped, it has left.
pub struct Writer {
    seat: Seat,
    turn: Turn,
    /// A claim that is neither published nor dropped: it is being written, or was forgotten.
    in_hand: Option<u64>,
}

impl Writer {
    pub(super) fn join(shared: &Arc<Shared>, limits: Limits) -> Option<Self> {
        let mut seat = Seat::take(shared)?;
        // Release: pairs with the Acquire in `has_ended`: there was a writer, and it is there still.
        shared.word(WRITERS_EVER).fetch_add(1, Ordering::AcqRel);
        seat.appear(Role::Writer);
        let next = shared.tail().unwrap_or(0);
        let turn = Turn::new(next, Patience::new(limits));
        Some(Self { seat, turn, in_hand: None })
    }

    /// Bytes of a slot.
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        self.seat.shared.layout.sizes.slot_bytes
    }

    /// Claims a slot, to be written where it lies.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// [`WriteError::Full`] if a reader holds it back, or somebody is still writing where it would write; see
    /// [the module](super) for how long. [`WriteError::Exhausted`] and [`WriteError::Cut`] at the ring's end.
    #[inline]
    pub fn try_claim(&mut self) -> Result<Claim<'_>, WriteError> {
        let sequence = self.claim_next()?;
        Ok(Claim { writer: self, sequence })
    }

    /// The same, when there is room.
    ///
    /// # Blocking
    ///
    /// Until there is room, or so much time has passed.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim), with [`WriteError::TimedOut`] for `Full`.
    pub fn claim(&mut self, timeout: Duration) -> Result<Claim<'_>, WriteError> {
        let deadline = deadline(timeout);
        let mut pause = Pause::default();
        loop {
            match self.claim_next() {
                Ok(sequence) => return Ok(Claim { writer: self, sequence }),
                Err(WriteError::Full) if is_past(deadline) => return Err(WriteError::TimedOut),
                Err(WriteError::Full) => pause.wait(deadline),
                Err(why) => return Err(why),
            }
        }
    }

    #[inline]
    fn claim_next(&mut self) -> Result<u64, WriteError> {
        self.give_up_forgotten();
        let claimed = self.seat.shared.try_claim(self.seat.index, &mut self.turn);
        let sequence = claimed.map_err(|why| match why {
            Refused::Full => WriteError::Full,
            Refused::Exhausted => WriteError::Exhausted,
            Refused::Cut => WriteError::Cut,
        })?;
        self.in_hand = Some(sequence);
        Ok(sequence)
    }

    /// Publishes a copy of these bytes, and says its sequence.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`try_claim`](Self::try_claim); [`WriteError::WrongLength`] unless it is [`slot_bytes`](Self::slot_bytes) long;
    /// [`WriteError::Overrun`] if this process was stopped for so long that the others went round the ring.
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<u64, WriteError> {
        self.check_length(bytes.len())?;
        let mut claim = self.try_claim()?;
        claim.fill(|words| payload::store(words, bytes));
        claim.publish()
    }

    /// Publishes a copy of these bytes when there is room, and says its sequence. Who was overrun tries again.
    ///
    /// # Blocking
    ///
    /// Until it is published, or so much time has passed.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send), with [`WriteError::TimedOut`] for `Full` and `Overrun`.
    pub fn send(&mut self, bytes: &[u8], timeout: Duration) -> Result<u64, WriteError> {
        self.check_length(bytes.len())?;
        self.send_with(timeout, |claim| claim.fill(|words| payload::store(words, bytes)))
    }

    pub(super) fn send_with(
        &mut self,
        timeout: Duration,
        write: impl Fn(&mut Claim<'_>),
    ) -> Result<u64, WriteError> {
        let deadline = deadline(timeout);
        let mut pause = Pause::default();
        loop {
            let sent = self.try_claim().and_then(|mut claim| {
                write(&mut claim);
                claim.publish()
            });
            match sent {
                Err(WriteError::Full | WriteError::Overrun) if is_past(deadline) => {
                    return Err(WriteError::TimedOut);
                }
                Err(WriteError::Full) => pause.wait(deadline),
                Err(WriteError::Overrun) => {}
                done => return done,
            }
        }
    }

    pub(super) fn check_length(&self, given: usize) -> Result<(), WriteError> {
        let slot = self.slot_bytes();
        if given == slot { Ok(()) } else { Err(WriteError::WrongLength { given, slot }) }
    }

    /// What was claimed and forgotten has no value.
    #[inline]
    fn give_up_forgotten(&mut self) {
        if let Some(sequence) = self.in_hand.take() {
            self.seat.shared.end_claim(self.seat.index, sequence, Phase::Dropped);
        }
    }

    #[inline]
    fn end(&mut self, sequence: u64, phase: Phase) -> bool {
        self.in_hand = None;
        self.seat.shared.end_claim(self.seat.index, sequence, phase)
    }

    /// It is killed: whatever it had in hand stays as it is.
    #[cfg(test)]
    pub(super) fn die(mut self, lives: &super::lives::pretended::Pretended) {
        self.in_hand = None;
        self.seat.is_dead = true;
        lives.kill(self.seat.index);
    }

    /// In which place of the table it is.
    #[cfg(test)]
    pub(super) fn place(&self) -> usize {
        self.seat.index
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.give_up_forgotten();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("next", &self.turn.next).finish_non_exhaustive()
    }
}

/// A slot that nobody else writes to. Published by [`publish`](Self::publish); if it is dropped its sequence has no value.
///
/// One that is forgotten (`mem::forget`) is given up by its writer's next claim, or when that is dropped.
pub struct Claim<'a> {
    writer: &'a mut Writer,
    sequence: u64,
}

impl Claim<'_> {
    /// Its sequence, unless it is [overrun](WriteError::Overrun).
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    #[inline]
    pub(super) fn fill(&mut self, write: impl FnOnce(&[crate::sync::AtomicU64])) {
        write(self.writer.seat.shared.payload(self.sequence));
    }

    /// Writes some of its bytes. What is not written is as somebody has left it.
    ///
    /// # Errors
    ///
    /// [`WriteError::WrongLength`], and nothing is written, if they are not all inside.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), WriteError> {
        let slot = self.writer.slot_bytes();
        match at.checked_add(bytes.len()).filter(|end| *end <= slot) {
            Some(_) => self.fill(|words| payload::store_at(words, at, bytes)),
            None => {
                return Err(WriteError::WrongLength {
                    given: at.saturating_add(bytes.len()),
                    slot,
                });
            }
        }
        Ok(())
    }

    /// Its bytes, where they lie, as somebody has left them; in a ring that is [in place](super::Options::in_place). None in
    /// others: readers that may be overtaken look at a slot also while it is written, so each word of it has to be stored
    /// by itself, as [`write`](Self::write) does.
    #[cfg(not(spandrel_loom))]
    #[must_use]
    pub fn as_mut_slice(&mut self) -> Option<&mut [u8]> {
        let shared = &self.writer.seat.shared;
        if !shared.layout.sizes.in_place {
            return None;
        }
        let words = shared.payload(self.sequence);
        let first = words.as_ptr().cast::<u8>().cast_mut();
        // SAFETY: so many bytes lie there, in words that may be written through a shared reference, and stay as long as the
        // ring is mapped, which the claim borrows. Nobody else touches them: the slot's state says that it is this writer's
        // until the claim ends, also when others pass it over; and in this ring all readers hold writers back, so that none
        // reads a slot that could be claimed.
        Some(unsafe { std::slice::from_raw_parts_mut(first, shared.layout.sizes.slot_bytes) })
    }

    /// Publishes it, and says its sequence.
    ///
    /// # Errors
    ///
    /// [`WriteError::Overrun`] if others went round the ring meanwhile, and passed it over: nobody sees it.
    pub fn publish(self) -> Result<u64, WriteError> {
        let mut claim = std::mem::ManuallyDrop::new(self);
        let sequence = claim.sequence;
        let is_published = claim.writer.end(sequence, Phase::Published);
        if is_published { Ok(sequence) } else { Err(WriteError::Overrun) }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.writer.end(self.sequence, Phase::Dropped);
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
