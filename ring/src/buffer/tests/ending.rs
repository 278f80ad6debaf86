//! Flush, close, and what is dropped.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::gate::{Gate, Log, PATIENCE, SOON, assert_adds_up, logging, still, until};
use crate::buffer::batch::Batch;
use crate::buffer::error::{FlushError, Why};
use crate::buffer::latest::Update;
use crate::buffer::map::Map;
use crate::buffer::options::Options;
use crate::buffer::queue::Queue;

#[test]
fn a_flush_waits_for_what_was_put_before_and_not_for_what_comes_later() {
    let gate = Gate::new();
    let (processor, log) = (Arc::clone(&gate), Log::new());
    let seen = log.clone();
    let queue = Queue::builder()
        .options(still().batch_size(2))
        .start(move |batch: &Batch<u64>| {
            processor.pass();
            seen.extend(batch);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    queue.push(0).unwrap();
    assert_eq!(queue.flush(SOON), Err(FlushError::TimedOut { left: 1 }));
    thread::scope(|scope| {
        gate.wait_for(1);
        (1..4).for_each(|number| queue.push(number).unwrap());
        let flush = scope.spawn(|| {
            let flushed = queue.flush(PATIENCE);
            (flushed, log.all())
        });
        // [0], [1, 2]; then [3, 4], as 4 came before that batch was full, or [3]. Until then, 3 is not processed.
        gate.open(2);
        gate.wait_for(3);
        assert!(!flush.is_finished());
        queue.push(4).unwrap();
        queue.push(5).unwrap();
        gate.open(3);
        let (flushed, seen) = flush.join().unwrap();
        assert_eq!(flushed.unwrap().dead, 0);
        assert!(seen.starts_with(&[0, 1, 2, 3]) && !seen.contains(&5), "{seen:?}");
        gate.open(9);
    });
    assert_eq!(queue.close(PATIENCE).processed, 6);
}

#[test]
fn a_flush_waits_for_all_partitions() {
    let log = Log::new();
    let seen = log.clone();
    let queue = Queue::builder()
        .options(still().partitions(5).workers(2))
        .by_function(|&number: &u64| number as usize)
        .start(move |batch: &Batch<u64>| {
            seen.extend(batch);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    for round in 1..=20 {
        (0..7).for_each(|number| queue.push(number).unwrap());
        queue.flush(PATIENCE).unwrap();
        assert_eq!(log.all().len(), 7 * round);
        assert_eq!((queue.size(), queue.metrics().processed), (0, 7 * round as u64));
    }
    let nothing = queue.flush(Duration::ZERO).unwrap();
    assert_eq!(nothing.dead, 0);
}

/// A key that is put again before the flush is flushed with its new value.
#[test]
fn a_flush_of_a_map_has_the_last_values() {
    let log = Log::new();
    let seen = log.clone();
    let map = Map::builder()
        .options(still())
        .start(move |batch: &Batch<Update<u8, u64>>| {
            seen.extend(&batch.iter().map(|of| of.value).collect::<Vec<_>>());
            Ok::<(), Infallible>(())
        })
        .unwrap();
    for value in 0..50 {
        map.put(1, value).unwrap();
        map.put(1, value + 100).unwrap();
        map.flush(PATIENCE).unwrap();
        assert_eq!(log.all().last(), Some(&(value + 100)));
        map.put(1, 0).unwrap();
        map.delete(&1);
        assert_eq!(map.flush(PATIENCE).unwrap().dead, 0);
    }
    assert_eq!(log.all().len(), 50);
}

#[test]
fn a_close_processes_what_is_there_and_refuses_what_comes() {
    let (queue, log) = logging(Options::new().partitions(3).interval(PATIENCE));
    (0..100).for_each(|number| queue.push(number).unwrap());
    let closed = queue.close(PATIENCE);
    assert_eq!((closed.processed, closed.is_complete(), log.all().len()), (100, true, 100));
    let refused = queue.push(1).unwrap_err();
    assert_eq!((refused.why, refused.value), (Why::Closed, 1));
    assert_eq!(queue.push_within(1, PATIENCE).unwrap_err().why, Why::Closed);
    assert_eq!(queue.metrics().refused_closed, 2);
    assert_eq!(queue.close(PATIENCE), closed);
    queue.flush(PATIENCE).unwrap();
    let map = Map::builder().start(|_: &Batch<Update<u8, u8>>| Ok::<(), Infallible>(())).unwrap();
    map.close(PATIENCE);
    assert_eq!(map.put(1, 2).unwrap_err().value, (1, 2));
    assert_eq!(map.put_newer(1, 2, 3).unwrap_err().why, Why::Closed);
    assert_eq!(map.metrics().refused_closed, 2);
}

#[test]
fn who_waits_for_room_learns_of_the_close() {
    let queue = Queue::builder()
        .options(still().capacity(1).batch_size(1).backoff(PATIENCE).backoff_max(PATIENCE))
        .start(|_: &Batch<u64>| Err("down"))
        .unwrap();
    queue.push(0).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.push_within(1, PATIENCE).unwrap_err());
        until("it waits", || queue.metrics().blocked == 1);
        until("it has failed", || queue.metrics().errors == 1);
        let closed = queue.close(Duration::ZERO);
        assert_eq!(waiting.join().unwrap().why, Why::Closed);
        assert_eq!(closed.waiting + closed.in_flight, 1, "{closed}");
    });
    assert_eq!(queue.flush(PATIENCE), Err(FlushError::Closed { left: 1 }));
}

#[test]
fn a_close_says_what_is_dead() {
    let queue =
        Queue::builder().options(still().tries(1)).start(|_: &Batch<u64>| Err("down")).unwrap();
    (0..3).for_each(|number| queue.push(number).unwrap());
    let closed = queue.close(PATIENCE);
    assert_eq!((closed.dead, closed.processed, closed.waiting), (3, 0, 0), "{closed}");
    assert!(!closed.is_complete());
    assert_eq!(queue.dead_letters().len(), 1);
    assert!(queue.close(PATIENCE).is_complete());
}

/// The threads end, and with them the processor, which has the gate.
#[test]
fn a_queue_that_is_dropped_is_processed_and_its_threads_end() {
    let (gate, log) = (Gate::new(), Log::new());
    let (processor, seen) = (Arc::clone(&gate), log.clone());
    let fails = std::sync::atomic::AtomicBool::new(true);
    let queue = Queue::builder()
        .options(still())
        .start(move |batch: &Batch<u64>| {
            processor.pass();
            if fails.swap(false, std::sync::atomic::Ordering::Relaxed) {
                return Err("once");
            }
            seen.extend(batch);
            Ok(())
        })
        .unwrap();
    let other = queue.clone();
    queue.push(1).unwrap();
    drop(queue);
    other.push(2).unwrap();
    drop(other);
    gate.open(9);
    until("they have ended", || Arc::strong_count(&gate) == 1);
    assert_eq!(log.all(), [1, 2]);
}

#[test]
fn a_closed_queue_that_is_dropped_has_no_threads() {
    let gate = Gate::new();
    let processor = Arc::clone(&gate);
    let queue = Queue::builder()
        .options(still())
        .start(move |_: &Batch<u64>| {
            processor.pass();
            Ok::<(), Infallible>(())
        })
        .unwrap();
    assert!(queue.close(PATIENCE).is_complete());
    drop(queue);
    until("they have ended", || Arc::strong_count(&gate) == 1);
}

/// A processor that puts, into the queue that it is of.
#[test]
fn a_processor_may_push_into_its_own_queue() {
    let own: Arc<std::sync::OnceLock<Queue<u64>>> = Arc::default();
    let of_processor = Arc::clone(&own);
    let queue = Queue::builder()
        .options(still().batch_size(1))
        .start(move |batch: &Batch<u64>| {
            if let Some(queue) = of_processor.get()
                && batch[0] < 10
            {
                queue.push(batch[0] + 1).map_err(|refused| refused.to_string())?;
            }
            Ok::<(), String>(())
        })
        .unwrap();
    own.set(queue.clone()).unwrap();
    queue.push(0).unwrap();
    until("all have come", || queue.metrics().processed == 11);
    assert!(queue.close(PATIENCE).is_complete());
    // A circle would keep it for ever.
    queue.replace_processor(|_: &Batch<u64>| Ok::<(), Infallible>(()));
    assert_adds_up(&queue.metrics());
}
