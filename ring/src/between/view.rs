//! How whoever reads looks at a sequence: is there a value, and if not, will there be one?

use std::time::Duration;

use super::error::ReadError;
use super::patience::{Limits, Patience, Pause, deadline, is_past};
use super::shared::{Look, Shared};
use super::state::State;
use crate::sync::Ordering;

/// What somebody who reads remembers of others.
#[derive(Debug)]
pub(super) struct View {
    in_hand: Patience,
    writers: Patience,
}

/// What a look has found.
pub(super) enum Found<R> {
    Value(R),
    NoValue,
    Gone,
}

impl View {
    pub(super) fn new(limits: Limits) -> Self {
        Self { in_hand: Patience::new(limits), writers: Patience::new(limits) }
    }

    /// Looks at a sequence. `copy` copies what is there, and is not believed if the slot was claimed again meanwhile.
    #[inline]
    pub(super) fn look<R>(
        &mut self,
        shared: &Shared,
        sequence: u64,
        copy: impl FnOnce() -> R,
    ) -> Result<Found<R>, ReadError> {
        // Acquire: pairs with the Release of whoever has ended the claim.
        let mut word = shared.state(sequence).load(Ordering::Acquire);
        if !State::is_published(word, shared.laps.of(sequence)) {
            match self.look_again(shared, sequence)? {
                Found::Value(published) => word = published,
                Found::NoValue => return Ok(Found::NoValue),
                Found::Gone => return Ok(Found::Gone),
            }
        }
        let value = copy();
        Ok(if shared.is_still(sequence, word) { Found::Value(value) } else { Found::Gone })
    }

    /// Looks at a sequence that had no value: has it one now, will it ever have one? Gives the word that says so.
    #[cold]
    fn look_again(&mut self, shared: &Shared, sequence: u64) -> Result<Found<u64>, ReadError> {
        let (mut look, mut word) = shared.look(sequence);
        if matches!(look, Look::NotYet) && self.has_ended(shared)? {
            // What was published by somebody who has left was published before.
            (look, word) = shared.look(sequence);
            if matches!(look, Look::NotYet) {
                return Err(ReadError::Ended);
            }
        }
        if matches!(look, Look::InHand)
            && self.in_hand.look(word).asks
            && shared.is_owner_gone(State::of(word).owner)
        {
            // Or somebody else has, or it was published: the next look tells.
            shared.skip(sequence, word);
            (look, word) = shared.look(sequence);
        }
        match look {
            Look::NotYet | Look::InHand => Err(ReadError::Empty),
            Look::Value => Ok(Found::Value(word)),
            Look::NoValue => Ok(Found::NoValue),
            Look::Gone => Ok(Found::Gone),
        }
    }

    fn has_ended(&mut self, shared: &Shared) -> Result<bool, ReadError> {
        if shared.has_ended(false) {
            return Ok(true);
        }
        if !self.writers.is_time() {
            return Ok(false);
        }
        if shared.was_cut() {
            return Err(ReadError::Cut);
        }
        Ok(shared.has_ended(true))
    }
}

/// The oldest sequence of which somebody who was overtaken may still have something: an eighth of the ring behind
/// the oldest slot, where the writers will not be at once.
pub(super) fn behind_writers(shared: &Shared, next: u64) -> u64 {
    let capacity = shared.layout.capacity();
    let tail = shared.tail().unwrap_or(next).max(next);
    let oldest = tail.saturating_sub(capacity - capacity / 8);
    // At least the slot that it wanted is gone; and none is that was not claimed.
    oldest.max(next + 1).min(tail.max(next + 1))
}

/// Waits until there is something else to say than that there is nothing.
pub(super) fn wait_for<R>(
    timeout: Duration,
    mut look: impl FnMut() -> Result<R, ReadError>,
) -> Result<R, ReadError> {
    let deadline = deadline(timeout);
    let mut pause = Pause::default();
    loop {
        match look() {
            Err(ReadError::Empty) if is_past(deadline) => return Err(ReadError::TimedOut),
            Err(ReadError::Empty) => pause.wait(deadline),
            done => return done,
        }
    }
}
