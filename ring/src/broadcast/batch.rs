//! What a consumer has in hand.

#![allow(unsafe_code)] // reads slots that are held

use std::fmt;

use super::cells::{Access, Cell};
use super::sequencer::Producers;
use super::shared::Shared;
use super::stages::IDLE;
use super::wait::WaitStrategy;

/// Values to look at, in the order of their sequences. Dropped, also by a panic, it gives their slots back, all at
/// once.
#[must_use = "dropping a batch gives its slots back"]
pub struct Batch<'a, T, P: Producers, W: WaitStrategy, A: Access<T>> {
    pub(super) shared: &'a Shared<T, P, W, A>,
    pub(super) stage: usize,
    pub(super) place: usize,
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) owner: Owner<'a>,
}

/// Whose it is.
pub(super) enum Owner<'a> {
    /// A consumer, which goes on here.
    Consumer(&'a mut u64),
    /// A worker, which has nothing then.
    Worker,
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Batch<'_, T, P, W, A> {
    /// How many slots there are, with those that have no value, since their claim was dropped.
    #[must_use]
    pub fn slots(&self) -> usize {
        (self.end - self.first) as usize
    }

    /// The sequences of the slots.
    #[must_use]
    pub fn sequences(&self) -> std::ops::Range<u64> {
        self.first..self.end
    }

    /// The values.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.with_sequences().map(|(_, value)| value)
    }

    /// The values, each with its sequence.
    #[inline]
    pub fn with_sequences(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        let (cells, sequencer) = (self.shared.cells.view(), &self.shared.sequencer);
        let has_skipped = sequencer.has_skipped();
        self.sequences().filter_map(move |sequence| {
            if has_skipped && sequencer.is_skipped(sequence) {
                return None;
            }
            // SAFETY: as in `get`.
            Some((sequence, unsafe { cells.at(sequence).get() }))
        })
    }

    /// The value of a sequence; none if the batch has it not.
    #[must_use]
    #[inline]
    pub fn get(&self, sequence: u64) -> Option<&T> {
        let is_here = self.sequences().contains(&sequence);
        (is_here && !self.shared.sequencer.is_skipped(sequence)).then(|| {
            // SAFETY: it is published, and held by our gate until the batch is dropped or gives it back, which takes
            // it mutably.
            unsafe { self.shared.cells.at(sequence).get() }
        })
    }

    /// Gives back the slots below a sequence, and keeps the others.
    pub fn release_until(&mut self, sequence: u64) {
        let to = sequence.clamp(self.first, self.end);
        if to > self.first && to < self.end {
            self.first = to;
            self.move_gate(to);
        } else if to == self.end {
            self.first = to;
        }
    }

    /// Gives all slots back, as dropping it does.
    pub fn release(self) {}

    fn move_gate(&mut self, to: u64) {
        if let Owner::Consumer(next) = &mut self.owner {
            **next = to;
        }
        let stage = self.shared.stages.get(self.stage);
        match self.owner {
            Owner::Consumer(_) => stage.release(self.place, to),
            Owner::Worker => stage.release_work(self.place, to),
        }
        self.shared.signal_release(stage.is_before_others);
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Drop for Batch<'_, T, P, W, A> {
    #[inline]
    fn drop(&mut self) {
        let to = match self.owner {
            Owner::Consumer(_) => self.end,
            Owner::Worker => IDLE,
        };
        self.move_gate(to);
    }
}

impl<'a, T, P: Producers, W: WaitStrategy, A: Access<T>> IntoIterator
    for &'a Batch<'_, T, P, W, A>
{
    type Item = &'a T;
    type IntoIter = Iter<'a, T, P, W, A>;

    fn into_iter(self) -> Self::IntoIter {
        Iter { batch: self, sequences: self.sequences() }
    }
}

/// The values of a [`Batch`].
pub struct Iter<'a, T, P: Producers, W: WaitStrategy, A: Access<T>> {
    batch: &'a Batch<'a, T, P, W, A>,
    sequences: std::ops::Range<u64>,
}

impl<'a, T, P: Producers, W: WaitStrategy, A: Access<T>> Iterator for Iter<'a, T, P, W, A> {
    type Item = &'a T;

    #[inline]
    fn next(&mut self) -> Option<&'a T> {
        let batch = self.batch;
        self.sequences.find_map(|sequence| batch.get(sequence))
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> fmt::Debug for Batch<'_, T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("sequences", &self.sequences()).finish_non_exhaustive()
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> fmt::Debug for Iter<'_, T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("sequences", &self.sequences).finish_non_exhaustive()
    }
}
