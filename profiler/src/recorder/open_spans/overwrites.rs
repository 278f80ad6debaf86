//! The right to overwrite the value of a field in its slot, and how readers notice that it was used.
//!
//! There is a sequence for each slot, odd while a thread has the right; it also tells for which field.
//! It is not reset when the slot is given to another span: so a thread that comes too late for a span
//! does not disturb the next one.

use spandrel_ring::{TooLarge, Zeros};

use crate::recorder::ring_file::tables::OVERWRITES;
use crate::recorder::table_memory::TableMemory;
use crate::sync::{AtomicU64, Ordering};

/// `count << 9 | field << 1 | odd` of each slot.
#[derive(Debug)]
pub(super) struct Overwrites(Zeros<AtomicU64>);

/// Where the count begins.
const COUNT: u64 = 1 << 9;
/// A thread has the right.
const ODD: u64 = 1;

/// The right to overwrite; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Overwriting<'a> {
    sequence: &'a AtomicU64,
    odd: u64,
}

/// Why a thread may not overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another thread is recording the same field. As it has not finished, its value is the later one.
    SameField,
    /// Another thread is recording another field.
    Busy,
}

impl Overwrites {
    pub(super) fn try_new(memory: TableMemory<'_>, slots: usize) -> Result<Self, TooLarge> {
        memory.zeros(OVERWRITES, slots).map(Self)
    }

    #[cfg(all(test, not(spandrel_loom)))]
    #[allow(clippy::unwrap_used)] // a test fails by panicking
    pub(super) fn new(slots: usize) -> Self {
        Self::try_new(crate::recorder::table_memory::HEAP, slots).unwrap()
    }

    /// The sequences.
    pub(super) fn table(&self) -> &[AtomicU64] {
        &self.0
    }

    /// The right to overwrite this field in this slot, if no other thread has the right there.
    pub(super) fn begin(&self, slot: usize, field: u8) -> Result<Overwriting<'_>, Refused> {
        let sequence = self.0.get(slot).ok_or(Refused::Busy)?;
        let refused = |now: u64| {
            let is_same = now & ODD != 0 && (now / 2) as u8 == field;
            if is_same { Refused::SameField } else { Refused::Busy }
        };
        // Relaxed: looked at again by the compare-and-swap.
        let even = sequence.load(Ordering::Relaxed);
        if even & ODD != 0 {
            return Err(refused(even));
        }
        let odd = (even & !(COUNT - 1)) | (u64::from(field) << 1) | ODD;
        // Acquire: pairs with the Release in `drop`; what others have overwritten is visible. The words
        // are stored with Release: a thread that sees one of them sees that the sequence is odd.
        match sequence.compare_exchange(even, odd, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Overwriting { sequence, odd }),
            Err(now) => Err(refused(now)),
        }
    }

    /// What a reader compares before and after; `None` while a thread overwrites.
    pub(super) fn sequence(&self, slot: usize) -> Option<u64> {
        // Acquire: pairs with the Release in `drop`; what was overwritten is visible.
        let sequence = self.0.get(slot)?.load(Ordering::Acquire);
        (sequence & ODD == 0).then_some(sequence)
    }
}

impl Drop for Overwriting<'_> {
    fn drop(&mut self) {
        let even = (self.odd & !(COUNT - 1)).wrapping_add(COUNT);
        // Release: pairs with the Acquire in `begin` and `sequence`; the words are complete.
        self.sequence.store(even, Ordering::Release);
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_may_and_the_others_are_told_why_not() {
        let overwrites = Overwrites::new(1);
        let before = overwrites.sequence(0);
        let right = overwrites.begin(0, 255).unwrap();
        assert_eq!(overwrites.sequence(0), None);
        assert_eq!(overwrites.begin(0, 255).unwrap_err(), Refused::SameField);
        assert_eq!(overwrites.begin(0, 0).unwrap_err(), Refused::Busy);
        drop(right);
        assert!(overwrites.sequence(0).is_some() && overwrites.sequence(0) != before);
        assert!(overwrites.begin(0, 0).is_ok() && overwrites.begin(1, 0).is_err());
    }
}
