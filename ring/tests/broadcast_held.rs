//! Stages that hold producers back while nobody is there.

#![cfg(feature = "broadcast")]
#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use spandrel_ring::broadcast::{
    self, BuildError, Builder, ClaimError, Park, Producers, ReadError, Ring, Stage, WaitStrategy,
};

const AT_ONCE: Duration = Duration::ZERO;
const FOREVER: Duration = Duration::MAX;

/// Sends until the ring is full, and says the last value.
fn fill<P: Producers, W: WaitStrategy>(
    producer: &mut broadcast::Producer<u64, P, W>,
    mut value: u64,
) -> u64 {
    while producer.try_send(value).is_ok() {
        value += 1;
    }
    assert_eq!(producer.try_send(value), Err(ClaimError::Full));
    value
}

fn seen<P: Producers>(ring: &Ring<u64, P>, stage: Stage, most: usize) -> Vec<u64> {
    let mut consumer = ring.consumer_of(stage).unwrap();
    consumer.try_read_many(most).unwrap().iter().copied().collect()
}

fn holds_from_the_first_slot<P: Producers>(mut builder: Builder<u64, P>) {
    let stage = builder.held_stage("archive", &[]);
    let (mut producer, ring) = builder.build().unwrap();
    assert_eq!(fill(&mut producer, 0), 8);
    assert_eq!(producer.send(8, AT_ONCE), Err(ClaimError::TimedOut));
    let lags = ring.lags();
    assert_eq!((lags.len(), lags[0].place, lags[0].slots, lags[0].per_cent), (1, None, 8, 100.0));
    // Each one goes on where the one before has stopped.
    assert_eq!(seen(&ring, stage, 3), [0, 1, 2]);
    assert_eq!(ring.lags()[0].slots, 5);
    assert_eq!(fill(&mut producer, 8), 11);
    assert_eq!(seen(&ring, stage, 1), [3]);
    let died = catch_unwind(AssertUnwindSafe(|| {
        let mut consumer = ring.consumer_of(stage).unwrap();
        let batch = consumer.try_read_many(2).unwrap();
        // Not `panic!`, which would print it.
        std::panic::resume_unwind(Box::new(batch.slots()));
    }));
    assert_eq!(died.unwrap_err().downcast_ref(), Some(&2_usize));
    // One that only looks in changes nothing.
    drop(ring.consumer_of(stage).unwrap());
    drop(ring.worker_of(stage).unwrap());
    let mut worker = ring.worker_of(stage).unwrap();
    assert_eq!(worker.try_take(1).unwrap().iter().copied().collect::<Vec<_>>(), [6]);
    assert_eq!(
        ring.lags().iter().map(|lag| (lag.place, lag.slots)).collect::<Vec<_>>(),
        [(Some(0), 4)]
    );
    drop(worker);
    assert_eq!((ring.lags()[0].place, ring.lags()[0].slots), (None, 4));
    drop(producer);
    let mut consumer = ring.consumer_of(stage).unwrap();
    assert_eq!(consumer.read(FOREVER).unwrap().iter().copied().collect::<Vec<_>>(), [7, 8, 9, 10]);
    assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
}

#[test]
fn an_empty_stage_that_is_held_holds_from_the_first_slot_on() {
    holds_from_the_first_slot(broadcast::ring(8));
    holds_from_the_first_slot(broadcast::ring(8).single());
}

/// The one that was farther has seen it: what nobody has seen is held, and no more.
#[test]
fn a_held_stage_holds_what_nobody_has_seen() {
    let mut builder = broadcast::ring::<u64>(8);
    let stage = builder.held_stage("archive", &[]);
    let (mut producer, ring) = builder.build().unwrap();
    fill(&mut producer, 0);
    let (mut slow, mut fast) = (ring.consumer_of(stage).unwrap(), ring.consumer_of(stage).unwrap());
    slow.try_read_many(2).unwrap().release();
    fast.try_read_many(5).unwrap().release();
    drop(fast);
    assert_eq!(
        ring.lags().iter().map(|lag| (lag.place, lag.slots)).collect::<Vec<_>>(),
        [(Some(0), 6)]
    );
    assert_eq!(fill(&mut producer, 8), 10);
    drop(slow);
    assert_eq!((ring.lags()[0].place, ring.lags()[0].slots), (None, 5));
    assert_eq!(fill(&mut producer, 10), 13);
    // Who joins beside somebody has what is held, too.
    let _one = ring.consumer_of(stage).unwrap();
    assert_eq!(seen(&ring, stage, 9), [5, 6, 7, 8, 9, 10, 11, 12]);
}

/// A stage behind others that is held, and one that is not.
#[test]
fn a_held_stage_holds_those_behind_it() {
    let mut builder = broadcast::ring::<u64>(4).single();
    let open = builder.stage("open", &[]);
    let journal = builder.held_stage("journal", &[open]);
    let answer = builder.stage("answer", &[journal]);
    let (mut producer, ring) = builder.build().unwrap();
    let mut answers = ring.consumer_of(answer).unwrap();
    let mut opens = ring.worker_of(open).unwrap();
    fill(&mut producer, 0);
    assert_eq!(opens.try_take(9).unwrap().slots(), 4);
    assert_eq!(answers.try_read().err(), Some(ReadError::Empty));
    assert_eq!(seen(&ring, journal, 3), [0, 1, 2]);
    assert_eq!(answers.try_read().unwrap().iter().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(fill(&mut producer, 4), 7);
    // Nobody opens, and the stage is not held: what comes is not for it.
    drop(opens);
    assert_eq!(seen(&ring, journal, 9), [3, 4, 5, 6]);
    assert_eq!(answers.try_read().unwrap().slots(), 4);
    let mut opens = ring.worker_of(open).unwrap();
    assert_eq!(opens.try_take(1).err(), Some(ReadError::Empty));
}

#[test]
fn who_holds_is_woken_for() {
    let mut builder = broadcast::ring::<u64>(2).single().wait(Park::default());
    let stage = builder.held_stage("archive", &[]);
    let (mut producer, ring) = builder.build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || (0..100).for_each(|value| _ = producer.send(value, FOREVER).unwrap()));
        let mut next = 0;
        while next < 100 {
            // Somebody else each time: the last of them sees no `Closed`.
            let mut consumer = ring.consumer_of(stage).unwrap();
            consumer.read_many(1, FOREVER).unwrap().iter().for_each(|value| {
                assert_eq!(*value, next);
                next += 1;
            });
        }
    });
}

#[test]
fn nobody_can_hold_a_ring_that_overwrites() {
    let mut builder = broadcast::ring::<u64>(4).overwriting();
    builder.held_stage("archive", &[]);
    assert_eq!(builder.build().unwrap_err(), BuildError::HeldAndOverwritten("archive".into()));
}

/// Guests of all kinds come, take some and go, some by a panic, at times nobody is there: each value is seen by
/// somebody, by one only of those that compete.
fn storm<P: Producers, W: WaitStrategy>(
    mut builder: Builder<u64, P, W>,
    producers: impl FnOnce(broadcast::Producer<u64, P, W>) -> Vec<broadcast::Producer<u64, P, W>>,
    competes: bool,
) {
    const VALUES: u64 = if cfg!(miri) { 6 } else { 500 };
    let stage = builder.held_stage("guests", &[]);
    let (producer, ring) = builder.consumers_max(4).build().unwrap();
    let producers = producers(producer);
    let all = VALUES * producers.len() as u64;
    let mut times = BTreeMap::new();
    std::thread::scope(|scope| {
        for (number, mut producer) in producers.into_iter().enumerate() {
            scope.spawn(move || {
                for value in 0..VALUES {
                    producer.send(number as u64 * VALUES + value, FOREVER).unwrap();
                }
            });
        }
        let guests = [1, 2, 3].map(|most| {
            let ring = ring.clone();
            scope.spawn(move || {
                let (mut seen, mut turn) = (Vec::new(), 0);
                loop {
                    turn += 1;
                    let visit = || -> Result<(), ReadError> {
                        if competes {
                            let mut worker = ring.worker_of(stage).unwrap();
                            let batch = worker.take(most, FOREVER)?;
                            seen.extend(batch.iter().copied());
                            if turn % 7 == 0 {
                                std::panic::resume_unwind(Box::new(()));
                            }
                        } else {
                            let mut consumer = ring.consumer_of(stage).unwrap();
                            let batch = consumer.read_many(most, FOREVER)?;
                            seen.extend(batch.iter().copied());
                            if turn % 7 == 0 {
                                std::panic::resume_unwind(Box::new(()));
                            }
                        }
                        Ok(())
                    };
                    if let Ok(Err(why)) = catch_unwind(AssertUnwindSafe(visit)) {
                        assert_eq!(why, ReadError::Closed);
                        return seen;
                    }
                }
            })
        });
        for guest in guests {
            for value in guest.join().unwrap() {
                *times.entry(value).or_insert(0_u64) += 1;
            }
        }
    });
    assert_eq!(times.len() as u64, all, "what nobody has seen is lost");
    if competes {
        assert!(times.values().all(|times| *times == 1), "some came to two of them");
    }
    assert_eq!(
        ring.lags().iter().map(|lag| (lag.place, lag.slots)).collect::<Vec<_>>(),
        [(None, 0)]
    );
}

#[test]
fn guests_of_a_held_stage_miss_nothing() {
    for competes in [false, true] {
        for capacity in if cfg!(miri) { &[2][..] } else { &[1, 2, 64] } {
            let capacity = *capacity;
            storm(broadcast::ring(capacity).single(), |producer| vec![producer], competes);
            storm(broadcast::ring(capacity), |producer| vec![producer; 2], competes);
            let builder = broadcast::ring(capacity).wait(Park::default());
            storm(builder, |producer| vec![producer; 2], competes);
        }
    }
}
