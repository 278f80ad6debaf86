//! Broadcast rings in the hands of those who forget, panic, come late and ask for odd sizes.

#![cfg(feature = "broadcast")]
#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use spandrel_ring::broadcast::{
    self, Access, BuildError, Builder, ClaimError, Consumer, Gated, JoinError, Park, Producers,
    ReadError, Sleep, SpinYield, WaitStrategy, Yield,
};

const AT_ONCE: Duration = Duration::ZERO;
const FOREVER: Duration = Duration::MAX;

/// What is there, without waiting.
fn some<P: Producers, W: WaitStrategy, A: Access<u64>>(
    consumer: &mut Consumer<u64, P, W, A>,
) -> Vec<u64> {
    consumer.try_read().map(|batch| batch.iter().copied().collect()).unwrap_or_default()
}

/// A claim that is forgotten is given up by its producer's next claim.
fn a_claim_is_forgotten<A: Gated<u64>>(builder: Builder<u64, broadcast::Multi, Park, A>) {
    let (mut producer, ring) = builder.build().unwrap();
    let mut other = producer.clone();
    let mut consumer = ring.consumer().unwrap();
    let mut worker = ring.worker().unwrap();
    producer.try_send(1).unwrap();
    forget(producer.try_claim(2).unwrap());
    other.try_send(2).unwrap();
    assert_eq!(some(&mut consumer), [1]);
    assert_eq!(worker.try_take(9).unwrap().slots(), 1);
    assert_eq!(consumer.read(AT_ONCE).err(), Some(ReadError::TimedOut));
    assert_eq!((ring.pending(), ring.counts().forgotten), (Some(1..4), 0));
    // The other one's claims say nothing of it.
    other.try_send(3).unwrap();
    assert_eq!((ring.pending(), ring.counts().forgotten), (Some(1..5), 0));
    producer.try_send(4).unwrap();
    assert_eq!((ring.pending(), ring.counts().forgotten), (None, 2));
    assert_eq!(some(&mut consumer), [2, 3, 4]);
    assert_eq!(worker.try_take(9).unwrap().iter().copied().collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(ring.counts().abandoned, 0);
}

#[test]
fn a_claim_that_is_forgotten_is_given_up_by_the_next_one() {
    a_claim_is_forgotten(broadcast::ring(8).wait(Park::default()));
    a_claim_is_forgotten(broadcast::ring(8).wait(Park::default()).readable().claim_max(2));
}

/// So it is by a claim that waits, that finds the ring full, or that can never be.
#[test]
fn a_claim_that_is_forgotten_is_given_up_by_any_claim() {
    let (mut producer, ring) = broadcast::ring::<u64>(2).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    forget(producer.try_claim(1).unwrap());
    assert!(matches!(producer.try_claim(3), Err(ClaimError::BadLength { .. })));
    assert_eq!((ring.counts().forgotten, some(&mut consumer)), (1, vec![]));
    forget(producer.claim_contiguous(1, AT_ONCE).unwrap());
    assert_eq!(producer.try_claim(2).err(), Some(ClaimError::Full));
    assert_eq!((ring.counts().forgotten, some(&mut consumer)), (2, vec![]));
    forget(producer.try_claim(2).unwrap());
    // Full of what nobody will publish: given up by the claim that needs the room, whose wait the consumer ends.
    std::thread::scope(|scope| {
        scope.spawn(move || producer.send(7, FOREVER).unwrap());
        assert_eq!(consumer.read(FOREVER).unwrap().iter().copied().collect::<Vec<_>>(), [7]);
    });
    assert_eq!(ring.counts().forgotten, 4);
}

#[test]
fn a_claim_that_is_forgotten_is_given_up_with_its_producer() {
    let (mut producer, ring) = broadcast::ring::<u64>(4).wait(Park::default()).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut other = producer.clone();
    forget(producer.try_claim(1).unwrap());
    other.try_send(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(producer));
        // There is no other end to this wait.
        assert_eq!(consumer.read(FOREVER).unwrap().iter().copied().collect::<Vec<_>>(), [1]);
    });
    assert_eq!(ring.counts().forgotten, 1);
    forget(other.try_claim(1).unwrap());
    drop(other);
    assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
}

/// One producer's next claim begins where the forgotten one did.
#[test]
fn one_producer_forgets_a_claim() {
    let (mut producer, ring) = broadcast::ring::<u64>(4).single().build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    for value in 0..9 {
        forget(producer.try_claim(4).unwrap());
        assert_eq!(producer.try_send(value), Ok(value));
        assert_eq!((some(&mut consumer), ring.pending()), (vec![value], None));
    }
    assert_eq!((ring.counts().forgotten, ring.counts().abandoned), (0, 0));
}

/// A producer that does not come back to the claim that it has: nobody sees what is behind, all waits have their time-outs, and there is
/// an end.
#[test]
fn a_producer_that_never_comes_back_is_found_and_the_ring_can_be_ended() {
    let mut builder = broadcast::ring::<u64>(4).wait(Park::default());
    let first = builder.stage("first", &[]);
    let last = builder.stage("last", &[first]);
    let (mut producer, ring) = builder.build().unwrap();
    let mut other = producer.clone();
    let mut consumer = ring.consumer_of(first).unwrap();
    let mut worker = ring.worker_of(last).unwrap();
    other.try_send(1).unwrap();
    forget(producer.try_claim(1).unwrap());
    for value in 2..4 {
        other.try_send(value).unwrap();
    }
    assert_eq!(ring.pending(), Some(1..4));
    assert_eq!(other.send(4, AT_ONCE), Err(ClaimError::TimedOut));
    ring.close();
    assert_eq!(other.send(4, FOREVER), Err(ClaimError::Closed));
    // What is before it is read, also by the stage behind; then nothing is said of an end, as that claim may still come.
    assert_eq!(some(&mut consumer), [1]);
    assert_eq!(consumer.read(AT_ONCE).err(), Some(ReadError::TimedOut));
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| consumer.read(FOREVER).err());
        let takes = scope.spawn(|| {
            assert_eq!(worker.take(9, FOREVER).unwrap().slots(), 1);
            worker.take(9, FOREVER).err()
        });
        ring.close_now();
        assert_eq!(reads.join().unwrap(), Some(ReadError::Closed));
        assert_eq!(takes.join().unwrap(), Some(ReadError::Closed));
    });
    // What nobody has seen is known; until the producer is there no more.
    assert_eq!(ring.pending(), Some(1..4));
    drop(producer);
    assert_eq!((ring.pending(), some(&mut consumer)), (None, vec![2, 3]));
}

/// What was in hand when the ring was ended is seen after all, if it is published.
#[test]
fn a_claim_that_comes_after_the_end_is_seen_by_who_asks_again() {
    let (mut producer, ring) = broadcast::ring::<u64>(4).readable().build().unwrap();
    let mut other = producer.clone();
    let mut consumer = ring.consumer().unwrap();
    let mut reader = ring.reader();
    let mut claim = producer.try_claim(1).unwrap();
    other.try_send(2).unwrap();
    ring.close_now();
    assert!(ring.is_closed());
    assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
    assert_eq!(reader.read(FOREVER), Err(ReadError::Closed));
    claim.set(0, 1);
    claim.publish();
    assert_eq!((some(&mut consumer), ring.pending()), (vec![1, 2], None));
    assert_eq!([reader.try_read(), reader.try_read()], [Ok(1), Ok(2)]);
    assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
    assert_eq!(reader.read(FOREVER), Err(ReadError::Closed));
}

/// Somebody else closes while the only producer has a claim in hand: it is published, and `Closed` was not the last word.
#[test]
fn a_close_beside_one_producers_claim_is_a_request() {
    let (mut producer, ring) = broadcast::ring::<u64>(4).single().readable().build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut worker = ring.worker().unwrap();
    let mut reader = ring.reader();
    let mut claim = producer.try_claim(1).unwrap();
    ring.close();
    assert!(ring.is_closed());
    assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
    assert_eq!(worker.take(1, FOREVER).err(), Some(ReadError::Closed));
    assert_eq!(reader.read(FOREVER), Err(ReadError::Closed));
    claim.set(0, 1);
    claim.publish();
    assert_eq!(ring.lags().iter().map(|lag| lag.slots).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(some(&mut consumer), [1]);
    assert_eq!(worker.take(1, FOREVER).unwrap().iter().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(reader.read(FOREVER), Ok(1));
    // It was the last one.
    assert_eq!(producer.try_send(2), Err(ClaimError::Closed));
    assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
}

/// With several producers a claim in hand is waited for.
#[test]
fn a_close_beside_one_of_several_claims_waits_for_it() {
    let (mut producer, ring) = broadcast::ring::<u64>(4).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut worker = ring.worker().unwrap();
    let mut claim = producer.try_claim(1).unwrap();
    ring.close();
    assert!(ring.is_closed());
    assert_eq!(consumer.read(AT_ONCE).err(), Some(ReadError::TimedOut));
    assert_eq!(worker.try_take(1).err(), Some(ReadError::Empty));
    claim.set(0, 1);
    claim.publish();
    assert_eq!((some(&mut consumer), worker.try_take(9).unwrap().slots()), (vec![1], 1));
    assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
    assert_eq!(worker.take(1, FOREVER).err(), Some(ReadError::Closed));
}

/// Forgotten, a worker's batch counts as handled when the worker looks again, also if there is nothing else.
#[test]
fn a_worker_forgets_a_batch() {
    let (mut producer, ring) = broadcast::ring::<u64>(2).build().unwrap();
    let mut worker = ring.worker().unwrap();
    for turn in 0..3 {
        producer.try_send(turn).unwrap();
        producer.try_send(turn).unwrap();
        forget(worker.try_take(2).unwrap());
        assert_eq!(producer.try_send(9), Err(ClaimError::Full));
        assert_eq!(worker.try_take(1).err(), Some(ReadError::Empty));
        assert_eq!(ring.lags()[0].slots, 0);
    }
    producer.try_send(3).unwrap();
    forget(worker.try_take(2).unwrap());
    drop(worker);
    for value in 0..4 {
        producer.try_send(value).unwrap();
    }
}

/// Forgotten, a consumer's batch was not given back, and comes again.
#[test]
fn a_consumer_forgets_a_batch() {
    let (mut producer, ring) = broadcast::ring::<u64>(2).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    producer.try_send(0).unwrap();
    producer.try_send(1).unwrap();
    for _ in 0..3 {
        forget(consumer.try_read().unwrap());
        assert_eq!(producer.try_send(9), Err(ClaimError::Full));
    }
    let mut batch = consumer.try_read().unwrap();
    batch.release_until(1);
    forget(batch);
    producer.try_send(2).unwrap();
    assert_eq!(some(&mut consumer), [1, 2]);
}

/// A ring of one slot and one of two, with all that can be done in them.
fn tiny<P: Producers>(builder: impl Fn(usize) -> Builder<u64, P>) {
    for capacity in [1, 2] {
        let mut builder = builder(capacity);
        let first = builder.stage("first", &[]);
        let last = builder.stage("last", &[first]);
        let (mut producer, ring) = builder.build().unwrap();
        let mut consumer = ring.consumer_of(first).unwrap();
        let mut worker = ring.worker_of(last).unwrap();
        let mut reads = 0;
        for turn in 0..20 {
            let slots = 1 + turn % capacity;
            let mut claim = match turn % 3 {
                0 => producer.try_claim(slots).unwrap(),
                1 => producer.claim(slots, AT_ONCE).unwrap(),
                // What is skipped has to be passed first.
                _ => match producer.try_claim_contiguous(slots) {
                    Ok(claim) => claim,
                    Err(why) => {
                        assert_eq!((why, capacity), (ClaimError::Full, 2));
                        assert_eq!(consumer.try_read().err(), Some(ReadError::Empty));
                        assert_eq!(worker.try_take(1).err(), Some(ReadError::Empty));
                        continue;
                    }
                },
            };
            claim.iter_mut().for_each(|slot| *slot = turn as u64);
            claim.publish();
            assert_eq!(worker.try_take(9).err(), Some(ReadError::Empty));
            assert_eq!(some(&mut consumer), vec![turn as u64; slots]);
            assert_eq!(producer.try_claim(capacity).err(), Some(ClaimError::Full));
            for _ in 0..slots {
                assert_eq!(worker.try_take(1).unwrap().iter().copied().sum::<u64>(), turn as u64);
            }
            reads += 1;
        }
        assert!(reads >= 16);
        for asked in [capacity + 1, 2 * capacity, usize::MAX] {
            let refused = ClaimError::BadLength { asked, most: capacity };
            assert_eq!(producer.try_claim(asked).err(), Some(refused));
            assert_eq!(producer.claim_contiguous(asked, FOREVER).err(), Some(refused));
        }
    }
}

#[test]
fn a_ring_of_one_slot_or_two() {
    tiny(|capacity| broadcast::ring(capacity).single());
    tiny(broadcast::ring);
}

#[test]
#[cfg_attr(miri, ignore = "Miri ends at memory that cannot be had")]
fn more_places_than_memory_are_refused() {
    for places in [usize::MAX, usize::MAX / 128, 1 << 56] {
        let refused = broadcast::ring::<u64>(2).consumers_max(places).build().unwrap_err();
        assert!(matches!(refused, BuildError::TooLarge(_)), "{refused}");
    }
}

/// Workers beyond what the word of a stage can name; consumers are not so limited.
#[test]
#[cfg_attr(miri, ignore = "half a minute, and nothing that a few would not show")]
fn more_workers_than_can_be_named_are_refused() {
    let (mut producer, ring) = broadcast::ring::<u64>(2).consumers_max(300).build().unwrap();
    let workers: Vec<_> = std::iter::from_fn(|| ring.worker().ok()).collect();
    let refused = JoinError::NoPlace { stage: "consumers".into(), places: 254 };
    assert_eq!((workers.len(), ring.worker().err()), (254, Some(refused)));
    let consumers: Vec<_> = std::iter::from_fn(|| ring.consumer().ok()).collect();
    assert_eq!(consumers.len(), 300 - 254);
    drop(consumers);
    for mut worker in workers {
        producer.try_send(1).unwrap();
        assert_eq!(worker.try_take(9).unwrap().slots(), 1);
    }
    assert!(ring.lags().is_empty());
}

/// Values without a size, and with a large alignment.
#[test]
fn values_of_odd_sizes() {
    #[derive(Debug, Default, Clone, Copy, PartialEq)]
    #[repr(align(64))]
    struct Line(u8);

    let (mut producer, ring) = broadcast::ring::<()>(4).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    for _ in 0..9 {
        producer.try_claim(3).unwrap().publish();
        assert_eq!(consumer.try_read().unwrap().iter().count(), 3);
    }
    let (mut producer, ring) = broadcast::ring::<[u64; 0]>(4).readable().build().unwrap();
    let mut reader = ring.reader();
    producer.try_send([]).unwrap();
    assert_eq!((reader.try_read(), reader.try_read()), (Ok([]), Err(ReadError::Empty)));
    let (mut producer, ring) = broadcast::ring::<Line>(4).single().build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    for value in 0..9 {
        producer.try_send(Line(value)).unwrap();
        let batch = consumer.try_read().unwrap();
        let line = batch.iter().next().unwrap();
        assert_eq!((*line, std::ptr::from_ref(line).addr() % 64), (Line(value), 0));
    }
}

/// A value that panics when it is dropped, as another one takes its place.
#[test]
fn a_value_that_panics_in_its_drop() {
    #[derive(Default)]
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if std::mem::take(&mut self.0) {
                std::panic::resume_unwind(Box::new(()));
            }
        }
    }
    let (mut producer, ring) = broadcast::ring::<Bomb>(2).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    producer.try_send(Bomb(true)).unwrap();
    producer.try_send(Bomb(false)).unwrap();
    assert_eq!(consumer.try_read().unwrap().slots(), 2);
    let panicked = catch_unwind(AssertUnwindSafe(|| producer.try_send(Bomb(false))));
    assert!(panicked.is_err());
    let panicked =
        catch_unwind(AssertUnwindSafe(|| producer.try_claim(1).unwrap().set(1, Bomb(false))));
    assert!(panicked.is_err(), "there is no such slot");
    assert_eq!((ring.counts().abandoned, consumer.try_read().err()), (2, Some(ReadError::Empty)));
    producer.try_send(Bomb(false)).unwrap();
    assert_eq!(consumer.try_read().unwrap().slots(), 1);
}

/// Handles may be dropped in any order: the last one drops the values, and each one left says what is so.
#[test]
fn handles_are_dropped_in_any_order() {
    for first in 0..5 {
        for second in (0..5).filter(|second| *second != first) {
            let values = Arc::new(());
            let made = broadcast::ring(4).build_with(|| Arc::clone(&values));
            let (producer, ring) = made.unwrap();
            let mut handles: [Option<Box<dyn std::any::Any>>; 5] = [
                Some(Box::new(ring.consumer().unwrap())),
                Some(Box::new(ring.worker().unwrap())),
                Some(Box::new(producer.clone())),
                Some(Box::new(producer)),
                Some(Box::new(ring.clone())),
            ];
            drop(handles[first].take());
            drop(handles[second].take());
            let producers = handles[2..4].iter().flatten().count();
            assert_eq!(ring.is_closed(), producers == 0);
            assert_eq!(ring.lags().len(), handles[..2].iter().flatten().count());
            drop(ring);
            assert_eq!(Arc::strong_count(&values), 5);
            drop(handles);
            assert_eq!(Arc::strong_count(&values), 1);
        }
    }
}

/// Everybody waits, in each way: producers for room, for one slot and for several, consumers and workers of two stages, and
/// readers. A close ends all of it: `close` when the slow consumer has gone, `close_now` while it is there.
fn is_closed_while_everybody_waits<W: WaitStrategy>(wait: W, now: bool) {
    let mut builder = broadcast::ring::<u64>(4).claim_max(2).wait(wait).readable();
    let first = builder.stage("first", &[]);
    let last = builder.stage("last", &[first]);
    let (mut producer, ring) = builder.build().unwrap();
    let slow = ring.consumer_of(first).unwrap();
    for value in 0..3 {
        producer.try_send(value).unwrap();
    }
    std::thread::scope(|scope| {
        for slots in [2, 2] {
            let mut producer = producer.clone();
            scope.spawn(move || {
                // One slot is left, which may be skipped.
                assert_eq!(
                    producer.claim_contiguous(slots, FOREVER).err(),
                    Some(ClaimError::Closed)
                );
                assert_eq!(producer.send(1, FOREVER), Err(ClaimError::Closed));
            });
        }
        for stage in [first, last] {
            let mut consumer = ring.consumer_of(stage).unwrap();
            scope.spawn(move || {
                assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
            });
        }
        let mut worker = ring.worker_of(first).unwrap();
        scope.spawn(move || {
            assert_eq!(worker.take(1, FOREVER).err(), Some(ReadError::Closed));
        });
        let mut reader = ring.reader();
        scope.spawn(move || {
            assert_eq!(reader.read(FOREVER), Err(ReadError::Closed));
        });
        std::thread::yield_now();
        if now {
            ring.close_now();
        } else {
            ring.close();
            drop(slow);
        }
    });
}

#[test]
fn a_close_ends_all_waits() {
    for turn in 0..if cfg!(miri) { 1 } else { 50 } {
        let now = turn % 2 == 0;
        is_closed_while_everybody_waits(SpinYield, now);
        is_closed_while_everybody_waits(Yield, now);
        is_closed_while_everybody_waits(Sleep(Duration::from_micros(50)), now);
        is_closed_while_everybody_waits(Park::default(), now);
    }
}

/// A consumer dies while producers sleep for its room.
#[test]
fn a_consumer_that_panics_wakes_producers() {
    let (mut producer, ring) = broadcast::ring::<u64>(2).wait(Park::default()).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut worker = ring.worker().unwrap();
    producer.try_send(0).unwrap();
    producer.try_send(1).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut producer = producer.clone();
            scope.spawn(move || producer.claim(2, FOREVER).unwrap().publish());
        }
        let dies = scope.spawn(move || {
            let _batch = consumer.try_read().unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(dies.join().is_err());
        let dies = scope.spawn(move || {
            let _batch = worker.try_take(1).unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(dies.join().is_err());
    });
    assert_eq!(producer.try_send(2), Ok(6));
}

/// Readers of a ring that overwrites, which stop for as long as they like, beside claims as large as may be.
fn readers_dawdle<P: Producers>(builder: Builder<u64, P>) {
    let (mut producer, ring) = builder.overwriting().claim_max(4).build().unwrap();
    let mut readers = [1, 3, 8, 50].map(|pause| (pause, ring.reader(), 0));
    let mut sent = 0;
    for turn in 0..200 {
        let slots = 1 + turn % 4;
        let claim = match turn % 2 {
            0 => producer.try_claim(slots),
            _ => producer.try_claim_contiguous(slots),
        };
        let mut claim = claim.unwrap();
        for index in 0..slots {
            claim.set(index, sent);
            sent += 1;
        }
        claim.publish();
        for (pause, reader, read) in &mut readers {
            if turn % *pause != 0 {
                continue;
            }
            let mut last = None;
            loop {
                match reader.try_read() {
                    Ok(value) => {
                        *read += 1;
                        assert!(last.replace(value) < Some(value), "not in order");
                    }
                    Err(ReadError::Overtaken(_)) => {}
                    Err(why) => break assert_eq!(why, ReadError::Empty),
                }
            }
            assert_eq!(last.unwrap(), sent - 1, "the newest is there");
        }
    }
    // What was skipped at the end of the ring counts, too.
    let everything = ring.counts().overwritten + 8;
    assert!(everything >= sent);
    for (_, reader, read) in readers {
        let lag = reader.lag();
        assert_eq!(read + reader.missed() + reader.without_value() + lag, everything);
    }
}

#[test]
fn readers_that_dawdle_are_told_what_they_missed() {
    readers_dawdle(broadcast::ring(8).single());
    readers_dawdle(broadcast::ring(8));
}

/// A slow stage holds the producer, and not the reader, which sees everything that the stage has not seen yet.
#[test]
fn a_slow_stage_beside_a_reader() {
    let (mut producer, ring) = broadcast::ring::<u64>(8).readable().claim_max(1).build().unwrap();
    let mut slow = ring.consumer().unwrap();
    let (mut reader, mut late) = (ring.reader(), ring.reader());
    for lap in 0..5 {
        for value in lap * 8..lap * 8 + 8 {
            producer.try_send(value).unwrap();
            assert_eq!(reader.try_read(), Ok(value));
        }
        assert_eq!(producer.try_send(0), Err(ClaimError::Full));
        assert_eq!(some(&mut slow).len(), 8);
    }
    assert_eq!(reader.missed(), 0);
    assert!(matches!(late.try_read(), Err(ReadError::Overtaken(32..40))), "{late:?}");
}
