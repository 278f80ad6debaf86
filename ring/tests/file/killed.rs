//! `kill -9` at random moments, while threads push as fast as they can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel_ring::file::{CellTable, FileSettings, OpenError, Reader, RingFile, State};
use spandrel_ring::{ClaimError, Ring, RingOptions};

use crate::witness::{self, sum, wait_for};
use crate::{Folder, Running, random};

const THREADS: usize = 4;
/// Where the witness has what: how far the program has come, and of each thread how many numbers it has begun, and
/// published.
const STEP: usize = 0;
const BEGUN: usize = 1;
const PUBLISHED: usize = BEGUN + THREADS;
const WORDS: usize = PUBLISHED + THREADS;
/// A name stands for so many numbers.
const PER_NAME: u64 = 64;
const CAPACITY: usize = 1 << 14;

type Value = [u64; 3];

fn value(thread: u64, number: u64) -> Value {
    [thread, number, thread.rotate_left(32) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)]
}

/// How many times: `SPANDREL_KILLS=500`.
fn kills() -> u64 {
    let asked = std::env::var("SPANDREL_KILLS").ok().and_then(|kills| kills.parse().ok());
    asked.unwrap_or(12)
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some(folder) = Folder::given() else { return };
    let witness = witness::words(&folder.0.join("witness"), WORDS);
    witness[STEP].store(1, Ordering::Release);
    let settings = FileSettings {
        // Two threads have a partition of their own, the others share one.
        ring: RingOptions { capacity: CAPACITY, partitions: 2 },
        tables: &[CellTable { cell: 32, cells: THREADS }],
        names_bytes: 1 << 20,
        counters: THREADS,
        ..FileSettings::default()
    };
    let file = RingFile::create::<Value>(&folder.ring(), &settings).unwrap();
    witness[STEP].store(2, Ordering::Release);
    let (ring, _consumer) = file.ring::<Value>().unwrap();
    let cells = file.cells::<[AtomicU64; 4]>(0).unwrap();
    file.set_recording();
    witness[STEP].store(3, Ordering::Release);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (file, ring, cell) = (&file, &ring, &cells[thread]);
            scope.spawn(move || record(thread, file, ring, cell, witness));
        }
    });
}

fn record(
    thread: usize,
    file: &RingFile,
    ring: &Ring<Value>,
    cell: &[AtomicU64; 4],
    witness: &[AtomicU64],
) {
    let mut lease = ring.lease();
    for number in 0.. {
        if number % PER_NAME == 0 {
            file.names().append(1, &[thread as u64, number / PER_NAME], &["a name"]).unwrap();
        }
        witness[BEGUN + thread].store(number + 1, Ordering::Release);
        // As a span in its slot: what is known of it, and its id last; the id first when it closes.
        for (at, word) in cell.iter().enumerate().skip(1) {
            word.store((number + 1) * at as u64, Ordering::Release);
        }
        cell[0].store(number + 1, Ordering::Release);
        let slots = 1 + (number % 3) as usize;
        let is_dropped = number % 50 == 49;
        if is_dropped {
            drop(lease.as_mut().map_or_else(|| ring.try_claim(slots), |it| it.try_claim(slots)));
        }
        loop {
            let claim =
                lease.as_mut().map_or_else(|| ring.try_claim(slots), |it| it.try_claim(slots));
            match claim {
                Ok(mut claim) => {
                    (0..slots).for_each(|slot| *claim.slot(slot) = value(thread as u64, number));
                    claim.publish();
                    break;
                }
                Err(ClaimError::Full | ClaimError::Contended) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        witness[PUBLISHED + thread].store(number + 1, Ordering::Release);
        file.counters()[thread].fetch_add(1, Ordering::Relaxed);
        cell[0].store(0, Ordering::Release);
    }
}

/// What a reader has found of each thread.
#[derive(Default)]
struct Seen {
    numbers: [u64; THREADS],
    next: BTreeMap<usize, u64>,
}

impl Seen {
    fn drain(&mut self, reader: &mut Reader, is_dead: bool, gives_back: bool) {
        for partition in 0..reader.partitions() {
            let next = self.next.entry(partition).or_default();
            let numbers = &mut self.numbers;
            let drained = reader.drain(partition, *next, is_dead, u64::MAX, |record| {
                let [thread, number, _] = *record.words.first_chunk().unwrap();
                let expected = &mut numbers[thread as usize];
                assert_eq!(number, *expected, "thread {thread}: each one, once, in its order");
                *expected += 1;
                assert_eq!(record.words.len() as u64, 3 * (1 + number % 3));
                assert!(record.words.chunks(3).all(|words| words == value(thread, number)));
            });
            let drained = drained.unwrap();
            assert_eq!((drained.damaged, drained.missed), (0, 0), "{drained:?}");
            assert!(drained.abandoned <= THREADS as u64);
            *next = drained.next;
            if gives_back {
                reader.give_back(partition, *next).unwrap();
            }
        }
    }
}

#[test]
fn what_was_published_before_a_kill_is_found_once_and_nothing_else() {
    let mut state = 0x1234_5678_9ABC_DEF1;
    let (mut early, mut found) = (0, 0);
    for round in 0..kills() {
        let folder = Folder::new();
        let witness = witness::words(&folder.0.join("witness"), WORDS);
        let mut child = Running(folder.command("killed::child").spawn().unwrap());
        let step = || witness[STEP].load(Ordering::Acquire);
        let published = || sum(&witness[PUBLISHED..]);
        let mut seen = Seen::default();
        let mut is_gone = || child.0.try_wait().unwrap().is_some();
        match round % 4 {
            // While it makes the file.
            0 => wait_for(step, random(&mut state) % 4, &mut is_gone),
            // With nobody who drains.
            1 => wait_for(published, random(&mut state) % (CAPACITY as u64 / 4), &mut is_gone),
            // While it is drained from here.
            _ => {
                wait_for(step, 3, &mut is_gone);
                let mut reader = Reader::open_to_drain(&folder.ring()).unwrap();
                assert!(reader.lock_to_drain().unwrap());
                let enough = random(&mut state) % 100_000;
                while published() < enough {
                    assert!(!is_gone());
                    seen.drain(&mut reader, false, true);
                }
            }
        }
        child.kill();
        let mut reader = match Reader::open_to_drain(&folder.ring()) {
            Ok(reader) => reader,
            Err(OpenError::NoRing) => {
                assert!(step() < 2, "it was there already");
                early += 1;
                continue;
            }
            Err(OpenError::Io(error)) => {
                assert!(error.kind() == std::io::ErrorKind::NotFound && step() < 2, "{error}");
                early += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(reader.liveness().unwrap().is_dead());
        assert!(reader.lock_to_drain().unwrap(), "whoever drained before is gone");
        let expected = if step() < 3 { State::Building } else { State::Recording };
        let state = reader.state().unwrap();
        assert!(state == expected || step() == 2 && state == State::Recording);
        seen.drain(&mut reader, true, false);
        check(&mut reader, witness, &seen);
        found += seen.numbers.iter().sum::<u64>();
    }
    assert!(found > 0 || kills() < 4, "{early} were killed early");
}

fn check(reader: &mut Reader, witness: &[AtomicU64], seen: &Seen) {
    let of = |first: usize, thread: usize| witness[first + thread].load(Ordering::Acquire);
    let mut names = BTreeSet::new();
    let read = reader.names(true, |name| {
        assert_eq!((name.kind, name.texts.as_slice()), (1, ["a name"].as_slice()));
        assert!(names.insert((name.numbers[0], name.numbers[1])), "a name twice");
    });
    let read = read.unwrap();
    assert_eq!(read.damaged, 0);
    assert!(read.unfinished <= THREADS as u64);
    let counters = reader.counters().unwrap();
    for (thread, &numbers) in seen.numbers.iter().enumerate() {
        let (begun, published) = (of(BEGUN, thread), of(PUBLISHED, thread));
        assert!(numbers >= published, "{numbers} of {published} of thread {thread}");
        assert!(numbers <= begun, "{numbers} of {begun} of thread {thread}");
        let named = numbers.div_ceil(PER_NAME);
        assert!((0..named).all(|name| names.contains(&(thread as u64, name))));
        assert!(counters[thread].abs_diff(published) <= 1);
    }
    let mut open = Vec::new();
    reader
        .cells(0, 0..usize::MAX, |thread, cell| open.push((thread, cell.unwrap().to_vec())))
        .unwrap();
    assert_eq!(open.len(), THREADS);
    for (thread, cell) in open.into_iter().filter(|(_, cell)| cell[0] != 0) {
        assert_eq!(cell[0], of(BEGUN, thread), "what is open is what was begun last");
        // The words of the next one may be there already, but not its id: that is taken away first.
        assert!((1..4).all(|at| cell[at as usize] == cell[0] * at), "{cell:?}");
    }
}
