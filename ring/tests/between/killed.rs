//! `kill -9` of writers and readers at random moments, while all of them go on as fast as they can.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use spandrel_ring::between::{ReadError, Ring, Start, WriteError};

use crate::{Folder, Running, Value, options, random, until, value, whole};

/// Where the witness has what: whether all is to end, and of each writer how many numbers it has begun, and published.
const STOP: usize = 0;
const OF_WRITER: usize = 1;

/// A moment, in which nothing is lost.
const MOMENT: Duration = Duration::from_millis(50);

/// How many times: `SPANDREL_KILLS=300`.
fn kills() -> u64 {
    let asked = std::env::var("SPANDREL_KILLS").ok().and_then(|kills| kills.parse().ok());
    asked.unwrap_or(24)
}

fn words() -> usize {
    OF_WRITER + 2 * (kills() as usize + 16)
}

/// What somebody has seen of each writer: its numbers ascend.
#[derive(Default)]
struct Seen {
    next: BTreeMap<u64, u64>,
    values: u64,
    /// Each number comes, and none is left out.
    is_complete: bool,
}

impl Seen {
    fn look(&mut self, found: &Value) {
        let (writer, number) = whole(found);
        let next = self.next.entry(writer).or_default();
        let is_next = number == *next || !self.is_complete && number > *next;
        assert!(is_next, "writer {writer}: {number} after {next}");
        *next = number + 1;
        self.values += 1;
    }
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some((folder, role, number)) = Folder::given() else { return };
    let witness = folder.words(words());
    let ring = options().open(&folder.ring()).unwrap();
    let stops = || witness[STOP].load(Ordering::Acquire) > 0;
    match &*role {
        "writer" => write(&ring, number, witness, stops),
        "reader" => read(&ring, false, stops),
        "holding" => read(&ring, true, stops),
        _ => work(&ring, number.is_multiple_of(2), stops),
    }
}

fn write(ring: &Ring, writer_number: u64, witness: &[AtomicU64], stops: impl Fn() -> bool) {
    let [begun, published, ..] = &witness[OF_WRITER + 2 * writer_number as usize..] else {
        panic!("the witness has words for all");
    };
    let mut writer = ring.writer().unwrap();
    let mut number = 0;
    while !stops() {
        if number % 50 == 49 {
            drop(writer.try_claim());
        }
        begun.store(number + 1, Ordering::Release);
        let value = value(writer_number, number);
        let sent = if number.is_multiple_of(2) {
            let bytes: Vec<u8> = value.iter().flat_map(|word| word.to_ne_bytes()).collect();
            writer.send(&bytes, MOMENT)
        } else {
            in_parts(&mut writer, &value)
        };
        match sent {
            Ok(_) => {
                number += 1;
                published.store(number, Ordering::Release);
            }
            Err(WriteError::TimedOut | WriteError::Overrun) => {}
            Err(why) => panic!("{why}"),
        }
    }
}

fn in_parts(writer: &mut spandrel_ring::between::Writer, value: &Value) -> Result<u64, WriteError> {
    let mut claim = writer.claim(MOMENT)?;
    for (at, word) in value.iter().enumerate() {
        claim.write(at * 8, &word.to_ne_bytes())?;
        if at == 32 && value[1] % 32 == 1 {
            // Others run while it is in hand, and kill.
            std::thread::yield_now();
        }
    }
    claim.publish()
}

fn read(ring: &Ring, holds: bool, stops: impl Fn() -> bool) {
    let reader = if holds { ring.holding_reader() } else { ring.reader(Start::Oldest) };
    let mut reader = reader.unwrap().of::<Value>().unwrap();
    let mut seen = Seen::default();
    while !stops() {
        match reader.read_all(|_, value| seen.look(&value)) {
            Err(ReadError::Overtaken(_)) => assert!(!holds),
            Ok(_) | Err(ReadError::Empty | ReadError::Ended) => std::thread::yield_now(),
            Err(why) => panic!("{why}"),
        }
    }
}

fn work(ring: &Ring, holds: bool, stops: impl Fn() -> bool) {
    let worker =
        if holds { ring.holding_worker(0, Start::Next) } else { ring.worker(0, Start::Next) };
    let mut worker = worker.unwrap();
    let mut bytes = [0; size_of::<Value>()];
    let mut seen = Seen::default();
    while !stops() {
        match worker.read(&mut bytes, MOMENT) {
            Ok(_) => {
                let mut words = bytes.chunks(8).map(|word| word.try_into().unwrap());
                let value = std::array::from_fn(|_| u64::from_ne_bytes(words.next().unwrap()));
                seen.look(&value);
            }
            Err(ReadError::Overtaken(_) | ReadError::TimedOut | ReadError::Ended) => {}
            Err(why) => panic!("{why}"),
        }
    }
}

const ROLES: [&str; 7] = ["writer", "writer", "writer", "holding", "reader", "worker", "worker"];

/// Reads all until the ring has ended, here, where nobody is killed.
fn follow(ring: &Ring, holds: bool, begins: u64) -> Seen {
    let reader = if holds { ring.holding_reader() } else { ring.reader(Start::Next) };
    let mut reader = reader.unwrap().of::<Value>().unwrap();
    assert_eq!(reader.reader().position(), begins);
    let mut seen = Seen { is_complete: holds, ..Seen::default() };
    let mut missed = 0;
    loop {
        match reader.read(crate::LONG) {
            Ok(value) => seen.look(&value),
            Err(ReadError::Overtaken(some)) => missed += some,
            Err(ReadError::Ended) => break,
            Err(why) => panic!("{why}, at {} of {}", reader.reader().position(), ring.claimed()),
        }
    }
    let reader = reader.reader();
    assert_eq!(reader.missed(), missed);
    assert!(!holds || missed == 0);
    assert_eq!(reader.position(), ring.claimed());
    assert_eq!(begins + seen.values + missed + reader.without_value(), ring.claimed());
    seen
}

#[test]
fn kills_hang_nobody_and_each_value_is_read_once_or_counted() {
    let folder = Folder::new();
    let witness = folder.words(words());
    let ring = options().create(&folder.ring()).unwrap();
    // The ring has not ended before the first child is there, nor while all writers happen to be killed.
    let first = ring.writer().unwrap();
    let published =
        || -> u64 { witness[OF_WRITER..].chunks(2).map(|of| of[1].load(Ordering::Acquire)).sum() };
    let mut state = 0x1234_5678_9ABC_DEF1 ^ std::process::id() as u64;
    let (complete, overtaken) = std::thread::scope(|scope| {
        let complete = scope.spawn(|| follow(&ring, true, 0));
        let overtaken = scope.spawn(|| follow(&ring, false, 0));
        until("both are there", || ring.participants().len() == 3);
        let mut number = 0;
        let mut spawn = |role| {
            number += 1;
            folder.spawn("killed::child", role, number - 1)
        };
        let mut children: Vec<Running> = ROLES.map(&mut spawn).into();
        for _ in 0..kills() {
            let enough = published() + random(&mut state) % 200;
            until("something is published", || {
                let gone = children.iter_mut().position(Running::is_gone);
                assert_eq!(gone.map(|gone| ROLES[gone]), None, "it has ended by itself");
                published() >= enough
            });
            let which = (random(&mut state) % ROLES.len() as u64) as usize;
            children[which].kill();
            children[which] = spawn(ROLES[which]);
        }
        witness[STOP].store(1, Ordering::Release);
        for (child, role) in children.iter_mut().zip(ROLES) {
            let mut status = None;
            until(role, || {
                status = child.0.try_wait().unwrap();
                status.is_some()
            });
            assert!(status.unwrap().success(), "{role}");
        }
        drop(first);
        (complete.join().unwrap(), overtaken.join().unwrap())
    });
    let counts = ring.counts();
    println!("{} kills, {} values, {counts:?}", kills(), complete.values);
    for (writer, of) in witness[OF_WRITER..].chunks(2).enumerate() {
        let [begun, published] = [0, 1].map(|at| of[at].load(Ordering::Acquire));
        let seen = complete.next.get(&(writer as u64)).copied().unwrap_or(0);
        assert!((published..=begun).contains(&seen), "writer {writer}: {published} {seen} {begun}");
    }
    assert!(overtaken.values <= complete.values);
    assert!(counts.dead_claims <= counts.dead_participants && counts.dead_participants <= kills());
    // All places are free again for whoever comes.
    drop(ring.participants());
    let all: Vec<_> = (0..64).map(|_| ring.writer().unwrap()).collect();
    assert_eq!(all.len(), 64);
}
