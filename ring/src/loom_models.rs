//! Loom explores these: one race each, named for it. Capacities are as small as they can be.
//!
//! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel-ring --features mapped --release --lib loom_models`

use std::cell::Cell;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::{ClaimError, Consumer, Ring, RingOptions, ThreadLease};

std::thread_local! {
    /// Whether the ring of the model that runs on this thread lies where that of a file would.
    static IN_FILE: Cell<bool> = const { Cell::new(false) };
}

/// Explores a model with its ring in memory of its own, and then with all partitions in one region, as in a mapped
/// file. Loom cannot map one, but this is all that is different there.
fn model(model: impl Fn() + Copy + Send + Sync + 'static) {
    loom::model(model);
    if cfg!(feature = "mapped") {
        IN_FILE.set(true);
        loom::model(model);
        IN_FILE.set(false);
    }
}

/// One partition to lease and a shared one, `slots` each.
fn ring(slots: usize) -> (Ring<u64>, Consumer<u64>) {
    #[cfg(feature = "mapped")]
    if IN_FILE.get() {
        use crate::partition::{OwnedPartition, Partition};
        use crate::region::{ALIGN, Region};
        let bytes = Partition::<u64>::bytes(slots).unwrap();
        let stride = bytes.next_multiple_of(ALIGN);
        let whole = std::sync::Arc::new(Region::heap(2 * stride).unwrap());
        let part = |index: usize| Region::part_of(&whole, index * stride, bytes);
        let partitions = (0..2).map(|index| OwnedPartition::new_in(part(index), slots)).collect();
        return Ring::of(partitions).unwrap();
    }
    Ring::new(RingOptions { capacity: 2 * slots, partitions: 1 })
}

const LEASED: usize = 0;
const SHARED: usize = 1;

/// Reads what is there, without waiting.
fn drain(consumer: &mut Consumer<u64>, partition: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    consumer.drain(partition, usize::MAX, |entry| seen.extend(entry.slots().copied()));
    seen
}

/// Drains until `wanted` values have come.
fn drain_all(consumer: &mut Consumer<u64>, partition: usize, wanted: usize) -> Vec<u64> {
    let mut seen = drain(consumer, partition);
    while seen.len() < wanted {
        thread::yield_now();
        seen.extend(drain(consumer, partition));
    }
    seen
}

fn push_shared(ring: &Ring<u64>, value: u64) -> Result<(), ClaimError> {
    let mut claim = ring.try_claim(1)?;
    *claim.slot(0) = value;
    claim.publish();
    Ok(())
}

#[test]
fn two_producers_and_a_consumer() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let producers: Vec<_> = [10, 20]
            .into_iter()
            .map(|value| {
                let ring = ring.clone();
                thread::spawn(move || push_shared(&ring, value).unwrap())
            })
            .collect();
        let mut seen = drain_all(&mut consumer, SHARED, 2);
        seen.sort_unstable();
        assert_eq!(seen, [10, 20]);
        producers.into_iter().for_each(|producer| producer.join().unwrap());
    });
}

#[test]
fn a_claim_of_two_slots_is_seen_whole() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let mut lease = ring.lease().unwrap();
        let producer = thread::spawn(move || {
            let mut claim = lease.try_claim(2).unwrap();
            *claim.slot(0) = 1;
            *claim.slot(1) = 2;
            claim.publish();
        });
        let seen = drain(&mut consumer, LEASED);
        assert!(seen.is_empty() || seen == [1, 2], "half a claim: {seen:?}");
        producer.join().unwrap();
    });
}

#[test]
fn a_publication_in_one_step_is_seen_whole() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let mut lease = ring.lease().unwrap();
        let producer =
            thread::spawn(move || lease.try_publish(1, 2, |index| index as u64 + 1).unwrap());
        let seen = drain(&mut consumer, LEASED);
        assert!(seen.is_empty() || seen == [1, 2], "half a publication: {seen:?}");
        producer.join().unwrap();
    });
}

/// The quick way, round the ring: what is read is whole, and counted before it is seen.
#[test]
fn a_quick_publication_is_counted_before_it_is_seen() {
    model(|| {
        let (ring, mut consumer) = ring(4);
        let lease = ring.lease().unwrap();
        let producer = thread::spawn(move || {
            let here = ThreadLease::new();
            here.put(Some(lease));
            let publish = |values: [u64; 2]| {
                let fill = |index: usize, slot: &mut u64| *slot = values[index];
                let mut borrowed = here.borrow().unwrap();
                let published = borrowed.publish_if_roomy::<2>(1, 2, fill);
                here.give_back(borrowed);
                published
            };
            let published = [[1, 2], [3, 4]].map(publish);
            drop(here.take());
            published.into_iter().filter(|published| *published).count()
        });
        let seen = drain(&mut consumer, LEASED);
        assert!(ring.published()[1] as usize >= seen.len() / 2, "seen before it was counted");
        let published = producer.join().unwrap();
        let seen: Vec<_> = seen.into_iter().chain(drain(&mut consumer, LEASED)).collect();
        assert_eq!(seen, [1, 2, 3, 4][..2 * published]);
        assert_eq!(ring.published()[1] as usize, published);
    });
}

/// A producer finds room through a limit that another one has computed.
#[test]
fn a_limit_is_handed_on() {
    model(|| {
        let (ring, mut consumer) = ring(4);
        for value in 0..4 {
            push_shared(&ring, value).unwrap();
        }
        let producers: Vec<_> = [10, 20]
            .into_iter()
            .map(|value| {
                let ring = ring.clone();
                thread::spawn(move || push_shared(&ring, value).is_ok())
            })
            .collect();
        let first = drain(&mut consumer, SHARED);
        let late = producers.into_iter().map(|p| p.join().unwrap());
        let pushed = late.filter(|pushed| *pushed).count();
        let second = drain(&mut consumer, SHARED);
        assert_eq!(first[..4], [0, 1, 2, 3]);
        assert_eq!(first.len() + second.len(), 4 + pushed);
    });
}

#[test]
fn a_lease_wraps_around() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let mut lease = ring.lease().unwrap();
        let producer = thread::spawn(move || {
            for value in 1..=3 {
                loop {
                    match lease.try_claim(1) {
                        Ok(mut claim) => {
                            *claim.slot(0) = value;
                            claim.publish();
                            break;
                        }
                        Err(error) => assert_eq!(error, ClaimError::Full),
                    }
                    thread::yield_now();
                }
            }
        });
        assert_eq!(drain_all(&mut consumer, LEASED, 3), [1, 2, 3]);
        producer.join().unwrap();
    });
}

#[test]
fn the_shared_partition_wraps_around() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        push_shared(&ring, 1).unwrap();
        push_shared(&ring, 2).unwrap();
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || push_shared(&ring, 3))
        };
        let mut seen = drain(&mut consumer, SHARED);
        let late = producer.join().unwrap();
        seen.extend(drain(&mut consumer, SHARED));
        match late {
            Ok(()) => assert_eq!(seen, [1, 2, 3]),
            Err(error) => {
                assert_eq!(error, ClaimError::Full);
                assert_eq!(seen, [1, 2]);
            }
        }
    });
}

#[test]
fn a_full_partition_takes_exactly_its_capacity() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        push_shared(&ring, 1).unwrap();
        let producers: Vec<_> = [10, 20]
            .into_iter()
            .map(|value| {
                let ring = ring.clone();
                thread::spawn(move || push_shared(&ring, value))
            })
            .collect();
        let results: Vec<_> = producers.into_iter().map(|p| p.join().unwrap()).collect();
        let full = results.iter().filter(|r| **r == Err(ClaimError::Full)).count();
        assert_eq!(full, 1, "one slot was left for two producers: {results:?}");
        assert_eq!(drain(&mut consumer, SHARED).len(), 2);
    });
}

#[test]
fn a_dropped_claim_stops_nobody() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let dropper = {
            let ring = ring.clone();
            thread::spawn(move || drop(ring.try_claim(1).unwrap()))
        };
        push_shared(&ring, 7).unwrap();
        dropper.join().unwrap();
        assert_eq!(drain(&mut consumer, SHARED), [7]);
        assert_eq!(consumer.backlog(), 0);
    });
}

/// What was published before the close is drained after it; a publication beside the close is
/// either refused, or drained, or still counted as backlog: never forgotten.
#[test]
fn close_racing_publish() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        push_shared(&ring, 1).unwrap();
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || push_shared(&ring, 2))
        };
        ring.close();
        let seen = drain(&mut consumer, SHARED);
        assert_eq!(seen[0], 1);
        let late = producer.join().unwrap();
        let stranded = consumer.backlog();
        match late {
            Ok(()) => assert_eq!(seen.len() as u64 + stranded, 2),
            Err(error) => {
                assert_eq!(error, ClaimError::Closed);
                assert_eq!((seen.len(), stranded), (1, 0));
            }
        }
        assert_eq!(push_shared(&ring, 3), Err(ClaimError::Closed));
    });
}

#[test]
fn a_lease_is_handed_over_with_its_partition() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let lease = ring.lease().unwrap();
        let first = thread::spawn(move || {
            let mut lease = lease;
            let mut claim = lease.try_claim(1).unwrap();
            *claim.slot(0) = 1;
            claim.publish();
        });
        let second = {
            let ring = ring.clone();
            thread::spawn(move || {
                let Some(mut lease) = ring.lease() else { return false };
                let mut claim = lease.try_claim(1).unwrap();
                *claim.slot(0) = 2;
                claim.publish();
                true
            })
        };
        first.join().unwrap();
        let wanted = if second.join().unwrap() { vec![1, 2] } else { vec![1] };
        assert_eq!(drain(&mut consumer, LEASED), wanted);
    });
}

/// What was published before something that the consumer has drained, in another partition, lies below
/// the tail that the consumer reads then, though tails move without handing anything over.
#[test]
fn what_came_before_lies_below_the_tail() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let mut lease = ring.lease().unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let child = {
            let closed = Arc::clone(&closed);
            thread::spawn(move || {
                let mut claim = lease.try_claim(1).unwrap();
                *claim.slot(0) = 1;
                claim.publish();
                // Release: pairs with the Acquire below, as a child gives back its parent.
                closed.store(true, Ordering::Release);
            })
        };
        let parent = {
            let ring = ring.clone();
            // Acquire: pairs with the Release above.
            thread::spawn(move || closed.load(Ordering::Acquire) && push_shared(&ring, 2).is_ok())
        };
        let parents = drain(&mut consumer, SHARED);
        let tail = consumer.tail(LEASED);
        let mut children = Vec::new();
        consumer.drain_until(LEASED, tail, |entry| children.extend(entry.slots().copied()));
        assert!(parents.is_empty() || children == [1], "{parents:?} without {children:?}");
        child.join().unwrap();
        parent.join().unwrap();
    });
}

/// A wake-up between the consumer's last look and its sleep ends the sleep.
#[test]
fn a_wake_up_is_never_lost() {
    model(|| {
        let (ring, mut consumer) = ring(2);
        let published = Arc::new(AtomicBool::new(false));
        let producer = {
            let (ring, published) = (ring.clone(), Arc::clone(&published));
            thread::spawn(move || {
                published.store(true, Ordering::Relaxed);
                ring.waker().wake();
            })
        };
        // Were it lost, loom would report a deadlock here.
        while !consumer.park(std::time::Duration::MAX) {}
        assert!(published.load(Ordering::Relaxed));
        producer.join().unwrap();
    });
}

/// A lessee that computes a new limit while the ring is closed does not undo that.
#[test]
fn a_limit_that_is_renewed_meanwhile_stays_sealed() {
    model(|| {
        let (ring, mut consumer) = ring(4);
        let here = ThreadLease::new();
        here.put(ring.lease());
        let closer = {
            let ring = ring.clone();
            thread::spawn(move || ring.close())
        };
        let mut lease = here.take().unwrap();
        // Past half, so that the limit is renewed.
        let claimed = match lease.try_claim(3) {
            Ok(mut claim) => {
                (0..3).for_each(|index| *claim.slot(index) = 7);
                claim.publish();
                3
            }
            Err(why) => {
                assert_eq!(why, ClaimError::Closed);
                0
            }
        };
        here.put(Some(lease));
        closer.join().unwrap();
        let mut borrowed = here.borrow().unwrap();
        assert!(!borrowed.publish_if_roomy::<1>(0, 1, |_, slot| *slot = 8), "sealed no more");
        here.give_back(borrowed);
        assert_eq!(drain(&mut consumer, LEASED).len(), claimed);
        drop(here.take());
    });
}
