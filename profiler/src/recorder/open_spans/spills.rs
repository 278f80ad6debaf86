//! Buffers for spans with more fields than a slot holds.
//!
//! A buffer knows its span, and how many threads are writing into it. A buffer that was given back is
//! free once the last of them is done. A thread that comes for a span that has closed meanwhile, with an
//! id that was kept too long, notices that the buffer belongs to another one. So all that is written
//! into a buffer belongs to the span that has it.

use spandrel_ring::{TooLarge, Zeros};

use super::ATTEMPTS;
use crate::recorder::record::ID_BITS;
use crate::recorder::ring_file::tables::{SPILL_WORDS, SPILLS_TAKEN};
use crate::recorder::table_memory::TableMemory;
use crate::sync::{AtomicU64, Ordering};

/// The position of the span's id in the word of a buffer, above the number of writers.
const ID_SHIFT: u32 = u64::BITS - ID_BITS;
/// The bits of the number of writers.
const WRITERS: u64 = (1 << ID_SHIFT) - 1;

/// The buffers.
#[derive(Debug)]
pub(super) struct Spills {
    /// `span << 16 | writers` of each buffer; 0 while it is free.
    taken: Zeros<AtomicU64>,
    words: Zeros<AtomicU64>,
    words_each: usize,
}

impl Spills {
    /// How many buffers there are: none if each would have no words.
    pub(super) fn buffers(buffers: usize, words_each: usize) -> usize {
        if words_each == 0 { 0 } else { buffers }
    }

    pub(super) fn try_new(
        memory: TableMemory<'_>,
        buffers: usize,
        words_each: usize,
    ) -> Result<Self, TooLarge> {
        let buffers = Self::buffers(buffers, words_each);
        Ok(Self {
            taken: memory.zeros(SPILLS_TAKEN, buffers)?,
            words: memory.zeros(SPILL_WORDS, buffers * words_each)?,
            words_each,
        })
    }

    #[cfg(test)]
    pub(super) fn new(buffers: usize, words_each: usize) -> Self {
        Self::try_new(crate::recorder::table_memory::HEAP, buffers, words_each).unwrap()
    }

    /// Its tables.
    pub(super) fn tables(&self) -> [&[AtomicU64]; 2] {
        [&self.taken, &self.words]
    }

    /// The word that tells whose a buffer is; `None` if there is no buffer with this number.
    fn taken(&self, number: u16) -> Option<&AtomicU64> {
        self.taken.get(usize::from(number).checked_sub(1)?)
    }

    /// Takes a free buffer for the span with this id, after a few attempts at most. Returns its number
    /// plus one.
    pub(super) fn claim(&self, span: u64) -> Option<u16> {
        let home = (span.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        (0..ATTEMPTS.min(self.taken.len())).find_map(|step| {
            let index = (home + step) % self.taken.len();
            // Acquire on success: pairs with the Release in `release` or `leave`, whichever was last.
            self.taken[index]
                .compare_exchange(0, span << ID_SHIFT, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
                .then_some(index as u16 + 1)
        })
    }

    /// A thread is about to write into a buffer. Returns whether the buffer is the span's. Only then may
    /// the thread write, and has to [leave](Self::leave) it afterwards.
    #[must_use]
    pub(super) fn enter(&self, number: u16, span: u64) -> bool {
        let Some(taken) = self.taken(number) else { return false };
        for _ in 0..ATTEMPTS {
            // Relaxed: looked at again by the compare-and-swap.
            let before = taken.load(Ordering::Relaxed);
            if before >> ID_SHIFT != span || before & WRITERS == WRITERS {
                return false;
            }
            // Acquire: pairs with the Release in `leave`, as in `claim`.
            let entered =
                taken.compare_exchange(before, before + 1, Ordering::Acquire, Ordering::Relaxed);
            if entered.is_ok() {
                return true;
            }
        }
        false
    }

    /// A thread has written into a buffer.
    pub(super) fn leave(&self, number: u16) {
        if let Some(taken) = self.taken(number) {
            // Release: pairs with the Acquire in `claim`; the words are written.
            taken.fetch_sub(1, Ordering::Release);
        }
    }

    /// Its span gives a buffer back.
    pub(super) fn release(&self, number: u16) {
        if let Some(taken) = self.taken(number) {
            // Release: pairs with the Acquire in `claim`. Threads that write into it are still counted.
            taken.fetch_and(WRITERS, Ordering::Release);
        }
    }

    /// A word of a buffer; `None` if there is no such buffer, or beyond its end.
    #[inline]
    pub(super) fn word(&self, number: u16, index: usize) -> Option<&AtomicU64> {
        let buffer = usize::from(number).checked_sub(1)?;
        if index >= self.words_each {
            return None;
        }
        self.words.get(buffer * self.words_each + index)
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_free_when_nobody_writes_into_it() {
        let spills = Spills::new(1, 4);
        let number = spills.claim(7).unwrap();
        assert!(spills.enter(number, 7) && !spills.enter(number, 8));
        spills.release(number);
        assert!(spills.claim(8).is_none(), "somebody still writes for the span that is gone");
        assert!(!spills.enter(number, 7), "it is given back");
        spills.leave(number);
        assert_eq!(spills.claim(8), Some(number));
        assert!(!spills.enter(number, 7) && spills.enter(number, 8));
    }

    #[test]
    fn there_is_no_word_outside_of_a_buffer() {
        let spills = Spills::new(2, 4);
        assert!(spills.word(0, 0).is_none() && spills.word(3, 0).is_none());
        assert!(spills.word(1, 3).is_some() && spills.word(1, 4).is_none());
        assert!(!spills.enter(0, 0) && !spills.enter(3, 1));
        spills.leave(0);
        spills.release(9);
        assert!(Spills::new(16, 0).claim(1).is_none());
    }
}
