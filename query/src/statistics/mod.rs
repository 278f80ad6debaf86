//! Probabilities: what chance alone would make.

pub(super) mod benjamini_hochberg;
pub(super) mod normal;
pub(super) mod student;
