//! Several producers.

use loom::thread;

use super::rings::{all, multi, send, some};
use crate::broadcast::error::ClaimError;

#[test]
fn two_producers_and_a_consumer() {
    loom::model(|| {
        let (producer, ring) = multi(2);
        let mut consumer = ring.consumer().unwrap();
        let children = [10, 20].map(|value| {
            let mut producer = producer.clone();
            thread::spawn(move || send(&mut producer, [value]))
        });
        drop(producer);
        let mut seen = all(&mut consumer);
        seen.sort_unstable();
        assert_eq!(seen, [10, 20]);
        children.into_iter().for_each(|child| child.join().unwrap());
    });
}

#[test]
fn two_producers_wrap_around_before_a_consumer() {
    loom::model(|| {
        let (mut producer, ring) = multi(2);
        let mut consumer = ring.consumer().unwrap();
        send(&mut producer, [1, 2]);
        let children = [10, 20].map(|value| {
            let mut producer = producer.clone();
            thread::spawn(move || producer.try_send(value).is_ok())
        });
        drop(producer);
        let mut seen = some(&mut consumer);
        let sent = children.map(|child| child.join().unwrap()).iter().filter(|sent| **sent).count();
        seen.extend(all(&mut consumer));
        assert_eq!(seen[..2], [1, 2]);
        assert_eq!(seen.len(), 2 + sent);
    });
}

#[test]
fn a_full_ring_takes_exactly_its_capacity() {
    loom::model(|| {
        let (mut producer, ring) = multi(2);
        let mut consumer = ring.consumer().unwrap();
        send(&mut producer, [1]);
        let children = [10, 20].map(|value| {
            let mut producer = producer.clone();
            thread::spawn(move || producer.try_send(value))
        });
        let results = children.map(|child| child.join().unwrap());
        let full = results.iter().filter(|result| **result == Err(ClaimError::Full)).count();
        assert_eq!((full, ring.counts().refused), (1, 1), "{results:?}");
        assert_eq!(some(&mut consumer).len(), 2);
    });
}

/// Where nobody has joined, a producer that is still writing holds the others back.
#[test]
fn two_producers_never_write_the_same_slot() {
    loom::model(|| {
        let (producer, ring) = multi(1);
        let children = [10, 20].map(|value| {
            let mut producer = producer.clone();
            thread::spawn(move || producer.try_send(value).is_ok())
        });
        let sent = children.map(|child| child.join().unwrap()).iter().filter(|sent| **sent).count();
        assert!(sent > 0);
        assert_eq!(ring.counts().refused as usize, 2 - sent);
    });
}

#[test]
fn a_dropped_claim_stops_nobody() {
    loom::model(|| {
        let (mut producer, ring) = multi(2);
        let mut consumer = ring.consumer().unwrap();
        let mut dropper = producer.clone();
        let child = thread::spawn(move || drop(dropper.try_claim(1).unwrap()));
        send(&mut producer, [7]);
        drop(producer);
        assert_eq!(all(&mut consumer), [7]);
        child.join().unwrap();
        assert_eq!(ring.counts().abandoned, 1);
    });
}

/// What is claimed before the close is read, and what is refused is not.
#[test]
fn a_close_beside_two_producers() {
    loom::model(|| {
        let (mut producer, ring) = multi(2);
        let mut consumer = ring.consumer().unwrap();
        let child = thread::spawn(move || producer.try_send(1).is_ok());
        ring.close();
        let seen = all(&mut consumer);
        assert_eq!(seen.len(), usize::from(child.join().unwrap()));
    });
}
