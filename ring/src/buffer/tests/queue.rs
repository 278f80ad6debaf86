//! Order, room, hand-over.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::gate::{
    Gate, Log, NEVER, PATIENCE, SOON, assert_adds_up, logging, still, until, until_it_is_still,
};
use crate::buffer::batch::Batch;
use crate::buffer::error::Why;
use crate::buffer::options::{ALL, Options};
use crate::buffer::queue::Queue;

#[test]
fn a_full_batch_is_processed_at_once_and_in_order() {
    let (queue, log) = logging(still().batch_size(3));
    for number in 0..7 {
        queue.push(number).unwrap();
    }
    until("two batches", || log.all().len() == 6);
    assert_eq!(log.all(), [0, 1, 2, 3, 4, 5]);
    until("the seventh waits", || queue.size() == 1);
    assert_eq!(queue.close(PATIENCE).processed, 7);
    assert_eq!(log.all(), [0, 1, 2, 3, 4, 5, 6]);
}

/// The item that fills it wakes a worker itself.
#[test]
fn a_batch_is_full_with_its_last_item() {
    let (queue, log) = logging(still().batch_size(2));
    for round in 1..4 {
        queue.push(1).unwrap();
        until_it_is_still(&queue);
        queue.push(2).unwrap();
        until("a batch", || log.all().len() == 2 * round);
        until("it is over", || queue.size() == 0);
    }
}

#[test]
fn what_waits_is_processed_after_the_interval() {
    let (queue, log) = logging(Options::new().interval(SOON).time_out(NEVER));
    for round in 1..4 {
        queue.push(round).unwrap();
        until("the interval", || log.all().len() == round as usize);
        until("a rest", || queue.metrics().processed == round);
    }
    assert!(queue.close(PATIENCE).is_complete());
}

/// Where what waited was taken by somebody else, the next item wakes the watch again.
#[test]
fn the_watch_is_woken_after_all_was_taken() {
    let (queue, log) = logging(still());
    queue.push(1).unwrap();
    until_it_is_still(&queue);
    assert_eq!(queue.take(), [1]);
    queue.change(queue.options().interval(SOON)).unwrap();
    until_it_is_still(&queue);
    queue.push(2).unwrap();
    until("the interval", || log.all() == [2]);
    queue.close(PATIENCE);
}

#[test]
fn what_one_batch_leaves_over_is_processed_after_the_interval() {
    let (queue, log) = logging(still().interval(Duration::from_millis(20)).batch_size(2));
    for number in 0..3 {
        queue.push(number).unwrap();
    }
    until("both", || log.all() == [0, 1, 2]);
    queue.close(PATIENCE);
}

#[test]
fn batches_of_all_have_all() {
    let sizes = Log::new();
    let seen = sizes.clone();
    let queue = Queue::builder()
        .options(still().batch_size(ALL))
        .start(move |batch: &Batch<u64>| {
            seen.extend(&[batch.len()]);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    (0..500).for_each(|number| queue.push(number).unwrap());
    queue.close(PATIENCE);
    assert_eq!(sizes.all(), [500]);
}

/// Each partition in order, one batch at a time, though all are processed at once.
#[test]
fn the_order_is_kept_by_thread_by_key_and_by_function() {
    const THREADS: u64 = 3;
    let each = if cfg!(miri) { 20 } else { 2_000 };
    for way in 0..3 {
        let log = Log::new();
        let seen = log.clone();
        let options = Options::new().partitions(2).workers(2).batch_size(7).interval(SOON);
        let builder = Queue::builder().options(options.time_out(NEVER));
        let builder = match way {
            0 => builder.by_thread(),
            1 => builder.by_key(|&(thread, _): &(u64, u64)| thread),
            _ => builder.by_function(|&(thread, _)| thread as usize),
        };
        let queue = builder
            .start(move |batch: &Batch<(u64, u64)>| {
                let items = batch.iter().map(|&item| (batch.partition(), item));
                seen.extend(&items.collect::<Vec<_>>());
                Ok::<(), Infallible>(())
            })
            .unwrap();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let queue = &queue;
                scope.spawn(move || {
                    (0..each).for_each(|number| queue.push((thread, number)).unwrap())
                });
            }
        });
        assert!(queue.close(PATIENCE).is_complete());
        let log = log.all();
        for thread in 0..THREADS {
            let of_thread = log.iter().filter(|(_, item)| item.0 == thread);
            let partitions: Vec<usize> =
                of_thread.clone().map(|(partition, _)| *partition).collect();
            assert!(partitions.iter().all(|partition| *partition == partitions[0]), "way {way}");
            assert!(way != 2 || partitions[0] == thread as usize % 2);
            assert!(of_thread.map(|(_, item)| item.1).eq(0..each), "way {way}, thread {thread}");
        }
    }
}

/// Whoever pushes it, an item with the same key has the same partition; and not all have one.
#[test]
fn a_key_has_one_partition() {
    let log = Log::new();
    let seen = log.clone();
    let queue = Queue::builder()
        .options(still().partitions(4))
        .by_key(|&(key, _): &(u64, u64)| key)
        .start(move |batch: &Batch<(u64, u64)>| {
            let places = batch.iter().map(|item| (item.0, batch.partition()));
            seen.extend(&places.collect::<Vec<_>>());
            Ok::<(), Infallible>(())
        })
        .unwrap();
    thread::scope(|scope| {
        for thread in 0..2 {
            let queue = &queue;
            scope.spawn(move || (0..50).for_each(|key| queue.push((key, thread)).unwrap()));
        }
    });
    queue.close(PATIENCE);
    let mut places = log.all();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 50);
    assert!(places.iter().any(|(_, partition)| *partition != places[0].1), "{places:?}");
}

#[test]
fn a_full_queue_gives_the_value_back_and_counts_it() {
    let (queue, _log) = logging(still().capacity(2).batch_size(ALL));
    queue.push(1).unwrap();
    queue.push(2).unwrap();
    let refused = queue.push(3).unwrap_err();
    assert_eq!((refused.why, refused.value), (Why::Full, 3));
    let refused = queue.push_within(4, Duration::ZERO).unwrap_err();
    assert_eq!((refused.why, refused.value), (Why::TimedOut, 4));
    let refused = queue.push_within(5, SOON).unwrap_err();
    assert_eq!(refused.why, Why::TimedOut);
    let metrics = queue.metrics();
    assert_eq!((metrics.refused_full, metrics.refused_timed_out, metrics.blocked), (1, 2, 2));
    assert_eq!((metrics.accepted, metrics.held, queue.size()), (2, 2, 2));
    queue.flush(PATIENCE).unwrap();
    assert_eq!(queue.metrics().held, 0);
    queue.push_within(6, Duration::ZERO).unwrap();
    assert_eq!(queue.metrics().blocked, 2, "there was room");
}

#[test]
fn who_waits_for_room_gets_it_when_a_batch_is_processed_or_taken() {
    let gate = Gate::new();
    let processor = Arc::clone(&gate);
    let queue = Queue::builder()
        .options(still().capacity(2).batch_size(2))
        .start(move |_: &Batch<u64>| {
            processor.pass();
            Ok::<(), Infallible>(())
        })
        .unwrap();
    queue.push(1).unwrap();
    queue.push(2).unwrap();
    gate.wait_for(1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.push_within(3, PATIENCE));
        until("it waits", || queue.metrics().blocked == 1);
        assert_eq!(queue.push(9).unwrap_err().why, Why::Full, "what is in flight has its room");
        gate.open(1);
        waiting.join().unwrap().unwrap();
    });
    queue.push_within(4, PATIENCE).unwrap();
    gate.wait_for(2);
    gate.open(2);
    queue.flush(PATIENCE).unwrap();
    queue.change(queue.options().interval(NEVER)).unwrap();
    queue.push(5).unwrap();
    queue.replace_processor(|_: &Batch<u64>| Err("down"));
    queue.change(queue.options().tries(1)).unwrap();
    queue.push(6).unwrap();
    until("it is dead", || queue.metrics().dead == 2);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.push_within(7, PATIENCE));
        until("it waits", || queue.metrics().blocked >= 2);
        assert_eq!(queue.dead_letters().len(), 1);
        waiting.join().unwrap().unwrap();
    });
    thread::scope(|scope| {
        queue.push(8).unwrap_or_default();
        let blocked = queue.metrics().blocked;
        let waiting = scope.spawn(|| queue.push_within(10, PATIENCE));
        until("it waits or is there", || {
            waiting.is_finished() || queue.metrics().blocked > blocked
        });
        until("something is taken", || {
            !queue.take().is_empty() || !queue.dead_letters().is_empty()
        });
        waiting.join().unwrap().unwrap();
    });
    assert_adds_up(&queue.metrics());
}

#[test]
fn bytes_are_bounded_and_what_can_never_fit_is_told_apart() {
    let queue = Queue::builder()
        .options(still().capacity_bytes(1_000))
        .weigh(Vec::capacity)
        .start(|_: &Batch<Vec<u8>>| Ok::<(), Infallible>(()))
        .unwrap();
    let refused = queue.push(vec![1; 1_000]).unwrap_err();
    assert_eq!((refused.why, refused.value.len()), (Why::TooLarge, 1_000));
    assert_eq!(queue.push_within(vec![1; 1_000], PATIENCE).unwrap_err().why, Why::TooLarge);
    queue.push(vec![1; 600]).unwrap();
    assert_eq!(queue.push(vec![1; 600]).unwrap_err().why, Why::Full);
    queue.push(vec![1; 200]).unwrap();
    let metrics = queue.metrics();
    assert!((800..=1_000).contains(&metrics.held_bytes), "{}", metrics.held_bytes);
    assert_eq!((metrics.refused_too_large, metrics.refused_full), (2, 1));
    queue.flush(PATIENCE).unwrap();
    assert_eq!((queue.metrics().held, queue.metrics().held_bytes), (0, 0));
}

#[test]
fn all_that_waits_is_handed_over_and_what_is_in_flight_is_not() {
    let gate = Gate::new();
    let processor = Arc::clone(&gate);
    let queue = Queue::builder()
        .options(still().batch_size(2))
        .start(move |_: &Batch<u64>| {
            processor.pass();
            Ok::<(), Infallible>(())
        })
        .unwrap();
    queue.push(0).unwrap();
    queue.push(1).unwrap();
    gate.wait_for(1);
    (2..100).for_each(|number| queue.push(number).unwrap());
    assert_eq!(queue.size(), 100);
    assert!(queue.take().into_iter().eq(2..100));
    let metrics = queue.metrics();
    assert_eq!((metrics.taken, metrics.waiting, metrics.in_flight, metrics.held), (98, 0, 2, 2));
    assert_adds_up(&metrics);
    gate.open(1);
    assert_eq!(queue.close(PATIENCE).processed, 2);
    assert_eq!(queue.take(), []);
}

#[test]
fn what_waits_for_another_attempt_is_handed_over_first() {
    let queue = Queue::builder()
        .options(still().batch_size(2).backoff(PATIENCE).backoff_max(PATIENCE))
        .start(|_: &Batch<u64>| Err("down"))
        .unwrap();
    queue.push(0).unwrap();
    queue.push(1).unwrap();
    until("it has failed", || queue.metrics().errors == 1);
    queue.push(2).unwrap();
    let mut taken = Vec::new();
    // Between the failure and the back-off there is a moment in which nobody can take it.
    until("all are taken", || {
        taken.extend(queue.take());
        taken.len() == 3
    });
    taken.sort_unstable();
    assert_eq!(taken, [0, 1, 2]);
    assert_eq!((queue.size(), queue.metrics().held), (0, 0));
    // The partition goes on.
    queue.replace_processor(|_: &Batch<u64>| Ok::<(), Infallible>(()));
    queue.push(3).unwrap();
    assert_eq!(queue.close(PATIENCE).processed, 1);
    assert_adds_up(&queue.metrics());
}

#[test]
fn the_oldest_item_has_an_age_as_long_as_there_is_one() {
    let (queue, _log) = logging(still());
    assert_eq!(queue.metrics().oldest, None);
    queue.push(1).unwrap();
    let first = queue.metrics().oldest.unwrap();
    until("it grows", || queue.metrics().oldest.unwrap() > first);
    queue.flush(PATIENCE).unwrap();
    assert_eq!(queue.metrics().oldest, None);
}

/// A value may be dropped where it panics.
#[test]
fn items_that_panic_when_they_are_dropped_hold_up_nobody() {
    struct Panics(bool);
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(!self.0, "dropped");
        }
    }
    let queue = Queue::builder()
        .options(still().batch_size(1))
        .start(|_: &Batch<Panics>| Ok::<(), Infallible>(()))
        .unwrap();
    for number in 0..4 {
        queue.push(Panics(number % 2 == 0)).unwrap();
    }
    assert_eq!(queue.close(PATIENCE).processed, 4);
    assert_eq!(queue.metrics().held, 0);
}
