//! Joining and leaving, while it runs.

use loom::thread;

use super::rings::{all, multi, ring, send, single, some};
use crate::broadcast::wait::Yield;

/// Whatever a newcomer sees is whole and without a gap, up to the end.
#[test]
fn a_join_beside_one_producer() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let child = thread::spawn(move || {
            [1, 2, 3].map(|value| producer.try_send(value).is_ok().then_some(value))
        });
        let mut consumer = ring.consumer().unwrap();
        let mut seen = some(&mut consumer);
        let sent: Vec<_> = child.join().unwrap().into_iter().flatten().collect();
        seen.extend(all(&mut consumer));
        assert!(sent.ends_with(&seen), "{seen:?} of {sent:?}");
    });
}

#[test]
fn a_join_beside_two_producers() {
    loom::model(|| {
        let (producer, ring) = multi(1);
        let children = [10, 20].map(|value| {
            let mut producer = producer.clone();
            thread::spawn(move || _ = producer.try_send(value).is_ok())
        });
        drop(producer);
        let mut consumer = ring.consumer().unwrap();
        let seen = all(&mut consumer);
        assert!(seen.len() <= 2 && (seen.len() < 2 || seen[0] != seen[1]), "{seen:?}");
        children.into_iter().for_each(|child| child.join().unwrap());
    });
}

/// What a newcomer was there for before it was sent, it sees.
#[test]
fn a_newcomer_beside_a_consumer_that_moves_on() {
    loom::model(|| {
        let (mut producer, ring) = single(2);
        let mut old = ring.consumer().unwrap();
        send(&mut producer, [1, 2]);
        let child = thread::spawn(move || {
            _ = some(&mut old);
            old
        });
        let mut new = ring.consumer().unwrap();
        // The end of the ring is reached: a look at the gates, which may or may not find the old one moved.
        let sent = producer.try_send(3).is_ok();
        assert_eq!(some(&mut new), [3][..usize::from(sent)]);
        drop(child.join().unwrap());
    });
}

/// One that leaves, also by a panic, holds nobody back, and has done with the slots.
#[test]
fn a_consumer_leaves() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let mut consumer = ring.consumer().unwrap();
        send(&mut producer, [1]);
        let child = thread::spawn(move || {
            let batch = consumer.try_read().unwrap();
            assert_eq!(batch.iter().copied().sum::<u64>(), 1);
        });
        send(&mut producer, [2]);
        child.join().unwrap();
        assert!(ring.consumer().is_ok());
    });
}

/// The place of one that has left is taken while the producer looks at it.
#[test]
fn a_place_is_given_again() {
    loom::model(|| {
        let (mut producer, ring) = ring(1).single().wait(Yield).consumers_max(1).build().unwrap();
        let mut first = ring.consumer().unwrap();
        send(&mut producer, [1]);
        let child = thread::spawn(move || {
            assert_eq!(some(&mut first), [1]);
            drop(first);
            let mut second = ring.consumer().unwrap();
            let mut seen = some(&mut second);
            (second, seen.pop())
        });
        let sent = producer.try_send(2).is_ok();
        drop(producer);
        let (mut second, seen) = child.join().unwrap();
        let later = all(&mut second);
        assert!(seen.into_iter().chain(later).all(|value| sent && value == 2));
    });
}
