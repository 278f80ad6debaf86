//! The numbers that whoever records and whoever recovers have in common.
//!
//! # Tables, by number
//!
//! | number | cell | cells |
//! |---|---|---|
//! | [`OPEN_SPANS`] | a slot of the table of open spans, 256 bytes; its second word is the span's id, 0 if there is none | twice as many as spans may be open, a power of two |
//! | [`FOREIGN`] | what other threads did with the span of a slot, 7 words | one a slot |
//! | [`OVERWRITES`] | odd while a field of the slot's span is overwritten, by somebody who may be dead: then its fields are left out | one a slot |
//! | [`SPILLS_TAKEN`] | `span << 16 \| writers` of a buffer for more fields | buffers |
//! | [`SPILL_WORDS`] | the words of the buffers | buffers times [`settings::SPILL_WORDS_EACH`] |
//! | [`CLOCK_PIECES`] | a piece of the timeline, 8 words | 64, of which the newest are kept |
//! | [`DROPS`] | what was dropped before it was published: [`drops`] | one a partition, the shared one last |
//!
//! # Counters
//!
//! The writer's account: which copy is to be read, and two copies; see [`account`](crate::recorder::account). Who reads them
//! takes `Account::of_words`.

#[allow(unused_imports, reason = "for whoever reads")]
pub(crate) use crate::recorder::gauges::GAUGES_MAX;
use crate::recorder::losses::{KINDS, REASONS};
use crate::recorder::open_spans::{INLINE_WORDS, SpanSlot};
use crate::recorder::record::SLOT_WORDS;

#[allow(unused_imports, reason = "for whoever reads")]
pub(crate) use super::tables::{
    CLOCK_PIECES, DROPS, FOREIGN, OPEN_SPANS, OVERWRITES, SPILL_WORDS, SPILLS_TAKEN, TABLES,
};

/// The kinds of names.
#[allow(dead_code, reason = "some are for whoever collects")]
pub(crate) mod names {
    /// Numbers: its number, level (1 is ERROR, 5 is TRACE), 0 for a span and 1 for an event, line + 1 or 0, rule of
    /// its entries (as [`RuleOf::bits`](crate::recorder::entry_rules::RuleOf::bits)), 1 if it has a file, 1 if it has
    /// a module. Texts: name, target, file, module, and the name of each field.
    pub(crate) const CALLSITE: u8 = 1;
    /// Numbers: its number, the system's id, 1 if it has a name. Text: its name.
    pub(crate) const THREAD: u8 = 2;
    /// For numbers that stand for texts; there are none yet.
    pub(crate) const STRING: u8 = 3;
    /// One of them, before anything is recorded. Numbers: [`HASH`](super::HASH), the process, the first id of the
    /// recording, the hash of the path, the profile's device and number there, 0 if they are not known. Texts: the profile's path, the run's uuid, spandrel's version, the program, and
    /// the names of fields with secrets that were set, and those of others with `!`.
    pub(crate) const RUN: u8 = 4;
    /// One of them in the ring of a recording that is collected, after [`RUN`]. Numbers: the start in nanoseconds since
    /// 1970, processors, 1 if it has a label. Texts: label, arguments as a JSON array, host, system, clock, settings as a
    /// JSON object.
    pub(crate) const ABOUT: u8 = 5;
    /// A mark or section. Numbers: its id (from 1 on), when it was, in ticks; one more than when it ended, in ticks, or 0.
    /// Text: its label. The end of a section is another one with the same id.
    pub(crate) const MARK: u8 = 6;
    /// Nothing more comes; before the file says that it is closed. Numbers: when, in ticks; marks that were dropped;
    /// callsites that were kept, and those below the level.
    pub(crate) const END: u8 = 7;
    /// A gauge. Number: its own, below [`GAUGES_MAX`](super::GAUGES_MAX). Text: its name.
    pub(crate) const GAUGE: u8 = 8;
}

/// The words of the header that are the recorder's.
pub(crate) mod settings {
    /// [`HASH`](super::HASH): another one is of a build whose records are others.
    pub(crate) const HASH: usize = 0;
    /// The first id of the recording.
    pub(crate) const FIRST_ID: usize = 1;
    /// Most words of fields of a span.
    pub(crate) const FIELD_WORDS_MAX: usize = 2;
    /// Words of each buffer for more fields than a slot has room for.
    pub(crate) const SPILL_WORDS_EACH: usize = 3;
    /// See below.
    pub(crate) const FLAGS: usize = 4;

    /// The time inside spans is measured.
    pub(crate) const BUSY_TIME: u64 = 1;
    /// Fields with names of conventions tell how spans have ended.
    pub(crate) const STATUS_RULES: u64 = 2;
}

/// The words of whoever drains: the writer thread of the process itself, or the collector.
#[allow(dead_code, reason = "some are for whoever collects")]
pub(crate) mod drainer {
    /// One more than which id in the profile a thread of the number 0 would have (`Store::thread_id(0)`); 0 if that is
    /// not known yet. Another one once another file has taken the place of the profile.
    pub(crate) const THREADS_ABOVE: usize = 0;
    /// Where the ring is collected: when the collector looked last, in nanoseconds of the monotonic clock.
    pub(crate) const LOOKED_AT: usize = 1;
    /// How many marks it has stored.
    pub(crate) const MARKS_STORED: usize = 2;
    /// How much files have that were the profile before the present one, by kind: as many words as there are kinds.
    pub(crate) const IN_EARLIER: usize = 3;
    /// Where the ring is collected: how much all of them have, or tell to be lost, as far as it was given back, by kind.
    /// Whoever collects into yet another file takes it for what earlier ones have.
    pub(crate) const GIVEN_BACK: usize = IN_EARLIER + super::KINDS;
    /// When whoever drains has seen last that the process lives and records, in ticks; and the same with all bits turned,
    /// without which it says nothing.
    pub(crate) const ALIVE_AT: usize = GIVEN_BACK + super::KINDS;
    pub(crate) const ALIVE_AT_TURNED: usize = ALIVE_AT + 1;
    /// When a collector has left the ring alone, in nanoseconds of the monotonic clock; 0 if none has since one drained it.
    pub(crate) const LEFT_ALONE_AT: usize = ALIVE_AT_TURNED + 1;
    /// Why: how many bytes of text, and the text, in whole words.
    pub(crate) const LEFT_ALONE_BYTES: usize = LEFT_ALONE_AT + 1;
    pub(crate) const LEFT_ALONE_WHY: usize = LEFT_ALONE_BYTES + 1;

    /// When that was, as these words have it. Nobody has seen that later than now; where it is not known what the run's clock
    /// shows now, they are not believed.
    pub(crate) fn alive_at(words: &[u64], now: Option<u64>) -> Option<u64> {
        let (ticks, turned) = (words.get(ALIVE_AT)?, words.get(ALIVE_AT_TURNED)?);
        (*ticks != 0 && *ticks <= now? && *turned == !*ticks).then_some(*ticks)
    }
}

/// Kinds of clocks, in the header.
pub(crate) mod clock {
    /// Ticks are nanoseconds since the origin.
    pub(crate) const MONOTONIC: u64 = 0;
    /// The time-stamp counter of x86-64.
    pub(crate) const TSC: u64 = 1;
    /// The virtual counter of aarch64.
    pub(crate) const CNTVCT: u64 = 2;
}

/// The anchors of the clock, in the header.
pub(crate) mod anchors {
    /// The beginning of the run, in ticks.
    pub(crate) const ORIGIN_TICKS: usize = 0;
    /// The same in the system's time, nanoseconds since 1970.
    pub(crate) const ORIGIN_UNIX_NS: usize = 1;
    /// The same by the system's monotonic clock, as `spandrel_ring::file::monotonic_ns` tells it.
    pub(crate) const ORIGIN_MONOTONIC_NS: usize = 2;
}

/// The words of a cell of [`DROPS`].
pub(crate) mod drops {
    use super::{KINDS, REASONS};

    /// Of each reason, by kind.
    pub(crate) const WORDS: usize = REASONS * KINDS;
    /// The thread that last leased the partition, 0 for none.
    pub(crate) const LESSEE: usize = WORDS;
}

/// How many pieces of the timeline are kept.
pub(crate) const CLOCK_PIECES_KEPT: usize = 64;

/// Of all that is said here, and of what records and tables are made of. To be raised when a word or bit of a record
/// gets another meaning.
pub(crate) const HASH: u64 = {
    const MEANING: u64 = 1;
    let parts = [
        MEANING,
        SLOT_WORDS as u64,
        INLINE_WORDS as u64,
        size_of::<SpanSlot>() as u64,
        KINDS as u64,
        REASONS as u64,
        TABLES as u64,
        CLOCK_PIECES_KEPT as u64,
    ];
    let (mut sum, mut at) = (0_u64, 0);
    while at < parts.len() {
        sum = (sum ^ parts[at]).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        sum ^= sum >> 32;
        at += 1;
    }
    sum
};
