//! Processors that fail and panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::gate::{Log, NEVER, PATIENCE, SOON, assert_adds_up, still, until};
use crate::buffer::batch::{Batch, LetterState};
use crate::buffer::error::{Failure, Why};
use crate::buffer::options::Options;
use crate::buffer::queue::Queue;

/// Nothing is lost, nothing comes twice after a success, and the order is kept.
#[test]
fn a_processor_that_fails_half_of_the_time() {
    for panics in [false, true] {
        let items = if cfg!(miri) { 40 } else { 3_000 };
        let log = Log::new();
        let (seen, calls) = (log.clone(), AtomicU64::new(0));
        let options = Options::new().partitions(3).workers(2).batch_size(4).interval(SOON);
        let queue = Queue::builder()
            .options(options.tries(u32::MAX).backoff(Duration::ZERO).time_out(NEVER))
            .by_function(|&number: &u64| number as usize)
            .start(move |batch: &Batch<u64>| {
                if calls.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
                    assert!(!panics, "every other time");
                    return Err("every other time");
                }
                seen.extend(batch);
                Ok(())
            })
            .unwrap();
        (0..items).for_each(|number| queue.push(number).unwrap());
        let closed = queue.close(PATIENCE);
        assert!(closed.is_complete(), "{closed}");
        for partition in 0..3 {
            let of_partition = log.all().into_iter().filter(|number| number % 3 == partition);
            assert!(of_partition.eq((0..items).filter(|number| number % 3 == partition)));
        }
        let metrics = queue.metrics();
        assert_eq!(metrics.attempts, metrics.batches + metrics.errors + metrics.panics);
        assert_eq!(metrics.retries, metrics.errors + metrics.panics);
        assert!(metrics.retries > 0 && (metrics.panics > 0) == panics);
        assert_adds_up(&metrics);
    }
}

#[test]
fn a_batch_is_dead_after_so_many_tries_and_the_next_one_comes() {
    let log = Log::new();
    let seen = log.clone();
    let queue = Queue::builder()
        .options(still().batch_size(2).tries(3))
        .start(move |batch: &Batch<u64>| {
            seen.extend(&[u64::from(batch.attempt())]);
            match batch[0] {
                0 => Err("no zeros"),
                2 => panic!("no {}", "twos"),
                4 => std::panic::panic_any(4),
                _ => Ok(()),
            }
        })
        .unwrap();
    (0..8).for_each(|number| queue.push(number).unwrap());
    assert_eq!(queue.flush(PATIENCE).unwrap().dead, 6);
    assert_eq!(log.all(), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]);
    let metrics = queue.metrics();
    assert_eq!((metrics.dead, metrics.dead_kept, metrics.processed), (6, 6, 2));
    assert_eq!((metrics.errors, metrics.panics, metrics.retries), (3, 6, 6));
    assert_eq!((metrics.size(), metrics.held), (0, 6), "they keep their room");
    assert_adds_up(&metrics);
    let letters = queue.dead_letters();
    let whys = [
        Failure::Error("no zeros".into()),
        Failure::Panic("no twos".into()),
        Failure::Panic("it did not say why".into()),
    ];
    for ((letter, why), number) in letters.into_iter().zip(whys).zip([0, 2, 4]) {
        assert_eq!((letter.failure(), letter.attempts(), letter.partition()), (&why, 3, 0));
        assert_eq!(letter.state(), LetterState::Failed);
        assert_eq!(letter.into_items().unwrap(), [number, number + 1]);
    }
    let metrics = queue.metrics();
    assert_eq!((metrics.dead, metrics.dead_kept, metrics.held), (6, 0, 0));
    assert!(queue.dead_letters().is_empty());
    let closed = queue.close(PATIENCE);
    assert!(closed.is_complete(), "{closed}");
}

impl crate::buffer::metrics::Metrics {
    fn size(&self) -> usize {
        self.waiting + self.in_flight
    }
}

#[test]
fn dead_letters_beyond_their_bound_are_dropped_and_counted() {
    let queue = Queue::builder()
        .options(still().batch_size(2).tries(1).dead_letters_max(5).capacity(6))
        .start(|_: &Batch<u64>| Err("down"))
        .unwrap();
    for round in 0..4 {
        queue.push(2 * round).unwrap();
        queue.push(2 * round + 1).unwrap();
        queue.flush(PATIENCE).unwrap();
    }
    let metrics = queue.metrics();
    assert_eq!((metrics.dead, metrics.dead_kept, metrics.dead_dropped), (8, 4, 4));
    assert_eq!(metrics.held, 4);
    queue.change(queue.options().dead_letters_max(3)).unwrap();
    assert_eq!((queue.metrics().dead_kept, queue.metrics().held), (2, 2));
    let letters = queue.dead_letters();
    assert_eq!((letters.len(), letters[0].items()), (1, &[6, 7][..]));
    assert_adds_up(&queue.metrics());
}

/// What nobody takes fills the queue, which says so, and loses nothing.
#[test]
fn a_processor_that_never_succeeds_ends_in_a_full_queue() {
    let queue = Queue::builder()
        .options(still().batch_size(1).tries(2).capacity(3))
        .start(|_: &Batch<u64>| Err("down"))
        .unwrap();
    (0..3).for_each(|number| queue.push(number).unwrap());
    assert_eq!(queue.push(3).unwrap_err().why, Why::Full);
    queue.flush(PATIENCE).unwrap();
    assert_eq!(queue.push(3).unwrap_err().why, Why::Full);
    let letters = queue.dead_letters();
    let numbers = letters.into_iter().flat_map(|letter| letter.into_items().unwrap());
    assert!(numbers.eq(0..3));
    queue.push(3).unwrap();
}

#[test]
fn the_words_of_a_failure_are_cut() {
    let queue = Queue::builder()
        .options(still().tries(1))
        .start(|_: &Batch<u64>| Err("ä".repeat(10_000)))
        .unwrap();
    queue.push(0).unwrap();
    queue.flush(PATIENCE).unwrap();
    assert_eq!(queue.metrics().last_failure, Some(Failure::Error("ä".repeat(500))));
}

/// The next attempt comes after the back-off, and not before: here it never does.
#[test]
fn a_batch_waits_for_its_next_attempt_and_what_is_behind_it_does_too() {
    let calls = Arc::new(AtomicU64::new(0));
    let called = Arc::clone(&calls);
    let queue = Queue::builder()
        .options(still().batch_size(1).backoff(PATIENCE).backoff_max(PATIENCE))
        .start(move |_: &Batch<u64>| {
            called.fetch_add(1, Ordering::Relaxed);
            Err("down")
        })
        .unwrap();
    queue.push(0).unwrap();
    until("it has failed", || queue.metrics().errors == 1);
    queue.push(1).unwrap();
    assert!(queue.flush(SOON).is_err());
    let closed = queue.close(SOON);
    assert_eq!((closed.waiting, closed.in_flight, closed.dead), (2, 0, 0), "{closed}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(queue.take(), [0, 1]);
    assert_adds_up(&queue.metrics());
}
