//! What readers and workers see, and what they are told.

use std::time::Duration;

use super::super::{JoinError, Options, ReadError, Start, WriteError};
use super::*;

const NO_TIME: Duration = Duration::ZERO;

#[test]
fn a_reader_sees_what_is_published_after_it_has_joined() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    assert_eq!(writer.try_send(&bytes(1)), Ok(0));
    let mut from_now = ring.reader(Start::Next).unwrap();
    let mut from_oldest = ring.reader(Start::Oldest).unwrap();
    assert_eq!(writer.try_send(&bytes(2)), Ok(1));
    let mut slot = [0; 16];
    assert_eq!(from_now.try_read(&mut slot), Ok(1));
    assert_eq!(number(&slot), 2);
    assert_eq!(from_now.try_read(&mut slot), Err(ReadError::Empty));
    assert_eq!(from_now.read(&mut slot, NO_TIME), Err(ReadError::TimedOut));
    let mut all = Vec::new();
    assert_eq!(from_oldest.read_all(|at, slot| all.push((at, number(slot)))), Ok(2));
    assert_eq!(all, [(0, 1), (1, 2)]);
}

#[test]
fn a_reader_that_is_overtaken_is_told_how_much_is_gone() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    let mut reader = ring.reader(Start::Next).unwrap();
    for sent in 0..1_000 {
        writer.try_send(&bytes(sent)).unwrap();
    }
    assert_eq!(reader.lag(), 1_000);
    let mut slot = [0; 16];
    assert_eq!(reader.try_read(&mut slot), Err(ReadError::Overtaken(996)));
    let mut many = [0; 16 * 8];
    assert_eq!(reader.try_read_many(&mut many), Ok(4));
    assert!(many.chunks(16).zip(996..1_000).all(|(slot, sent)| number(slot) == sent));
    assert_eq!((reader.missed(), reader.without_value(), reader.position()), (996, 0, 1_000));
    drop(writer);
    assert_eq!(reader.try_read(&mut slot), Err(ReadError::Ended));
    // A writer that comes later begins again.
    ring.writer().unwrap().try_send(&bytes(7)).unwrap();
    assert_eq!(reader.try_read(&mut slot), Ok(1_000));
    assert_eq!(reader.try_read(&mut slot), Err(ReadError::Ended));
}

#[test]
fn what_is_said_behind_some_values_is_said_by_the_next_call() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    let mut reader = ring.reader(Start::Next).unwrap();
    (0..3).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    let mut seen = Vec::new();
    let mut overtake = Some(writer);
    let read = reader.read_all(|_, slot| {
        seen.push(number(slot));
        if let Some(mut writer) = overtake.take() {
            (3..10).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
        }
    });
    assert_eq!((read, &*seen), (Ok(1), [0].as_slice()));
    assert_eq!(reader.read_all(|_, _| ()), Err(ReadError::Overtaken(5)));
    assert_eq!(reader.read_all(|_, slot| seen.push(number(slot))), Ok(4));
    assert_eq!(seen, [0, 6, 7, 8, 9]);
    assert_eq!(reader.missed(), 5);
    assert_eq!(reader.read_all(|_, _| ()), Err(ReadError::Ended));
}

#[test]
fn a_ring_that_nobody_has_written_to_has_not_ended() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut reader = ring.reader(Start::Next).unwrap();
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Empty));
    drop(ring.writer().unwrap());
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Ended));
}

#[test]
fn a_reader_that_holds_holds_writers_back_until_it_has_left() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    (0..7).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    let mut reader = ring.holding_reader().unwrap();
    (7..11).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    assert_eq!(writer.try_send(&bytes(99)), Err(WriteError::Full));
    assert_eq!(writer.send(&bytes(99), NO_TIME), Err(WriteError::TimedOut));
    let mut slot = [0; 16];
    assert_eq!(reader.try_read(&mut slot), Ok(7));
    writer.try_send(&bytes(11)).unwrap();
    assert_eq!(writer.try_send(&bytes(99)), Err(WriteError::Full));
    let mut seen = Vec::new();
    assert_eq!(reader.read_all(|_, slot| seen.push(number(slot))), Ok(4));
    assert_eq!(seen, [8, 9, 10, 11]);
    (12..16).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    assert_eq!(writer.try_send(&bytes(99)), Err(WriteError::Full));
    assert_eq!(reader.skip_to_newest(), 4);
    writer.try_send(&bytes(16)).unwrap();
    drop(reader);
    (17..40).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
}

#[test]
fn a_slot_is_borrowed_until_it_is_given_back() {
    let sizes = Sizes { in_place: true, slots: 2, ..SIZES };
    let (ring, _) = ring(sizes, AT_ONCE);
    assert_eq!(ring.reader(Start::Next).err(), Some(JoinError::InPlace));
    assert_eq!(ring.worker(0, Start::Next).err(), Some(JoinError::InPlace));
    let mut writer = ring.writer().unwrap();
    let mut reader = ring.holding_reader().unwrap();
    for sent in 0..2 {
        let mut claim = writer.try_claim().unwrap();
        claim.as_mut_slice().unwrap().copy_from_slice(&bytes(sent));
        claim.publish().unwrap();
    }
    let held = reader.try_peek().unwrap();
    assert_eq!((held.sequence(), number(&held)), (0, 0));
    assert_eq!(writer.try_claim().err(), Some(WriteError::Full));
    assert_eq!(number(&held), 0);
    std::mem::forget(held);
    assert_eq!(number(&reader.peek(NO_TIME).unwrap()), 0, "it comes again");
    drop(writer.try_claim().unwrap());
    assert_eq!(number(&reader.try_peek().unwrap()), 1);
    assert_eq!(reader.peek(NO_TIME).err(), Some(ReadError::TimedOut));
    assert_eq!((reader.without_value(), reader.position()), (1, 3));
    // In others nobody may.
    let (ring, _) = super::ring(SIZES, AT_ONCE);
    assert!(ring.writer().unwrap().try_claim().unwrap().as_mut_slice().is_none());
    let mut reader = ring.reader(Start::Next).unwrap();
    assert_eq!(reader.try_peek().err(), Some(ReadError::NotHeld));
}

#[test]
fn each_value_is_read_by_one_worker_of_a_group() {
    let (ring, _) = ring(Sizes { participants: 8, ..SIZES }, AT_ONCE);
    assert_eq!(ring.worker(8, Start::Next).err(), Some(JoinError::NoGroup { groups: 8 }));
    let mut writer = ring.writer().unwrap();
    let mut first = ring.holding_worker(3, Start::Next).unwrap();
    let mut second = ring.holding_worker(3, Start::Next).unwrap();
    let mut other = ring.worker(4, Start::Next).unwrap();
    (0..4).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    assert_eq!(writer.try_send(&bytes(99)), Err(WriteError::Full));
    let mut slot = [0; 16];
    for sent in 0..3 {
        let worker = if sent == 1 { &mut second } else { &mut first };
        assert_eq!(worker.try_read(&mut slot), Ok(sent));
        assert_eq!(number(&slot), sent);
    }
    drop((first, second));
    // Nobody holds, and the group stays where it is.
    (4..6).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    let mut third = ring.worker(3, Start::Next).unwrap();
    assert_eq!(third.try_read(&mut slot), Ok(3));
    (6..10).for_each(|sent| _ = writer.try_send(&bytes(sent)).unwrap());
    assert_eq!(third.try_read(&mut slot), Err(ReadError::Overtaken(2)));
    assert_eq!((third.try_read(&mut slot), third.missed()), (Ok(6), 2));
    assert_eq!(other.try_read(&mut slot), Err(ReadError::Overtaken(6)));
    drop(writer);
    (7..10).for_each(|sent| assert_eq!(third.try_read(&mut slot), Ok(sent)));
    assert_eq!(third.try_read(&mut slot), Err(ReadError::Ended));
}

#[test]
fn claims_that_are_dropped_or_forgotten_have_no_value_and_stop_nobody() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap();
    let mut reader = ring.holding_reader().unwrap();
    drop(writer.try_claim().unwrap());
    std::mem::forget(writer.try_claim().unwrap());
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Empty));
    assert_eq!(writer.try_send(&bytes(1)), Ok(2));
    assert_eq!(reader.try_read(&mut [0; 16]), Ok(2));
    assert_eq!(reader.without_value(), 2);
    std::mem::forget(writer.try_claim().unwrap());
    drop(writer);
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Ended));
    assert_eq!((reader.without_value(), ring.counts().dead_claims), (3, 0));
}

#[test]
fn a_claim_is_written_in_parts_that_are_inside() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut reader = ring.reader(Start::Next).unwrap();
    let mut writer = ring.writer().unwrap();
    let mut claim = writer.try_claim().unwrap();
    claim.write(3, &bytes(5)[3..]).unwrap();
    claim.write(0, &bytes(5)[..3]).unwrap();
    for (at, len) in [(0, 17), (16, 1), (17, 0), (usize::MAX, 2)] {
        let refused = claim.write(at, &vec![9; len]).unwrap_err();
        assert!(matches!(refused, WriteError::WrongLength { slot: 16, .. }));
    }
    claim.write(16, &[]).unwrap();
    claim.publish().unwrap();
    let mut slot = [0; 16];
    reader.try_read(&mut slot).unwrap();
    assert_eq!(number(&slot), 5);
    let wrong = WriteError::WrongLength { given: 15, slot: 16 };
    assert_eq!(writer.try_send(&slot[..15]), Err(wrong));
    assert_eq!(writer.send(&slot[..15], NO_TIME), Err(wrong));
    let small = ReadError::TooSmall { given: 15, slot: 16 };
    assert_eq!(reader.try_read_many(&mut slot[..15]), Err(small));
    assert!(ring.writer().unwrap().of::<u64>().is_err() && reader.of::<u64>().is_err());
}

#[test]
fn values_are_slots() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writer = ring.writer().unwrap().of::<[u64; 2]>().unwrap();
    let mut reader = ring.holding_reader().unwrap().of::<[u64; 2]>().unwrap();
    (0..4).for_each(|sent| _ = writer.try_send(value(sent)).unwrap());
    assert_eq!(writer.send(value(4), NO_TIME), Err(WriteError::TimedOut));
    assert_eq!(reader.try_read(), Ok(value(0)));
    let mut two = [[0; 2]; 2];
    assert_eq!((reader.try_read_many(&mut two), two), (Ok(2), [value(1), value(2)]));
    writer.try_send(value(4)).unwrap();
    let mut seen = Vec::new();
    assert_eq!(reader.read_all(|at, value| seen.push((at, value))), Ok(2));
    assert_eq!(seen, [(3, value(3)), (4, value(4))]);
    drop(writer);
    assert_eq!(reader.read(NO_TIME), Err(ReadError::Ended));
    assert_eq!(reader.reader().position(), 5);
    let options = Options::of::<[u64; 2]>(4);
    assert_eq!((options.slot_bytes, options.slots), (16, 4));
}

#[test]
fn the_last_sequence_is_the_last() {
    let (ring, _) = ring(Sizes { slots: 2, ..SIZES }, AT_ONCE);
    let shared = &ring.shared;
    let last = shared.laps.sequences();
    // As if all the others had been used.
    for sequence in last - 4..last - 2 {
        let lap = shared.laps.of(sequence);
        let published =
            super::super::state::State::new(lap, super::super::state::Phase::Published, 0);
        shared.state(sequence).store(published.word(), crate::sync::Ordering::Relaxed);
    }
    shared.word(super::super::layout::HINT).store(last - 2, crate::sync::Ordering::Relaxed);
    let mut reader = ring.holding_reader().unwrap();
    let mut writer = ring.writer().unwrap();
    assert_eq!(writer.try_send(&bytes(1)), Ok(last - 2));
    assert_eq!(writer.try_send(&bytes(2)), Ok(last - 1));
    assert_eq!(writer.try_send(&bytes(3)), Err(WriteError::Exhausted));
    assert_eq!(ring.writer().unwrap().try_send(&bytes(3)), Err(WriteError::Exhausted));
    assert_eq!(reader.read_all(|_, _| ()), Ok(2));
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Empty));
    drop(writer);
    assert_eq!(reader.try_read(&mut [0; 16]), Err(ReadError::Ended));
}
