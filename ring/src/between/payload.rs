//! Bytes of a slot, word by word.
//!
//! A writer may overwrite a slot while a reader copies it that nobody waits for. So each word is stored with Release and loaded with
//! Acquire: a reader that has got as much as one word of a later lap also sees that the slot was claimed again.

use crate::broadcast::Plain;
use crate::broadcast::cells::{each_word, of_words};
use crate::sync::{AtomicU64, Ordering};

fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(word)
}

/// Writes all of a slot: what is behind the bytes in the last word is 0.
#[inline]
pub(super) fn store(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, bytes) in words.iter().zip(whole) {
        // Release: pairs with the Acquire in `load`.
        word.store(u64::from_ne_bytes(*bytes), Ordering::Release);
    }
    if let Some(word) = words.get(whole.len()).filter(|_| !rest.is_empty()) {
        // Release: as above.
        word.store(word_of(rest), Ordering::Release);
    }
}

/// Writes some bytes of a slot, which are all inside; nobody else writes there.
pub(super) fn store_at(words: &[AtomicU64], at: usize, bytes: &[u8]) {
    let mut done = 0;
    while done < bytes.len() {
        let (index, offset) = ((at + done) / 8, (at + done) % 8);
        let Some(word) = words.get(index) else { return };
        let left = &bytes[done..];
        if offset == 0 && left.len() >= 8 {
            let whole = left.len() / 8 * 8;
            store(&words[index..], &left[..whole]);
            done += whole;
            continue;
        }
        let part = left.len().min(8 - offset);
        // Relaxed: nobody else writes it.
        let mut changed = word.load(Ordering::Relaxed).to_ne_bytes();
        changed[offset..offset + part].copy_from_slice(&left[..part]);
        // Release: as above.
        word.store(u64::from_ne_bytes(changed), Ordering::Release);
        done += part;
    }
}

/// Copies a slot, or as much of it as there is room for.
#[inline]
pub(super) fn load(words: &[AtomicU64], bytes: &mut [u8]) {
    let (whole, rest) = bytes.as_chunks_mut::<8>();
    let after = whole.len();
    for (bytes, word) in whole.iter_mut().zip(words) {
        // Acquire: pairs with the Release in `store`.
        *bytes = word.load(Ordering::Acquire).to_ne_bytes();
    }
    if let Some(word) = words.get(after) {
        // Acquire: as above.
        let word = word.load(Ordering::Acquire).to_ne_bytes();
        rest.copy_from_slice(&word[..rest.len()]);
    }
}

/// Writes a value.
#[inline]
pub(super) fn store_value<T: Plain>(words: &[AtomicU64], value: T) {
    // Once, so that it is not looked at again for each word.
    let Some(words) = words.get(..size_of::<T>().div_ceil(8)) else { return };
    // Release: as above.
    each_word(value, |index, word| words[index].store(word, Ordering::Release));
}

/// Copies a value, of words that are as many.
#[inline]
pub(super) fn load_value<T: Plain>(words: &[AtomicU64]) -> T {
    let words = &words[..size_of::<T>().div_ceil(8)];
    // Acquire: as above.
    of_words(|index| words[index].load(Ordering::Acquire))
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    fn words(len: usize) -> Vec<AtomicU64> {
        (0..len).map(|_| AtomicU64::new(u64::MAX)).collect()
    }

    #[test]
    fn what_is_stored_is_loaded_whatever_its_length() {
        for len in 1..=40_usize {
            let words = words(len.div_ceil(8));
            let bytes: Vec<u8> = (0..len as u8).collect();
            store(&words, &bytes);
            for room in 0..=len {
                let mut copy = vec![0xFF; room];
                load(&words, &mut copy);
                assert_eq!(copy, bytes[..room]);
            }
        }
    }

    #[test]
    fn parts_are_stored_wherever_they_begin() {
        for at in 0..24 {
            for len in 0..=24 - at {
                let words = words(3);
                let part: Vec<u8> = (1..=len as u8).collect();
                store_at(&words, at, &part);
                let mut copy = [0; 24];
                load(&words, &mut copy);
                assert_eq!(copy[at..at + len], part);
                assert!(copy[..at].iter().chain(&copy[at + len..]).all(|byte| *byte == 0xFF));
            }
        }
    }

    #[test]
    fn values_are_words() {
        let words = words(2);
        store_value(&words, [7_u32, 8, 9]);
        assert_eq!(load_value::<[u32; 3]>(&words), [7, 8, 9]);
        assert_eq!(words[1].load(Ordering::Relaxed).to_ne_bytes()[4..], [0; 4]);
    }
}
