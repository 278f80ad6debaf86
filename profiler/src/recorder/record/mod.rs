//! The records of the ring: plain words, one layout for all front ends. For the position of each word see
//! [`layout`].
//!
//! Ids have [`ID_BITS`]: ten million ids a second last for eleven months without a pause, 10,000 a second
//! for nine hundred years. Times are ticks.
//!
//! The words of a span are the same as in its slot in the table of open spans, so closing a span is
//! nearly a copy; and a span without fields fits into one slot. A span that was entered again, late, or
//! by a thread that is not its owner is *wide*: it has two slots before its fields. Words are numbers that
//! mean the same in every process; none is a pointer.

mod closing;
mod entries;
mod heads;
mod layout;
mod parent_link;
mod read;
#[cfg(feature = "crash-proof")]
#[cfg_attr(
    not(feature = "collected"),
    allow(dead_code, reason = "it is a collector that shifts ids")
)]
mod shift;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use self::closing::ClosingSpan;
pub(crate) use self::entries::Entries;
pub(crate) use self::heads::{
    Earlier, EndingEntry, Entry, EventHead, GaugeSample, Link, Record, SpanHead,
};
pub(crate) use self::layout::{
    AGAIN, APART, CALLSITE_LOW_MAX, COUNT_BIAS, ENTERED, EVENT_WORDS, EntriesWords, FIRST_ID_MAX,
    ID_BITS, SLOT_WORDS, SPAN_WORDS, SPAN_WORDS_WIDE, Slot, SpanWords, THREAD_MAX, UNTIMED,
    UPPER_SHIFT, WAIT_MAX, WIDE, callsite, callsite_high, callsite_low, id_and, id_of, slots,
    thread, upper_of, with_id,
};
pub(crate) use self::parent_link::{ParentIds, ParentLink, entry_inside, parent_ids, parent_link};
#[cfg(feature = "collected")]
pub(crate) use self::read::read_plain;
pub(crate) use self::read::{kind, read};
#[cfg(feature = "collected")]
pub(crate) use self::shift::largest_id;
#[cfg(feature = "crash-proof")]
pub(crate) use self::shift::{Ids, Piece};
pub(crate) use self::status::Status;
