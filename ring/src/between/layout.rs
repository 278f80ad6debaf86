//! What stands where in the file.
//!
//! Everything is a word of 64 bits in the machine's own order. The header is written once, before its first word; each number
//! in it is kept by whoever has opened the file, and not looked at again. All positions follow from three of them: bytes of a slot,
//! slots, and places for participants.

use super::state;
use crate::file::layout::mix;

/// The first word of such a file: `SPANBTWN`.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"SPANBTWN");

/// The version of the layout, and of what processes do with it. One of another version is refused.
pub const LAYOUT_VERSION: u64 = 1;

/// Words of the header.
pub(super) const HEADER_WORDS: usize = if cfg!(spandrel_loom) { 16 } else { 512 };
/// The smallest and the largest pages of machines.
const PAGES: std::ops::RangeInclusive<usize> = PAGE_MIN..=1 << 20;
/// Loom has few words.
pub(super) const PAGE_MIN: usize = if cfg!(spandrel_loom) { 64 } else { 4_096 };
/// Words of a line, two of them: processors fetch them in pairs.
const LINE: usize = 16;
/// A word with two others of its own line.
const SLOT_LINE: usize = 8;
/// Groups of readers that compete.
pub(super) const GROUPS: usize = if cfg!(spandrel_loom) { 1 } else { 8 };

// The header, word by word.
const MAGIC_WORD: usize = 0;
const VERSION: usize = 1;
const HASH: usize = 2;
const FILE_BYTES: usize = 3;
const PAGE_BYTES: usize = 4;
const SLOT_BYTES: usize = 5;
const SLOTS: usize = 6;
const PARTICIPANTS: usize = 7;
const IN_PLACE: usize = 8;
pub(super) const KIND: usize = 9;
/// Boot id, for whoever finds a file later.
pub(super) const BOOT: usize = 10;
const CHECK: usize = HEADER_WORDS - 1;

// What changes, by word of the file; each on lines of its own.
/// Not behind what was claimed, and not before it by much: where to begin to look.
pub(super) const HINT: usize = HEADER_WORDS;
/// Grows whenever somebody has joined who holds writers back, and whenever a writer looks for such.
pub(super) const LOOKS: usize = HINT + LINE;
/// How many places were ever taken, at once: the others need not be looked at.
pub(super) const HIGH: usize = LOOKS + 1;
/// How many writers there have been.
pub(super) const WRITERS_EVER: usize = LOOKS + 2;
/// Claims of dead writers that were skipped.
pub(super) const DEAD_CLAIMS: usize = LOOKS + LINE;
/// Sequences without a value, as the slot was still being written that they would have had.
pub(super) const PASSED: usize = DEAD_CLAIMS + 1;
/// Participants that were found dead.
pub(super) const DEAD_PARTICIPANTS: usize = DEAD_CLAIMS + 2;
/// Of each group, where it is; a line each.
pub(super) const GROUP: usize = DEAD_CLAIMS + LINE;
const TABLE: usize = GROUP + GROUPS * LINE;

/// Words of a participant, and what they say.
const PARTICIPANT: usize = LINE;
pub(super) mod participant {
    /// Generation and role.
    pub(in super::super) const LIFE: usize = 0;
    /// Process, when it began, its namespace, its boot in two words, whether it has a lock.
    pub(in super::super) const WHO: usize = 1;
    pub(in super::super) const WHO_WORDS: usize = 6;
    /// The sequence from which on slots are kept for it. On another line than the rest.
    pub(in super::super) const GATE: usize = 8;
}

/// How much there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) page: usize,
    pub(super) slot_bytes: usize,
    /// A power of two.
    pub(super) slots: usize,
    pub(super) participants: usize,
    /// Whether slots are borrowed where they lie, so that nobody may be overtaken.
    pub(super) in_place: bool,
}

/// Where it is, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) sizes: Sizes,
    slots_at: usize,
    /// From a slot to the next.
    stride: usize,
    /// From a slot's state to its bytes.
    payload_at: usize,
    pub(super) payload_words: usize,
    pub(super) words: usize,
}

const LAYOUT_HASH: u64 = {
    let constants = [
        MAGIC,
        LAYOUT_VERSION,
        HEADER_WORDS as u64,
        TABLE as u64,
        PARTICIPANT as u64,
        GROUPS as u64,
        participant::GATE as u64,
        SLOT_LINE as u64,
        state::LAYOUT,
        cfg!(target_endian = "big") as u64,
    ];
    let (mut sum, mut at) = (0, 0);
    while at < constants.len() {
        sum = mix(sum, constants[at]);
        at += 1;
    }
    sum
};

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NoRing,
    OtherVersion(u64),
    OtherLayout,
    Damaged,
}

fn check(header: &[u64; HEADER_WORDS]) -> u64 {
    header[..CHECK].iter().fold(MAGIC, |sum, word| mix(sum, *word))
}

impl Layout {
    /// `None` of what is larger than any memory, or makes no sense.
    pub(super) fn new(sizes: Sizes) -> Option<Self> {
        let Sizes { page, slot_bytes, slots, participants, .. } = sizes;
        let is_sensible = page.is_power_of_two()
            && PAGES.contains(&page)
            && (1..=isize::MAX as usize).contains(&slot_bytes)
            && slots.is_power_of_two()
            && slots >= 2
            && (1..=state::OWNERS).contains(&participants);
        is_sensible.then_some(())?;
        let payload_words = slot_bytes.div_ceil(8);
        // What fits into a line lies beside its state. What does not begins a line.
        let (payload_at, stride) = if payload_words < SLOT_LINE {
            (1, payload_words + 1)
        } else {
            (SLOT_LINE, SLOT_LINE + payload_words.checked_next_multiple_of(SLOT_LINE)?)
        };
        let slots_at = (TABLE + participants * PARTICIPANT).next_multiple_of(page / 8);
        let words = stride.checked_mul(slots)?.checked_add(slots_at)?;
        let words = words.checked_next_multiple_of(page / 8)?;
        (words.checked_mul(8)? <= isize::MAX as usize).then_some(())?;
        Some(Self { sizes, slots_at, stride, payload_at, payload_words, words })
    }

    pub(super) fn bytes(&self) -> usize {
        self.words * 8
    }

    pub(super) fn capacity(&self) -> u64 {
        self.sizes.slots as u64
    }

    /// Where the state of a sequence's slot is. Inside, whatever the sequence.
    #[inline(always)]
    pub(super) fn state_at(&self, sequence: u64) -> usize {
        self.slots_at + (sequence & (self.capacity() - 1)) as usize * self.stride
    }

    /// Where its words are.
    #[inline(always)]
    pub(super) fn payload_at(&self, sequence: u64) -> std::ops::Range<usize> {
        let first = self.state_at(sequence) + self.payload_at;
        first..first + self.payload_words
    }

    /// Where a word of a participant is, which is one of the table.
    #[inline(always)]
    pub(super) fn participant_at(&self, index: usize, word: usize) -> usize {
        TABLE + index * PARTICIPANT + word
    }

    pub(super) fn group_at(group: usize) -> usize {
        GROUP + group * LINE
    }

    /// The header of a new file.
    pub(super) fn header(&self, kind: u64, boot: [u64; 2]) -> [u64; HEADER_WORDS] {
        let mut header = [0; HEADER_WORDS];
        header[MAGIC_WORD] = MAGIC;
        header[VERSION] = LAYOUT_VERSION;
        header[HASH] = LAYOUT_HASH;
        for (at, number) in [
            (FILE_BYTES, self.bytes()),
            (PAGE_BYTES, self.sizes.page),
            (SLOT_BYTES, self.sizes.slot_bytes),
            (SLOTS, self.sizes.slots),
            (PARTICIPANTS, self.sizes.participants),
            (IN_PLACE, usize::from(self.sizes.in_place)),
        ] {
            header[at] = number as u64;
        }
        header[KIND] = kind;
        header[BOOT..][..2].copy_from_slice(&boot);
        header[CHECK] = check(&header);
        header
    }

    /// What a header says that nobody vouches for.
    pub(super) fn read(header: &[u64; HEADER_WORDS]) -> Result<Self, Refused> {
        if header[MAGIC_WORD] != MAGIC {
            return Err(Refused::NoRing);
        }
        if header[VERSION] != LAYOUT_VERSION {
            return Err(Refused::OtherVersion(header[VERSION]));
        }
        if header[HASH] != LAYOUT_HASH {
            return Err(Refused::OtherLayout);
        }
        if header[CHECK] != check(header) {
            return Err(Refused::Damaged);
        }
        let number = |at: usize| usize::try_from(header[at]).map_err(|_| Refused::Damaged);
        let sizes = Sizes {
            page: number(PAGE_BYTES)?,
            slot_bytes: number(SLOT_BYTES)?,
            slots: number(SLOTS)?,
            participants: number(PARTICIPANTS)?,
            in_place: header[IN_PLACE] == 1,
        };
        let layout = Self::new(sizes).ok_or(Refused::Damaged)?;
        let boot = [header[BOOT], header[BOOT + 1]];
        if layout.header(header[KIND], boot) == *header {
            Ok(layout)
        } else {
            Err(Refused::Damaged)
        }
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    const SIZES: Sizes =
        Sizes { page: 4_096, slot_bytes: 56, slots: 8, participants: 3, in_place: false };

    #[test]
    fn a_header_that_is_written_is_read_and_no_other() {
        let layout = Layout::new(SIZES).unwrap();
        let header = layout.header(7, [1, 2]);
        assert_eq!(Layout::read(&header), Ok(layout));
        for at in 0..HEADER_WORDS {
            for bit in (0..64).step_by(if cfg!(miri) { 31 } else { 1 }) {
                let mut other = header;
                other[at] ^= 1 << bit;
                assert!(Layout::read(&other).is_err(), "word {at}, bit {bit}");
                // Also where somebody has signed it anew, a number that no other agrees with is refused.
                other[CHECK] = check(&other);
                let read = Layout::read(&other);
                let may_be = [KIND, BOOT, BOOT + 1, CHECK].contains(&at);
                assert!(read.is_err() || may_be || read.unwrap().words == layout.words);
            }
        }
    }

    #[test]
    fn nothing_lies_in_something_else() {
        for slot_bytes in [1, 8, 55, 56, 57, 64, 1_000, 1 << 20] {
            for slots in [2, 4, 64] {
                let sizes = Sizes { slot_bytes, slots, ..SIZES };
                let layout = Layout::new(sizes).unwrap();
                let table_end = layout.participant_at(sizes.participants, 0);
                let mut end = table_end;
                for sequence in 0..slots as u64 {
                    let payload = layout.payload_at(sequence);
                    assert!(layout.state_at(sequence) >= end);
                    assert!(payload.start > layout.state_at(sequence));
                    assert!(payload.len() * 8 >= slot_bytes && payload.end <= layout.words);
                    end = payload.end;
                }
                assert_eq!(layout.state_at(u64::MAX), layout.state_at(slots as u64 - 1));
                assert!(layout.bytes().is_multiple_of(sizes.page));
            }
        }
    }

    #[test]
    fn what_makes_no_sense_has_no_layout() {
        for sizes in [
            Sizes { slots: 3, ..SIZES },
            Sizes { slots: 1, ..SIZES },
            Sizes { slots: 0, ..SIZES },
            Sizes { slot_bytes: 0, ..SIZES },
            Sizes { slot_bytes: usize::MAX, ..SIZES },
            Sizes { slot_bytes: 1 << 40, slots: 1 << 40, ..SIZES },
            Sizes { participants: 0, ..SIZES },
            Sizes { participants: state::OWNERS + 1, ..SIZES },
            Sizes { page: 0, ..SIZES },
            Sizes { page: 8, ..SIZES },
            Sizes { page: 1 << 40, ..SIZES },
        ] {
            assert_eq!(Layout::new(sizes), None, "{sizes:?}");
        }
    }
}
