//! How many callsites are kept, and how many are below the level.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sites::Answer;

/// Counted when a front end decides about a callsite.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kept: AtomicU64,
    below: AtomicU64,
}

impl Tally {
    /// A callsite had one answer, or none, and has another one now.
    pub(crate) fn count(&self, before: Option<Answer>, now: Answer) {
        if let Some(before) = before {
            self.of(before).fetch_sub(1, Ordering::Relaxed);
        }
        self.of(now).fetch_add(1, Ordering::Relaxed);
    }

    // Relaxed, here and above: figures for people.
    fn of(&self, answer: Answer) -> &AtomicU64 {
        match answer {
            Answer::Kept(_) | Answer::Full => &self.kept,
            Answer::Marks | Answer::Below => &self.below,
        }
    }

    /// Kept, and below the level.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.kept.load(Ordering::Relaxed), self.below.load(Ordering::Relaxed))
    }
}
