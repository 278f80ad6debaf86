//! What `cargo fuzz` calls: a ring file with anything in it, read by all that reads one.

use super::layout::{self, HEADER_WORDS, Layout, Sizes};
use super::{CellTable, Reader};

/// Makes a small file, whose header says what it has, of the first bytes; writes the rest into it, each word where it
/// says; cuts it; and reads it. What must hold of any file is asserted.
///
/// # Panics
///
/// If it does not hold.
pub fn ring_file(data: &[u8]) {
    let Some((sizes, rest)) = data.split_first_chunk::<8>() else { return };
    let [leased, leased_slots, shared_slots, value, names, cells, cut, from] = *sizes;
    let sizes = Sizes {
        page: 4_096,
        value_words: 1 + usize::from(value % 9),
        leased: 1 + usize::from(leased % 3),
        leased_slots: 1 << (leased_slots % 6),
        shared_slots: 1 << (shared_slots % 6),
        names_words: 2 + usize::from(names),
        counters: usize::from(cells % 5),
        tables: vec![CellTable { cell: 32, cells: usize::from(cells) }],
    };
    let Some(layout) = Layout::new(sizes) else { return };
    let mut words = vec![0; layout.bytes / 8];
    let changes = rest.as_chunks::<10>().0;
    for [low, high, word @ ..] in changes {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % (words.len() - HEADER_WORDS);
        words[HEADER_WORDS + at] = u64::from_le_bytes(*word);
    }
    let mut header = [0; HEADER_WORDS];
    layout.write(&mut header);
    header[layout::STATE] = layout::RECORDING;
    header[layout::CHECK] = layout::header_check(&header);
    words[..HEADER_WORDS].copy_from_slice(&header);
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    if cut < 128 {
        bytes
            .truncate(HEADER_WORDS * 8 + (bytes.len() - HEADER_WORDS * 8) * usize::from(cut) / 128);
    }
    let reader = Reader::new(&bytes[..]);
    assert!(reader.is_ok(), "its header is as it should be");
    let Ok(mut reader) = reader else { return };
    read(&mut reader, u64::from(from));
}

fn read(reader: &mut Reader<&[u8]>, from: u64) {
    let all = reader.layout.clone();
    for partition in 0..reader.partitions() {
        let (_, slots) = all.partition(partition);
        for is_dead in [false, true] {
            let (mut end, mut records) = (from, 0);
            let drained = reader.drain(partition, from, is_dead, u64::MAX, |record| {
                assert!(record.position >= end, "one behind the other");
                assert!(
                    record.words.len() % all.sizes.value_words == 0 && !record.words.is_empty()
                );
                end = record.position + (record.words.len() / all.sizes.value_words) as u64;
                records += 1;
            });
            let drained = drained.unwrap_or_default();
            assert!(drained.entries == records && drained.next >= from);
            assert!(records <= 2 * slots as u64, "no more than two laps");
        }
    }
    for is_dead in [false, true] {
        let mut names = 0;
        let read = reader.names(is_dead, |name| {
            assert!(name.numbers.len() + name.texts.len() < all.sizes.names_words);
            names += 1;
        });
        assert_eq!(read.unwrap_or_default().names, names);
    }
    let mut cells = 0;
    let looked = reader.cells(0, 0..usize::MAX, |_, cell| {
        assert!(cell.is_some_and(|cell| cell.len() == 4), "nobody changes it");
        cells += 1;
    });
    assert!(looked.is_ok() && cells <= all.sizes.tables[0].cells);
    assert!(reader.counters().is_ok_and(|counters| counters.len() <= all.sizes.counters));
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "reads files")]
    fn seeds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/ring_file");
        let mut seeds = 0;
        for seed in std::fs::read_dir(folder).unwrap() {
            ring_file(&std::fs::read(seed.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0);
    }

    /// Some of what a fuzzer would find, where there is none.
    #[test]
    #[cfg_attr(miri, ignore = "takes Miri too long")]
    fn any_file_is_read() {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..2_000 {
            let mut data = random().to_le_bytes().to_vec();
            for _ in 0..random() % 200 {
                // Words as stand there: stamps, headers of names, and whatever else.
                let word = match random() % 4 {
                    0 => ((random() % 100) << 11) | (random() % 8),
                    1 => 2 | (random() % 64) << 2 | (random() % 16) << 8,
                    2 => random() % 1_000,
                    _ => random(),
                };
                data.extend_from_slice(&(random() as u16).to_le_bytes());
                data.extend_from_slice(&word.to_le_bytes());
            }
            ring_file(&data);
        }
    }
}
