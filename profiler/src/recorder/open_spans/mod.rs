//! The spans that are open right now.
//!
//! A fixed table, allocated when the profiler is built, of which so much is touched then as most
//! programs need: sets of slots, found by the key that `tracing` gave the span. A slot is claimed
//! with one compare-and-swap when the span is created and given back when it closes; between them,
//! only callbacks for this very span touch it. The state is our own and not in the registry's
//! `Extensions`, because those take a lock and box every value.
//!
//! Two front ends with keys of their own can share the table: a slot also knows the number of its
//! *layer*. The spans of the first layer, usually the only one, are found by their key alone; those
//! of other layers by its complement, which is no key of a registry. So the fast paths of
//! `front::fast`, which are the first layer's, need not compare layers.
//!
//! A front end that makes up the keys itself, as our own subscriber does, has slots *directly*: the
//! key names the slot, which comes from a list of free ones; see [`free_list`]. Such
//! a front end counts as a layer, with [`DIRECT`] in its number unless it is the first.
//!
//! # Who writes what
//!
//! The thread that created a span (its *owner*) writes `head`, `own_depth` and what is said of its entries
//! with plain stores, see [`entries`]. Other threads that enter the span use read-modify-writes on words of
//! their own, see [`foreign`]. Everything else is written before the span's `id`, or by a compare-and-swap.
//!
//! A free slot has zeros in all that few spans have ([`SpanSlot::extra`] tells whether they are):
//! a plain span neither writes them when it is created nor clears them when it closes.
//!
//! # Readers
//!
//! The writer thread looks at open spans for the live view and when it closes. It reads `id`, the
//! rest, and `id` again. Data are stored with Release and loaded with Acquire: whoever sees a value
//! of the next span in this slot also sees that `id` has changed. (A sequence lock; H. Boehm, "Can
//! seqlocks get along with programming language memory models?", 2012. Ids never repeat.)

mod bits;
#[cfg(all(feature = "crash-proof", feature = "database", not(spandrel_loom)))]
pub(crate) mod copied;
mod entries;
mod fields;
mod foreign;
pub(crate) mod free_list;
#[cfg(all(feature = "crash-proof", not(spandrel_loom)))]
pub(crate) mod left_behind;
mod look;
#[cfg(all(test, spandrel_loom))]
mod loom_models;
mod memory;
mod overwrites;
mod span;
mod spills;
mod table;
#[cfg(all(test, not(spandrel_loom)))]
mod tests;

use spandrel_ring::Table;

pub(crate) use self::bits::{ASIDE, DIRECT, INSIDE, LONG, POLL, owner_state, plain_words};
pub(crate) use self::entries::{Measured, count_of};
pub(crate) use self::look::Seen;
pub(crate) use self::span::SpanSlot;
pub(crate) use self::table::{OpenSpans, first_slot};

// Loom explores every interleaving of every access: two ways and two words are enough for it.
const WAYS: usize = if cfg!(spandrel_loom) { 2 } else { 8 };
/// Words of fields that a slot holds itself, up to its end; more go to a spill buffer.
pub(crate) const INLINE_WORDS: usize = if cfg!(spandrel_loom) { 2 } else { 19 };
/// Most slots of a table: twice as many as spans can be asked for.
pub(crate) const SLOTS_MAX: usize = 1 << 25;
/// Attempts to win a free slot of a set or words of a spill buffer.
const ATTEMPTS: usize = 16;
/// Attempts to find the fields of a span as nobody is changing them.
const PATIENCE: usize = if cfg!(spandrel_loom) { 1 } else { 32 };

/// Where a slot is in its table, as the key of a span or another slot names it: see [`Table::position`](spandrel_ring::Table::position).
pub(crate) type SlotPosition = u32;

/// A link in the chain of spans that a thread is in: see [`local::link`](super::local).
pub(crate) type Link = u64;

/// The position of the slot with this index.
#[inline(always)]
fn position(index: usize) -> SlotPosition {
    Table::<SpanSlot>::position(index) as SlotPosition
}

/// The index of the slot at this position.
#[inline(always)]
fn index(position: SlotPosition) -> usize {
    Table::<SpanSlot>::index(position as usize)
}

/// What is known of a span when it is created, beside its origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSpan {
    /// Its owner, and what the number of its callsite has above 16 bits, as in the [`record`](crate::recorder::record).
    pub(crate) head: u64,
    pub(crate) id: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
}

/// Under which key a span of this layer is found.
#[inline]
fn key_in(layer: u16, key: u64) -> u64 {
    if layer == 0 { key } else { !key }
}
