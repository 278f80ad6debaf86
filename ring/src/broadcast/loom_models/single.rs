//! One producer.

use loom::thread;

use super::rings::{FOREVER, all, send, single, some};
use crate::broadcast::error::ClaimError;

#[test]
fn one_producer_wraps_around_before_a_consumer() {
    loom::model(|| {
        let (mut producer, ring) = single(2);
        let mut consumer = ring.consumer().unwrap();
        let child = thread::spawn(move || send(&mut producer, 1..=4));
        assert_eq!(all(&mut consumer), [1, 2, 3, 4]);
        child.join().unwrap();
    });
}

#[test]
fn two_consumers_each_see_everything() {
    loom::model(|| {
        let (mut producer, ring) = single(2);
        let mut consumers = [ring.consumer().unwrap(), ring.consumer().unwrap()];
        let child = thread::spawn(move || {
            [1, 2, 3].map(|value| producer.try_send(value).is_ok().then_some(value))
        });
        let mut seen = [Vec::new(), Vec::new()];
        for (consumer, seen) in consumers.iter_mut().zip(&mut seen) {
            seen.extend(some(consumer));
        }
        let sent: Vec<_> = child.join().unwrap().into_iter().flatten().collect();
        for (consumer, seen) in consumers.iter_mut().zip(&mut seen) {
            seen.extend(all(consumer));
            assert_eq!(*seen, sent);
        }
    });
}

#[test]
fn a_claim_of_two_is_seen_whole_by_one_producers_consumer() {
    loom::model(|| {
        let (mut producer, ring) = single(4);
        let mut consumer = ring.consumer().unwrap();
        let child = thread::spawn(move || {
            let mut claim = producer.try_claim(2).unwrap();
            claim.iter_mut().zip([1, 2]).for_each(|(slot, value)| *slot = value);
            claim.publish();
        });
        let seen = some(&mut consumer);
        assert!(seen.is_empty() || seen == [1, 2], "half a claim: {seen:?}");
        child.join().unwrap();
    });
}

/// What is skipped at the end of the ring is room again, and nobody sees it.
#[test]
fn one_producer_skips_the_end_of_the_ring() {
    loom::model(|| {
        let (mut producer, ring) = single(4);
        let mut consumer = ring.consumer().unwrap();
        send(&mut producer, [1, 2, 3]);
        let child = thread::spawn(move || {
            let mut claim = producer.claim_contiguous(2, FOREVER).unwrap();
            assert_eq!(claim.sequence(), 4);
            claim.iter_mut().zip([4, 5]).for_each(|(slot, value)| *slot = value);
            claim.publish();
        });
        assert_eq!(all(&mut consumer), [1, 2, 3, 4, 5]);
        child.join().unwrap();
    });
}

/// The consumer reads what was published before; what comes beside the close is refused or seen, or still
/// there.
#[test]
fn a_close_beside_one_producer() {
    loom::model(|| {
        let (mut producer, ring) = single(2);
        let mut consumer = ring.consumer().unwrap();
        send(&mut producer, [1]);
        let child = thread::spawn(move || producer.try_send(2));
        ring.close();
        let seen = all(&mut consumer);
        let stranded = child.join().unwrap().map(|_| ring.lags()[0].slots);
        match stranded {
            Ok(slots) => assert_eq!(seen.len() as u64 + slots, 2),
            Err(why) => assert_eq!((why, seen), (ClaimError::Closed, vec![1])),
        }
    });
}

/// A producer that computes a new limit while the ring is closed does not undo that.
#[test]
fn a_limit_that_is_renewed_meanwhile_stays_sealed() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        send(&mut producer, [1]);
        let child = thread::spawn(move || {
            _ = producer.try_send(2).is_ok();
            producer
        });
        ring.close();
        let mut producer = child.join().unwrap();
        assert_eq!(producer.try_send(3), Err(ClaimError::Closed), "sealed no more");
    });
}
