//! A position in a partition that one side writes and the other reads.

use crate::sync::{AtomicU64, Ordering};

/// A number that only grows. Lies in a cache line of its own, or of its own side.
///
/// A sequence counts slots since the ring was made; the slot it names is `sequence & mask`. At a
/// thousand million slots a second it would take 292 years to wrap, so it never does.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    pub(crate) fn new(at: u64) -> Self {
        Self(AtomicU64::new(at))
    }

    /// Reads the sequence without learning anything about the slots.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        // Relaxed: for figures, and for the side that wrote it itself.
        self.0.load(Ordering::Relaxed)
    }

    /// Moves the sequence without giving anything away.
    #[inline]
    pub(crate) fn advance(&self, to: u64) {
        // Relaxed: the slots are handed over by their stamps, not by this number.
        self.0.store(to, Ordering::Release);
    }

    /// Moves the sequence from `from` to `to` unless another thread was faster.
    #[inline]
    pub(crate) fn try_advance(&self, from: u64, to: u64) -> bool {
        // Relaxed: only divides the slots among producers. That they are free was learnt from
        // the limit (Acquire), that they are full is told by their stamps (Release).
        self.0.compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The sequence of a consumer, below which all slots are free again; with its complement.
///
/// A consumer in another process moves it by writing into the file, and a write may be seen in halves. It writes
/// the complement first and then the sequence, so that one of the two always is what the consumer said, now or
/// before; and as it only grows, the smaller one gives nothing away that is not free.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Gate {
    pub(crate) sequence: AtomicU64,
    pub(crate) complement: AtomicU64,
}

impl Gate {
    pub(crate) fn new(at: u64) -> Self {
        Self { sequence: AtomicU64::new(at), complement: AtomicU64::new(!at) }
    }

    /// Reads the sequence, and all that the consumer did before it moved it here.
    #[inline]
    pub(crate) fn acquire(&self) -> u64 {
        // Acquire, twice: pairs with the Release in `release_to`; what the consumer did with the slots below it is
        // over, whichever of the two is the smaller one.
        let sequence = self.sequence.load(Ordering::Acquire);
        sequence.min(!self.complement.load(Ordering::Acquire))
    }

    /// The same for figures, which half a write may spoil.
    #[inline]
    pub(crate) fn peek_acquire(&self) -> u64 {
        // Acquire: what is loaded next comes later.
        self.sequence.load(Ordering::Acquire)
    }

    /// Reads the sequence for the consumer that wrote it.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        // Relaxed: of the same side.
        self.sequence.load(Ordering::Relaxed)
    }

    /// Gives away every slot below `to`.
    #[inline]
    pub(crate) fn release_to(&self, to: u64) {
        // Release, twice: pairs with the Acquire in `acquire`; our reads of the slots come before, and the
        // complement before the sequence.
        self.complement.store(!to, Ordering::Release);
        self.sequence.store(to, Ordering::Release);
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn half_a_move_gives_nothing_away_that_is_not_free() {
        let gate = Gate::new(0xFF);
        // What another process writes byte by byte: first the complement, then the sequence.
        let (before, after) = (0xFF_u64, 0x1234_5678_u64);
        for halves in 0..=0xFF_u8 {
            let mixed = |old: u64, new: u64| {
                let (old, new) = (old.to_le_bytes(), new.to_le_bytes());
                let of = |at: usize| if halves & 1 << at == 0 { old[at] } else { new[at] };
                u64::from_le_bytes(std::array::from_fn(of))
            };
            gate.sequence.store(before, Ordering::Relaxed);
            gate.complement.store(mixed(!before, !after), Ordering::Relaxed);
            assert!(gate.acquire() <= before, "{halves:08b}");
            gate.sequence.store(mixed(before, after), Ordering::Relaxed);
            gate.complement.store(!after, Ordering::Relaxed);
            assert!(gate.acquire() <= after, "{halves:08b}");
        }
        gate.release_to(after);
        assert_eq!((gate.acquire(), gate.peek()), (after, after));
    }
}
