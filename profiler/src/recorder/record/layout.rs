//! What stands where in the words of a record.

use crate::recorder::chunks::ENTRIES_MAX;
use crate::recorder::entry_rules::LONG_COUNT;

/// Payload of one slot of the ring: with the ring's stamp it fills a cache line.
pub(crate) type Slot = [u64; SLOT_WORDS];

pub(crate) const SLOT_WORDS: usize = 7;

/// Thread numbers have 24 bits; the last one stands for all further threads.
pub(crate) const THREAD_MAX: u32 = (1 << 24) - 1;
/// Ids have so many bits.
pub(crate) const ID_BITS: u32 = 48;
pub(super) const ID_MAX: u64 = (1 << ID_BITS) - 1;
/// The first id of a recording is below this: it may use half of them; none will.
pub(crate) const FIRST_ID_MAX: u64 = 1 << (ID_BITS - 1);

pub(super) const KIND_SHIFT: u32 = 28;
pub(super) const KIND_SPAN: u64 = 0; // so that the head of an open span is the header of its record
pub(super) const KIND_EVENT: u64 = 1;
pub(super) const KIND_LINK: u64 = 2;
pub(super) const KIND_UNTIMED: u64 = 3;
pub(super) const KIND_ENTRY: u64 = 4;

/// In the lower half of the header of a span, and of the `head` of an open one: its owner has been inside, and left.
pub(crate) const ENTERED: u32 = 1 << 26;
/// Likewise: it has entered more than once.
pub(crate) const AGAIN: u32 = 1 << 27;
/// How many more stand in `head` than there were, once there was more than one: so its sign tells, as they are counted,
/// that there were more than [`LONG_COUNT`].
pub(crate) const COUNT_BIAS: u16 = (1 << 15) - (LONG_COUNT as u16 + 1);
const _: () = assert!(LONG_COUNT < 1 << 15);
/// A span was entered elsewhere than inside its parent.
pub(super) const STRAY_SHIFT: u32 = 25;
pub(super) const STRAY: u64 = 1 << STRAY_SHIFT;
pub(super) const STATUS_SHIFT: u32 = 32;
pub(super) const LEFT_OUT_SHIFT: u32 = 34;
pub(super) const LEFT_OUT: u64 = 1 << LEFT_OUT_SHIFT;
pub(crate) const WIDE: u64 = 1 << 35;
/// In the header of a span: its times inside are not measured.
pub(crate) const UNTIMED: u64 = KIND_UNTIMED << KIND_SHIFT;
/// In the header of an entry: it counts as a call.
pub(super) const COUNTS_SHIFT: u32 = LEFT_OUT_SHIFT;
pub(super) const COUNTS: u64 = 1 << COUNTS_SHIFT;
/// Set by the writer in its own copy.
pub(super) const COUNTED: u64 = 1 << 36;

/// What a callsite's number has above its lower 16 bits.
pub(super) const CALLSITE_HIGH_SHIFT: u32 = 37;
pub(super) const CALLSITE_HIGH: u64 = 0x7FF << CALLSITE_HIGH_SHIFT;
/// Largest number that needs no more than the lower bits.
pub(crate) const CALLSITE_LOW_MAX: u32 = 0xFFFF;
/// Largest number of a callsite.
pub(super) const CALLSITE_MAX: usize = (1 << 27) - 1;
const _: () = assert!(ENTRIES_MAX - 1 <= CALLSITE_MAX);

/// Where the upper 16 bits of a word begin.
pub(crate) const UPPER_SHIFT: u32 = ID_BITS;
/// Most ticks from the creation of a span to its first entry, if it is not wide.
pub(crate) const WAIT_MAX: u64 = 0xFFFF;
/// Most entries of a span that is not wide, where times are not measured.
pub(super) const UNTIMED_ENTRIES_MAX: u64 = 0xFFFF;

/// Words of a span before its fields: narrow, and wide.
pub(crate) const SPAN_WORDS: usize = SLOT_WORDS;
pub(crate) const SPAN_WORDS_WIDE: usize = 2 * SLOT_WORDS;
pub(crate) const EVENT_WORDS: usize = 4;
pub(crate) const LINK_WORDS: usize = 3;

/// A word of an id and 16 bits more.
#[inline(always)]
pub(crate) const fn id_and(id: u64, upper: u16) -> u64 {
    id | (upper as u64) << UPPER_SHIFT
}

/// The id in such a word.
#[inline(always)]
pub(crate) const fn id_of(word: u64) -> u64 {
    word & ID_MAX
}

/// What is above the id.
#[inline(always)]
pub(crate) const fn upper_of(word: u64) -> u16 {
    (word >> UPPER_SHIFT) as u16
}

#[inline(always)]
pub(crate) const fn thread(header: u64) -> u32 {
    header as u32 & THREAD_MAX
}

/// What of a callsite's number stands in a header.
#[inline]
pub(crate) const fn callsite_high(number: u32) -> u64 {
    ((number as u64) >> 16) << CALLSITE_HIGH_SHIFT
}

/// What stands beside an id.
#[inline]
pub(crate) const fn callsite_low(number: u32) -> u16 {
    number as u16
}

/// The number of a callsite from the word that has its lower bits, and the header.
#[inline(always)]
pub(crate) const fn callsite(origin: u64, header: u64) -> u32 {
    (origin >> UPPER_SHIFT) as u32 | ((header & CALLSITE_HIGH) >> (CALLSITE_HIGH_SHIFT - 16)) as u32
}

/// How many slots so many words take.
#[inline]
pub(crate) const fn slots(words: usize) -> usize {
    words.div_ceil(SLOT_WORDS)
}

#[inline(always)]
pub(super) fn is_untimed(header: u64) -> bool {
    (header >> KIND_SHIFT) & 0xF == KIND_UNTIMED
}
