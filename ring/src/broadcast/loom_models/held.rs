//! Stages that hold while they are empty.

use loom::thread;

use super::rings::{OneP, ring, send, some};
use crate::broadcast::consumer::Consumer;
use crate::broadcast::ring::Ring;
use crate::broadcast::single::Single;
use crate::broadcast::wait::Yield;

fn held(capacity: usize) -> (OneP, Ring<u64, Single, Yield>) {
    let mut builder = ring(capacity).single().wait(Yield).consumers_max(2);
    builder.held_stage("held", &[]);
    builder.build().unwrap()
}

fn one(consumer: &mut Consumer<u64, Single, Yield>) -> Vec<u64> {
    consumer.try_read_many(1).map(|batch| batch.iter().copied().collect()).unwrap_or_default()
}

/// The last one leaves and a newcomer comes, while the producer goes by them: between the two, nothing is missed.
#[test]
fn a_consumer_is_followed_by_another() {
    loom::model(|| {
        let (mut producer, ring) = held(1);
        send(&mut producer, [1]);
        let child = {
            let mut old = ring.consumer().unwrap();
            thread::spawn(move || one(&mut old))
        };
        let mut sent = vec![1];
        sent.extend(producer.try_send(2).ok().map(|_| 2));
        let mut new = ring.consumer().unwrap();
        sent.extend(producer.try_send(3).ok().map(|_| 3));
        let mut seen = some(&mut new);
        seen.extend(child.join().unwrap());
        seen.extend(some(&mut new));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, sent);
    });
}

/// In the only place of a stage, who follows goes on exactly where the one before has stopped.
#[test]
fn a_consumer_is_followed_in_its_place() {
    loom::model(|| {
        let mut builder = ring(2).single().wait(Yield).consumers_max(1);
        builder.held_stage("held", &[]);
        let (mut producer, ring) = builder.build().unwrap();
        send(&mut producer, [1, 2]);
        let child = {
            let mut old = ring.consumer().unwrap();
            thread::spawn(move || one(&mut old))
        };
        let followed = ring.consumer().map(|mut new| some(&mut new));
        assert_eq!(child.join().unwrap(), [1]);
        if let Ok(seen) = followed {
            assert_eq!(seen, [2]);
        } else {
            assert_eq!(some(&mut ring.consumer().unwrap()), [2]);
        }
    });
}

/// Of two that come at once, none takes the other one for somebody who has seen what is held.
#[test]
fn two_come_to_an_empty_stage() {
    loom::model(|| {
        let (mut producer, ring) = held(2);
        send(&mut producer, [1, 2]);
        let child = {
            let ring = ring.clone();
            thread::spawn(move || some(&mut ring.consumer().unwrap()))
        };
        let seen = some(&mut ring.consumer().unwrap());
        let mut all = child.join().unwrap();
        all.extend(seen);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, [1, 2]);
        assert_eq!(producer.try_send(3), Ok(2));
        assert_eq!(some(&mut ring.consumer().unwrap()), [3]);
    });
}

/// What a worker that leaves has not taken is for the next one, and only that.
#[test]
fn a_worker_is_followed_by_another() {
    loom::model(|| {
        let (mut producer, ring) = held(2);
        send(&mut producer, [1, 2]);
        let child = {
            let mut old = ring.worker().unwrap();
            thread::spawn(move || {
                old.try_take(1).map(|batch| batch.iter().copied().collect()).unwrap_or(vec![])
            })
        };
        let mut sent = vec![1, 2];
        sent.extend(producer.try_send(3).ok().map(|_| 3));
        let mut new = ring.worker().unwrap();
        let mut seen: Vec<u64> = child.join().unwrap();
        while let Ok(batch) = new.try_take(9) {
            seen.extend(batch.iter().copied());
        }
        seen.sort_unstable();
        assert_eq!(seen, sent);
    });
}

/// The producer looks while the last one leaves: what it left is room, nothing more.
#[test]
fn the_last_one_leaves_beside_a_producer() {
    loom::model(|| {
        let (mut producer, ring) = held(2);
        send(&mut producer, [1, 2]);
        let child = {
            let mut only = ring.consumer().unwrap();
            thread::spawn(move || one(&mut only))
        };
        let sent = [3, 4].map(|value| producer.try_send(value));
        assert_eq!(child.join().unwrap(), [1]);
        let sent = sent.iter().filter(|sent| sent.is_ok()).count();
        assert!(sent < 2, "what nobody has seen was room");
        assert_eq!(producer.try_send(5).is_ok(), sent == 0);
        assert_eq!(some(&mut ring.consumer().unwrap())[0], 2);
    });
}
