//! How many claims were published, by class.
//!
//! A partition has two of these: one on a line that no other process reaches, which this process reads, and one among its
//! words, which in a file outlive the process. Whoever cuts the file short takes nothing of the first one.

use crate::sync::{AtomicU64, Ordering};

/// Claims are counted by class, from 0 to one less than this, when they are published.
pub const CLASSES: usize = 5;

/// The counts of a partition.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Counts([AtomicU64; CLASSES]);

impl Counts {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Counts a claim that the lessee is about to publish.
    #[inline(always)]
    pub(crate) fn count_exclusive(&self, class: usize) {
        let counter = &self.0[class];
        // Relaxed, and no read-modify-write: only the lessee writes it, and leases are handed over
        // with Release and Acquire. The Release of the stamp makes the count visible to whoever
        // sees the claim.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Counts a claim that one of several producers is about to publish.
    #[inline(always)]
    pub(crate) fn count_shared(&self, class: usize) {
        // Relaxed: as above.
        self.0[class].fetch_add(1, Ordering::Relaxed);
    }

    /// How many claims of each class were published, or are just being published.
    pub(crate) fn get(&self) -> [u64; CLASSES] {
        // Relaxed: counts. Whoever has seen a claim sees it counted.
        std::array::from_fn(|class| self.0[class].load(Ordering::Relaxed))
    }
}
