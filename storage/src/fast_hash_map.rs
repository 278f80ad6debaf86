//! Hash maps whose keys are our own numbers, for look-ups that happen once a span.
//!
//! The default hasher takes as long as the rest of such a look-up. A multiplication spreads ids and
//! small numbers well enough (FxHash of rustc). A file made by hand can have keys that collide, and be
//! slow to read; so each of these maps has a bound, or holds only what is open at one moment.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from a number.
pub type FastHashMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

#[derive(Debug, Default, Clone, Copy)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        // The table uses the low bits; the product is best in the high ones.
        self.0.rotate_left(26)
    }
}
