use super::super::{LAYOUT_VERSION, Name, State, layout};
use super::*;
use crate::{Table, Zeros};

#[test]
fn what_was_published_is_read_back_and_nothing_else() {
    let file = filled();
    let bytes = file.copied();
    let mut reader = open(&bytes).unwrap();
    let found = read_all(&mut reader);
    // Of each leased partition: its positions begin behind the first lap.
    let mut wanted = BTreeMap::new();
    for producer in 0..2 {
        let mut at = 24;
        for number in 0..4 {
            let slots = 1 + number % 3;
            let words = (0..slots).flat_map(|slot| value(producer, number * 4 + slot)).collect();
            wanted.insert((producer as usize, at), words);
            at += slots;
        }
        wanted.insert((producer as usize, at + 2), value(producer, 99).to_vec());
    }
    let mut at = 60;
    for number in 0..10 {
        let slots = 1 + number % 2;
        if ![3, 5, 9].contains(&number) {
            let words = (0..slots).flat_map(|slot| value(7, number * 4 + slot)).collect();
            wanted.insert((2, at), words);
        }
        at += slots;
    }
    assert_eq!(found.records, wanted);
    let drained = FileDrained {
        entries: 17,
        tombstones: 3,
        abandoned: 2,
        abandoned_slots: 4,
        ..FileDrained::default()
    };
    assert_eq!(found.drained, drained);
    assert_eq!(found.names.len(), 3);
    assert_eq!(found.names[0], (3, vec![1, 2], vec!["first".to_owned(), String::new()]));
    assert_eq!(found.names[1], (0, vec![], vec![]));
    assert_eq!(found.names[2].2, ["eight by", "grüße"]);
    assert_eq!(found.names_read, NamesRead { names: 3, ..NamesRead::default() });
    assert!(!reader.is_cut());
}

#[test]
fn a_header_says_what_it_was_told() {
    let file = filled();
    let bytes = file.copied();
    let mut reader = open(&bytes).unwrap();
    assert_eq!(reader.state().unwrap(), State::Recording);
    assert_eq!(reader.run(), SETTINGS.run);
    assert_eq!(reader.clock(), (SETTINGS.clock, SETTINGS.anchors));
    assert_eq!(reader.settings(), SETTINGS.settings);
    assert_eq!((reader.partitions(), reader.value_words()), (3, 3));
    assert_eq!(reader.owner().pid, u64::from(std::process::id()));
    assert_eq!(reader.tables(), TABLES);
    assert_eq!(reader.counters().unwrap(), [0, 5, 0]);
    assert_eq!(reader.drainer().unwrap(), [0; super::super::DRAINER_WORDS]);
    let seen = reader.partition(2).unwrap();
    assert_eq!((seen.tail, seen.given_back), (75, Some(60)));
    assert_eq!(reader.partition(0).unwrap().published, [0, 24, 5, 0, 0]);
    let mut cells = Vec::new();
    let each = |index, cell: Option<&[u64]>| cells.push((index, cell.map(<[u64]>::to_vec)));
    reader.cells(0, 1..4, each).unwrap();
    assert_eq!(cells[1], (2, Some(vec![0, 77, 0, 0])));
    assert_eq!((cells[0].0, cells.len()), (1, 3));
    reader.cells(0, 8..99, |index, _| assert_eq!(index, 8)).unwrap();
    reader.cells(9, 0..9, |_, _| panic!("there is no such table")).unwrap();
    file.set_closed();
    let bytes = file.copied();
    assert_eq!(open(&bytes).unwrap().state().unwrap(), State::Closed);
}

#[test]
fn a_drain_goes_on_where_the_last_one_ended() {
    let bytes = filled().copied();
    let mut reader = open(&bytes).unwrap();
    let whole = read_all(&mut reader).records;
    let mut seen = BTreeMap::new();
    for (partition, mut next) in FROM.into_iter().enumerate() {
        loop {
            let drained = reader.drain(partition, next, true, 1, |record| {
                assert_eq!(seen.insert((partition, record.position), record.words.to_vec()), None);
            });
            let drained = drained.unwrap();
            if drained.entries + drained.tombstones == 0 {
                break;
            }
            next = drained.next;
        }
    }
    assert_eq!(seen, whole);
}

#[test]
fn each_part_is_taken_once() {
    let file = RingFile::on_the_heap::<Value>(&SETTINGS).unwrap();
    assert!(file.ring::<[u64; 4]>().is_none(), "of another size");
    assert!(file.ring::<Value>().is_some() && file.ring::<Value>().is_none());
    assert!(file.cells::<AtomicU64>(0).is_none(), "of another size");
    assert!(file.cells::<[AtomicU64; 4]>(0).is_some());
    assert!(file.cells::<[AtomicU64; 4]>(0).is_none());
    assert!(file.cells::<AtomicU64>(2).is_none());
}

#[test]
fn a_table_in_a_file_is_one_like_any_other() {
    let settings = FileSettings { tables: &[CellTable { cell: 32, cells: 16 }], ..SETTINGS };
    let file = RingFile::on_the_heap::<Value>(&settings).unwrap();
    let cells: Zeros<[AtomicU64; 4]> = file.cells(0).unwrap();
    let table = Table::over(cells, 4, 4);
    assert_eq!((table.cells().len(), table.part_len()), (16, 4));
    let position = Table::<[AtomicU64; 4]>::position(13);
    table.get(position).unwrap()[3].store(5, Ordering::Relaxed);
    drop(file.cells::<[AtomicU64; 4]>(0));
    let bytes = file.copied();
    let mut seen = 0;
    open(&bytes).unwrap().cells(0, 13..14, |_, cell| seen = cell.unwrap()[3]).unwrap();
    assert_eq!(seen, 5);
    drop(file);
    assert_eq!(table.get(position).unwrap()[3].load(Ordering::Relaxed), 5, "it keeps the memory");
}

#[test]
fn names_end_where_there_is_no_more_room() {
    let file =
        RingFile::on_the_heap::<Value>(&FileSettings { names_bytes: 96, ..SETTINGS }).unwrap();
    let names = file.names();
    assert!(names.append(1, &[7; 10], &[]).is_err() && names.append(1, &[7; 9], &[]).is_ok());
    assert!(names.append(1, &[], &[]).is_err());
    assert_eq!(names.used(), (12, 12));
    let mut seen = Vec::new();
    let bytes = file.copied();
    let each = |name: Name<'_>| seen.extend_from_slice(name.numbers);
    open(&bytes).unwrap().names(true, each).unwrap();
    assert_eq!(seen, [7; 9]);
}

#[test]
fn a_later_version_is_told_from_what_is_no_ring_at_all() {
    let mut bytes = filled().copied();
    bytes[layout::VERSION * 8..][..8].copy_from_slice(&(LAYOUT_VERSION + 1).to_ne_bytes());
    let later = open(&bytes).unwrap_err();
    assert!(matches!(later, OpenError::OtherVersion { version } if version == LAYOUT_VERSION + 1));
    assert!(
        later.to_string().contains("version 2 of the layout, and this program reads version 1")
    );
    bytes[0] ^= 1;
    assert!(matches!(open(&bytes), Err(OpenError::NoRing)));
    assert!(matches!(open(b"SQLite format 3\0"), Err(OpenError::NoRing)));
    assert!(matches!(open(&[]), Err(OpenError::NoRing)));
}
