//! What stands where in a ring file. `docs/src/reference/ring-file.md` says it in full; a test holds the two together.
//!
//! Everything is a word of 64 bits in the machine's own order, at a multiple of 8 bytes. Sections begin on the machine's
//! pages. No word is a pointer. Before each partition a page of the file is nobody's: in its place the owner has
//! one of its own, with what no other process may change.

use std::mem::offset_of;

use super::names;
use crate::counts::CLASSES;
use crate::partition::{Partition, Words};
use crate::ring::RingOptions;
use crate::slot;

/// The first word of a ring file: `SPANRING`.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"SPANRING");

/// The version of all that this file says. A reader of another one refuses.
pub const LAYOUT_VERSION: u64 = 1;

/// Words of the header.
pub(crate) const HEADER_WORDS: usize = 512;
/// The smallest pages that a machine has: sections begin at multiples of these, or of larger ones where it has such.
const PAGE_MIN: usize = 4_096;
/// The largest ones.
const PAGE_MAX: usize = 1 << 20;
/// Most tables of a file.
pub const TABLES_MAX: usize = 8;
/// Words of whoever drains.
pub const DRAINER_WORDS: usize = 64;
/// Words of the clock and of settings.
pub const OWN_WORDS: usize = 8;

/// States of a ring file, far apart from each other.
pub(crate) const BUILDING: u64 = u64::from_le_bytes(*b"BUILDING");
pub(crate) const RECORDING: u64 = u64::from_le_bytes(*b"RECORDS ");
pub(crate) const CLOSED: u64 = u64::from_le_bytes(*b"CLOSED  ");
/// The last word of a ring file, in a page of its own that nobody writes to again: it is gone from a file that was cut,
/// wherever that was, also once it is as long as before.
pub(crate) const END: u64 = u64::from_le_bytes(*b"SPANEND.");

macro_rules! words {
    ($(#[$about:meta])* $list:ident; $($name:ident $at:literal $what:literal)*) => {
        $(pub(crate) const $name: usize = $at;)*

        $(#[$about])*
        #[cfg(test)]
        pub(crate) const $list: &[(&str, usize, &str)] = &[$((stringify!($name), $at, $what)),*];
    };
}

words! {
    /// The header, word by word: name, number, and what it says.
    HEADER;
    MAGIC_WORD 0 "`SPANRING`"
    VERSION 1 "version of the layout"
    HASH 2 "hash of the layout's constants"
    STATE 3 "`BUILDING`, `RECORDS ` or `CLOSED  `; the only word of the header that changes"
    FILE_BYTES 4 "length of the file in bytes"
    PAGE_BYTES 5 "bytes of a page, a power of two from 4,096 on"
    BOOT 6 "boot id, 2 words: since when the machine runs"
    RUN 8 "identity of the run, 2 words"
    PID 10 "the owner's process id"
    STARTED 11 "when that process began, in the system's own unit"
    PID_NAMESPACE 12 "inode of the namespace in which the process id means something, 0 if there are none"
    LOCKED 13 "1 if the owner holds a lock of its open file description on byte 0 while it lives"
    CLOCK 14 "kind of the clock, the recorder's"
    ANCHORS 16 "anchors of the clock, 8 words, the recorder's"
    SETTINGS 24 "8 words of the recorder's"
    VALUE_WORDS 32 "words of a slot beside its stamp"
    LEASED 33 "how many partitions are leased; one more is shared"
    LEASED_SLOTS 34 "slots of each of these, a power of two"
    SHARED_SLOTS 35 "slots of the shared one, a power of two"
    PARTITIONS_AT 36 "where the first partition begins, in bytes"
    NAMES_AT 37 "where the names begin, in bytes"
    NAMES_WORDS 38 "how many words they have"
    COUNTERS_AT 39 "where the counters begin, in bytes"
    COUNTERS 40 "how many there are"
    DRAINER_AT 41 "where the drainer's words begin, in bytes; there are 64"
    TABLES 42 "how many tables there are, at most 8"
    TABLE 43 "of each table 3 words: where it begins in bytes, bytes of a cell, cells"
    CHECK 511 "check of all other words but the state; those that are not named are 0"
}

/// Where the words of a partition are, from its beginning, in bytes.
pub(crate) mod partition_words {
    use super::{Words, offset_of};
    use crate::partition::Producers;
    use crate::sequence::Gate;

    pub(crate) const TAIL: usize = offset_of!(Words, producers) + offset_of!(Producers, tail);
    pub(crate) const PUBLISHED: usize =
        offset_of!(Words, producers) + offset_of!(Producers, published);
    pub(crate) const LIMIT: usize = offset_of!(Words, limit);
    pub(crate) const GATING: usize = offset_of!(Words, gating) + offset_of!(Gate, sequence);
    pub(crate) const COMPLEMENT: usize = offset_of!(Words, gating) + offset_of!(Gate, complement);
    pub(crate) const NUDGED: usize = offset_of!(Words, nudged);
    pub(crate) const SLOTS: usize = size_of::<Words>();
}

/// One step of the checks of this file: a word that differs makes another sum, whatever comes after it.
#[inline]
pub(crate) const fn mix(sum: u64, word: u64) -> u64 {
    let mixed = (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 32)
}

/// Of what a file is made, beside its sizes: another one has another hash.
pub(crate) const LAYOUT_HASH: u64 = {
    use partition_words::*;
    let constants = [
        MAGIC,
        END,
        LAYOUT_VERSION,
        HEADER_WORDS as u64,
        PAGE_MIN as u64,
        TABLES_MAX as u64,
        DRAINER_WORDS as u64,
        CLASSES as u64,
        TAIL as u64,
        PUBLISHED as u64,
        LIMIT as u64,
        GATING as u64,
        COMPLEMENT as u64,
        NUDGED as u64,
        SLOTS as u64,
        slot::LENGTH_BITS as u64,
        slot::SEQUENCE_SHIFT as u64,
        names::LAYOUT,
        cfg!(target_endian = "big") as u64,
    ];
    let (mut sum, mut at) = (0, 0);
    while at < constants.len() {
        sum = mix(sum, constants[at]);
        at += 1;
    }
    sum
};

/// The check of a header.
pub(crate) fn header_check(header: &[u64; HEADER_WORDS]) -> u64 {
    let checked = header.iter().enumerate().filter(|(at, _)| *at != STATE && *at != CHECK);
    checked.fold(MAGIC, |sum, (_, word)| mix(sum, *word))
}

/// A table of a ring file: cells of a fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellTable {
    /// Bytes of a cell, a multiple of 8.
    pub cell: usize,
    /// How many there are.
    pub cells: usize,
}

/// How much of what a ring file has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes of a page, a power of two.
    pub(crate) page: usize,
    pub(crate) value_words: usize,
    pub(crate) leased: usize,
    pub(crate) leased_slots: usize,
    pub(crate) shared_slots: usize,
    pub(crate) names_words: usize,
    pub(crate) counters: usize,
    pub(crate) tables: Vec<CellTable>,
}

/// Where the sections of a ring file are, in bytes. Follows from the sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) sizes: Sizes,
    /// The first partition.
    partitions: usize,
    /// From the beginning of a partition to that of the next.
    stride: usize,
    pub(crate) names: usize,
    pub(crate) counters: usize,
    pub(crate) drainer: usize,
    pub(crate) tables: Vec<usize>,
    pub(crate) bytes: usize,
}

impl Sizes {
    /// Of a ring of this size with such values; `None` of what is larger than any memory, or no whole words.
    pub(crate) fn new(
        ring: RingOptions,
        value: usize,
        names_bytes: usize,
        counters: usize,
        tables: &[CellTable],
    ) -> Option<Self> {
        let (leased, leased_slots, shared_slots) = ring.layout()?;
        (value > 0 && value.is_multiple_of(8) && tables.len() <= TABLES_MAX).then_some(())?;
        Some(Self {
            page: super::process::page_bytes().clamp(PAGE_MIN, PAGE_MAX),
            value_words: value / 8,
            leased,
            leased_slots,
            shared_slots,
            names_words: (names_bytes / 8).max(names::WORDS_MIN),
            counters,
            tables: tables.to_vec(),
        })
    }
}

/// Bytes that a partition of so many slots takes; what `Partition::bytes` says for a value of so many words.
pub(crate) fn partition_bytes(value_words: usize, slots: usize) -> Option<usize> {
    let slot = slot::slot_bytes(value_words.checked_mul(8)?)?;
    slots.checked_mul(slot)?.checked_add(partition_words::SLOTS)
}

impl Layout {
    /// `None` of what is larger than any memory, or makes no sense.
    pub(crate) fn new(sizes: Sizes) -> Option<Self> {
        let Sizes { page, value_words, leased, leased_slots, shared_slots, .. } = sizes;
        let is_sensible = page.is_power_of_two()
            && (PAGE_MIN..=PAGE_MAX).contains(&page)
            && value_words > 0
            && leased > 0
            && leased_slots.is_power_of_two()
            && shared_slots.is_power_of_two()
            && sizes.names_words >= names::WORDS_MIN
            && sizes.tables.len() <= TABLES_MAX
            && sizes.tables.iter().all(|table| table.cell > 0 && table.cell.is_multiple_of(8));
        is_sensible.then_some(())?;
        let mut end = page.max(HEADER_WORDS * 8);
        let mut section = |bytes: usize| -> Option<usize> {
            let at = end;
            end = at.checked_add(bytes)?.checked_next_multiple_of(page)?;
            (end <= isize::MAX as usize).then_some(at)
        };
        // Each with a page before it that is nobody's.
        let stride = |slots: usize| {
            partition_bytes(value_words, slots)?.checked_add(page)?.checked_next_multiple_of(page)
        };
        let (stride, shared) = (stride(leased_slots)?, stride(shared_slots)?);
        let partitions = section(stride.checked_mul(leased)?.checked_add(shared)?)? + page;
        let names = section(sizes.names_words.checked_mul(8)?)?;
        let counters = section(sizes.counters.checked_mul(8)?)?;
        let drainer = section(DRAINER_WORDS * 8)?;
        let table = |table: &CellTable| section(table.cell.checked_mul(table.cells)?);
        let tables = sizes.tables.iter().map(table).collect::<Option<Vec<_>>>()?;
        section(8)?;
        let bytes = end;
        Some(Self { sizes, partitions, stride, names, counters, drainer, tables, bytes })
    }

    /// Where the last word is.
    pub(crate) fn end_word(&self) -> usize {
        self.bytes - 8
    }

    /// How many partitions there are, the shared one included.
    pub(crate) fn partitions(&self) -> usize {
        self.sizes.leased + 1
    }

    /// Where a partition begins, and how many slots it has; the shared one is the last.
    pub(crate) fn partition(&self, index: usize) -> (usize, usize) {
        let slots = if index < self.sizes.leased {
            self.sizes.leased_slots
        } else {
            self.sizes.shared_slots
        };
        (self.partitions + index.min(self.sizes.leased) * self.stride, slots)
    }

    /// How many partitions begin before this byte.
    pub(crate) fn partitions_before(&self, end: usize) -> usize {
        let begin = end.saturating_sub(self.partitions).div_ceil(self.stride);
        begin.min(self.partitions())
    }

    /// Where the pages are that are nobody's.
    pub(crate) fn own_pages(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.partitions()).map(|index| self.partition(index).0 - self.sizes.page)
    }

    /// Bytes of a slot.
    pub(crate) fn slot_bytes(&self) -> usize {
        // It was asked when the layout was made.
        slot::slot_bytes(self.sizes.value_words * 8).unwrap_or(0)
    }

    /// Writes it into a header.
    pub(crate) fn write(&self, header: &mut [u64; HEADER_WORDS]) {
        header[MAGIC_WORD] = MAGIC;
        header[VERSION] = LAYOUT_VERSION;
        header[HASH] = LAYOUT_HASH;
        for (at, number) in [
            (FILE_BYTES, self.bytes),
            (PAGE_BYTES, self.sizes.page),
            (VALUE_WORDS, self.sizes.value_words),
            (LEASED, self.sizes.leased),
            (LEASED_SLOTS, self.sizes.leased_slots),
            (SHARED_SLOTS, self.sizes.shared_slots),
            (PARTITIONS_AT, self.partitions),
            (NAMES_AT, self.names),
            (NAMES_WORDS, self.sizes.names_words),
            (COUNTERS_AT, self.counters),
            (COUNTERS, self.sizes.counters),
            (DRAINER_AT, self.drainer),
            (TABLES, self.sizes.tables.len()),
        ] {
            header[at] = number as u64;
        }
        for (n, (table, at)) in self.sizes.tables.iter().zip(&self.tables).enumerate() {
            let words = [*at, table.cell, table.cells].map(|number| number as u64);
            header[TABLE + 3 * n..][..3].copy_from_slice(&words);
        }
    }

    /// Reads it from a header that nobody vouches for; `None` unless each number is what the others make it.
    pub(crate) fn read(header: &[u64; HEADER_WORDS]) -> Option<Self> {
        let number = |at: usize| usize::try_from(header[at]).ok();
        let tables = number(TABLES).filter(|tables| *tables <= TABLES_MAX)?;
        let table = |n: usize| {
            let [cell, cells] = [number(TABLE + 3 * n + 1)?, number(TABLE + 3 * n + 2)?];
            Some(CellTable { cell, cells })
        };
        let layout = Self::new(Sizes {
            page: number(PAGE_BYTES)?,
            value_words: number(VALUE_WORDS)?,
            leased: number(LEASED)?,
            leased_slots: number(LEASED_SLOTS)?,
            shared_slots: number(SHARED_SLOTS)?,
            names_words: number(NAMES_WORDS)?,
            counters: number(COUNTERS)?,
            tables: (0..tables).map(table).collect::<Option<_>>()?,
        })?;
        let mut again = *header;
        layout.write(&mut again);
        (again == *header).then_some(layout)
    }
}

const _: () = assert!(TABLE + 3 * TABLES_MAX < CHECK && CHECK < HEADER_WORDS);
/// What is the owner's before a partition lies in the page that is.
#[cfg(not(spandrel_loom))]
const _: () = assert!(slot::OWN <= PAGE_MIN);

/// A partition is as large as the layout says, whatever its values.
pub(crate) const fn assert_partition<T>() {
    assert!(
        Partition::<T>::SLOTS_AT == partition_words::SLOTS,
        "slots begin right behind the words"
    );
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;
    use crate::slot::OWN;

    fn sizes(capacity: usize) -> Option<Sizes> {
        let tables = [CellTable { cell: 256, cells: 64 }, CellTable { cell: 8, cells: 3 }];
        Sizes::new(RingOptions { capacity, partitions: 3 }, 56, 1 << 12, 77, &tables)
    }

    #[test]
    fn a_layout_that_is_written_is_read_and_no_other() {
        let layout = Layout::new(sizes(256).unwrap()).unwrap();
        let mut header = [0; HEADER_WORDS];
        layout.write(&mut header);
        assert_eq!(Layout::read(&header).as_ref(), Some(&layout));
        for at in [
            FILE_BYTES,
            PAGE_BYTES,
            LEASED,
            LEASED_SLOTS,
            PARTITIONS_AT,
            NAMES_WORDS,
            TABLES,
            TABLE + 3,
        ] {
            for bit in (0..64).step_by(if cfg!(miri) { 17 } else { 1 }) {
                let mut other = header;
                other[at] ^= 1 << bit;
                assert_eq!(Layout::read(&other), None, "word {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn sections_lie_side_by_side_and_are_aligned() {
        let layout = Layout::new(sizes(256).unwrap()).unwrap();
        let mut end = HEADER_WORDS * 8;
        for index in 0..layout.partitions() {
            let (at, slots) = layout.partition(index);
            assert!(at >= end + layout.sizes.page && at.is_multiple_of(layout.sizes.page));
            let bytes = partition_bytes(7, slots).unwrap();
            assert_eq!(Some(OWN + bytes), Partition::<[u64; 7]>::bytes(slots));
            end = at + bytes;
        }
        let sections = [
            (layout.names, layout.sizes.names_words * 8),
            (layout.counters, 77 * 8),
            (layout.drainer, DRAINER_WORDS * 8),
            (layout.tables[0], 256 * 64),
            (layout.tables[1], 24),
        ];
        let page = layout.sizes.page;
        for (at, bytes) in sections {
            assert!(at >= end && at < end + page && at.is_multiple_of(page));
            end = at + bytes;
        }
        assert!(layout.end_word() >= end && layout.end_word() < end + 2 * page);
        assert_eq!(layout.bytes, layout.end_word() + 8);
    }

    #[test]
    fn what_is_larger_than_any_memory_has_no_layout() {
        assert_eq!(sizes(usize::MAX).and_then(Layout::new), None);
        let mut sizes = sizes(256).unwrap();
        sizes.tables[0].cells = usize::MAX / 8;
        assert_eq!(Layout::new(sizes), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic, which takes Miri an hour")]
    fn a_check_knows_each_bit() {
        let mut header = [0; HEADER_WORDS];
        Layout::new(sizes(256).unwrap()).unwrap().write(&mut header);
        let check = header_check(&header);
        for at in (0..HEADER_WORDS).filter(|at| *at != STATE && *at != CHECK) {
            for bit in 0..64 {
                header[at] ^= 1 << bit;
                assert_ne!(header_check(&header), check, "word {at}, bit {bit}");
                header[at] ^= 1 << bit;
            }
        }
    }
}
