//! Every topology under real threads, more of them than processors: each value comes to everybody that has to see it
//! once, whole and in its producer's order, and all counts are exact.

#![cfg(feature = "broadcast")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking, also in its helpers
#![allow(clippy::print_stdout)] // says how much was done

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

use spandrel_ring::broadcast::{
    self, Access, Builder, ClaimError, Consumer, Gated, InPlace, Multi, Overwriting, Park, Plain,
    Producer, Producers, ReadError, Readable, Reader, Ring, Single, SpinYield, Stage, WaitStrategy,
    Words, Worker, Yield,
};

/// Three words, so that a torn slot shows: producer, number, and a mix of both.
type Value = [u64; 3];

const FOREVER: Duration = Duration::MAX;
const NUMBERS: u64 = if cfg!(miri) { 12 } else { 5_000 };

fn value(producer: u64, number: u64) -> Value {
    [producer, number, producer.rotate_left(32) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)]
}

/// What one consumer has seen: whole, in order, and how many of each producer.
#[derive(Default)]
struct Seen {
    next: Vec<Option<u64>>,
    values: u64,
}

impl Seen {
    fn look(&mut self, seen: &Value, without_gap: bool) {
        let [producer, number, _] = *seen;
        assert_eq!(*seen, value(producer, number), "torn");
        self.next.resize(self.next.len().max(producer as usize + 1), None);
        let next = &mut self.next[producer as usize];
        if let Some(next) = *next {
            assert!(number == next || !without_gap && number > next, "{seen:?} after {next}");
        }
        *next = Some(number + 1);
        self.values += 1;
    }
}

/// Publishes so many values: in claims of one to three slots, some of them contiguous, some dropped, with a wait
/// or in tries.
fn produce<P: Producers, W: WaitStrategy, A: Access<Value>>(
    mut producer: Producer<Value, P, W, A>,
    number: u64,
    values: u64,
) {
    let (mut sent, mut turn) = (0, 0);
    while sent < values {
        turn += 1;
        let slots = (1 + turn % 3).min(values - sent) as usize;
        let claim = match turn % 5 {
            0 => producer.try_claim(slots),
            1 => producer.claim_contiguous(slots, FOREVER),
            _ => producer.claim(slots, FOREVER),
        };
        match claim {
            Ok(claim) if turn % 97 == 0 => drop(claim),
            Ok(mut claim) => {
                for index in 0..slots {
                    claim.set(index, value(number, sent));
                    sent += 1;
                }
                claim.publish();
            }
            Err(ClaimError::Full) => std::thread::yield_now(),
            Err(why) => panic!("{why}"),
        }
    }
}

fn consume<P: Producers, W: WaitStrategy, A: Access<Value>>(
    mut consumer: Consumer<Value, P, W, A>,
    handled: Option<&AtomicU64>,
) -> Seen {
    let mut seen = Seen::default();
    loop {
        match consumer.read(FOREVER) {
            Ok(batch) => {
                for value in &batch {
                    seen.look(value, true);
                }
                if let Some(handled) = handled {
                    // Relaxed: the gate hands it over.
                    handled.store(batch.sequences().end, Ordering::Relaxed);
                }
            }
            Err(why) => {
                assert_eq!(why, ReadError::Closed);
                return seen;
            }
        }
    }
}

fn work<P: Producers, W: WaitStrategy, A: Access<Value>>(
    mut worker: Worker<Value, P, W, A>,
) -> (Seen, Vec<Value>) {
    let (mut seen, mut all) = (Seen::default(), Vec::new());
    for most in (1..5).cycle() {
        match worker.take(most, FOREVER) {
            Ok(batch) => {
                for value in &batch {
                    seen.look(value, false);
                    all.push(*value);
                }
            }
            Err(why) => {
                assert_eq!(why, ReadError::Closed);
                break;
            }
        }
    }
    (seen, all)
}

fn spawn_producers<'scope, P, W, A>(
    scope: &'scope Scope<'scope, '_>,
    producers: Vec<Producer<Value, P, W, A>>,
) where
    P: Producers,
    W: WaitStrategy,
    A: Access<Value>,
{
    for (number, producer) in producers.into_iter().enumerate() {
        scope.spawn(move || produce(producer, number as u64, NUMBERS));
    }
}

/// Several consumers that see everything, beside two that compete.
fn everybody_sees_everything<P: Producers, W: WaitStrategy, A: Gated<Value>>(
    ring: Ring<Value, P, W, A>,
    producers: Vec<Producer<Value, P, W, A>>,
) {
    let wanted = NUMBERS * producers.len() as u64;
    scope(|scope| {
        let consumers = [(); 3].map(|()| ring.consumer().unwrap());
        let workers = [(); 2].map(|()| ring.worker().unwrap());
        let consumers = consumers.map(|consumer| scope.spawn(move || consume(consumer, None)));
        let workers = workers.map(|worker| scope.spawn(move || work(worker)));
        spawn_producers(scope, producers);
        for consumer in consumers {
            assert_eq!(consumer.join().unwrap().values, wanted);
        }
        let mut taken: Vec<_> =
            workers.into_iter().flat_map(|worker| worker.join().unwrap().1).collect();
        assert_eq!(taken.len() as u64, wanted);
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len() as u64, wanted, "some came to both workers");
    });
    assert!(ring.lags().is_empty());
}

/// Left and right, then the last, which sees nothing that one of those has not given back.
fn a_diamond<P: Producers, W: WaitStrategy, A: Gated<Value>>(
    ring: Ring<Value, P, W, A>,
    producers: Vec<Producer<Value, P, W, A>>,
    [left, right, last]: [Stage; 3],
) {
    let wanted = NUMBERS * producers.len() as u64;
    let handled = [AtomicU64::new(0), AtomicU64::new(0)];
    scope(|scope| {
        let mut last = ring.consumer_of(last).unwrap();
        let first: [ScopedJoinHandle<'_, Seen>; 2] = std::array::from_fn(|index| {
            let consumer = ring.consumer_of([left, right][index]).unwrap();
            let handled = &handled[index];
            scope.spawn(move || consume(consumer, Some(handled)))
        });
        spawn_producers(scope, producers);
        let mut seen = Seen::default();
        while let Ok(batch) = last.read(FOREVER) {
            // What comes behind the last value was passed and not handled.
            let end = batch.with_sequences().next_back().unwrap().0 + 1;
            // Relaxed: the gates hand it over.
            assert!(handled.iter().all(|handled| handled.load(Ordering::Relaxed) >= end));
            batch.iter().for_each(|value| seen.look(value, true));
        }
        assert_eq!(seen.values, wanted);
        for consumer in first {
            assert_eq!(consumer.join().unwrap().values, wanted);
        }
    });
}

/// Each stage sees what the one before has given back, and no more.
fn a_row<P: Producers, W: WaitStrategy, A: Gated<Value>>(
    ring: Ring<Value, P, W, A>,
    producers: Vec<Producer<Value, P, W, A>>,
    stages: [Stage; 3],
) {
    let wanted = NUMBERS * producers.len() as u64;
    // How far each has come.
    let handled = [(); 3].map(|()| AtomicU64::new(0));
    scope(|scope| {
        let consumers = stages.map(|stage| ring.consumer_of(stage).unwrap());
        let mut index = 0;
        let threads = consumers.map(|mut consumer| {
            let (own, before) = (&handled[index], index.checked_sub(1).map(|at| &handled[at]));
            index += 1;
            scope.spawn(move || {
                let mut seen = Seen::default();
                while let Ok(batch) = consumer.read(FOREVER) {
                    // What comes behind the last value was passed and not handled.
                    let end = batch.with_sequences().next_back().unwrap().0 + 1;
                    // Relaxed, here and below: the gates hand it over.
                    assert!(before.is_none_or(|it| it.load(Ordering::Relaxed) >= end));
                    batch.iter().for_each(|value| seen.look(value, true));
                    own.store(batch.sequences().end, Ordering::Relaxed);
                }
                seen.values
            })
        });
        spawn_producers(scope, producers);
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [wanted; 3]);
    });
}

/// Consumers and workers come, read some and go, some by a panic; one stays and sees everything.
fn some_come_and_go<P: Producers, W: WaitStrategy, A: Gated<Value>>(
    ring: Ring<Value, P, W, A>,
    producers: Vec<Producer<Value, P, W, A>>,
) {
    let wanted = NUMBERS * producers.len() as u64;
    scope(|scope| {
        let stays = ring.consumer().unwrap();
        let stays = scope.spawn(move || consume(stays, None));
        let guests = [0, 1].map(|number| {
            let ring = ring.clone();
            scope.spawn(move || {
                let mut turn = number;
                loop {
                    turn += 1;
                    let (mut seen, mut batches) = (Seen::default(), 0);
                    if turn % 2 == 0 {
                        let mut worker = ring.worker().unwrap();
                        while batches < 3 {
                            let Ok(batch) = worker.take(2, FOREVER) else { break };
                            batch.iter().for_each(|value| seen.look(value, false));
                            batches += 1;
                        }
                    } else {
                        let mut consumer = ring.consumer().unwrap();
                        while batches < 3 {
                            let Ok(batch) = consumer.read(FOREVER) else { break };
                            batch.iter().for_each(|value| seen.look(value, true));
                            batches += 1;
                        }
                        let dies = move || {
                            let batch = consumer.try_read();
                            // Not `panic!`, which would print it.
                            std::panic::resume_unwind(Box::new(batch.is_ok()));
                        };
                        if turn % 4 == 1 {
                            let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(dies));
                            assert!(died.is_err());
                        }
                    }
                    if ring.is_closed() {
                        break;
                    }
                }
            })
        });
        spawn_producers(scope, producers);
        assert_eq!(stays.join().unwrap().values, wanted);
        guests.into_iter().for_each(|guest| guest.join().unwrap());
    });
    assert!(ring.lags().is_empty());
}

/// Reads and misses everything; whatever is read is whole.
fn read_on<T: Plain, P: Producers, W: WaitStrategy, A: Words<T>>(
    mut reader: Reader<T, P, W, A>,
    mut look: impl FnMut(T, u64),
) -> (u64, u64) {
    let (mut read, mut missed) = (0, 0);
    loop {
        match reader.read(FOREVER) {
            Ok(value) => {
                look(value, missed);
                read += 1;
            }
            Err(ReadError::Overtaken(slots)) => missed += slots,
            Err(why) => {
                assert_eq!((why, reader.missed()), (ReadError::Closed, missed));
                return (read, missed + reader.without_value());
            }
        }
    }
}

/// Two readers, one of which dawdles, beside whoever else is there.
fn readers_are_told<P: Producers, W: WaitStrategy, A: Words<Value>>(
    ring: &Ring<Value, P, W, A>,
    producers: Vec<Producer<Value, P, W, A>>,
) {
    // It never reads, so that at the end it is behind by everything.
    let idle = ring.reader();
    let totals = scope(|scope| {
        let readers = [false, true].map(|dawdles| {
            let reader = ring.reader();
            scope.spawn(move || {
                let mut seen = Seen::default();
                read_on(reader, |value, _| {
                    seen.look(&value, false);
                    if dawdles && seen.values % 64 == 0 {
                        std::thread::yield_now();
                    }
                })
            })
        });
        spawn_producers(scope, producers);
        readers.map(|reader| reader.join().unwrap())
    });
    for (read, missed) in totals {
        assert_eq!(read + missed, idle.lag());
    }
}

fn builder(capacity: usize) -> Builder<Value> {
    broadcast::ring(capacity).claim_max(3).consumers_max(6)
}

/// A ring, and its producers.
type Made<P, W, A> = (Ring<Value, P, W, A>, Vec<Producer<Value, P, W, A>>);

fn several<W: WaitStrategy, A: Access<Value>>(
    builder: Builder<Value, Multi, W, A>,
    producers: usize,
) -> Made<Multi, W, A> {
    let (producer, ring) = builder.build().unwrap();
    (ring, vec![producer; producers])
}

fn one<W: WaitStrategy, A: Access<Value>>(
    builder: Builder<Value, Single, W, A>,
) -> Made<Single, W, A> {
    let (producer, ring) = builder.build().unwrap();
    (ring, vec![producer])
}

/// A topology: a name, and one round of it in a ring of so many slots.
type Topology = (&'static str, fn(usize));

const TOPOLOGIES: [Topology; 12] = [
    ("one producer, consumers and workers", |capacity| {
        let (ring, producers) = one(builder(capacity).single().wait(Yield));
        everybody_sees_everything(ring, producers);
    }),
    ("three producers, consumers and workers", |capacity| {
        let (ring, producers) = several(builder(capacity).wait(SpinYield), 3);
        everybody_sees_everything(ring, producers);
    }),
    ("two producers, consumers and workers that park", |capacity| {
        let (ring, producers) = several(builder(capacity).wait(Park::default()).readable(), 2);
        everybody_sees_everything(ring, producers);
    }),
    ("one producer, a diamond", |capacity| {
        let mut stages = builder(capacity).single().wait(Park::default());
        let named = diamond(&mut stages);
        let (ring, producers) = one(stages);
        a_diamond(ring, producers, named);
    }),
    ("two producers, a diamond", |capacity| {
        let mut stages = builder(capacity);
        let named = diamond(&mut stages);
        let (ring, producers) = several(stages, 2);
        a_diamond(ring, producers, named);
    }),
    ("one producer, stages in a row", |capacity| {
        let mut stages = builder(capacity).single();
        let named = row(&mut stages);
        let (ring, producers) = one(stages);
        a_row(ring, producers, named);
    }),
    ("three producers, stages in a row that hold", |capacity| {
        let mut stages = builder(capacity);
        let first = stages.held_stage("first", &[]);
        let second = stages.held_stage("second", &[first]);
        let third = stages.held_stage("third", &[second]);
        let (ring, producers) = several(stages, 3);
        a_row(ring, producers, [first, second, third]);
    }),
    ("one producer, some join and leave", |capacity| {
        let (ring, producers) = one(builder(capacity).single());
        some_come_and_go::<_, _, InPlace>(ring, producers);
    }),
    ("two producers, some join and leave", |capacity| {
        let (ring, producers) = several(builder(capacity).wait(Park::default()), 2);
        some_come_and_go(ring, producers);
    }),
    ("one producer, readers are overtaken", |capacity| {
        let (ring, producers) = one(builder(capacity).single().overwriting());
        readers_are_told::<_, _, Overwriting>(&ring, producers);
    }),
    ("two producers, readers are overtaken", |capacity| {
        let (ring, producers) = several(builder(capacity).overwriting(), 2);
        readers_are_told(&ring, producers);
    }),
    ("two producers, readers beside a consumer", |capacity| {
        let (ring, producers) = several(builder(capacity).readable(), 2);
        let stays = ring.consumer().unwrap();
        scope(|scope| {
            scope.spawn(move || consume(stays, None));
            readers_are_told::<_, _, Readable>(&ring, producers);
        });
    }),
];

fn diamond<P, W, A>(builder: &mut Builder<Value, P, W, A>) -> [Stage; 3] {
    let (left, right) = (builder.stage("left", &[]), builder.stage("right", &[]));
    [left, right, builder.stage("last", &[left, right])]
}

fn row<P, W, A>(builder: &mut Builder<Value, P, W, A>) -> [Stage; 3] {
    let first = builder.stage("first", &[]);
    let second = builder.stage("second", &[first]);
    [first, second, builder.stage("third", &[second])]
}

#[test]
fn nothing_is_lost_torn_or_reordered_in_a_tiny_ring() {
    TOPOLOGIES.iter().for_each(|(_, round)| round(8));
}

#[test]
fn nothing_is_lost_torn_or_reordered_in_a_roomy_ring() {
    TOPOLOGIES.iter().for_each(|(_, round)| round(1024));
}

/// One producer that drops no claim: what is read and what is missed is what was published, to the last slot.
fn misses_are_exact(messages: u64) {
    let builder = broadcast::ring::<[u64; 2]>(256).single().overwriting();
    let (mut producer, ring) = builder.build().unwrap();
    scope(|scope| {
        let readers = [ring.reader(), ring.reader()].map(|reader| {
            scope.spawn(move || {
                let mut read = 0;
                read_on(reader, |[number, mixed], missed| {
                    assert_eq!((number, mixed), (read + missed, number ^ u64::MAX));
                    read += 1;
                })
            })
        });
        for number in 0..messages {
            producer.try_send([number, number ^ u64::MAX]).unwrap();
        }
        drop(producer);
        for reader in readers {
            let (read, missed) = reader.join().unwrap();
            assert_eq!(read + missed, messages);
            println!("broadcast, one producer: {read} read and {missed} missed of {messages}");
        }
    });
    assert_eq!(ring.counts().overwritten, messages - 256);
}

/// The same of several producers, of which none drops a claim.
fn misses_are_exact_with_several_producers(messages: u64) {
    const PRODUCERS: u64 = 3;
    let (producer, ring) = broadcast::ring::<Value>(256).overwriting().build().unwrap();
    let each = messages / PRODUCERS;
    scope(|scope| {
        let readers = [ring.reader(), ring.reader()].map(|reader| {
            scope.spawn(move || {
                let mut seen = Seen::default();
                read_on(reader, |value, _| seen.look(&value, false))
            })
        });
        for number in 0..PRODUCERS {
            let mut producer = producer.clone();
            scope.spawn(move || {
                for sent in 0..each {
                    // Full: another one has been writing for a whole lap where this would.
                    while let Err(why) = producer.try_send(value(number, sent)) {
                        assert_eq!(why, ClaimError::Full);
                        std::thread::yield_now();
                    }
                }
            });
        }
        drop(producer);
        for reader in readers {
            let (read, missed) = reader.join().unwrap();
            let all = PRODUCERS * each;
            assert_eq!(read + missed, all);
            println!("broadcast, {PRODUCERS} producers: {read} read and {missed} missed of {all}");
        }
    });
    assert_eq!(ring.counts().overwritten, PRODUCERS * each - 256);
}

/// A number of the environment, for `scripts/ring_stress.sh`.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}

/// `SPANDREL_STRESS_MESSAGES=1000000000` for as many; 1,000 or more, so that the ring is overwritten.
fn messages(otherwise: u64) -> u64 {
    asked("SPANDREL_STRESS_MESSAGES").unwrap_or(if cfg!(miri) { 1_000 } else { otherwise })
}

#[test]
fn what_a_reader_missed_is_exact() {
    misses_are_exact(messages(20_000_000));
}

#[test]
fn what_a_reader_missed_is_exact_with_several_producers() {
    misses_are_exact_with_several_producers(messages(600_000));
}

/// Each topology for `SPANDREL_STRESS_SECONDS`, for `scripts/ring_stress.sh`.
#[test]
fn nothing_is_lost_for_as_long_as_asked() {
    let seconds = Duration::from_secs(asked("SPANDREL_STRESS_SECONDS").unwrap_or(0));
    for (name, round) in TOPOLOGIES {
        let began = Instant::now();
        let mut rounds = 0;
        while began.elapsed() < seconds {
            for capacity in [8, 64, 16_384] {
                round(capacity);
                rounds += 1;
            }
        }
        println!("broadcast, {name}: {rounds} rounds");
    }
}
