//! What waits in one partition: first in, first out, or the latest of each key.

use super::sync::Time;

/// What is in it is numbered in the order in which it came, from 0; and leaves in that order.
pub(crate) trait Store: Send + 'static {
    /// What the processor gets.
    type Item: Send + Sync + 'static;

    /// How many items wait.
    fn waiting(&self) -> usize;

    /// The number of the next item that comes.
    fn next(&self) -> u64;

    /// The number of the oldest one that waits, and since when it has, at most.
    fn oldest(&self) -> Option<(u64, Time)>;

    /// Moves so many of the oldest behind a batch that is to be processed, and adds their units. Until it is settled, it is
    /// known what is in it.
    fn collect(&mut self, items: usize, batch: &mut Vec<Self::Item>, units: &mut u64);

    /// The same, for good: nothing of it is settled.
    fn hand_over(
        &mut self,
        items: usize,
        taken: &mut Vec<Self::Item>,
        units: &mut u64,
        garbage: &mut Garbage<Self>,
    ) where
        Self: Sized;

    /// The batch is done with, or so many more of its items are. What is no longer needed is for the caller to drop,
    /// which has no lock then. Says whether all of it was settled.
    fn settle(&mut self, items: usize, garbage: &mut Garbage<Self>) -> bool
    where
        Self: Sized;

    /// What is left over by `settle`.
    type Garbage: Send;
}

/// What is left over, and may only be dropped where no lock is held: it is the user's.
pub(crate) type Garbage<S> = Vec<<S as Store>::Garbage>;
