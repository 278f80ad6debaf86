//! Places of the table.

use super::super::{As, JoinError, Start};
use super::*;

#[test]
fn a_place_that_was_left_is_taken_again_and_a_full_table_refuses() {
    let (ring, _) = ring(SIZES, AT_ONCE);
    let mut writers: Vec<_> = (0..4).map(|_| ring.writer().unwrap()).collect();
    assert_eq!(ring.writer().err(), Some(JoinError::NoPlace { places: 4 }));
    assert_eq!(ring.reader(Start::Next).err(), Some(JoinError::NoPlace { places: 4 }));
    let left = writers.remove(2);
    let place = left.place();
    drop(left);
    assert_eq!(ring.reader(Start::Next).unwrap().place(), place);
    assert_eq!(ring.holding_reader().unwrap().place(), place);
    assert_eq!(ring.counts().writers, 4);
}

#[test]
fn who_is_there_is_said() {
    let (ring, lives) = ring(SIZES, AT_ONCE);
    assert!(ring.participants().is_empty());
    let mut writer = ring.writer().unwrap();
    let holding = ring.holding_reader().unwrap();
    let worker = ring.holding_worker(2, Start::Oldest).unwrap();
    writer.try_send(&bytes(1)).unwrap();
    lives.kill(worker.place());
    let there = ring.participants();
    let as_what: Vec<_> = there.iter().map(|it| (it.is, it.is_dead, it.pid)).collect();
    assert_eq!(
        as_what,
        [
            (As::Writer, false, 7),
            (As::HoldingReader { lag: 1 }, false, 7),
            (As::Worker { group: 2, holds: true }, true, 7),
        ]
    );
    drop(holding);
    assert_eq!(ring.participants().len(), 1);
    std::mem::forget(worker); // it is dead
}

/// A word that is all there is of somebody who joins.
#[test]
fn who_dies_while_he_joins_leaves_a_place() {
    let (ring, lives) = ring(SIZES, AT_ONCE);
    let mut reader = ring.reader(Start::Next).unwrap();
    drop(ring.writer().unwrap());
    let seat = super::super::participants::Seat::take(&ring.shared).unwrap();
    // Nobody knows whether it will write.
    assert_eq!(reader.try_read(&mut [0; 16]), Err(super::super::ReadError::Empty));
    lives.kill(seat.index);
    std::mem::forget(seat);
    assert_eq!(reader.try_read(&mut [0; 16]), Err(super::super::ReadError::Ended));
    let all: Vec<_> = (0..3).map(|_| ring.writer().unwrap()).collect();
    assert_eq!(ring.counts().dead_participants, 1);
    drop(all);
}
