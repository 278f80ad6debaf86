//! Probability distributions and significance.

pub(super) mod benjamini_hochberg;
pub(super) mod normal;
pub(super) mod student;
