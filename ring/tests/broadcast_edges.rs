//! Broadcast rings in the hands of those who forget, panic, come late and ask for odd sizes.

#![cfg(feature = "broadcast")]
#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::mem::forget;
use std::time::Duration;

use spandrel_ring::broadcast::{
    self, Access, Builder, ClaimError, Consumer, Gated, Park, Producers, ReadError, WaitStrategy,
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

/// A producer that is forgotten with its claim: nobody sees what is behind, all waits have their time-outs, and there is
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
    forget(producer);
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
    // What nobody will see is known.
    assert_eq!(ring.pending(), Some(1..4));
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
