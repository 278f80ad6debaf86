//! The values that are frequent, and how many different ones there are, in bounded memory.
//!
//! Misra and Gries ("Finding repeated elements", 1982), with the purge in batches of Anderson and
//! others ("A high-performance algorithm for identifying frequent items in data streams", 2017): when
//! twice as many values are held as there is room for, the count of the middle one is taken off all,
//! and those that have nothing left are forgotten. A count is too low by what was taken off, which is
//! at most one `room`-th of all values; until there are too many, it is exact.
//!
//! How many different values there were is estimated from hashes (HyperLogLog: Flajolet and others,
//! 2007), within some 3 %.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Bytes of a value that tell it from others.
const BYTES_MAX: usize = 200;

#[derive(Debug)]
pub(super) struct Frequent {
    counts: HashMap<Box<str>, u64>,
    taken_off: u64,
    room: usize,
}

impl Frequent {
    pub(super) fn with_capacity(room: usize) -> Self {
        Self { counts: HashMap::new(), taken_off: 0, room }
    }

    pub(super) fn add(&mut self, value: &str) {
        let value = value.get(..value.floor_char_boundary_at(BYTES_MAX)).unwrap_or(value);
        if let Some(count) = self.counts.get_mut(value) {
            *count += 1;
            return;
        }
        self.counts.insert(value.into(), 1);
        if self.counts.len() >= 2 * self.room {
            self.purge();
        }
    }

    fn purge(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let middle = counts.len().saturating_sub(self.room);
        let (_, cut, _) = counts.select_nth_unstable(middle);
        let cut = *cut;
        self.taken_off += cut;
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(cut);
            *count > 0
        });
    }

    /// How often a value came, or less by [`error`](Self::error) at most.
    pub(super) fn count(&self, value: &str) -> u64 {
        self.counts.get(value).copied().unwrap_or(0)
    }

    /// By how much a count may be too low.
    pub(super) fn error(&self) -> u64 {
        self.taken_off
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().map(AsRef::as_ref)
    }
}

/// Cuts between characters.
trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        (0..=at.min(self.len())).rev().find(|at| self.is_char_boundary(*at)).unwrap_or(0)
    }
}

const REGISTER_BITS: u32 = 10;
const REGISTERS: usize = 1 << REGISTER_BITS;

/// How many different values there were.
#[derive(Debug)]
pub(super) struct Distinct(Vec<u8>);

impl Distinct {
    pub(super) fn new() -> Self {
        Self(vec![0; REGISTERS])
    }

    pub(super) fn add(&mut self, value: &str) {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        let rank = (hash << REGISTER_BITS | 1).leading_zeros() as u8 + 1;
        if let Some(register) = self.0.get_mut((hash >> (64 - REGISTER_BITS)) as usize) {
            *register = (*register).max(rank);
        }
    }

    pub(super) fn estimate(&self) -> u64 {
        let registers = REGISTERS as f64;
        let sum: f64 = self.0.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / registers) * registers * registers / sum;
        let empty = self.0.iter().filter(|rank| **rank == 0).count();
        // For few values, the number of empty registers is the better estimate.
        let estimate = if raw <= 2.5 * registers && empty > 0 {
            registers * (registers / empty as f64).ln()
        } else {
            raw
        };
        estimate.round() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_are_low_by_no_more_than_they_say(
            values in vec(prop_oneof![3 => 0_u32..5, 2 => any::<u32>()], 0..400),
            room in 1_usize..20,
        ) {
            let mut frequent = Frequent::with_capacity(room);
            values.iter().for_each(|value| frequent.add(&value.to_string()));
            prop_assert!(frequent.error() <= values.len() as u64 / room as u64);
            prop_assert!(frequent.counts.len() <= 2 * room);
            for value in &values {
                let exact = values.iter().filter(|other| *other == value).count() as u64;
                let count = frequent.count(&value.to_string());
                prop_assert!(count <= exact && exact <= count + frequent.error());
            }
        }
    }

    #[test]
    fn different_values_are_estimated() {
        for exact in [0_u64, 1, 10, 500, 4_000, 100_000] {
            let mut distinct = Distinct::new();
            for round in 0..2 {
                (0..exact).for_each(|n| distinct.add(&format!("value {n}")));
                let off = distinct.estimate().abs_diff(exact) as f64;
                assert!(off <= exact as f64 * 0.08, "{round} {exact} {}", distinct.estimate());
            }
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let mut frequent = Frequent::with_capacity(4);
        frequent.add(&"é".repeat(10_000));
        assert!(frequent.values().all(|value| value.len() <= BYTES_MAX && value.ends_with('é')));
    }
}
