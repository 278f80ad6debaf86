//! Memory that a store takes, by part.
//!
//! SQLite tells its own figures through `unsafe` calls only. So they are computed from what it is given:
//! the image of a batch, which it copies, and the pages that it may keep.

use std::mem::size_of;
use std::ops::{Add, AddAssign};

/// Bytes of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MemoryUse {
    /// Allocated. The system provides memory when it is touched, so not all of it may exist.
    pub reserved: u64,
    /// How much of that holds something, or has been touched.
    pub used: u64,
}

impl MemoryUse {
    /// Bytes that are allocated and all in use.
    #[must_use]
    pub fn whole(bytes: usize) -> Self {
        Self { reserved: bytes as u64, used: bytes as u64 }
    }

    /// A list: room for all its values is reserved, the present ones are used.
    #[must_use]
    pub fn of<T>(list: &Vec<T>) -> Self {
        let bytes = |values: usize| (values * size_of::<T>()) as u64;
        Self { reserved: bytes(list.capacity()), used: bytes(list.len()) }
    }
}

impl Add for MemoryUse {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { reserved: self.reserved + other.reserved, used: self.used + other.used }
    }
}

impl AddAssign for MemoryUse {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Memory that a store takes, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreMemory {
    /// Callsites, and threads that are still to be inserted.
    pub names: MemoryUse,
    /// Sums and histograms by callsite of the last seconds.
    pub rollups: MemoryUse,
    /// The image of a batch, what it is put together with, and SQLite's copy of it.
    pub image: MemoryUse,
    /// Pages that SQLite keeps: at most this many, or as much as the file and its log have.
    pub pages: MemoryUse,
}
