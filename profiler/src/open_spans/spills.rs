//! Buffers for spans with more fields than a place holds.

use super::ATTEMPTS;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The buffers.
#[derive(Debug)]
pub(super) struct Spills {
    taken: Box<[AtomicU32]>,
    words: Box<[AtomicU64]>,
    words_each: usize,
}

impl Spills {
    pub(super) fn new(buffers: usize, words_each: usize) -> Self {
        let buffers = if words_each == 0 { 0 } else { buffers };
        Self {
            taken: std::iter::repeat_with(AtomicU32::default).take(buffers).collect(),
            words: std::iter::repeat_with(AtomicU64::default).take(buffers * words_each).collect(),
            words_each,
        }
    }

    /// Takes a free buffer, trying a few from a place that `hint` chooses. Returns its number plus
    /// one.
    pub(super) fn claim(&self, hint: u64) -> Option<u16> {
        let home = (hint.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        (0..ATTEMPTS.min(self.taken.len())).find_map(|step| {
            let index = (home + step) % self.taken.len();
            // Acquire on success: pairs with the Release in `release`.
            self.taken[index]
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
                .then_some(index as u16 + 1)
        })
    }

    pub(super) fn release(&self, number: u16) {
        // Release: pairs with the Acquire in `claim`.
        self.taken[number as usize - 1].store(0, Ordering::Release);
    }

    #[inline]
    pub(super) fn word(&self, number: u16, index: usize) -> &AtomicU64 {
        &self.words[(number as usize - 1) * self.words_each + index]
    }
}
