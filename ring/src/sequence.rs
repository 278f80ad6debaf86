//! A position in a partition that one side writes and the other reads.

use crate::sync::{AtomicU64, Ordering};

/// A number that only grows. Lies in a cache line of its own, or of its own side.
///
/// A sequence counts slots since the ring was made; the slot it names is `sequence & mask`. At a
/// thousand million slots a second it would take 292 years to wrap, so it never does.
#[derive(Debug)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    pub(crate) fn new(at: u64) -> Self {
        Self(AtomicU64::new(at))
    }

    /// Reads the sequence, and all that its writer did before it moved it here.
    #[inline]
    pub(crate) fn acquire(&self) -> u64 {
        // Acquire: pairs with the Release in `release_to`; what the writer of this sequence did
        // with the slots below it is over.
        self.0.load(Ordering::Acquire)
    }

    /// Reads the sequence without learning anything about the slots.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        // Relaxed: for figures, and for the side that wrote it itself.
        self.0.load(Ordering::Relaxed)
    }

    /// Gives away every slot below `to`.
    #[inline]
    pub(crate) fn release_to(&self, to: u64) {
        // Release: pairs with the Acquire in `acquire`; our reads of the slots come before.
        self.0.store(to, Ordering::Release);
    }

    /// Moves the sequence without giving anything away.
    #[inline]
    pub(crate) fn advance(&self, to: u64) {
        // Relaxed: the slots are handed over by their stamps, not by this number.
        self.0.store(to, Ordering::Relaxed);
    }

    /// Moves the sequence from `from` to `to` unless another thread was faster.
    #[inline]
    pub(crate) fn try_advance(&self, from: u64, to: u64) -> bool {
        // Relaxed: only divides the slots among producers. That they are free was learnt from
        // the limit (Acquire), that they are full is told by their stamps (Release).
        self.0.compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
