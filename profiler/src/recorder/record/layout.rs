//! The position of every word and bit of a record. All code that writes or reads records uses the views
//! of this file.
//!
//! The first word of each record is its header:
//!
//! ```text
//!   63               48 47       37 36  35  34   33 32 31  28 27  24 23                     0
//!  +-------------------+-----------+---+---+---+-------+------+------+----------------------+
//!  | wait / words      | callsite' | 0 | W | L |status | kind | flags| thread               |
//!  +-------------------+-----------+---+---+---+-------+------+------+----------------------+
//! ```
//!
//! * span: with the flag `ENTERED` it was entered once, after `wait` ticks; without the flag, never. If times
//!   inside are not measured, the span has a kind of its own, and `wait` is the number of entries. With `W` it
//!   is *wide*: it has a second slot, which tells how often it was entered, and when; with the flag `AGAIN`
//!   that number is `COUNT_BIAS` too large, as it was in the table. With `L` fields were left out.
//! * event: the number of `words` of fields; `L` as above.
//! * entry: with `L` it counts as a call. It has another kind if the time inside the parent that its span's
//!   record tells does not include this entry.
//! * sample of a gauge: nothing else in the header.
//!
//! A word of two parts has an id in its lower bits and 16 other bits above: so ids have [`ID_BITS`]. A
//! callsite's number has 27 bits; the upper ones, `callsite'`, are 0 except in the largest programs.

use crate::recorder::chunks::ENTRIES_MAX;
use crate::recorder::entry_rules::LONG_COUNT;
use crate::recorder::losses::Kind;

/// Payload of one slot of the ring: with the ring's stamp it fills a cache line.
pub(crate) type Slot = [u64; SLOT_WORDS];

pub(crate) const SLOT_WORDS: usize = 7;

/// Thread numbers have 24 bits; all threads beyond share the last number.
pub(crate) const THREAD_MAX: u32 = (1 << 24) - 1;
/// How many bits an id has.
pub(crate) const ID_BITS: u32 = 48;
pub(super) const ID_MAX: u64 = (1 << ID_BITS) - 1;
/// The first id of a recording is below this, so it has at least half of all ids; none will need more.
pub(crate) const FIRST_ID_MAX: u64 = 1 << (ID_BITS - 1);

pub(super) const KIND_SHIFT: u32 = 28;
pub(super) const KIND_SPAN: u64 = 0; // so that the head of an open span is the header of its record
pub(super) const KIND_EVENT: u64 = 1;
pub(super) const KIND_LINK: u64 = 2;
pub(super) const KIND_UNTIMED: u64 = 3;
pub(super) const KIND_ENTRY: u64 = 4;
/// An entry that is apart.
const KIND_ENTRY_APART: u64 = 5;
pub(super) const KIND_GAUGE: u64 = 6;
/// In the header of an entry: it is of that kind.
pub(crate) const APART: u64 = 1 << KIND_SHIFT;
const _: () = assert!(KIND_ENTRY << KIND_SHIFT | APART == KIND_ENTRY_APART << KIND_SHIFT);

/// In the lower half of the header of a span, and of the `head` of an open one: its owner has entered
/// and left.
pub(crate) const ENTERED: u32 = 1 << 26;
/// Likewise: it has entered more than once.
pub(crate) const AGAIN: u32 = 1 << 27;
/// Once an owner has entered more than once, `head` has a number that is larger by this. So the sign of
/// `head` tells whether there were more than [`LONG_COUNT`] entries.
pub(crate) const COUNT_BIAS: u16 = (1 << 15) - (LONG_COUNT as u16 + 1);
const _: () = assert!(LONG_COUNT < 1 << 15);
/// A wide span tells how long it was inside its parent.
pub(super) const SAYS_INSIDE_SHIFT: u32 = 24;
pub(super) const SAYS_INSIDE: u64 = 1 << SAYS_INSIDE_SHIFT;
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

/// The upper part of a callsite's number, above its lower 16 bits.
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
/// Most entries of a span that is not wide, if times are not measured.
pub(super) const UNTIMED_ENTRIES_MAX: u64 = 0xFFFF;

/// Words of a span before its fields: narrow, and wide.
pub(crate) const SPAN_WORDS: usize = SLOT_WORDS;
pub(crate) const SPAN_WORDS_WIDE: usize = 2 * SLOT_WORDS;
pub(crate) const EVENT_WORDS: usize = 4;

/// The words of a record, or of one of its slots, by name, to be read or written. The header is read as
/// a [`Header`].
macro_rules! words {
    (
        $(#[$doc:meta])*
        $View:ident[$len:ident] {
            $(header $header:literal: $set_header:ident;)?
            $($(#[$about:meta])* $at:literal: $word:ident, $set:ident;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $View<W>(W);

        impl<'a> $View<&'a [u64; $len]> {
            /// The first ones of these, if there are so many.
            #[inline(always)]
            pub(super) fn read(words: &'a [u64]) -> Option<Self> {
                words.first_chunk().map(Self)
            }

            $(
                $(#[$about])*
                #[inline(always)]
                pub(super) fn $word(self) -> u64 {
                    self.0[$at]
                }
            )*
        }

        impl<'a> $View<&'a mut [u64; $len]> {
            #[inline(always)]
            pub(crate) fn write(words: &'a mut [u64; $len]) -> Self {
                Self(words)
            }

            $(
                #[inline(always)]
                pub(crate) fn $set_header(&mut self, word: u64) {
                    self.0[$header] = word;
                }
            )?

            $(
                $(#[$about])*
                #[inline(always)]
                pub(crate) fn $set(&mut self, word: u64) {
                    self.0[$at] = word;
                }
            )*
        }
    };
}

words! {
    /// A span: its first slot, behind which its fields come, or its [`EntriesWords`].
    SpanWords[SLOT_WORDS] {
        header 0: set_header;
        1: id, set_id;
        /// Callsite and parent.
        2: origin, set_origin;
        /// How many words of fields, and the root.
        3: root, set_root;
        4: start, set_start;
        5: end, set_end;
        /// When it was left; of a wide one, how long it was busy; anything where neither is known.
        6: last_or_busy, set_last_or_busy;
    }
}

words! {
    /// How often a wide span was entered, and when: its second slot, which comes before its fields.
    EntriesWords[SLOT_WORDS] {
        0: count, set_count;
        /// When it was entered first.
        1: first, set_first;
        /// When it was left last.
        2: last, set_last;
        3: longest, set_longest;
        /// The thread of the longest entry.
        4: thread, set_thread;
        /// Ticks inside its parent, if that is said.
        5: inside, set_inside;
    }
}

words! {
    /// An event, before its fields.
    EventWords[EVENT_WORDS] {
        header 0: set_header;
        1: id, set_id;
        /// Callsite and span.
        2: origin, set_origin;
        3: at, set_at;
    }
}

words! {
    /// One span follows from another.
    LinkWords[SLOT_WORDS] {
        header 0: set_header;
        1: span, set_span;
        2: follows, set_follows;
    }
}

words! {
    /// A thread was inside a span.
    EntryWords[SLOT_WORDS] {
        header 0: set_header;
        1: span, set_span;
        /// Callsite, and the span around it.
        2: around, set_around;
        3: entered, set_entered;
        4: left, set_left;
        /// Entries before it ...
        5: earlier, set_earlier;
        /// ... and how long they were.
        6: earlier_busy, set_earlier_busy;
    }
}

words! {
    /// A sample of a gauge. It has no id.
    GaugeWords[SLOT_WORDS] {
        header 0: set_header;
        2: number, set_number;
        3: at, set_at;
        /// The bits of a floating-point number.
        4: value, set_value;
        5: version, set_version;
        6: updates, set_updates;
    }
}

impl<'a> EntriesWords<&'a Slot> {
    /// Those of a wide span with these words.
    #[inline(always)]
    pub(super) fn of_span(words: &'a [u64]) -> Option<Self> {
        Self::read(words.get(SPAN_WORDS..)?)
    }
}

/// The first word of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header(pub(super) u64);

impl Header {
    /// That of a record.
    #[inline(always)]
    pub(super) fn of(words: &[u64]) -> Option<Self> {
        words.first().map(|word| Self(*word))
    }

    #[inline(always)]
    pub(super) fn kind(self) -> Option<Kind> {
        match (self.0 >> KIND_SHIFT) & 0xF {
            KIND_SPAN | KIND_UNTIMED => Some(Kind::Span),
            KIND_EVENT => Some(Kind::Event),
            KIND_LINK => Some(Kind::Link),
            KIND_ENTRY | KIND_ENTRY_APART => Some(Kind::Entry),
            KIND_GAUGE => Some(Kind::Gauge),
            _ => None,
        }
    }

    /// Whether any of these bits is set.
    #[inline(always)]
    pub(super) const fn has(self, bits: u64) -> bool {
        self.0 & bits != 0
    }

    /// Whether times inside were not measured.
    #[inline(always)]
    pub(super) const fn is_untimed(self) -> bool {
        (self.0 >> KIND_SHIFT) & 0xF == KIND_UNTIMED
    }

    /// The bits above the flags.
    #[inline(always)]
    pub(super) const fn upper(self) -> u16 {
        upper_of(self.0)
    }

    #[inline(always)]
    pub(super) const fn thread(self) -> u32 {
        thread(self.0)
    }
}

/// A word of an id and 16 bits more.
#[inline(always)]
pub(crate) const fn id_and(id: u64, upper: u16) -> u64 {
    id | (upper as u64) << UPPER_SHIFT
}

/// Such a word with another id, and the same upper bits.
#[inline(always)]
pub(crate) const fn with_id(word: u64, id: u64) -> u64 {
    word >> UPPER_SHIFT << UPPER_SHIFT | id
}

/// The id in such a word.
#[inline(always)]
pub(crate) const fn id_of(word: u64) -> u64 {
    word & ID_MAX
}

/// The upper bits of such a word.
#[inline(always)]
pub(crate) const fn upper_of(word: u64) -> u16 {
    (word >> UPPER_SHIFT) as u16
}

#[inline(always)]
pub(crate) const fn thread(header: u64) -> u32 {
    header as u32 & THREAD_MAX
}

/// The upper part of a callsite's number, as in a header.
#[inline]
pub(crate) const fn callsite_high(number: u32) -> u64 {
    ((number as u64) >> 16) << CALLSITE_HIGH_SHIFT
}

/// The lower part, as in the upper bits of a word with an id.
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
