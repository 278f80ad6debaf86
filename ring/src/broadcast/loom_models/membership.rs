//! Workers join and leave, without a lock.

use loom::thread;

use super::rings::{OneP, single};
use crate::broadcast::consumer::Worker;
use crate::broadcast::error::{ClaimError, ReadError};
use crate::broadcast::ring::Ring;
use crate::broadcast::single::Single;
use crate::broadcast::wait::Yield;

type Competes = Worker<u64, Single, Yield>;

fn take(worker: &mut Competes) -> Vec<u64> {
    worker.try_take(9).map(|batch| batch.iter().copied().collect()).unwrap_or_default()
}

/// What is sent from now on is for somebody who is there: it is held, and comes to them.
fn holds(producer: &mut OneP, worker: &mut Competes) {
    assert_eq!(take(worker), []);
    producer.try_send(7).unwrap();
    assert_eq!(producer.try_send(8), Err(ClaimError::Full), "nobody holds");
    assert_eq!(take(worker), [7]);
    producer.try_send(9).unwrap();
    assert_eq!(take(worker), [9]);
}

/// Nobody is there, and nobody holds.
fn is_open(producer: &mut OneP, ring: &Ring<u64, Single, Yield>) {
    for value in 10..13 {
        assert!(producer.try_send(value).is_ok(), "somebody who has left holds");
    }
    assert_eq!(ring.lags(), []);
}

/// The last one leaves, and a newcomer may or may not be seen by it.
#[test]
fn a_worker_leaves_beside_a_newcomer() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let old = ring.worker().unwrap();
        let child = thread::spawn(move || drop(old));
        let mut new = ring.worker().unwrap();
        holds(&mut producer, &mut new);
        child.join().unwrap();
        holds(&mut producer, &mut new);
        drop(new);
        is_open(&mut producer, &ring);
    });
}

/// Each of two might take the other one for the last.
#[test]
fn two_workers_leave() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let [first, second] = [ring.worker().unwrap(), ring.worker().unwrap()];
        let child = thread::spawn(move || drop(first));
        drop(second);
        child.join().unwrap();
        is_open(&mut producer, &ring);
        holds(&mut producer, &mut ring.worker().unwrap());
    });
}

/// Each of two might be the first.
#[test]
fn two_workers_join() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        producer.try_send(1).unwrap();
        producer.try_send(2).unwrap();
        let child = {
            let ring = ring.clone();
            thread::spawn(move || ring.worker().unwrap())
        };
        let mut here = ring.worker().unwrap();
        // While the other one joins, the ring may be full for a moment.
        let sent = producer.try_send(3).is_ok();
        assert_eq!(take(&mut here), [3][..usize::from(sent)]);
        let mut there = child.join().unwrap();
        holds(&mut producer, &mut there);
        drop(here);
        holds(&mut producer, &mut there);
        drop(there);
        is_open(&mut producer, &ring);
    });
}

/// One that leaves marks the word that another one has marked, while a third one joins.
#[test]
fn two_workers_leave_beside_a_newcomer() {
    loom::model(|| {
        let (mut producer, ring) =
            super::rings::ring(1).single().wait(Yield).consumers_max(3).build().unwrap();
        let [first, second] = [ring.worker().unwrap(), ring.worker().unwrap()];
        let children = [thread::spawn(move || drop(first)), thread::spawn(move || drop(second))];
        let mut new = ring.worker().unwrap();
        children.into_iter().for_each(|child| child.join().unwrap());
        holds(&mut producer, &mut new);
        drop(new);
        is_open(&mut producer, &ring);
    });
}

/// A place that was left is joined again by the same thread, beside one that leaves for good.
#[test]
fn a_place_is_left_and_joined_again_beside_one_that_leaves() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let [first, second] = [ring.worker().unwrap(), ring.worker().unwrap()];
        let child = thread::spawn(move || drop(first));
        drop(second);
        let mut again = ring.worker().unwrap();
        holds(&mut producer, &mut again);
        child.join().unwrap();
        drop(again);
        is_open(&mut producer, &ring);
    });
}

/// A consumer that sees everything is no worker, and does not keep what workers hold.
#[test]
fn a_worker_leaves_beside_a_consumer_that_joins() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let worker = ring.worker().unwrap();
        let child = thread::spawn(move || drop(worker));
        let mut consumer = ring.consumer().unwrap();
        child.join().unwrap();
        for value in 1..4 {
            producer.try_send(value).unwrap();
            assert_eq!(consumer.try_read().unwrap().iter().copied().collect::<Vec<_>>(), [value]);
        }
    });
}

/// Takes, joins and leaves beside a producer that goes by them: each value comes to one of them at most, whole,
/// and to somebody if one of them was there all the time.
#[test]
fn workers_come_and_go_beside_a_producer() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let stays = ring.worker().unwrap();
        let child = thread::spawn(move || {
            let mut stays = stays;
            let mut seen = take(&mut stays);
            seen.extend(take(&mut stays));
            (stays, seen)
        });
        let mut sent = vec![];
        sent.extend(producer.try_send(1).ok().map(|_| 1));
        let mut guest = ring.worker().unwrap();
        let mut seen = take(&mut guest);
        drop(guest);
        sent.extend(producer.try_send(2).ok().map(|_| 2));
        drop(producer);
        let (mut stays, also) = child.join().unwrap();
        seen.extend(also);
        seen.extend(take(&mut stays));
        seen.sort_unstable();
        assert_eq!(seen, sent);
        assert_eq!(stays.try_take(1).err(), Some(ReadError::Closed));
    });
}
