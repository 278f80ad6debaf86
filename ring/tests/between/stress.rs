//! Writers, readers and workers in processes of their own, none of which is killed: each value comes to everybody that has to see
//! it once, and all counts are exact.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spandrel_ring::between::{Options, ReadError, Ring, Start};

use crate::{Folder, LONG, Value, until, value, whole};

const WRITERS: u64 = 3;
/// What everybody else is. Workers are of one group.
const ROLES: [&str; 6] = ["holding", "holding", "reader", "reader", "worker", "worker"];

/// Where the witness has what: whether all are there; then of each of the others how much it has read, missed and passed that has
/// no value, and the sum of what it has read.
const GO: usize = 0;
const OF_ROLE: usize = 1;
const WORDS: usize = OF_ROLE + 4 * ROLES.len();

fn mixed(value: &Value) -> u64 {
    value.iter().fold(0, |sum, word| sum.rotate_left(7) ^ word)
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some((folder, role, number)) = Folder::given() else { return };
    let witness = folder.words(WORDS);
    let ring = Ring::open(&folder.ring()).unwrap();
    if role == "writer" {
        write(&ring, number, witness);
        return;
    }
    let said = match &*role {
        "worker" => work(&ring),
        _ => read(&ring, role == "holding"),
    };
    for (word, said) in witness[OF_ROLE + 4 * number as usize..].iter().zip(said) {
        word.store(said, Ordering::Release);
    }
}

/// As many as the word says that begins it all.
fn write(ring: &Ring, writer: u64, witness: &[AtomicU64]) {
    let mut there = ring.writer().unwrap().of::<Value>().unwrap();
    let mut values = 0;
    until("all are there", || {
        values = witness[GO].load(Ordering::Acquire);
        values > 0
    });
    for number in 0..values {
        there.send(value(writer, number), LONG).unwrap();
    }
}

/// In each writer's order, and whole; without a gap if nothing may be missed.
#[derive(Default)]
struct Seen {
    next: [u64; WRITERS as usize],
    values: u64,
    sum: u64,
}

impl Seen {
    fn look(&mut self, found: &Value, without_gap: bool) {
        let (writer, number) = whole(found);
        let next = &mut self.next[writer as usize];
        assert!(number == *next || !without_gap && number > *next, "{number} after {next}");
        *next = number + 1;
        self.values += 1;
        self.sum = self.sum.wrapping_add(mixed(found));
    }
}

fn read(ring: &Ring, holds: bool) -> [u64; 4] {
    let reader = if holds { ring.holding_reader() } else { ring.reader(Start::Next) };
    let mut reader = reader.unwrap().of::<Value>().unwrap();
    let mut seen = Seen::default();
    let mut missed = 0;
    loop {
        match reader.read(LONG) {
            Ok(value) => seen.look(&value, holds),
            Err(ReadError::Overtaken(some)) => missed += some,
            Err(ReadError::Ended) => break,
            Err(why) => panic!("{why}"),
        }
    }
    let reader = reader.reader();
    assert_eq!((reader.position(), reader.missed()), (ring.claimed(), missed));
    [seen.values, missed, reader.without_value(), seen.sum]
}

fn work(ring: &Ring) -> [u64; 4] {
    let mut worker = ring.holding_worker(0, Start::Next).unwrap();
    let mut bytes = [0; size_of::<Value>()];
    let mut seen = Seen::default();
    loop {
        match worker.read(&mut bytes, LONG) {
            Ok(_) => {
                let mut words = bytes.chunks(8).map(|word| word.try_into().unwrap());
                let value = std::array::from_fn(|_| u64::from_ne_bytes(words.next().unwrap()));
                seen.look(&value, false);
            }
            Err(ReadError::Ended) => break,
            Err(why) => panic!("{why}"),
        }
    }
    [seen.values, worker.missed(), worker.without_value(), seen.sum]
}

/// All of them over a ring of so many slots.
fn round(slots: usize, values: u64) {
    let folder = Folder::new();
    let witness = folder.words(WORDS);
    let ring = make(&folder.ring(), slots);
    // The ring has not ended before the first writer is there, nor while one of them is not yet.
    let first = ring.writer().unwrap();
    let others = ROLES.iter().enumerate();
    let mut others: Vec<_> =
        others.map(|(number, role)| folder.spawn("stress::child", role, number as u64)).collect();
    let mut writers: Vec<_> =
        (0..WRITERS).map(|number| folder.spawn("stress::child", "writer", number)).collect();
    let all = 1 + others.len() + writers.len();
    until("all are there", || ring.participants().len() == all);
    witness[GO].store(values, Ordering::Release);
    let end = |children: &mut Vec<crate::Running>| {
        for child in children {
            let status = child.0.wait().unwrap();
            assert!(status.success(), "a child has failed: {status}");
        }
    };
    end(&mut writers);
    drop(first);
    end(&mut others);

    let total = WRITERS * values;
    let sum = (0..WRITERS).flat_map(|writer| (0..values).map(move |it| mixed(&value(writer, it))));
    let sum = sum.fold(0_u64, u64::wrapping_add);
    let claimed = ring.claimed();
    let said = |number: usize| -> [u64; 4] {
        std::array::from_fn(|at| witness[OF_ROLE + 4 * number + at].load(Ordering::Acquire))
    };
    let mut by_workers = [0_u64; 4];
    for (number, role) in ROLES.iter().enumerate() {
        let [read, missed, without_value, its_sum] = said(number);
        match *role {
            "holding" => assert_eq!((read, missed, its_sum), (total, 0, sum), "{role}"),
            "reader" => assert!(read <= total),
            _ => {
                for (all, its) in by_workers.iter_mut().zip(said(number)) {
                    *all = all.wrapping_add(its);
                }
                continue;
            }
        }
        assert_eq!(read + missed + without_value, claimed, "{role}");
    }
    let [read, missed, without_value, its_sum] = by_workers;
    assert_eq!((read, missed, its_sum), (total, 0, sum), "workers");
    assert_eq!(read + without_value, claimed, "workers");
}

fn make(path: &Path, slots: usize) -> Ring {
    Options::of::<Value>(slots).create(path).unwrap()
}

#[test]
fn each_value_comes_once_to_everybody_in_a_tiny_ring() {
    round(4, 1_000);
}

#[test]
fn each_value_comes_once_to_everybody_in_a_roomy_ring() {
    round(1_024, 3_000);
}

/// Minutes of the same, for `scripts/ring_stress.sh`: `SPANDREL_STRESS_SECONDS=120`.
#[test]
fn nothing_is_lost_for_as_long_as_asked() {
    let seconds = std::env::var("SPANDREL_STRESS_SECONDS").ok();
    let seconds = Duration::from_secs(seconds.map_or(0, |it| it.parse().expect("a number")));
    let (began, mut rounds) = (Instant::now(), 0);
    while began.elapsed() < seconds {
        for slots in [4, 64, 4_096] {
            round(slots, 50_000);
            rounds += 1;
        }
    }
    println!("between processes, writers, readers and workers: {rounds} rounds");
}
