//! A set of ids with few false positives, and fast to test for millions of rows.

/// Bits at least and at most; the latter take 512 KiB.
const BITS_MIN: usize = 1 << 12;
const BITS_MAX: usize = 1 << 22;
/// Bits for each id: of other ids, about one in this many is a false positive.
const BITS_OF_ID: usize = 64;

/// A bit for the low bits of each id.
#[derive(Debug, Clone)]
pub struct IdSet {
    words: Vec<u64>,
    mask: u64,
}

impl IdSet {
    /// The set of these ids.
    pub fn new(ids: &[u64]) -> Self {
        let bits = (ids.len().saturating_mul(BITS_OF_ID)).next_power_of_two();
        let bits = bits.clamp(BITS_MIN, BITS_MAX);
        let mut set = Self { words: vec![0; bits / 64], mask: bits as u64 - 1 };
        for id in ids {
            let (word, bit) = set.position(*id);
            if let Some(word) = set.words.get_mut(word) {
                *word |= bit;
            }
        }
        set
    }

    /// Whether an id may be in the set; always true if it is.
    #[inline]
    pub fn may_have(&self, id: u64) -> bool {
        let (word, bit) = self.position(id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    fn position(&self, id: u64) -> (usize, u64) {
        let at = id & self.mask;
        ((at / 64) as usize, 1 << (at % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_it_and_few_others() {
        for count in [0_u64, 1, 1_000, 20_000] {
            let ids: Vec<u64> = (0..count).map(|n| n * n * 7 + 3).collect();
            let set = IdSet::new(&ids);
            assert!(ids.iter().all(|id| set.may_have(*id)));
            let others = (1 << 40..(1 << 40) + 100_000_u64).filter(|id| set.may_have(*id)).count();
            assert!(others <= 2_000, "{others}");
        }
    }
}
