//! How many callsites are kept, and how many are below the level.

use crate::sync::{AtomicU64, Ordering};

/// Counted when a front end decides about a callsite, which it has once, whoever meets it. Modulo 2^64: of
/// two threads that decide about one callsite the second may count first.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kept: AtomicU64,
    below: AtomicU64,
}

impl Tally {
    /// Whether a callsite is kept: what was decided before, if anything was, and what is now.
    pub(crate) fn count(&self, before: Option<bool>, now: bool) {
        if let Some(before) = before {
            self.of(before).fetch_sub(1, Ordering::Relaxed);
        }
        self.of(now).fetch_add(1, Ordering::Relaxed);
    }

    // Relaxed, here and above: figures for people.
    fn of(&self, is_kept: bool) -> &AtomicU64 {
        if is_kept { &self.kept } else { &self.below }
    }

    /// Kept, and below the level: exact when nobody is deciding.
    pub(crate) fn get(&self) -> (u64, u64) {
        // Never what is less than none.
        let now =
            |count: &AtomicU64| count.load(Ordering::Relaxed).cast_signed().max(0).unsigned_abs();
        (now(&self.kept), now(&self.below))
    }
}
