//! What a broadcast ring promises to those who use it.

#![cfg(feature = "broadcast")]
#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use spandrel_ring::broadcast::{
    self, BuildError, Claim, ClaimError, JoinError, Multi, Park, Producers, ReadError, Single,
    Sleep, Spin, SpinYield, WaitStrategy, Yield,
};

const AT_ONCE: Duration = Duration::ZERO;
const FOREVER: Duration = Duration::MAX;

#[test]
fn sizes_that_are_not_possible_are_refused_with_one_that_is() {
    for (asked, next) in [(0, Some(1)), (3, Some(4)), (usize::MAX, None), (1 << 63 | 1, None)] {
        let refused = broadcast::ring::<u64>(asked).build().unwrap_err();
        assert_eq!(refused, BuildError::Capacity { asked, next });
    }
    let refused = broadcast::ring::<u64>(1).readable().build().unwrap_err();
    assert_eq!(refused, BuildError::Capacity { asked: 1, next: Some(2) });
    for claim_max in [0, 9] {
        let refused = broadcast::ring::<u64>(8).claim_max(claim_max).build().unwrap_err();
        assert_eq!(refused, BuildError::ClaimMax { asked: claim_max, most: 8 });
    }
    let refused = broadcast::ring::<u64>(8).overwriting().claim_max(5).build().unwrap_err();
    assert_eq!(refused, BuildError::ClaimMax { asked: 5, most: 4 });
    let refused = broadcast::ring::<u64>(8).consumers_max(0).build().unwrap_err();
    assert_eq!(refused, BuildError::NoConsumers);
}

#[test]
#[cfg_attr(miri, ignore = "Miri ends at memory that cannot be had")]
fn what_cannot_be_had_is_refused() {
    for bits in 57..64 {
        let refused = broadcast::ring::<u64>(1 << bits).single().build().unwrap_err();
        assert!(matches!(refused, BuildError::TooLarge(_)), "2^{bits}: {refused}");
    }
}

#[test]
fn stages_are_of_one_ring() {
    let mut other = broadcast::ring::<u64>(8);
    let foreign = other.stage("other", &[]);
    let mut builder = broadcast::ring::<u64>(8);
    builder.stage("first", &[foreign]);
    assert_eq!(builder.build().unwrap_err(), BuildError::ForeignStage("first".into()));
    let mut builder = broadcast::ring::<u64>(8);
    builder.stage("same", &[]);
    builder.stage("same", &[]);
    assert_eq!(builder.build().unwrap_err(), BuildError::StageTwice("same".into()));
    let (_producer, ring) = broadcast::ring::<u64>(8).build().unwrap();
    assert_eq!(ring.consumer_of(foreign).unwrap_err(), JoinError::ForeignStage);
    assert_eq!(ring.worker_of(foreign).unwrap_err(), JoinError::ForeignStage);
}

#[test]
fn places_are_as_many_as_asked_for_and_given_again() {
    let (_producer, ring) = broadcast::ring::<u64>(8).consumers_max(2).build().unwrap();
    let first = ring.consumer().unwrap();
    let second = ring.worker().unwrap();
    let refused = ring.consumer().unwrap_err();
    assert_eq!(refused, JoinError::NoPlace { stage: "consumers".into(), places: 2 });
    assert!(refused.to_string().contains("\"consumers\" has 2 consumers"), "{refused}");
    drop(first);
    let third = ring.worker().unwrap();
    assert!(ring.worker().is_err());
    drop((second, third));
    assert!(ring.consumer().is_ok());
}

fn fill<P: Producers>(claim: &mut Claim<'_, u64, P, SpinYield, broadcast::InPlace>, from: u64) {
    let values = from..;
    claim.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
}

#[test]
fn claims_are_written_in_place_and_seen_in_order() {
    let (mut producer, ring) = broadcast::ring::<u64>(8).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut claim = producer.try_claim(5).unwrap();
    assert_eq!((claim.len(), claim.sequence()), (5, 0));
    fill(&mut claim, 10);
    assert_eq!(claim.publish(), 0);
    let mut batch = consumer.try_read().unwrap();
    assert_eq!(batch.iter().copied().collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    assert_eq!(batch.iter().next_back(), Some(&14));
    batch.release_until(3);
    assert_eq!(batch.with_sequences().collect::<Vec<_>>(), [(3, &13), (4, &14)]);
    assert_eq!((batch.get(2), batch.get(3), batch.get(5)), (None, Some(&13), None));
    // What the batch still has is no room.
    assert_eq!(producer.try_claim(7).err(), Some(ClaimError::Full));
    assert_eq!(producer.try_claim(6).unwrap().publish(), 5);
    batch.release();
    assert_eq!(consumer.try_read_many(2).unwrap().sequences(), 5..7);
    assert_eq!((&consumer.try_read().unwrap()).into_iter().count(), 4);
    assert_eq!(consumer.try_read().err(), Some(ReadError::Empty));
}

fn contiguous<P: Producers>(builder: broadcast::Builder<u64, P>) {
    let (mut producer, ring) = builder.build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut wanted = Vec::new();
    let mut next = 0;
    for slots in (1..=8).cycle().take(100) {
        // What is skipped may be so much that the rest is no room for the claim before the consumer has passed it.
        let mut claim = producer.try_claim_contiguous(slots);
        if claim.is_err() {
            assert_eq!(consumer.try_read().err(), Some(ReadError::Empty));
            drop(claim);
            claim = producer.try_claim_contiguous(slots);
        }
        let mut claim = claim.unwrap();
        let (first, second) = claim.as_mut_slices();
        assert_eq!((first.len(), second.len()), (slots, 0));
        for slot in first {
            *slot = next;
            wanted.push(next);
            next += 1;
        }
        claim.publish();
        let seen: Vec<_> = consumer.try_read().unwrap().iter().copied().collect();
        assert_eq!(seen, wanted);
        wanted.clear();
    }
    let mut claim = producer.try_claim(8).unwrap();
    let round = claim.sequence() as usize % 8;
    let (first, second) = claim.as_mut_slices();
    assert_eq!((first.len(), second.len()), (8 - round, round));
}

#[test]
fn contiguous_claims_lie_beside_each_other_and_what_is_skipped_is_not_seen() {
    contiguous(broadcast::ring(8).single());
    contiguous(broadcast::ring(8));
}

#[test]
fn a_claim_that_can_never_succeed_says_so() {
    let (mut producer, _ring) = broadcast::ring::<u64>(8).claim_max(4).build().unwrap();
    for asked in [0, 5, usize::MAX] {
        let refused = producer.try_claim(asked).unwrap_err();
        assert_eq!(refused, ClaimError::BadLength { asked, most: 4 });
        assert_eq!(producer.claim(asked, FOREVER).unwrap_err(), refused);
        assert_eq!(producer.try_claim_contiguous(asked).unwrap_err(), refused);
    }
}

/// What is dropped or panics between claim and publish is not seen, and stops nobody.
fn abandoned<P: Producers>(builder: broadcast::Builder<u64, P>) {
    let (mut producer, ring) = builder.build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    producer.try_send(1).unwrap();
    drop(producer.try_claim(2).unwrap());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        producer.try_publish(|slot| {
            *slot = 666;
            panic!("half-way");
        })
    }));
    assert!(panicked.is_err());
    producer.try_send(2).unwrap();
    let seen: Vec<_> = consumer.try_read().unwrap().iter().copied().collect();
    assert_eq!(seen, [1, 2]);
    assert_eq!(ring.counts().abandoned, 3);
    drop(producer.try_claim(1).unwrap());
    assert_eq!(consumer.try_read().err(), Some(ReadError::Empty));
    assert_eq!(consumer.lag().slots, 0, "what has no value is given back at once");
    drop(producer);
    assert_eq!(consumer.try_read().err(), Some(ReadError::Closed));
}

#[test]
fn a_claim_that_is_dropped_is_not_seen_and_stops_nobody() {
    abandoned(broadcast::ring(8).single());
    abandoned(broadcast::ring(8));
}

#[test]
fn a_full_ring_refuses_or_times_out_and_counts_it() {
    let (mut producer, ring) = broadcast::ring::<u64>(4).single().build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    for value in 0..4 {
        producer.try_send(value).unwrap();
    }
    assert_eq!(producer.try_send(4), Err(ClaimError::Full));
    assert_eq!(producer.send(4, Duration::from_millis(1)), Err(ClaimError::TimedOut));
    assert_eq!(producer.claim_contiguous(1, AT_ONCE).err(), Some(ClaimError::TimedOut));
    let counts = ring.counts();
    assert_eq!((counts.refused, counts.timed_out, counts.overwritten), (1, 2, 0));
    let lags = ring.lags();
    assert_eq!((lags[0].stage.as_str(), lags[0].slots, lags[0].per_cent), ("consumers", 4, 100.0));
    consumer.try_read_many(1).unwrap().release();
    assert_eq!(producer.try_send(4), Ok(4));
    assert_eq!(consumer.lag().slots, 4);
    assert_eq!(consumer.skip_to_newest(), 4);
    assert_eq!((consumer.lag().slots, consumer.lag().per_cent), (0, 0.0));
}

#[test]
fn whoever_panics_with_a_batch_holds_nobody_back() {
    let (mut producer, ring) = broadcast::ring::<u64>(2).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut worker = ring.worker().unwrap();
    for value in 0..2 {
        producer.try_send(value).unwrap();
    }
    let died = catch_unwind(AssertUnwindSafe(move || {
        let batch = consumer.try_read().unwrap();
        panic!("it dies with {} slots", batch.slots());
    }));
    assert!(died.is_err());
    assert_eq!(producer.try_send(2), Err(ClaimError::Full), "the worker has taken nothing");
    let died = catch_unwind(AssertUnwindSafe(move || {
        let batch = worker.try_take(1).unwrap();
        panic!("it dies with {} slots", batch.slots());
    }));
    assert!(died.is_err());
    assert_eq!(ring.lags(), []);
    for value in 2..6 {
        producer.try_send(value).unwrap();
    }
}

#[test]
fn what_was_published_before_a_join_is_not_seen() {
    let (mut producer, ring) = broadcast::ring::<u64>(4).build().unwrap();
    for value in 0..10 {
        producer.try_send(value).unwrap();
    }
    let mut consumer = ring.consumer().unwrap();
    assert_eq!(consumer.try_read().err(), Some(ReadError::Empty));
    producer.try_send(10).unwrap();
    assert_eq!(consumer.try_read().unwrap().iter().copied().collect::<Vec<_>>(), [10]);
}

#[test]
fn stages_see_what_those_before_have_given_back() {
    let mut builder = broadcast::ring::<u64>(8).consumers_max(2);
    let first = builder.stage("first", &[]);
    let second = builder.stage("second", &[first]);
    let third = builder.stage("third", &[second]);
    let (mut producer, ring) = builder.build().unwrap();
    let mut worker = ring.worker_of(first).unwrap();
    let mut last = ring.consumer_of(third).unwrap();
    for value in 0..4 {
        producer.try_send(value).unwrap();
    }
    // Nobody is in the second stage, so the third goes by the first.
    assert_eq!(last.try_read().err(), Some(ReadError::Empty));
    worker.try_take(2).unwrap().release();
    assert_eq!(last.try_read().unwrap().sequences(), 0..2);
    // One who joins there begins behind what the others have seen, and the third stage still waits for the first.
    let mut middle = ring.consumer_of(second).unwrap();
    assert_eq!(last.try_read().err(), Some(ReadError::Empty));
    worker.try_take(9).unwrap().release();
    assert_eq!(last.try_read().unwrap().sequences(), 2..4);
    producer.try_send(4).unwrap();
    worker.try_take(9).unwrap().release();
    assert_eq!(last.try_read().err(), Some(ReadError::Empty));
    assert_eq!(middle.try_read().unwrap().sequences(), 4..5);
    assert_eq!(last.try_read().unwrap().sequences(), 4..5);
    let lags = ring.lags();
    assert_eq!(
        lags.iter().map(|lag| lag.stage.as_str()).collect::<Vec<_>>(),
        ["first", "second", "third"]
    );
    assert!(lags.iter().all(|lag| lag.slots == 0), "{lags:?}");
}

#[test]
fn workers_share_what_there_is() {
    let (mut producer, ring) = broadcast::ring::<u64>(8).build().unwrap();
    let (mut one, mut other) = (ring.worker().unwrap(), ring.worker().unwrap());
    for value in 0..6 {
        producer.try_send(value).unwrap();
    }
    let held = one.try_take(2).unwrap();
    assert_eq!(other.try_take(3).unwrap().sequences(), 2..5);
    // The other one has more, and this one still has the first.
    assert_eq!(producer.try_claim(3).err(), Some(ClaimError::Full));
    held.release();
    assert!(producer.try_claim(3).is_ok());
    assert_eq!(one.try_take(9).unwrap().iter().copied().collect::<Vec<_>>(), [5]);
    drop(producer);
    for worker in [&mut one, &mut other] {
        assert_eq!(worker.take(1, FOREVER).err(), Some(ReadError::Closed));
    }
}

/// Each strategy ends a wait when something comes, at a close, and after a time-out.
fn waits<W: WaitStrategy>(strategy: W, values: u64) {
    let (mut producer, ring) = broadcast::ring::<u64>(1).wait(strategy).build().unwrap();
    let mut consumer = ring.consumer().unwrap();
    let mut worker = ring.worker().unwrap();
    assert_eq!(consumer.read(AT_ONCE).err(), Some(ReadError::TimedOut));
    assert_eq!(worker.take(1, Duration::from_millis(1)).err(), Some(ReadError::TimedOut));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The ring has one slot, so that both sides wait.
            (0..values).for_each(|value| _ = producer.send(value, FOREVER).unwrap());
        });
        let taken = scope.spawn(move || {
            let mut taken = Vec::new();
            while let Ok(batch) = worker.take(1, FOREVER) {
                taken.extend(batch.iter().copied());
            }
            taken
        });
        let mut seen = Vec::new();
        while let Ok(batch) = consumer.read(FOREVER) {
            seen.extend(batch.iter().copied());
        }
        assert_eq!(seen, (0..values).collect::<Vec<_>>());
        assert_eq!(taken.join().unwrap(), seen);
    });
    assert!(ring.is_closed());
}

#[test]
fn every_wait_ends() {
    // Three threads that spin on two processors wait for the system to give each its turn.
    waits(Spin, 5);
    let values = if cfg!(miri) { 5 } else { 100 };
    waits(SpinYield, values);
    waits(Yield, values);
    waits(Sleep::default(), values);
    waits(Park::default(), values);
}

#[test]
fn a_closed_ring_refuses_claims_and_is_read_to_its_end() {
    fn closed<P: Producers>(builder: broadcast::Builder<u64, P>) {
        let (mut producer, ring) = builder.build().unwrap();
        let mut consumer = ring.consumer().unwrap();
        producer.try_send(1).unwrap();
        ring.close();
        assert_eq!(producer.try_send(2), Err(ClaimError::Closed));
        assert_eq!(producer.send(2, FOREVER), Err(ClaimError::Closed));
        assert_eq!(consumer.read(FOREVER).unwrap().slots(), 1);
        assert_eq!(consumer.read(FOREVER).err(), Some(ReadError::Closed));
        assert_eq!(ring.counts().refused, 0);
    }
    closed::<Single>(broadcast::ring(8).single());
    closed::<Multi>(broadcast::ring(8));
}

#[test]
fn the_ring_ends_with_its_last_producer() {
    let (producer, ring) = broadcast::ring::<u64>(8).build().unwrap();
    let other = producer.clone();
    drop(producer);
    assert!(!ring.is_closed());
    drop(other);
    assert!(ring.is_closed());
}

#[test]
fn values_are_kept_in_their_slots_and_dropped_with_the_ring() {
    let counted = std::sync::Arc::new(());
    let (mut producer, ring) =
        broadcast::ring(4).build_with(|| (std::sync::Arc::clone(&counted), Vec::new())).unwrap();
    assert_eq!(std::sync::Arc::strong_count(&counted), 5);
    let mut consumer = ring.consumer().unwrap();
    for number in 0..9_u8 {
        producer.try_publish(|slot| slot.1.push(number)).unwrap();
        assert_eq!(consumer.try_read().unwrap().iter().next().unwrap().1.last(), Some(&number));
    }
    drop((producer, ring));
    assert_eq!(std::sync::Arc::strong_count(&counted), 5);
    drop(consumer);
    assert_eq!(std::sync::Arc::strong_count(&counted), 1);
    // One that cannot be made leaves nothing behind.
    let mut left = 2;
    let made = catch_unwind(AssertUnwindSafe(|| {
        broadcast::ring(4).build_with(|| {
            assert!(left > 0, "enough");
            left -= 1;
            std::sync::Arc::clone(&counted)
        })
    }));
    assert!(made.is_err());
    assert_eq!(std::sync::Arc::strong_count(&counted), 1);
}

spandrel_ring::plain! {
    #[derive(Debug, PartialEq, Default)]
    struct Odd {
        bytes: [u8; 3],
        last: u8,
        tail: i16,
    }
}

/// Values that do not fill their last word.
#[test]
fn readers_copy_values_of_any_size() {
    fn copied<T: broadcast::Plain + PartialEq + std::fmt::Debug + Default>(values: [T; 3]) {
        let (mut producer, ring) = broadcast::ring::<T>(8).readable().build().unwrap();
        let mut reader = ring.reader();
        let mut consumer = ring.consumer().unwrap();
        for value in values {
            producer.try_send(value).unwrap();
        }
        assert_eq!([(); 3].map(|()| reader.try_read().unwrap()), values);
        assert_eq!(reader.try_read(), Err(ReadError::Empty));
        assert!(consumer.try_read().unwrap().iter().eq(&values));
    }
    copied([1_u8, 2, 255]);
    copied([[1_u16, 2, 3, 4, 5], [6; 5], [7; 5]]);
    copied([1_u128, u128::MAX, 7]);
    copied([1.5_f32, -0.0, f32::MAX]);
    let odd = |n: i8| Odd { bytes: [n as u8; 3], tail: n.into(), last: 9 };
    copied([1, -1, 7].map(odd));
}

#[test]
fn a_reader_is_told_exactly_what_it_missed() {
    fn told<P: Producers>(builder: broadcast::Builder<u64, P>) {
        let (mut producer, ring) = builder.overwriting().build().unwrap();
        let (mut reader, mut idle) = (ring.reader(), ring.reader());
        let mut buffer = [0; 5];
        let (mut sent, mut read, mut missed) = (0, 0, 0);
        for burst in [1, 3, 8, 9, 40, 2, 100, 16, 1] {
            for _ in 0..burst {
                producer.try_send(sent).unwrap();
                sent += 1;
            }
            loop {
                match reader.try_read_many(&mut buffer) {
                    Ok(values) => {
                        for value in &buffer[..values] {
                            assert_eq!(*value, read + missed);
                            read += 1;
                        }
                    }
                    Err(ReadError::Overtaken(slots)) => missed += slots,
                    Err(why) => break assert_eq!(why, ReadError::Empty),
                }
                assert_eq!(reader.missed(), missed);
            }
            assert_eq!((read + missed, reader.lag()), (sent, 0));
        }
        assert!(read > 0 && missed > 0);
        assert_eq!(ring.counts().overwritten, sent - 16);
        assert_eq!(ring.counts().refused, 0);
        assert_eq!((idle.lag(), idle.skip_to_newest(), idle.missed()), (sent, sent, 0));
        assert_eq!(idle.read(AT_ONCE), Err(ReadError::TimedOut));
        let oldest = ring.reader_from_oldest().try_read().unwrap();
        assert!((sent - 16..sent - 8).contains(&oldest), "{oldest} of {sent}");
        drop(producer);
        assert_eq!(idle.read(FOREVER), Err(ReadError::Closed));
    }
    told(broadcast::ring(16).single());
    told(broadcast::ring(16));
}

#[test]
fn a_reader_passes_claims_that_were_dropped() {
    let (mut producer, ring) = broadcast::ring::<u64>(8).readable().build().unwrap();
    let mut reader = ring.reader();
    drop(producer.try_claim(2).unwrap());
    producer.try_send(5).unwrap();
    assert_eq!((reader.try_read(), reader.without_value(), reader.missed()), (Ok(5), 2, 0));
}
