use std::cell::RefCell;
use std::io;

use super::super::layout::partition_words;
use super::*;

/// A file that changes between two looks at it: what it is at each.
struct Changing<'a> {
    versions: RefCell<Vec<&'a [u8]>>,
    written: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl Source for Changing<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.versions.borrow()[0].len() as u64)
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        self.versions.borrow()[0].read_at(at, to)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.written.borrow_mut().push((at, bytes.to_vec()));
        Ok(())
    }
}

#[test]
fn of_a_living_owner_a_drain_stops_at_what_is_not_published_yet() {
    let file = RingFile::on_the_heap::<Value>(&SETTINGS).unwrap();
    let (ring, _consumer) = file.ring::<Value>().unwrap();
    let shared = ring.shared_partition();
    let push = |number| {
        let mut claim = ring.try_claim(1).unwrap();
        *claim.slot(0) = value(1, number);
        claim
    };
    push(0).publish();
    let pending = push(1);
    push(2).publish();
    let drain = |dead| {
        let bytes = file.copied();
        let mut seen = Vec::new();
        let each = |record: crate::file::Record<'_>| seen.push(record.words[1]);
        let drained = open(&bytes).unwrap().drain(shared, 0, dead, u64::MAX, each).unwrap();
        (seen, drained.next, drained.abandoned)
    };
    assert_eq!(drain(false), (vec![0], 1, 0));
    assert_eq!(drain(true), (vec![0, 2], 3, 1), "if he were dead");
    pending.publish();
    assert_eq!(drain(false), (vec![0, 1, 2], 3, 0));
}

#[test]
fn names_that_are_just_appended_are_no_damage_while_their_owner_lives() {
    let file = RingFile::on_the_heap::<Value>(&SETTINGS).unwrap();
    file.names().append(1, &[1], &[]).unwrap();
    let before = file.copied();
    file.names().append(1, &[2, 3], &[]).unwrap();
    // The header is copied before it is there, and the words behind it after that.
    let mut torn = file.copied();
    let header = open(&torn).unwrap().layout.names + 4 * 8;
    torn[header..header + 8].copy_from_slice(&before[header..header + 8]);
    let mut seen = Vec::new();
    let each = |name: crate::file::Name<'_>| seen.extend_from_slice(name.numbers);
    let mut wanted = NamesRead { names: 1, ..NamesRead::default() };
    assert_eq!(open(&torn).unwrap().names(false, each).unwrap(), wanted);
    assert_eq!(seen, [1]);
    wanted.damaged = 1;
    assert_eq!(
        open(&torn).unwrap().names(true, |_| ()).unwrap(),
        wanted,
        "it says so of a dead one"
    );
}

#[test]
fn a_reader_gives_back_with_the_complement_first() {
    let file = filled();
    let bytes = file.copied();
    let source = Changing { versions: RefCell::new(vec![&bytes]), written: RefCell::default() };
    let mut reader = Reader::new(source).unwrap();
    reader.give_back(2, 65).unwrap();
    reader.give_back(2, 60).unwrap();
    reader.set_drainer(5, 77).unwrap();
    assert!(reader.set_drainer(64, 77).is_err());
    let (partition, _) = reader.layout.partition(2);
    let at = |word: usize| (partition + word) as u64;
    let written = reader.source().written.borrow().clone();
    assert_eq!(
        written[..2],
        [
            (at(partition_words::COMPLEMENT), (!65_u64).to_ne_bytes().to_vec()),
            (at(partition_words::GATING), 65_u64.to_ne_bytes().to_vec()),
        ]
    );
    assert_eq!(written.len(), 3, "what was given back stays so");
}

#[test]
fn a_record_that_is_published_between_two_copies_comes_the_next_time() {
    let file = RingFile::on_the_heap::<Value>(&SETTINGS).unwrap();
    let (ring, _consumer) = file.ring::<Value>().unwrap();
    let shared = ring.shared_partition();
    let empty = file.copied();
    ring.try_claim(1).unwrap().publish();
    let full = file.copied();
    /// The first copy of the slots is of before, the second of after.
    struct Later<'a>(&'a [u8], &'a [u8], u64, RefCell<u32>);
    impl Source for Later<'_> {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
            if at != self.2 {
                return self.1.read_at(at, to);
            }
            *self.3.borrow_mut() += 1;
            if *self.3.borrow() == 1 { self.0.read_at(at, to) } else { self.1.read_at(at, to) }
        }
        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }
    let layout = open(&full).unwrap().layout.partition(shared).0 + partition_words::SLOTS;
    let source = Later(&empty, &full, layout as u64, RefCell::default());
    let mut reader = Reader::new(source).unwrap();
    let drain = |reader: &mut Reader<Later<'_>>| {
        reader.drain(shared, 0, false, u64::MAX, |_| ()).unwrap().entries
    };
    // Its words may be those of before, for all that the first copy knows.
    assert_eq!((drain(&mut reader), drain(&mut reader)), (0, 1));
}

#[test]
fn a_reader_that_was_away_for_laps_says_what_it_has_missed() {
    let file = RingFile::on_the_heap::<Value>(&SETTINGS).unwrap();
    let (ring, mut consumer) = file.ring::<Value>().unwrap();
    let shared = ring.shared_partition();
    for number in 0..100 {
        let mut claim = ring.try_claim(1).unwrap();
        *claim.slot(0) = value(1, number);
        claim.publish();
        if number < 90 {
            consumer.drain(shared, 1, |_| ());
        }
    }
    let bytes = file.copied();
    for (dead, from, first, missed) in
        [(true, 0, 90, 90), (false, 80, 90, 10), (true, 80, 80, 0), (true, 64, 68, 4)]
    {
        let mut seen = Vec::new();
        let each = |record: crate::file::Record<'_>| seen.push(record.words[1]);
        let drained = open(&bytes).unwrap().drain(shared, from, dead, u64::MAX, each).unwrap();
        assert_eq!(seen, (first..100).collect::<Vec<_>>(), "from {from}");
        assert_eq!((drained.missed, drained.damaged), (missed, 0), "from {from}");
    }
}
