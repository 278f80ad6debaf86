//! Loom explores these: one race each, named for it.
//!
//! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel-ring --features mapped,broadcast --release --lib between::loom_models`

#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use loom::thread;

use super::layout::Sizes;
use super::lives::pretended::Pretended;
use super::participants::Seat;
use super::patience::{Limits, Patience};
use super::reader::Reader;
use super::ring::Ring;
use super::role::Role;
use super::shared::Turn;
use super::start::Start;
use super::state::Phase;
use super::tests::{AT_ONCE, SIZES, ring, value};
use super::values::{ValueReader, ValueWriter};
use super::writer::Writer;
use super::{ReadError, WriteError};
use std::time::Duration;

const SMALL: Sizes = Sizes { slots: 2, participants: 3, ..SIZES };
/// Those who live are waited for.
const NEVER_PASSED: Limits = Limits { pass_after: Duration::MAX, ..AT_ONCE };

fn writer(ring: &Ring) -> ValueWriter<[u64; 2]> {
    ring.writer().unwrap().of().unwrap()
}

fn of(reader: Reader) -> ValueReader<[u64; 2]> {
    reader.of().unwrap()
}

/// What comes until the ring has ended, in numbers; and how much did not.
fn all(reader: &mut ValueReader<[u64; 2]>) -> (Vec<u64>, u64) {
    let mut seen = Vec::new();
    loop {
        match reader.try_read() {
            Ok(found) => {
                assert_eq!(found, value(found[0]), "torn");
                seen.push(found[0]);
            }
            Err(ReadError::Overtaken(_)) => {}
            Err(ReadError::Empty) => thread::yield_now(),
            Err(ReadError::Ended) => break,
            Err(why) => panic!("{why}"),
        }
    }
    (seen, reader.reader().missed() + reader.reader().without_value())
}

fn die_with_claim(mut writer: Writer, lives: &Pretended) {
    std::mem::forget(writer.try_claim().unwrap());
    writer.die(lives);
}

/// The third value lies where the first one was.
#[test]
fn two_writers_and_a_reader_that_may_be_overtaken() {
    loom::model(|| {
        let (ring, _) = ring(SMALL, NEVER_PASSED);
        let mut reader = of(ring.reader(Start::Next).unwrap());
        let mut writers = [writer(&ring), writer(&ring)];
        writers[0].try_send(value(0)).unwrap();
        let mut first = 0;
        let children = writers.map(|mut writer| {
            first += 1;
            thread::spawn(move || writer.try_send(value(first)).is_ok())
        });
        // While they write.
        let mut seen: Vec<_> = reader.try_read().into_iter().collect();
        let sent = children.map(|child| child.join().unwrap()).iter().filter(|is| **is).count();
        let (more, others) = all(&mut reader);
        assert!(seen.iter().all(|found| *found == value(found[0])), "torn: {seen:?}");
        seen.extend(more.into_iter().map(value));
        assert_eq!(seen.len() as u64 + others, ring.claimed(), "{seen:?}");
        assert_eq!(ring.claimed(), 1 + sent as u64);
        assert!(seen.iter().skip_while(|found| found[0] == 0).all(|found| found[0] > 0));
    });
}

/// Both of them are about to claim the same sequence.
#[test]
fn two_writers_never_have_the_same_sequence() {
    loom::model(|| {
        let (ring, _) = ring(SMALL, NEVER_PASSED);
        let mut writers = [writer(&ring), writer(&ring)];
        writers[0].try_send(value(1)).unwrap();
        let children =
            writers.map(|mut writer| thread::spawn(move || writer.try_send(value(2)).ok()));
        let sent = children.map(|child| child.join().unwrap());
        assert!(sent[0] != sent[1], "{sent:?}");
        assert_eq!(ring.claimed(), 1 + sent.iter().flatten().count() as u64);
    });
}

#[test]
fn a_reader_that_holds_joins_while_a_writer_goes_round() {
    loom::model(|| {
        let (ring, _) = ring(SMALL, NEVER_PASSED);
        let mut writer = writer(&ring);
        writer.try_send(value(0)).unwrap();
        let child =
            thread::spawn(move || (1..3).filter(|n| writer.try_send(value(*n)).is_ok()).count());
        let mut reader = of(ring.holding_reader().unwrap());
        let first = reader.reader().position();
        // It is not overtaken, whenever it has joined.
        let (seen, others) = all(&mut reader);
        let sent = 1 + child.join().unwrap() as u64;
        assert_eq!((first + seen.len() as u64, others), (sent, 0));
    });
}

/// Who waits for it and who comes round skip it, once.
#[test]
fn a_dead_claim_between_a_reader_and_a_writer() {
    loom::model(|| {
        let (ring, lives) = ring(SMALL, NEVER_PASSED);
        let mut reader = of(ring.reader(Start::Next).unwrap());
        let mut writer = writer(&ring);
        die_with_claim(ring.writer().unwrap(), &lives);
        let child =
            thread::spawn(move || (1..3).for_each(|n| _ = writer.try_send(value(n)).unwrap()));
        let (seen, others) = all(&mut reader);
        child.join().unwrap();
        assert_eq!(seen.len() as u64 + others, 3, "{seen:?}");
        assert_eq!(ring.counts().dead_claims, 1);
    });
}

/// It dies at some moment while others look at what it does.
#[test]
fn a_writer_that_dies_while_it_is_looked_at() {
    loom::model(|| {
        let (ring, lives) = ring(SMALL, NEVER_PASSED);
        let mut reader = of(ring.reader(Start::Next).unwrap());
        let mut dying = writer(&ring);
        let child = thread::spawn(move || {
            dying.try_send(value(1)).unwrap();
            die_with_claim(dying.into_inner(), &lives);
        });
        let (seen, others) = all(&mut reader);
        child.join().unwrap();
        assert_eq!((seen, others), (vec![1], 1));
    });
}

/// Its claim is skipped before somebody else has the place, whose own claim is not.
#[test]
fn a_place_of_a_dead_writer_that_two_make_free() {
    loom::model(|| {
        let sizes = Sizes { participants: 1, ..SMALL };
        let (ring, lives) = ring(sizes, NEVER_PASSED);
        die_with_claim(ring.writer().unwrap(), &lives);
        let shared = crate::sync::Arc::clone(&ring.shared);
        let child = thread::spawn(move || shared.bury(0));
        {
            let mut seat = Seat::take(&ring.shared).unwrap();
            seat.appear(Role::Writer);
            let mut turn = Turn::new(1, Patience::new(NEVER_PASSED));
            assert_eq!(ring.shared.try_claim(seat.index, &mut turn), Ok(1));
            assert!(ring.shared.end_claim(seat.index, 1, Phase::Published), "its own is skipped");
        }
        child.join().unwrap();
        assert_eq!(ring.counts().dead_claims, 1);
        assert!(ring.writer().is_ok());
    });
}

/// It comes back just when it is passed over.
#[test]
fn a_writer_that_is_passed_over_while_it_publishes() {
    loom::model(|| {
        let (ring, _) = ring(SMALL, AT_ONCE);
        let mut slow = ring.writer().unwrap();
        let mut writer = writer(&ring);
        let child = thread::spawn(move || {
            let claim = slow.try_claim().unwrap();
            claim.publish()
        });
        let sent: Vec<_> = (0..3).filter_map(|n| writer.try_send(value(n)).ok()).collect();
        let published = child.join().unwrap();
        assert!(matches!(published, Ok(_) | Err(WriteError::Overrun)), "{published:?}");
        assert!(sent.windows(2).all(|two| two[0] < two[1]), "{sent:?}");
        // Each slot is free again.
        let before = ring.claimed();
        (0..2).for_each(|n| _ = writer.try_send(value(n)).unwrap());
        assert_eq!(ring.claimed(), before + 2);
    });
}

#[test]
fn two_workers_never_read_the_same_value() {
    loom::model(|| {
        let sizes = Sizes { participants: 4, ..SMALL };
        let (ring, _) = ring(sizes, NEVER_PASSED);
        let workers = [(); 2].map(|()| ring.holding_worker(0, Start::Next).unwrap());
        let mut writer = writer(&ring);
        writer.try_send(value(0)).unwrap();
        let [mut first, mut second] = workers;
        let work = |worker: &mut super::Worker| worker.try_read(&mut [0; 16]).ok();
        let child = thread::spawn(move || [work(&mut first), work(&mut first)]);
        writer.try_send(value(1)).unwrap();
        let mut seen: Vec<_> = child.join().unwrap().into_iter().flatten().collect();
        seen.extend(std::iter::from_fn(|| work(&mut second)));
        seen.sort_unstable();
        assert_eq!(seen, [0, 1]);
    });
}

/// What the last writer has published is read before the ring is said to have ended.
#[test]
fn a_writer_that_leaves_behind_its_last_value() {
    loom::model(|| {
        let (ring, _) = ring(SMALL, NEVER_PASSED);
        let mut reader = of(ring.reader(Start::Next).unwrap());
        let mut writer = writer(&ring);
        let child = thread::spawn(move || _ = writer.try_send(value(1)).unwrap());
        assert_eq!(all(&mut reader), (vec![1], 0));
        child.join().unwrap();
    });
}
