use std::collections::BTreeSet;

use super::super::layout::{self, Layout, partition_words};
use super::*;
use crate::slot;

/// Where the bits of a file are that nothing can check.
struct Unchecked {
    /// Words of records, by word of the file: whose they are.
    words: BTreeMap<usize, (usize, u64)>,
    /// Stamps of dropped claims.
    tombstones: BTreeSet<usize>,
    /// Stamps of records of the shared partition behind which a claim was not published: it may be taken for a part
    /// of them.
    before_gaps: BTreeMap<usize, (usize, u64)>,
}

fn layout_of(bytes: &[u8]) -> Layout {
    let words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
    let header: Vec<_> = words.take(layout::HEADER_WORDS).collect();
    Layout::read(header.as_slice().try_into().unwrap()).unwrap()
}

impl Unchecked {
    fn of(bytes: &[u8], found: &Found) -> Self {
        let layout = layout_of(bytes);
        let (values, slot_words) = (layout.sizes.value_words, layout.slot_bytes() / 8);
        let mut words = BTreeMap::new();
        for (&(partition, position), record) in &found.records {
            let (at, slots) = layout.partition(partition);
            for slot in 0..(record.len() / values) as u64 {
                let index = (position + slot) as usize & (slots - 1);
                let first = (at + partition_words::SLOTS) / 8 + index * slot_words;
                (first + 1..=first + values).for_each(|word| {
                    words.insert(word, (partition, position));
                });
            }
        }
        let mut before_gaps = BTreeMap::new();
        let stamp_at = |partition: usize, position: u64| {
            let (at, slots) = layout.partition(partition);
            let index = position as usize & (slots - 1);
            (at + partition_words::SLOTS) / 8 + index * slot_words
        };
        for (&(partition, position), record) in &found.records {
            let behind = position + (record.len() / values) as u64;
            let at = stamp_at(partition, behind) * 8;
            let stamp = u64::from_ne_bytes(bytes[at..][..8].try_into().unwrap());
            if partition == layout.sizes.leased && slot::published_at(behind, stamp).is_none() {
                before_gaps.insert(stamp_at(partition, position), (partition, position));
            }
        }
        let mut tombstones = BTreeSet::new();
        for partition in 0..layout.partitions() {
            let (at, slots) = layout.partition(partition);
            for index in 0..slots {
                let word = (at + partition_words::SLOTS) / 8 + index * slot_words;
                let stamp = u64::from_ne_bytes(bytes[word * 8..][..8].try_into().unwrap());
                if stamp & slot::TOMBSTONE != 0 {
                    tombstones.insert(word);
                }
            }
        }
        Self { words, tombstones, before_gaps }
    }

    /// Holds what was found in a file, one word of which is another one, against what is there.
    fn check(&self, word: usize, there: &Found, found: &Found) {
        let of = self.words.get(&word);
        let is_noted = found.drained.damaged > 0;
        for (at, record) in &found.records {
            let is_right = there.records.get(at) == Some(record);
            let may_be_wrong = of == Some(at)
                || self.before_gaps.get(&word) == Some(at)
                || found.uncertain.contains(at)
                || self.tombstones.contains(&word) && !there.records.contains_key(at);
            assert!(is_right || is_noted || may_be_wrong, "word {word}: {at:?} is {record:?}");
        }
        let lost = there.records.keys().filter(|at| !found.records.contains_key(at)).count();
        let before = there.drained;
        let is_told = is_noted
            || found.drained.abandoned_slots > before.abandoned_slots
            || found.drained.tombstones > before.tombstones
            || found.drained.missed > 0;
        assert!(lost == 0 || is_told, "word {word}: {lost} are lost in silence");
        for name in &found.names {
            assert!(there.names.contains(name), "word {word}: {name:?}");
        }
        let lost = there.names.len() - found.names.len();
        let is_told = found.names_read.damaged + found.names_read.unfinished > 0;
        assert!(lost == 0 || is_told, "word {word}: {lost} names are lost in silence");
    }
}

/// Looks at everything that a reader can.
fn look_at_all(reader: &mut Reader<&[u8]>) -> Found {
    let found = read_all(reader);
    reader.state().unwrap();
    for partition in 0..reader.partitions() {
        reader.partition(partition).unwrap();
        reader.drain(partition, 3, false, 1 << 20, |_| ()).unwrap();
        reader.drain(partition, u64::MAX - 1, true, 1 << 20, |_| ()).unwrap();
    }
    assert!(reader.counters().unwrap().len() <= SETTINGS.counters);
    reader.drainer().unwrap();
    for (table, sizes) in TABLES.iter().enumerate() {
        let mut cells = 0;
        reader.cells(table, 0..usize::MAX, |_, _| cells += 1).unwrap();
        assert!(cells <= sizes.cells);
    }
    found
}

#[test]
#[cfg_attr(miri, ignore = "takes Miri hours; the next one is for it")]
fn a_file_that_is_cut_short_at_any_length_has_what_is_left() {
    let bytes = filled().copied();
    let whole = read_all(&mut open(&bytes).unwrap());
    let mut opened = 0;
    for len in 0..bytes.len() {
        cut_to(&bytes, len, &whole, &mut opened);
    }
    assert_eq!(opened, bytes.len() - layout::HEADER_WORDS * 8);
}

#[test]
fn a_file_that_is_cut_short_at_some_lengths_has_what_is_left() {
    let bytes = filled().copied();
    let whole = read_all(&mut open(&bytes).unwrap());
    let step = if cfg!(miri) { 9_000 } else { 17 };
    (0..bytes.len()).step_by(step).for_each(|len| cut_to(&bytes, len, &whole, &mut 0));
}

fn cut_to(bytes: &[u8], len: usize, whole: &Found, opened: &mut usize) {
    match open(&bytes[..len]) {
        Ok(mut reader) => {
            *opened += 1;
            let found = look_at_all(&mut reader);
            assert!(reader.is_cut(), "{len}");
            for (at, record) in &found.records {
                assert_eq!(whole.records.get(at), Some(record), "{len}");
            }
            let is_told = reader.is_cut() || found.drained.damaged > 0;
            assert!(found.records.len() == whole.records.len() || is_told, "{len}");
            assert!(found.names.iter().all(|name| whole.names.contains(name)), "{len}");
        }
        Err(error) => assert!(len < layout::HEADER_WORDS * 8, "{len}: {error}"),
    }
}

/// How many words to make others: `SPANDREL_FLIPS=2000000` for more of them.
fn flips() -> u64 {
    let asked = std::env::var("SPANDREL_FLIPS").ok().and_then(|flips| flips.parse().ok());
    asked.unwrap_or(if cfg!(miri) { 4 } else { 100_000 })
}

#[test]
fn a_word_that_is_another_one_makes_no_record_that_is_wrong_and_not_noted() {
    let mut bytes = filled().copied();
    let there = read_all(&mut open(&bytes).unwrap());
    let unchecked = Unchecked::of(&bytes, &there);
    let mut random = 0x0123_4567_89AB_CDEF_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut refused, mut damaged) = (0, 0);
    for turn in 0..flips() {
        let word = next() as usize % (bytes.len() / 8);
        let at = word * 8..word * 8 + 8;
        let before: [u8; 8] = bytes[at.clone()].try_into().unwrap();
        // By turns one bit, and all of them; and what stands elsewhere.
        let other = match turn % 3 {
            0 => u64::from_ne_bytes(before) ^ 1 << (next() % 64),
            1 => next(),
            _ => {
                let from = next() as usize % (bytes.len() / 8) * 8;
                u64::from_ne_bytes(bytes[from..from + 8].try_into().unwrap())
            }
        };
        bytes[at.clone()].copy_from_slice(&other.to_ne_bytes());
        match open(&bytes) {
            Ok(mut reader) => {
                // The rest is read as it stands, whatever it is: once in a while will do.
                let found =
                    if turn % 8 == 0 { look_at_all(&mut reader) } else { read_all(&mut reader) };
                damaged += u64::from(found.drained.damaged + found.names_read.damaged > 0);
                unchecked.check(word, &there, &found);
            }
            Err(_) => refused += 1,
        }
        bytes[at].copy_from_slice(&before);
    }
    assert!(cfg!(miri) || refused > 0 && damaged > 0, "{refused} refused, {damaged} damaged");
}

#[test]
#[cfg_attr(miri, ignore = "takes Miri too long")]
fn each_bit_of_each_stamp_is_what_it_should_be_or_noted() {
    let mut bytes = filled().copied();
    let there = read_all(&mut open(&bytes).unwrap());
    let unchecked = Unchecked::of(&bytes, &there);
    let layout = layout_of(&bytes);
    for partition in 0..layout.partitions() {
        let (at, slots) = layout.partition(partition);
        let words = (0..partition_words::SLOTS / 8).map(|word| at / 8 + word);
        let stamps =
            (0..slots).map(|slot| (at + partition_words::SLOTS + slot * layout.slot_bytes()) / 8);
        for word in words.chain(stamps) {
            for bit in 0..64 {
                bytes[word * 8 + bit / 8] ^= 1 << (bit % 8);
                let found = read_all(&mut open(&bytes).unwrap());
                unchecked.check(word, &there, &found);
                bytes[word * 8 + bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes Miri too long")]
fn names_are_found_behind_any_bit_that_is_another_one() {
    let mut bytes = filled().copied();
    let there = read_all(&mut open(&bytes).unwrap());
    let at = layout_of(&bytes).names;
    let mut read = [0; 4];
    for bit in 0..SETTINGS.names_bytes * 8 {
        bytes[at + bit / 8] ^= 1 << (bit % 8);
        let found = read_all(&mut open(&bytes).unwrap());
        assert!(found.names.iter().all(|name| there.names.contains(name)));
        read[found.names.len()] += 1;
        bytes[at + bit / 8] ^= 1 << (bit % 8);
    }
    // One at most is lost, whichever bit it is.
    assert!(read[3] > 0 && read[2] > 0 && read[..2] == [0, 0], "{read:?}");
}

#[test]
fn a_header_that_promises_too_much_costs_nothing() {
    let bytes = filled().copied();
    // With the right sum: nobody's accident.
    let forge = |change: &dyn Fn(&mut layout::Sizes)| {
        let mut sizes = layout_of(&bytes).sizes;
        change(&mut sizes);
        let mut words = [0; layout::HEADER_WORDS];
        for (to, word) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *to = u64::from_ne_bytes(word.try_into().unwrap());
        }
        Layout::new(sizes).unwrap().write(&mut words);
        words[layout::CHECK] = layout::header_check(&words);
        let mut forged: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        forged.extend_from_slice(&bytes[layout::HEADER_WORDS * 8..]);
        forged
    };
    let changes: [&dyn Fn(&mut layout::Sizes); 6] = [
        &|sizes| sizes.leased = 1 << 40,
        &|sizes| sizes.leased_slots = 1 << 40,
        &|sizes| sizes.shared_slots = 1 << 50,
        &|sizes| sizes.names_words = 1 << 50,
        &|sizes| sizes.counters = 1 << 50,
        &|sizes| sizes.value_words = 1 << 40,
    ];
    for change in changes {
        let forged = forge(change);
        let mut reader = open(&forged).unwrap();
        read_all(&mut reader);
        reader.counters().unwrap();
        reader.cells(0, 0..usize::MAX, |_, _| ()).unwrap();
        assert!(reader.is_cut());
    }
    for (cell, cells) in [(1 << 50, 9), (32, 1 << 50), (8, 1 << 55)] {
        let forged = forge(&|sizes| sizes.tables[0] = CellTable { cell, cells });
        let mut reader = open(&forged).unwrap();
        let mut seen = 0;
        reader.cells(0, 0..usize::MAX, |_, _| seen += 1).unwrap();
        assert!(seen * cell.min(1 << 20) <= forged.len());
    }
}
