//! Loom explores these: one race each, named for it.
//!
//! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel-ring --features broadcast --release --lib loom_models`

mod held;
mod joining;
mod membership;
mod multi;
mod parked;
mod readers;
mod rings;
mod single;
mod stages;
mod workers;
