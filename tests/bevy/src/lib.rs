//! A Bevy app of three systems, and a witness that measures them beside the profiler.

pub mod figures;
pub mod game;
pub mod witness;
