//! How a thread remembers the spans that it is in: a chain, of links.
//!
//! The spans that a thread is in are a chain from the innermost one outwards. A link is
//!
//! * `OUTSIDE`, or
//! * the position of a span of the first layer that is the thread's own: the table keeps the next link
//!   (and the slot, until the thread has left, see [`OpenSpans::close`](crate::recorder::open_spans::OpenSpans::close)), or
//! * `DETAILED` and the index of a [`Detailed`].
//!
//! That is the lower half:
//!
//! ```text
//!   63   62              32   31   30                0
//!  +---+------------------+---+---------------------+
//!  | T | low bits of an id | D | position, or index  |
//!  +---+------------------+---+---------------------+
//!   D, DETAILED: an index, and a serial number above it. Otherwise a position, and above it
//!     of a span of the subscriber: its key, in which T is 1 and 31 bits are of its id;
//!     of a scope: 32 bits of its id, T among them;
//!     of a span of the layer: zeros, as the registry keeps parents open.
//! ```
//!
//! The upper half tells a link from others that had the same slot or index before: a span may outlive the one that it was
//! created in, and is not inside that when it is entered inside a later one with the same slot. (It would be taken for it if
//! 2^31 ids were given meanwhile.)

use crate::recorder::open_spans::{Link, SlotPosition};

/// Below `DETAILED`, so that the processor can compare with it in one instruction.
pub(super) const OUTSIDE: Link = DETAILED - 1;
pub(super) const DETAILED: Link = 1 << 31;
/// No link of anything that a thread is in.
pub(super) const NOWHERE: Link = OUTSIDE - 1;

/// The link to a span of the first layer whose slot only direct front ends and scopes use.
#[inline(always)]
pub(crate) fn link_of(position: SlotPosition, id: u64) -> Link {
    id << SlotPosition::BITS | u64::from(position)
}

/// The position in a link to a span of the first layer; from any other, what no table has.
#[inline(always)]
pub(super) fn position_in(link: Link) -> SlotPosition {
    link as SlotPosition
}

/// The index in a link that is `DETAILED`.
pub(super) const INDEX: Link = 0xFFFF;
/// Where the digits stand that tell it from others.
pub(super) const SERIAL_SHIFT: u32 = SlotPosition::BITS;

/// Spans of others that a thread can be in before memory has to be allocated for them.
pub(super) const DETAILS: usize = 64;

/// A span of another layer or of another thread, or one that is not recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detailed {
    pub(crate) key: u64,
    /// No position of any table if the span is not recorded.
    pub(crate) position: SlotPosition,
    pub(crate) layer: u16,
    /// How many times this thread is inside, if it is not the span's owner; else 1. 0 where nothing
    /// is in use.
    pub(crate) depth: u16,
    /// Ticks, if the thread is not the span's owner; else anything.
    pub(crate) since: u64,
    pub(super) next: Link,
}

impl Detailed {
    pub(super) const NONE: Self =
        Self { key: 0, position: 0, layer: 0, depth: 0, since: 0, next: OUTSIDE };

    pub(crate) fn new(layer: u16, key: u64, position: SlotPosition, since: u64) -> Self {
        Self { key, position, layer, depth: 1, since, next: OUTSIDE }
    }

    /// A span that is not recorded. It is in the chain so that what is opened inside is not taken for a
    /// child of the span around it.
    pub(crate) fn unrecorded(layer: u16, key: u64) -> Self {
        Self::new(layer, key, position_in(OUTSIDE), 0)
    }

    pub(crate) fn is_unrecorded(&self) -> bool {
        self.position == position_in(OUTSIDE)
    }

    /// Whether the fast paths have to know of it.
    pub(super) fn is_in_their_way(&self) -> bool {
        self.is_unrecorded() && self.layer == 0 && self.depth > 0
    }
}
