//! Batches that were given up.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use super::batch::{Items, LetterState};
use super::error::Failure;

/// A batch that was given up: its items, oldest first, and why.
pub struct DeadLetter<T> {
    items: Arc<Items<T>>,
    partition: u32,
    attempts: u32,
    failure: Failure,
}

impl<T> DeadLetter<T> {
    pub(crate) fn new(
        items: Arc<Items<T>>,
        partition: u32,
        attempts: u32,
        failure: Failure,
    ) -> Self {
        Self { items, partition, attempts, failure }
    }

    /// The items.
    pub fn items(&self) -> &[T] {
        &self.items.list
    }

    /// The items, for good.
    ///
    /// # Errors
    ///
    /// The letter itself, as long as an attempt that has run out of time still looks at them.
    pub fn into_items(self) -> Result<Vec<T>, Self> {
        let Self { items, partition, attempts, failure } = self;
        match Arc::try_unwrap(items) {
            Ok(items) => Ok(items.list),
            Err(items) => Err(Self { items, partition, attempts, failure }),
        }
    }

    /// What is known of it now. Ask before its items are processed in another way.
    pub fn state(&self) -> LetterState {
        self.items.state()
    }

    /// Why the last attempt has failed.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// So many attempts there were.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The partition of which the items were.
    pub fn partition(&self) -> usize {
        self.partition as usize
    }
}

impl<T> fmt::Debug for DeadLetter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("items", &self.items.list.len())
            .field("partition", &self.partition)
            .field("attempts", &self.attempts)
            .field("failure", &self.failure)
            .field("state", &self.state())
            .finish()
    }
}

/// A letter that is kept, with its room in the pool.
pub(crate) struct Kept<T> {
    pub(crate) letter: DeadLetter<T>,
    pub(crate) units: u64,
}

impl<T> Kept<T> {
    pub(crate) fn len(&self) -> usize {
        self.letter.items.list.len()
    }
}

pub(crate) struct Letters<T> {
    kept: VecDeque<Kept<T>>,
    /// Of all that are kept.
    pub(crate) items: usize,
    pub(crate) max: usize,
    /// Items that were dropped.
    pub(crate) dropped: u64,
}

impl<T> Letters<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { kept: VecDeque::new(), items: 0, max, dropped: 0 }
    }

    /// Unless it has succeeded meanwhile. What has no place any more is for the caller to drop.
    pub(crate) fn keep(&mut self, kept: Kept<T>) -> Result<Vec<Kept<T>>, Kept<T>> {
        if kept.letter.items.has_succeeded() {
            return Err(kept);
        }
        self.items += kept.len();
        self.kept.push_back(kept);
        Ok(self.shorten())
    }

    /// The oldest, of which there are too many.
    pub(crate) fn shorten(&mut self) -> Vec<Kept<T>> {
        let mut dropped = Vec::new();
        while self.items > self.max {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.items -= oldest.len();
            self.dropped += oldest.len() as u64;
            dropped.push(oldest);
        }
        dropped
    }

    /// The letter with these items.
    pub(crate) fn remove(&mut self, items: &Arc<Items<T>>) -> Option<Kept<T>> {
        let at = self.kept.iter().position(|kept| Arc::ptr_eq(&kept.letter.items, items))?;
        let kept = self.kept.remove(at)?;
        self.items -= kept.len();
        Some(kept)
    }

    pub(crate) fn take(&mut self) -> VecDeque<Kept<T>> {
        self.items = 0;
        std::mem::take(&mut self.kept)
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    fn kept(items: Vec<u8>) -> (Arc<Items<u8>>, Kept<u8>) {
        let items = Arc::new(Items::new(items));
        let letter = DeadLetter::new(Arc::clone(&items), 0, 1, Failure::TimedOut);
        (items, Kept { letter, units: 7 })
    }

    /// An attempt that was overdue has succeeded just before.
    #[test]
    fn what_has_succeeded_is_no_letter() {
        let mut letters = Letters::new(10);
        let (items, letter) = kept(vec![1, 2]);
        items.is_overdue();
        assert_eq!(letter.letter.state(), LetterState::InDoubt);
        items.has_ended(true);
        assert_eq!(letter.letter.state(), LetterState::Succeeded);
        assert!(letters.keep(letter).is_err_and(|kept| kept.units == 7));
        assert_eq!((letters.items, letters.take().len()), (0, 0));
    }

    #[test]
    fn as_many_items_as_the_bound_says_are_kept() {
        let mut letters = Letters::new(4);
        for (round, gone) in [0, 0, 1, 1].into_iter().enumerate() {
            let (items, letter) = kept(vec![1, 2]);
            items.is_overdue();
            items.has_ended(false);
            assert_eq!(letter.letter.state(), LetterState::Failed);
            assert!(letters.keep(letter).is_ok_and(|dropped| dropped.len() == gone), "{round}");
        }
        assert_eq!((letters.items, letters.dropped), (4, 4));
        let (items, letter) = kept(vec![3]);
        assert!(letters.remove(&items).is_none());
        assert!(letters.keep(letter).is_ok_and(|dropped| dropped.len() == 1));
        assert_eq!(letters.remove(&items).map(|kept| kept.len()), Some(1));
        assert_eq!(letters.items, 2);
    }
}
