//! Who sees everything, or is told what it has missed.

#![allow(unsafe_code)] // bytes of a slot that is held, as a slice

use std::fmt;
use std::time::Duration;

use super::error::ReadError;
use super::layout::LOOKS;
use super::participants::Seat;
use super::patience::Limits;
use super::payload;
use super::role::Role;
use super::shared::Shared;
use super::start::Start;
use super::view::{Found, View, behind_writers, wait_for};
use crate::sync::{Arc, Ordering};

/// Steps over slots without a value, in one call.
const STEPS_MAX: u64 = 1 << 20;

/// Reads what all writers publish, from where it has begun. What it has read, what it has missed and what it has passed that
/// has no value are, together, all sequences since.
pub struct Reader {
    seat: Seat,
    /// How it looks at sequences.
    pub(super) view: View,
    next: u64,
    missed: u64,
    without_value: u64,
    holds: bool,
    scratch: Vec<u8>,
}

impl Reader {
    pub(super) fn join(
        shared: &Arc<Shared>,
        limits: Limits,
        start: Start,
        holds: bool,
    ) -> Option<Self> {
        let mut seat = Seat::take(shared)?;
        let next = if holds {
            // A gate that is too far behind holds writers back until it is where it should be. Relaxed: the next one hands it over.
            seat.gate().store(shared.tail()?, Ordering::Relaxed);
            seat.appear(Role::Holding);
            // AcqRel: see `Shared::look_for_room`. A writer that has looked before goes on for a lap from where it was then:
            // that is claimed, as seen from here, and so comes before the tail.
            shared.word(LOOKS).fetch_add(1, Ordering::AcqRel);
            let next = shared.tail()?;
            // Release: pairs with the Acquire of writers.
            seat.gate().store(next, Ordering::Release);
            next
        } else {
            seat.appear(Role::Reader);
            match start {
                Start::Next => shared.tail()?,
                Start::Oldest => shared.tail()?.saturating_sub(shared.layout.capacity()),
            }
        };
        let view = View::new(limits);
        let scratch = Vec::new();
        Some(Self { seat, view, next, missed: 0, without_value: 0, holds, scratch })
    }

    /// Bytes of a slot.
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        self.seat.shared.layout.sizes.slot_bytes
    }

    /// Copies the next slot, or as much of it as there is room for, and says its sequence.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// [`ReadError::Empty`] if there is nothing yet; [`ReadError::Ended`] if the last writer has left or is dead, and all was
    /// read (a writer that joins later begins again); [`ReadError::Overtaken`] with the number of slots that are gone, behind
    /// which the next call reads; [`ReadError::Cut`] if somebody has cut the file.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> Result<u64, ReadError> {
        let sequence = self.next_with(|shared, at| payload::load(shared.payload(at), buffer))?.0;
        self.move_gate();
        Ok(sequence)
    }

    /// The next sequence that has a value, copied; the gate stays.
    #[inline]
    pub(super) fn next_with<R>(
        &mut self,
        mut copy: impl FnMut(&Shared, u64) -> R,
    ) -> Result<(u64, R), ReadError> {
        for _ in 0..STEPS_MAX {
            let (shared, at) = (&*self.seat.shared, self.next);
            match self.view.look(shared, at, || copy(shared, at)) {
                Ok(Found::Value(value)) => {
                    self.next = at + 1;
                    return Ok((at, value));
                }
                Ok(Found::NoValue) => {
                    self.next = at + 1;
                    self.without_value += 1;
                }
                Ok(Found::Gone) => {
                    self.next = behind_writers(shared, at);
                    let missed = self.next - at;
                    self.missed += missed;
                    self.move_gate();
                    return Err(ReadError::Overtaken(missed));
                }
                Err(why) => {
                    self.move_gate();
                    return Err(why);
                }
            }
        }
        self.move_gate();
        Err(ReadError::Empty)
    }

    #[inline]
    pub(super) fn move_gate(&self) {
        if self.holds {
            // Release: pairs with the Acquire of writers: what was read of the slots comes before.
            self.seat.gate().store(self.next, Ordering::Release);
        }
    }

    /// The same, when there is one.
    ///
    /// # Blocking
    ///
    /// Until there is one, or something else to say, or so much time has passed.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read), with [`ReadError::TimedOut`] for `Empty`.
    pub fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<u64, ReadError> {
        wait_for(timeout, || self.try_read(buffer))
    }

    /// Copies slots until the buffer is full or nothing is left, one beside the other, and says how many.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read), if there is not even one; [`ReadError::TooSmall`] for a buffer that has no room for one.
    pub fn try_read_many(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let slot = self.slot_bytes();
        if buffer.len() < slot {
            return Err(ReadError::TooSmall { given: buffer.len(), slot });
        }
        let mut read = 0;
        for place in buffer.chunks_exact_mut(slot) {
            match self.next_with(|shared, at| payload::load(shared.payload(at), place)) {
                Ok(_) => read += 1,
                Err(why) if read == 0 => return Err(why),
                Err(why) => {
                    self.take_back(why);
                    break;
                }
            }
        }
        self.move_gate();
        Ok(read)
    }

    /// Has the next call say it: nothing else is lost by that.
    fn take_back(&mut self, why: ReadError) {
        if let ReadError::Overtaken(missed) = why {
            self.next -= missed;
            self.missed -= missed;
        }
    }

    /// Calls with a copy of each slot that is there, and says how many there were.
    ///
    /// # Blocking
    ///
    /// No longer than `each` does, for as many slots as the ring has at most.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read), if there is not even one.
    pub fn read_all(&mut self, mut each: impl FnMut(u64, &[u8])) -> Result<usize, ReadError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(self.slot_bytes(), 0);
        let done = self.up_to_a_lap(|reader| {
            let copy = |shared: &Shared, at| payload::load(shared.payload(at), &mut scratch);
            let (at, ()) = reader.next_with(copy)?;
            each(at, &scratch);
            Ok(())
        });
        self.scratch = scratch;
        done
    }

    #[inline]
    pub(super) fn up_to_a_lap(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<(), ReadError>,
    ) -> Result<usize, ReadError> {
        let slots = self.seat.shared.layout.sizes.slots;
        // Writers need not wait for the end of it.
        let some = (slots / 8).max(1);
        let (mut read, mut gate_at) = (0, some);
        while read < slots {
            match one(self) {
                Ok(()) => read += 1,
                Err(why) if read == 0 => return Err(why),
                Err(why) => {
                    self.take_back(why);
                    break;
                }
            }
            if read == gate_at {
                gate_at += some;
                self.move_gate();
            }
        }
        self.move_gate();
        Ok(read)
    }

    /// The next slot where it lies, of a reader that [holds](super::Ring::holding_reader) writers back. It is given back when this
    /// is dropped, and comes again if this is forgotten.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read); [`ReadError::NotHeld`] of a reader that holds nobody back.
    #[cfg(not(spandrel_loom))]
    pub fn try_peek(&mut self) -> Result<Held<'_>, ReadError> {
        if !self.holds {
            return Err(ReadError::NotHeld);
        }
        let (at, ()) = self.next_with(|_, _| ())?;
        // Not given back yet: the gate is where it was.
        self.next = at;
        self.move_gate();
        Ok(Held { reader: self, at })
    }

    /// The same, when there is one.
    ///
    /// # Blocking
    ///
    /// As [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// As [`try_peek`](Self::try_peek), with [`ReadError::TimedOut`] for `Empty`.
    #[cfg(not(spandrel_loom))]
    pub fn peek(&mut self, timeout: Duration) -> Result<Held<'_>, ReadError> {
        // Forgotten, so that it comes again: a borrow cannot leave the loop.
        wait_for(timeout, || self.try_peek().map(std::mem::forget))?;
        self.try_peek()
    }

    /// Leaves out what was published and not read. Says how many sequences that were; they do not count as missed.
    pub fn skip_to_newest(&mut self) -> u64 {
        let before = self.next;
        self.next = self.seat.shared.tail().unwrap_or(before).max(before);
        self.move_gate();
        self.next - before
    }

    /// The sequence of which the next call begins to look.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// How many sequences it has missed since it began.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// How many sequences it has passed that have no value: of claims that were dropped, whose writer is dead, or was
    /// passed over.
    #[must_use]
    pub fn without_value(&self) -> u64 {
        self.without_value
    }

    /// How many sequences there are behind it that it has not read; more than the ring has slots, if it was overtaken.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.seat.shared.tail().unwrap_or(self.next).saturating_sub(self.next)
    }

    /// In which place of the table it is.
    #[cfg(test)]
    pub(super) fn place(&self) -> usize {
        self.seat.index
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reader = f.debug_struct("Reader");
        reader.field("next", &self.next).field("missed", &self.missed).finish_non_exhaustive()
    }
}

/// A slot that its reader holds: no writer may claim it.
#[cfg(not(spandrel_loom))]
pub struct Held<'a> {
    reader: &'a mut Reader,
    at: u64,
}

#[cfg(not(spandrel_loom))]
impl Held<'_> {
    /// Its sequence.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.at
    }
}

#[cfg(not(spandrel_loom))]
impl std::ops::Deref for Held<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let shared = &self.reader.seat.shared;
        let words = shared.payload(self.at);
        // SAFETY: so many bytes lie there, and stay as long as the ring is mapped, which the reader keeps. Nobody writes
        // there: the slot is published, and no writer claims one of a lap later while the reader's gate is before it, which
        // it is until this is dropped. (Whoever had looked for room before the gate was there was let go up to a lap behind
        // what was claimed then; the reader began behind that.)
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), shared.layout.sizes.slot_bytes) }
    }
}

#[cfg(not(spandrel_loom))]
impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.reader.next = self.at + 1;
        self.reader.move_gate();
    }
}

#[cfg(not(spandrel_loom))]
impl fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("sequence", &self.at).finish_non_exhaustive()
    }
}
