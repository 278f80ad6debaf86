//! What stands beside each other in the words of a slot, beside what stands there as in a
//! [`record`](crate::recorder::record).

use crate::recorder::record::{APART, UPPER_SHIFT};
use crate::recorder::said::SAID_BITS;

/// In the lower half of `head`, beside the number of the owner: it is inside.
pub(crate) const INSIDE: u32 = 1 << 24;
/// It is inside more than once.
pub(super) const NESTED: u32 = 1 << 25;
/// It is inside a span that is not its parent: the end of that entry is left to the general path. Only while it
/// is inside, where the kind of the record will stand.
pub(crate) const ASIDE: u32 = 1 << 28;
/// The record of such an entry says so in the same place.
const _: () = assert!(ASIDE as u64 == APART);
/// Beside [`ASIDE`], that it was entered elsewhere is no reason for it: the span that was around it has been left.
pub(crate) const OVERLAPPED: u32 = 1 << 30;
/// Its entries may have to be recorded, each: the fast paths leave the span alone. Where the kind of the record will
/// stand, so they do not close it either.
pub(crate) const LONG: u32 = 1 << 29;

/// The half of `head` that tells whose the span is and whether that thread is inside.
#[inline(always)]
pub(crate) fn owner_state(head: u64) -> u32 {
    head as u32
}

/// One entry in `head`.
pub(super) const POLL: u64 = 1 << UPPER_SHIFT;
/// The span has failed.
pub(super) const FAILED: u64 = 1 << 32;
/// Whole fields did not fit.
pub(super) const LEFT_OUT: u64 = 1 << 33;
/// There is something in the slot's [`Foreign`](super::foreign::Foreign).
pub(super) const FOREIGN: u64 = 1 << 34;
/// `spill` is in use.
pub(super) const SPILLED: u64 = 1 << 35;
/// There has been more than one handle; they are counted in [`SlotFreeList`](super::free_list::SlotFreeList).
pub(super) const CLONED: u64 = 1 << 36;
/// Where what was said of its status stands in `extra`, if its fields do not have that in full.
pub(super) const SAID_SHIFT: u32 = 37;
pub(super) const SAID: u64 = ((1 << SAID_BITS) - 1) << SAID_SHIFT;
/// Where the layer stands in `extra`; 0 is the first one.
pub(super) const LAYER_SHIFT: u32 = 48;
const _: () = assert!(SAID_SHIFT + SAID_BITS <= LAYER_SHIFT);

/// The reserved words in `extra`, and the pending ones above them.
pub(super) const RESERVED: u64 = 0xFFFF;
pub(super) const PENDING_SHIFT: u32 = 16;
pub(super) const PENDING: u64 = RESERVED << PENDING_SHIFT;

/// How many words of fields there are, unless somebody adds some right now.
#[inline(always)]
pub(super) const fn settled_words(extra: u64) -> Option<usize> {
    if extra & PENDING == 0 { Some((extra & RESERVED) as usize) } else { None }
}

/// How many words of fields a span has, if that is all there is to say, and they are at most `max`.
#[inline(always)]
pub(crate) const fn plain_words(extra: u64, max: usize) -> Option<usize> {
    if extra <= max as u64 { Some(extra as usize) } else { None }
}

/// `key` of a span that was closed while its owner was inside; no key, nor the complement of one.
pub(super) const CLOSED: u64 = u64::MAX;
/// `key` of a free slot that only a direct front end may take; as little a key of a registry, which
/// would have to have 2^31 spans, or 8,191 threads. A number of 32 bits for the processor.
pub(super) const RESERVED_KEY: u64 = i32::MIN as u64;

/// In the number of a layer that is not the first: its keys name the slots.
pub(crate) const DIRECT: u16 = 1 << 15;
