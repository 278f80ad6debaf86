//! All of it under real threads, more than processors: each value comes to whoever has to see it, once and whole, and the
//! rest is counted; while writers die with claims in hand. For Miri and ThreadSanitizer, too.

use std::collections::BTreeSet;
use std::thread::scope;

use super::super::{ReadError, Ring, Start, WriteError};
use super::*;

const NUMBERS: u64 = if cfg!(miri) { 6 } else { 500 };
const DEATHS: u64 = if cfg!(miri) { 2 } else { 50 };
const WRITERS: u64 = 3;
const LONG: Duration = Duration::from_secs(300);

/// The number of a value of a writer, in one.
fn of(writer: u64, number: u64) -> u64 {
    writer << 32 | number
}

fn write(ring: &Ring, writer: u64) {
    let mut own = ring.writer().unwrap();
    for number in 0..NUMBERS {
        let sent = of(writer, number);
        if number % 5 == 0 {
            drop(own.claim(LONG).unwrap());
        }
        if number % 2 == 0 {
            own.send(&bytes(sent), LONG).unwrap();
            continue;
        }
        let mut claim = own.claim(LONG).unwrap();
        claim.write(8, &bytes(sent)[8..]).unwrap();
        claim.write(0, &bytes(sent)[..8]).unwrap();
        assert_ne!(claim.publish(), Err(WriteError::Overrun), "nobody is passed over");
    }
}

/// All that comes, and what does not: together as many as there are.
fn read(ring: &Ring, holds: bool) -> BTreeSet<u64> {
    let reader = if holds { ring.holding_reader() } else { ring.reader(Start::Oldest) };
    let mut reader = reader.unwrap();
    let begun = reader.position();
    let mut seen = BTreeSet::new();
    let mut next = [0; WRITERS as usize];
    loop {
        let done = reader.read_all(|_, slot| {
            let found = number(slot);
            assert!(seen.insert(found), "twice");
            let next = &mut next[(found >> 32) as usize];
            assert!(found as u32 >= *next, "in the order of its writer");
            *next = found as u32 + 1;
        });
        match done {
            Ok(_) | Err(ReadError::Overtaken(_)) => {}
            Err(ReadError::Empty) => std::thread::yield_now(),
            Err(why) => break assert_eq!(why, ReadError::Ended),
        }
    }
    assert_eq!(reader.position(), ring.claimed());
    let all = seen.len() as u64 + reader.missed() + reader.without_value();
    assert_eq!(begun + all, ring.claimed());
    assert!(!holds || reader.missed() == 0);
    seen
}

fn work(ring: &Ring) -> Vec<u64> {
    let mut worker = ring.holding_worker(1, Start::Oldest).unwrap();
    let mut slot = [0; 16];
    let mut seen = Vec::new();
    loop {
        match worker.read(&mut slot, LONG) {
            Ok(_) => seen.push(number(&slot)),
            Err(why) => break assert_eq!(why, ReadError::Ended),
        }
    }
    seen
}

#[test]
fn each_value_comes_once_and_whole_while_writers_die() {
    let (ring, lives) = ring(Sizes { slots: 8, participants: 16, ..SIZES }, NEVER_PASSED);
    // Nobody is at the end before all have begun.
    let first = ring.writer().unwrap();
    let all: BTreeSet<u64> = (0..WRITERS)
        .flat_map(|writer| (0..NUMBERS).map(move |number| of(writer, number)))
        .collect();
    scope(|scope| {
        let complete = scope.spawn(|| read(&ring, true));
        let workers = [(); 2].map(|()| scope.spawn(|| work(&ring)));
        let is_there = |count| ring.participants().len() == count;
        while !is_there(4) {
            std::thread::yield_now();
        }
        let overtaken = scope.spawn(|| read(&ring, false));
        (0..WRITERS).for_each(|writer| {
            _ = scope.spawn({
                let ring = &ring;
                move || write(ring, writer)
            })
        });
        for _ in 0..DEATHS {
            let mut writer = ring.writer().unwrap();
            std::mem::forget(writer.claim(LONG).unwrap());
            writer.die(&lives);
        }
        drop(first);
        assert!(complete.join().unwrap() == all);
        let mut worked: Vec<u64> =
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        worked.sort_unstable();
        assert!(worked.iter().eq(&all), "each one by one worker");
        assert!(overtaken.join().unwrap().is_subset(&all));
    });
    assert_eq!(ring.counts().dead_claims, DEATHS);
}
