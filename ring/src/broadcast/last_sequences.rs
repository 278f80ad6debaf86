//! A ring at the end of its sequences: what no ring comes to in years.

#![allow(clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::time::Duration;

use super::builder::Builder;
use super::cells::InPlace;
use super::consumer::Consumer;
use super::error::{ClaimError, ReadError};
use super::sequencer::Producers;
use super::wait::SpinYield;
use super::work::LAST;

fn some<P: Producers>(consumer: &mut Consumer<u64, P, SpinYield, InPlace>) -> Vec<u64> {
    consumer.try_read().map(|batch| batch.iter().copied().collect()).unwrap_or_default()
}

/// Everything up to the last sequence is published and seen, and then the ring is closed.
fn comes_to_its_end<P: Producers>(builder: impl Fn() -> Builder<u64, P>) {
    // The last slots are claimed one by one, by three, and in pieces that go round the end of the ring.
    for (left, slots) in [(1, 1), (5, 1), (8, 1), (9, 3), (20, 1), (21, 3), (24, 8), (4, 3), (6, 4)]
    {
        let mut builder = builder().begin_at(LAST - left);
        let first = builder.held_stage("first", &[]);
        let last = builder.stage("last", &[first]);
        let (mut producer, ring) = builder.build().unwrap();
        let mut worker = ring.worker_of(first).unwrap();
        let mut consumer = ring.consumer_of(last).unwrap();
        let mut sent = 0;
        while sent + slots <= left {
            let mut claim = producer.try_claim(slots as usize).unwrap();
            assert_eq!(claim.sequence(), LAST - left + sent);
            claim.iter_mut().for_each(|slot| *slot = sent);
            claim.publish();
            assert_eq!(worker.try_take(9).unwrap().slots() as u64, slots);
            assert_eq!(some(&mut consumer), vec![sent; slots as usize]);
            sent += slots;
        }
        // It would be beyond. There is room.
        assert_eq!(producer.try_claim(slots as usize).err(), Some(ClaimError::Closed));
        assert_eq!(producer.claim(1, Duration::MAX).err(), Some(ClaimError::Closed));
        assert!(ring.is_closed());
        assert_eq!(worker.take(1, Duration::MAX).err(), Some(ReadError::Closed));
        assert_eq!(consumer.read(Duration::MAX).err(), Some(ReadError::Closed));
        // Who joins there sees no more.
        let mut late = ring.consumer_of(first).unwrap();
        assert_eq!(late.read(Duration::MAX).err(), Some(ReadError::Closed));
        assert!(ring.lags().iter().all(|lag| lag.slots == 0));
        assert_eq!(ring.counts().timed_out, 0);
    }
}

#[test]
fn one_producer_comes_to_the_last_sequence() {
    comes_to_its_end(|| Builder::new(8).single());
}

#[test]
fn several_producers_come_to_the_last_sequence() {
    comes_to_its_end(|| Builder::new(8));
}

/// Readers, too, and what is overwritten.
fn is_overwritten_at_its_end<P: Producers>(builder: Builder<u64, P>) {
    let builder = builder.begin_at(LAST - 30).overwriting().claim_max(1);
    let (mut producer, ring) = builder.build().unwrap();
    let mut reader = ring.reader();
    for value in 0..30 {
        producer.try_send(value).unwrap();
    }
    assert_eq!(producer.try_send(30), Err(ClaimError::Closed));
    let mut read = Vec::new();
    loop {
        match reader.read(Duration::MAX) {
            Ok(value) => read.push(value),
            Err(ReadError::Overtaken(_)) => {}
            Err(why) => break assert_eq!(why, ReadError::Closed),
        }
    }
    assert_eq!(read.last(), Some(&29));
    assert_eq!(read.len() as u64 + reader.missed(), 30);
}

#[test]
fn a_ring_that_overwrites_comes_to_the_last_sequence() {
    is_overwritten_at_its_end(Builder::new(8).single());
    is_overwritten_at_its_end(Builder::new(8));
}
