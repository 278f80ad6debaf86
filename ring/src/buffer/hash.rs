//! Hashes of keys: fast ones, or such that strangers cannot make collide.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

#[derive(Debug)]
pub(crate) enum Hashes {
    Fast { seed: u64 },
    Sip(RandomState),
}

impl Hashes {
    pub(crate) fn fast() -> Self {
        let random = RandomState::new();
        Self::Fast { seed: random.hash_one(1_u8) }
    }

    pub(crate) fn sip() -> Self {
        Self::Sip(RandomState::new())
    }

    #[inline]
    pub(crate) fn of<K: Hash + ?Sized>(&self, key: &K) -> u64 {
        match self {
            Self::Fast { seed } => {
                let mut hasher = Folded { state: *seed };
                key.hash(&mut hasher);
                hasher.state
            }
            Self::Sip(random) => random.hash_one(key),
        }
    }
}

/// That of the golden section: numbers in a row, and such as differ in their upper bits only, are spread well in both
/// halves. By most other factors they are not.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Begins with a number that is different in each map. Each word is multiplied, and the two halves of the product are
/// folded together, as wyhash and foldhash do it.
struct Folded {
    state: u64,
}

impl Folded {
    #[inline]
    fn word(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(FACTOR);
        self.state = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Folded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length tells it from one that ends in zeros.
        self.word(u64::from_le_bytes(last) ^ (bytes.len() as u64).rotate_right(8));
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.word(value.into());
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.word(value.into());
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.word(value.into());
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Numbers in a row, multiples of large powers of two, and texts: in both halves they are spread as at random.
    #[test]
    fn keys_that_are_alike_are_spread() {
        let count: u64 = if cfg!(miri) { 256 } else { 4_096 };
        for hashes in [Hashes::fast(), Hashes::sip()] {
            for way in 0..4 {
                let of = |number: u64| match way {
                    0 => hashes.of(&number),
                    1 => hashes.of(&(number << 40)),
                    2 => hashes.of(&format!("user:{number}")),
                    _ => hashes.of(&(number as u32, 7_u8)),
                };
                for shift in [0, 32] {
                    let places = (0..count).map(|number| (of(number) >> shift) % count);
                    let places = places.collect::<HashSet<_>>().len() as u64;
                    // At random, 63 % of the places are taken.
                    assert!(places * 3 > count, "{hashes:?}, {way}, {shift}: {places}");
                }
            }
        }
    }

    #[test]
    fn equal_keys_have_equal_hashes_and_others_hardly() {
        let hashes = Hashes::fast();
        assert_eq!(hashes.of("abc"), hashes.of(&String::from("abc")));
        let texts = ["", "\0", "\0\0", "a", "a\0", "12345678", "12345678\0", "123456789"];
        let seen: HashSet<u64> = texts.iter().map(|text| hashes.of(*text)).collect();
        assert_eq!(seen.len(), texts.len());
        assert_ne!(Hashes::fast().of(&1), Hashes::fast().of(&1), "each map has its own");
    }
}
