//! The records of the ring: plain words, one layout for all front ends.
//!
//! ```text
//!   63               48 47       37 36  35  34   33 32 31  28 27  24 23                     0
//!  +-------------------+-----------+---+---+---+-------+------+------+----------------------+
//!  | wait / words      | callsite' | 0 | W | L |status | kind | flags| thread               |
//!  +-------------------+-----------+---+---+---+-------+------+------+----------------------+
//!  span:  id, callsite | parent, field words | root, start, end, last exit, fields
//!    with the flag ENTERED: it was entered once, after `wait` ticks; without: never
//!    in a kind of its own, where times inside are not measured: that often, 0 for the last exit
//!    if W, of any: busy for the last exit; entries, first, last, longest entry, its thread, 0, 0
//!    with the flag AGAIN: the number of entries is COUNT_BIAS too large, as it stood in the table
//!  event: id, callsite | span, at, fields                         L: fields left out, W: wide
//!  link:  span, follows
//!  entry: span, callsite | around, entered, left, earlier entries, time inside over those; L: it counts as a call
//! ```
//!
//! `a | b` is a word whose upper 16 bits are `a`. So ids have [`ID_BITS`]: at ten million a second
//! they last eleven months without a pause, at 10,000 nine hundred years. Times are ticks. A callsite's
//! number has 27 bits, of which the upper ones, `callsite'`, are 0 but in the largest programs.
//!
//! The words of a span are those of its place in the table of open spans as they stand there, so
//! that closing it is nearly copying it; and a span without fields fits one slot. One that was entered again, late, or
//! by another thread than its own, is *wide*: two slots before its fields. Words are numbers that mean the same in every process; there is no pointer among them.

mod closing;
mod entries;
mod heads;
mod layout;
mod parent_link;
mod read;
#[cfg(test)]
mod tests;

pub(crate) use self::closing::ClosingSpan;
pub(crate) use self::entries::Entries;
pub(crate) use self::heads::{Earlier, Entry, EventHead, Link, Record, SpanHead};
pub(crate) use self::layout::{
    AGAIN, CALLSITE_LOW_MAX, COUNT_BIAS, ENTERED, EVENT_WORDS, FIRST_ID_MAX, ID_BITS, SLOT_WORDS,
    SPAN_WORDS, SPAN_WORDS_WIDE, Slot, THREAD_MAX, UNTIMED, UPPER_SHIFT, WAIT_MAX, WIDE, callsite,
    callsite_high, callsite_low, id_and, id_of, slots, thread, upper_of,
};
pub(crate) use self::parent_link::{Kin, ParentLink, kin, parent_link};
pub(crate) use self::read::{kind, read};
