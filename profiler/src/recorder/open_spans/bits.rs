//! Bits of the words of a slot that are not the same as in a [`record`](crate::recorder::record).

use crate::recorder::record::{APART, UPPER_SHIFT};
use crate::recorder::status_hints::STATUS_HINT_BITS;

/// In the lower half of `head`, beside the number of the owner: it is inside.
pub(crate) const INSIDE: u32 = 1 << 24;
/// It has entered more often than left, by more than one.
pub(super) const NESTED: u32 = 1 << 25;
/// It is inside a span that is not its parent: the end of that entry is left to the general path. Set
/// only while it is inside, in the bits that will hold the kind of the record.
pub(crate) const ASIDE: u32 = 1 << 28;
/// The record of such an entry has the same bit.
const _: () = assert!(ASIDE as u64 == APART);
/// With [`ASIDE`]: only because the span that was around it has been left. That it was entered elsewhere
/// is no reason here.
pub(crate) const OVERLAPPED: u32 = 1 << 30;
/// Each of its entries may have to be recorded: the fast paths do nothing with the span. In the bits
/// that will hold the kind of the record, so they do not close it either.
pub(crate) const LONG: u32 = 1 << 29;

/// The half of `head` that tells whose the span is, and whether that thread is inside.
#[inline(always)]
pub(crate) fn owner_state(head: u64) -> u32 {
    head as u32
}

/// One entry in `head`.
pub(crate) const POLL: u64 = 1 << UPPER_SHIFT;
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
/// The same bit of a scope, which has no handles: something else than its parent is around it, or its slot is kept no more.
/// Everything unusual about a scope is said there, so that its end only looks at `extra`.
pub(super) const SCOPE_OVERLAPPED: u64 = CLONED;
/// The bits of `extra` for what is known about its status, if its fields do not tell all of it.
pub(super) const STATUS_HINTS_SHIFT: u32 = 37;
pub(super) const STATUS_HINTS: u64 = ((1 << STATUS_HINT_BITS) - 1) << STATUS_HINTS_SHIFT;
/// The bits of `extra` for the layer; 0 is the first one.
pub(super) const LAYER_SHIFT: u32 = 48;
const _: () = assert!(STATUS_HINTS_SHIFT + STATUS_HINT_BITS <= LAYER_SHIFT);

/// The reserved words in `extra`, and the pending ones above them.
pub(super) const RESERVED: u64 = 0xFFFF;
pub(super) const PENDING_SHIFT: u32 = 16;
pub(super) const PENDING: u64 = RESERVED << PENDING_SHIFT;

/// How many words of fields there are; `None` while a thread adds some.
#[inline(always)]
pub(super) const fn settled_words(extra: u64) -> Option<usize> {
    if extra & PENDING == 0 { Some((extra & RESERVED) as usize) } else { None }
}

/// How many words of fields a span has, if there is nothing else in `extra`, and they are at most `max`.
#[inline(always)]
pub(crate) const fn plain_words(extra: u64, max: usize) -> Option<usize> {
    if extra <= max as u64 { Some(extra as usize) } else { None }
}

/// `key` of a span that was closed while its owner was inside. It is neither a key nor the complement of
/// one.
pub(super) const CLOSED: u64 = u64::MAX;
/// `key` of a free slot that only direct front ends may take. No registry has such a key: it would need
/// 2^31 spans, or 8,191 threads. A number of 32 bits for the processor.
pub(super) const RESERVED_KEY: u64 = i32::MIN as u64;

/// In the number of a layer, except the first one: its keys name the slots.
pub(crate) const DIRECT: u16 = 1 << 15;
