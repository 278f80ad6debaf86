//! What a processor gets, shared with whoever may have to do without it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over
use std::time::Duration;

use super::sync::{Clock, NEVER, Time};
use crate::sync::{AtomicU64, Ordering};

/// Items of one partition, oldest first: a slice of them.
///
/// It is borrowed, since a processor that runs out of time cannot be stopped: then others have to know what it has.
pub struct Batch<T> {
    pub(crate) items: Arc<Items<T>>,
    pub(crate) partition: u32,
    pub(crate) attempt: u32,
    pub(crate) deadline: Time,
    pub(crate) clock: Clock,
}

impl<T> Batch<T> {
    /// The partition that they are of.
    pub fn partition(&self) -> usize {
        self.partition as usize
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How long the processor may still take. A processor that sets its own time-outs by it, and says in time that it has
    /// failed, is tried again; one that runs out of time leaves everybody in doubt.
    pub fn time_left(&self) -> Duration {
        match self.deadline {
            NEVER => Duration::MAX,
            deadline => Duration::from_nanos(deadline.saturating_sub(self.clock.now())),
        }
    }
}

impl<T> Deref for Batch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items.list
    }
}

impl<T: fmt::Debug> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("partition", &self.partition)
            .field("attempt", &self.attempt)
            .field("items", &self.items.list)
            .finish_non_exhaustive()
    }
}

/// What is known of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LetterState {
    /// All attempts have failed. (What a processor has done before it failed, it alone knows.)
    Failed,
    /// An attempt that has run out of time still runs, and may succeed or fail.
    InDoubt,
    /// Such an attempt has succeeded since: the items are processed, and should not be so again.
    Succeeded,
}

/// The items of a batch, and what is in doubt of it.
pub(crate) struct Items<T> {
    pub(crate) list: Vec<T>,
    /// Twice as many as there are attempts that were overdue and still run; plus one, if one of them has succeeded.
    doubt: AtomicU64,
}

const SUCCEEDED: u64 = 1;
const RUNNING: u64 = 2;

impl<T> Items<T> {
    pub(crate) fn new(list: Vec<T>) -> Self {
        Self { list, doubt: AtomicU64::new(0) }
    }

    /// An attempt is overdue, and still runs.
    pub(crate) fn is_overdue(&self) {
        // Release: pairs with the Acquire in `state`.
        self.doubt.fetch_add(RUNNING, Ordering::AcqRel);
    }

    /// One that was has ended.
    pub(crate) fn has_ended(&self, has_succeeded: bool) {
        if has_succeeded {
            // Release: as above; and before it no longer runs, so that nobody takes it for one that has failed.
            self.doubt.fetch_or(SUCCEEDED, Ordering::AcqRel);
        }
        // Release: as above.
        self.doubt.fetch_sub(RUNNING, Ordering::AcqRel);
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        self.state() == LetterState::Succeeded
    }

    pub(crate) fn state(&self) -> LetterState {
        // Acquire: pairs with the Release in `has_ended`. One look, as both may change in between.
        match self.doubt.load(Ordering::Acquire) {
            0 => LetterState::Failed,
            doubt if doubt & SUCCEEDED != 0 => LetterState::Succeeded,
            _ => LetterState::InDoubt,
        }
    }
}
