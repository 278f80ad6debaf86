//! The tables of a ring file, by number; [`layout`](super::layout) says what is in them.

pub(crate) const OPEN_SPANS: usize = 0;
pub(crate) const FOREIGN: usize = 1;
pub(crate) const OVERWRITES: usize = 2;
pub(crate) const SPILLS_TAKEN: usize = 3;
pub(crate) const SPILL_WORDS: usize = 4;
pub(crate) const CLOCK_PIECES: usize = 5;
pub(crate) const DROPS: usize = 6;
pub(crate) const TABLES: usize = 7;
