//! Several producers.

use loom::thread;

use super::rings::{FOREVER, all, multi, ring, send, some};
use crate::broadcast::error::{ClaimError, ReadError};
use crate::broadcast::wait::Park;

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

/// What was forgotten is given up by its producer's next claim, also if that is refused.
#[test]
fn a_forgotten_claim_is_given_up() {
    loom::model(|| {
        let (mut producer, ring) = multi(2);
        let mut consumer = ring.consumer().unwrap();
        let mut other = producer.clone();
        let child = thread::spawn(move || {
            std::mem::forget(other.try_claim(1).unwrap());
            other.try_send(8).is_ok()
        });
        let sent = producer.try_send(7).is_ok();
        drop(producer);
        let mut seen = all(&mut consumer);
        seen.sort_unstable();
        let child_sent = child.join().unwrap();
        let wanted = [(7, sent), (8, child_sent)];
        assert!(seen.iter().copied().eq(wanted.iter().filter(|(_, sent)| *sent).map(|w| w.0)));
        assert_eq!((ring.counts().forgotten, ring.pending()), (1, None));
    });
}

/// Whoever waits behind a claim that is in hand is told that the ring was ended, or sees the claim.
#[test]
fn an_end_before_a_claim_in_hand() {
    loom::model(|| {
        let (mut producer, ring) =
            ring::<u64>(2).wait(Park::default()).consumers_max(1).build().unwrap();
        let mut consumer = ring.consumer().unwrap();
        let mut claim = producer.try_claim(1).unwrap();
        claim.set(0, 7);
        let child = thread::spawn(move || {
            let seen = all(&mut consumer);
            (consumer, seen)
        });
        ring.close_now();
        claim.publish();
        let (mut consumer, mut seen) = child.join().unwrap();
        seen.extend(some(&mut consumer));
        assert_eq!((seen, ring.pending()), (vec![7], None));
        assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
    });
}
