//! A ring file that lies on the heap, as a reader finds it: whole, cut short, and with a bit that is another one.

#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

mod damaged;
mod live;
mod page;
mod whole;

use std::collections::BTreeMap;

use super::{CellTable, FileDrained, FileSettings, NamesRead, OpenError, Reader, RingFile, Source};
use crate::RingOptions;
use crate::sync::{AtomicU64, Ordering};

/// Three words, so that a torn record shows.
pub(super) type Value = [u64; 3];

pub(super) fn value(producer: u64, number: u64) -> Value {
    [producer, number, producer.rotate_left(32) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)]
}

const TABLES: [CellTable; 2] = [CellTable { cell: 32, cells: 9 }, CellTable { cell: 8, cells: 5 }];

pub(super) const SETTINGS: FileSettings<'_> = FileSettings {
    ring: RingOptions { capacity: 64, partitions: 2 },
    tables: &TABLES,
    names_bytes: 512,
    counters: 3,
    run: *b"0123456789abcdef",
    clock: 2,
    anchors: [1, 2, 3, 4, 5, 6, 7, 8],
    settings: [9, 8, 7, 6, 5, 4, 3, 2],
    has_signal_handler: false,
};

/// What should be found in a file: records by partition and position, and names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) records: BTreeMap<(usize, u64), Vec<u64>>,
    /// Those of which a reader was not sure.
    pub(super) uncertain: Vec<(usize, u64)>,
    pub(super) names: Vec<(u8, Vec<u64>, Vec<String>)>,
    /// All that was counted, over all partitions.
    pub(super) drained: FileDrained,
    pub(super) names_read: NamesRead,
}

/// What a database would say of [`filled`]: up to where it has each partition.
pub(super) const FROM: [u64; 3] = [24, 24, 60];

/// Reads all that is there, as of a dead owner.
pub(super) fn read_all<S: Source>(reader: &mut Reader<S>) -> Found {
    let mut found = Found::default();
    for partition in 0..reader.partitions() {
        let records = &mut found.records;
        let uncertain = &mut found.uncertain;
        let each = |record: super::Record<'_>| {
            let before = records.insert((partition, record.position), record.words.to_vec());
            assert_eq!(before, None, "a record twice");
            if !record.is_certain {
                uncertain.push((partition, record.position));
            }
        };
        let from = FROM.get(partition).copied().unwrap_or(0);
        let drained = reader.drain(partition, from, true, u64::MAX, each).unwrap();
        found.drained.entries += drained.entries;
        found.drained.tombstones += drained.tombstones;
        found.drained.abandoned += drained.abandoned;
        found.drained.abandoned_slots += drained.abandoned_slots;
        found.drained.damaged += drained.damaged;
        found.drained.missed += drained.missed;
    }
    let names = &mut found.names;
    let each = |name: super::Name<'_>| {
        let texts = name.texts.iter().map(|text| (*text).to_owned()).collect();
        names.push((name.kind, name.numbers.to_vec(), texts));
    };
    found.names_read = reader.names(true, each).unwrap();
    found
}

/// A file with records of one to three slots in each partition, a dropped claim and claims that nobody published, and
/// names.
pub(super) fn filled() -> RingFile {
    let file = RingFile::on_the_heap::<Value>(&SETTINGS).unwrap();
    file.names().append(3, &[1, 2], &["first", ""]).unwrap();
    file.names().append(0, &[], &[]).unwrap();
    file.names().append(63, &[u64::MAX], &["eight by", "grüße"]).unwrap();
    let (ring, mut consumer) = file.ring::<Value>().unwrap();
    file.set_recording();
    let mut leases = [ring.lease().unwrap(), ring.lease().unwrap()];
    // Once round, so that there are stamps of older laps.
    for lease in &mut leases {
        for number in 0..24 {
            lease.try_publish(1, 1, |_| value(99, number)).unwrap();
            consumer.drain(lease.partition(), 9, |_| ());
        }
    }
    for number in 0..40 {
        ring.try_claim(1 + number % 2).unwrap().publish();
        consumer.drain(ring.shared_partition(), 9, |_| ());
    }
    for (producer, lease) in leases.iter_mut().enumerate() {
        for number in 0..4 {
            let slots = 1 + number % 3;
            lease
                .try_publish(2, slots, |slot| value(producer as u64, (number * 4 + slot) as u64))
                .unwrap();
        }
        drop(lease.try_claim(2).unwrap());
        lease.try_publish(2, 1, |_| value(producer as u64, 99)).unwrap();
    }
    for number in 0..10 {
        let slots = 1 + number % 2;
        let mut claim = ring.try_claim(slots).unwrap();
        (0..slots).for_each(|slot| *claim.slot(slot) = value(7, (number * 4 + slot) as u64));
        match number {
            3 => drop(claim),
            5 | 9 => std::mem::forget(claim), // as if its owner had died
            _ => claim.publish_as(3),
        }
    }
    let cells = file.cells::<[AtomicU64; 4]>(0).unwrap();
    cells[2][1].store(77, Ordering::Relaxed);
    file.counters()[1].store(5, Ordering::Relaxed);
    file
}

pub(super) fn open(bytes: &[u8]) -> Result<Reader<&[u8]>, OpenError> {
    Reader::new(bytes)
}
