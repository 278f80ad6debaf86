//! The only door to the atomics of the open-span table, so that loom can stand in for the standard
//! library.

#[cfg(not(spandrel_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};

#[cfg(spandrel_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
