//! How many callsites are recorded, and how many are below the level.

use crate::sync::{AtomicU64, Ordering};

/// Counted when a front end decides about a callsite, which it has once, whichever thread meets it.
/// Modulo 2^64: if two threads decide about a callsite at once, the second one may be counted first.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kept: AtomicU64,
    below: AtomicU64,
}

impl Tally {
    /// Counts a decision: whether the callsite was recorded before, if that was decided, and whether it
    /// is now.
    pub(crate) fn count(&self, before: Option<bool>, now: bool) {
        if let Some(before) = before {
            self.of(before).fetch_sub(1, Ordering::Relaxed);
        }
        self.of(now).fetch_add(1, Ordering::Relaxed);
    }

    // Relaxed, also above: figures for people.
    fn of(&self, is_kept: bool) -> &AtomicU64 {
        if is_kept { &self.kept } else { &self.below }
    }

    /// How many are recorded, and how many below the level. Exact when no thread is just deciding.
    pub(crate) fn get(&self) -> (u64, u64) {
        // Not negative.
        let now =
            |count: &AtomicU64| count.load(Ordering::Relaxed).cast_signed().max(0).unsigned_abs();
        (now(&self.kept), now(&self.below))
    }
}
