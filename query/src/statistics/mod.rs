//! Probabilities: what chance alone would make.

pub(super) mod discoveries;
pub(super) mod normal;
pub(super) mod student;
