//! Who competes: each slot is read by one of a group.
//!
//! A worker copies the slot where its group is, and then moves the group on by a compare-and-swap. Whoever does so has the
//! slot; whoever dies before has taken nothing, and whoever dies after has read it.

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

/// Attempts while others of the group are faster.
const ATTEMPTS: u32 = 1 << 16;

/// Reads what nobody else of its group has read.
pub struct Worker {
    seat: Seat,
    view: View,
    group: usize,
    missed: u64,
    without_value: u64,
}

impl Worker {
    pub(super) fn join(
        shared: &Arc<Shared>,
        limits: Limits,
        group: usize,
        start: Start,
        holds: bool,
    ) -> Option<Self> {
        let mut seat = Seat::take(shared)?;
        let tail = shared.tail()?;
        let first = match start {
            Start::Next => tail,
            Start::Oldest => tail.saturating_sub(shared.layout.capacity()),
        };
        // AcqRel: who is there already has said where the group is.
        let word = shared.group(group);
        _ = word.compare_exchange(0, first + 1, Ordering::AcqRel, Ordering::Relaxed);
        seat.appear(if holds { Role::HoldingWorker(group) } else { Role::Worker(group) });
        if holds {
            // AcqRel: see `Shared::look_for_room`.
            shared.word(LOOKS).fetch_add(1, Ordering::AcqRel);
        }
        Some(Self { seat, view: View::new(limits), group, missed: 0, without_value: 0 })
    }

    /// Copies the next slot that nobody of its group has read, or as much of it as there is room for, and says its sequence.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`Reader::try_read`](super::Reader::try_read); one worker of the group is told that it was overtaken.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> Result<u64, ReadError> {
        let shared = &*self.seat.shared;
        let word = shared.group(self.group);
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release of whoever has moved it.
            let place = word.load(Ordering::Acquire);
            let at = place.saturating_sub(1).min(shared.laps.sequences());
            let copy = || payload::load(shared.payload(at), buffer);
            let found = match self.view.look(shared, at, copy) {
                // Acquire: as above. Somebody else may have moved on, and then there may be something.
                Err(_) if word.load(Ordering::Acquire) != place => continue,
                found => found?,
            };
            let next = match found {
                Found::Value(()) | Found::NoValue => at + 1,
                Found::Gone => behind_writers(shared, at),
            };
            // AcqRel: writers that see it (Acquire) may write there; the copy was made before.
            let moved = word.compare_exchange(place, next + 1, Ordering::AcqRel, Ordering::Relaxed);
            match found {
                _ if moved.is_err() => {}
                Found::Value(()) => return Ok(at),
                Found::NoValue => self.without_value += 1,
                Found::Gone => {
                    self.missed += next - at;
                    return Err(ReadError::Overtaken(next - at));
                }
            }
        }
        Err(ReadError::Empty)
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

    /// How many sequences its group has missed of which it was told.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// How many sequences without a value it has passed.
    #[must_use]
    pub fn without_value(&self) -> u64 {
        self.without_value
    }

    /// In which place of the table it is.
    #[cfg(test)]
    pub(super) fn place(&self) -> usize {
        self.seat.index
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("group", &self.group).finish_non_exhaustive()
    }
}
