//! Rings that lie on the heap, whose participants die when a test says so.

#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

#[cfg(not(spandrel_loom))]
mod deaths;
#[cfg(not(spandrel_loom))]
mod hostile;
#[cfg(not(spandrel_loom))]
mod joining;
#[cfg(not(spandrel_loom))]
mod reading;
#[cfg(not(spandrel_loom))]
mod threads;

use std::time::Duration;

use super::layout::{Layout, PAGE_MIN, Sizes};
use super::lives::pretended::Pretended;
use super::patience::Limits;
use super::ring::Ring;
use super::shared::Shared;
use crate::sync::AtomicU64;
use crate::zeros::Zeros;

/// Nobody is waited for, so that a test says what happens.
pub(super) const AT_ONCE: Limits =
    Limits { ask_after: Duration::ZERO, ask_every: Duration::ZERO, pass_after: Duration::ZERO };

/// Those who live are waited for.
#[cfg(not(spandrel_loom))]
const NEVER_PASSED: Limits = Limits { pass_after: Duration::MAX, ..AT_ONCE };

pub(super) const SIZES: Sizes =
    Sizes { page: PAGE_MIN, slot_bytes: 16, slots: 4, participants: 4, in_place: false };

pub(super) fn ring(sizes: Sizes, limits: Limits) -> (Ring, Pretended) {
    let layout = Layout::new(sizes).unwrap();
    let lives = Pretended::default();
    let words = Zeros::<AtomicU64>::new(layout.words);
    (Ring::over(Shared::new(words, layout, Box::new(lives.clone()), None), limits), lives)
}

/// A slot that says what it is, so that a torn one shows.
pub(super) fn value(number: u64) -> [u64; 2] {
    [number, number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.rotate_left(32)]
}

#[cfg(not(spandrel_loom))]
fn bytes(number: u64) -> [u8; 16] {
    let [first, second] = value(number).map(u64::to_ne_bytes);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first);
    bytes[8..].copy_from_slice(&second);
    bytes
}

/// What number a slot says.
#[cfg(not(spandrel_loom))]
fn number(slot: &[u8]) -> u64 {
    let number = u64::from_ne_bytes(slot[..8].try_into().unwrap());
    assert_eq!(slot, bytes(number), "torn");
    number
}
