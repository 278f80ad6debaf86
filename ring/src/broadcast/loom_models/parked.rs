//! Sleepers. Were a wake-up lost, loom would report a deadlock, as it has no time.

use loom::thread;

use super::rings::{FOREVER, all, ring, send, some};
use crate::broadcast::error::{ClaimError, ReadError};
use crate::broadcast::wait::Park;

/// Were a wake-up lost, loom would report a deadlock here, as there is no time.
#[test]
fn a_parked_consumer_is_woken() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(2).single().wait(Park::default()).consumers_max(1).build().unwrap();
        let mut consumer = ring.consumer().unwrap();
        let child = thread::spawn(move || send(&mut producer, [1, 2]));
        assert_eq!(all(&mut consumer), [1, 2]);
        child.join().unwrap();
    });
}

#[test]
fn a_parked_producer_is_woken() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(1).wait(Park::default()).consumers_max(1).build().unwrap();
        let mut consumer = ring.consumer().unwrap();
        let child = thread::spawn(move || send(&mut producer, [1, 2]));
        assert_eq!(consumer.read(FOREVER).unwrap().iter().copied().sum::<u64>(), 1);
        child.join().unwrap();
    });
}

#[test]
fn a_parked_stage_is_woken_by_the_one_before() {
    loom::model(|| {
        let mut builder = ring::<u64>(2).single().wait(Park::default()).consumers_max(1);
        let first = builder.stage("first", &[]);
        let last = builder.stage("last", &[first]);
        let (mut producer, ring) = builder.build().unwrap();
        let (mut before, mut behind) =
            (ring.consumer_of(first).unwrap(), ring.consumer_of(last).unwrap());
        send(&mut producer, [1]);
        let child = thread::spawn(move || drop(before.try_read().unwrap()));
        assert_eq!(behind.read(FOREVER).unwrap().slots(), 1);
        child.join().unwrap();
    });
}

/// A newcomer's first gate may be too low for a moment, in which a producer falls asleep.
#[test]
fn a_parked_producer_is_woken_by_a_newcomer() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(1).wait(Park::default()).consumers_max(1).build().unwrap();
        send(&mut producer, [1]);
        let child = thread::spawn(move || send(&mut producer, [2, 3]));
        let mut consumer = ring.consumer().unwrap();
        let seen = all(&mut consumer);
        assert!([1, 2, 3].ends_with(&seen), "{seen:?}");
        child.join().unwrap();
    });
}

/// So may the gate of a worker that was too slow.
#[test]
fn a_parked_producer_is_woken_by_a_worker_that_lost() {
    loom::model(|| {
        let builder = ring::<u64>(1).single().wait(Park::default()).consumers_max(2);
        let (mut producer, ring) = builder.build().unwrap();
        let (mut first, mut second) = (ring.worker().unwrap(), ring.worker().unwrap());
        send(&mut producer, [1]);
        let children = [
            thread::spawn(move || {
                _ = first.try_take(1).is_ok();
                first
            }),
            thread::spawn(move || {
                assert_eq!(second.take(1, FOREVER).unwrap().slots(), 1);
                second
            }),
        ];
        send(&mut producer, [2]);
        children.into_iter().for_each(|child| drop(child.join().unwrap()));
    });
}

/// A consumer that passes a dropped claim signals to the stages behind it while it waits itself.
#[test]
fn a_parked_consumer_passes_a_dropped_claim() {
    loom::model(|| {
        let mut builder = ring::<u64>(2).wait(Park::default()).consumers_max(1);
        let first = builder.stage("first", &[]);
        builder.stage("last", &[first]);
        let (mut producer, ring) = builder.build().unwrap();
        let mut consumer = ring.consumer_of(first).unwrap();
        let child = thread::spawn(move || drop(producer.try_claim(1).unwrap()));
        assert_eq!(all(&mut consumer), []);
        child.join().unwrap();
    });
}

/// Behind the gap that a dropped claim has closed, something is there already.
#[test]
fn a_parked_consumer_is_woken_when_a_gap_closes() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(2).wait(Park::default()).consumers_max(1).build().unwrap();
        let mut consumer = ring.consumer().unwrap();
        let mut other = producer.clone();
        let claim = producer.try_claim(1).unwrap();
        send(&mut other, [7]);
        let child = thread::spawn(move || consumer.read(FOREVER).unwrap().iter().sum::<u64>());
        drop(claim);
        assert_eq!(child.join().unwrap(), 7);
        // Until now, so that the wake-up is not that of the end.
        drop((producer, other));
    });
}

#[test]
fn a_parked_producer_is_woken_when_the_consumer_leaves() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(1).wait(Park::default()).consumers_max(1).build().unwrap();
        let consumer = ring.consumer().unwrap();
        send(&mut producer, [1]);
        let child = thread::spawn(move || producer.send(2, FOREVER).unwrap());
        drop(consumer);
        assert_eq!(child.join().unwrap(), 1);
    });
}

#[test]
fn a_parked_producer_is_woken_when_a_worker_leaves() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(1).single().wait(Park::default()).consumers_max(1).build().unwrap();
        let worker = ring.worker().unwrap();
        send(&mut producer, [1]);
        let child = thread::spawn(move || producer.send(2, FOREVER).unwrap());
        drop(worker);
        assert_eq!(child.join().unwrap(), 1);
    });
}

#[test]
fn everybody_who_is_parked_is_woken_by_the_close() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(1).wait(Park::default()).consumers_max(2).build().unwrap();
        let idle = ring.consumer().unwrap();
        let mut consumer = ring.consumer().unwrap();
        send(&mut producer, [1]);
        assert_eq!(some(&mut consumer), [1]);
        let children = (
            thread::spawn(move || producer.send(2, FOREVER).unwrap_err()),
            thread::spawn(move || consumer.read(FOREVER).err()),
        );
        ring.close();
        assert_eq!(children.0.join().unwrap(), ClaimError::Closed);
        assert_eq!(children.1.join().unwrap(), Some(ReadError::Closed));
        drop(idle);
    });
}

/// Where nobody has joined, a producer waits for what another one is still writing.
#[test]
fn a_parked_producer_is_woken_by_another() {
    loom::model(|| {
        let (mut producer, _ring) =
            ring::<u64>(1).wait(Park::default()).consumers_max(1).build().unwrap();
        let mut other = producer.clone();
        let child = thread::spawn(move || send(&mut other, [1]));
        send(&mut producer, [2]);
        child.join().unwrap();
    });
}

/// So it does for a claim that is dropped.
#[test]
fn a_parked_producer_is_woken_by_another_that_gives_up() {
    loom::model(|| {
        let (mut producer, _ring) =
            ring::<u64>(1).wait(Park::default()).consumers_max(1).build().unwrap();
        let mut other = producer.clone();
        let child = thread::spawn(move || drop(other.try_claim(1)));
        send(&mut producer, [2]);
        child.join().unwrap();
    });
}
