//! Loom explores these: one race each, named for it. There is no time: were a wake-up lost, loom would report a deadlock.
//!
//! A buffer has two threads of its own, the watch and a worker; so there is one thread beside them and the test's own, at
//! most.
//!
//! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel-ring --features buffer --release --lib loom_models`

#![allow(clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::convert::Infallible;
use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::batch::Batch;
use super::error::Why;
use super::latest::Update;
use super::map::Map;
use super::options::Options;
use super::queue::Queue;

const FOREVER: Duration = Duration::MAX;

/// More than two preemptions are too many ways with so many locks.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2).min(2));
    builder.check(run);
}

fn still() -> Options {
    Options::new().partitions(1).interval(FOREVER).time_out(FOREVER).backoff(Duration::ZERO)
}

/// Counts what it processes.
fn counting(options: Options) -> (Queue<usize>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let queue = Queue::builder()
        .options(options)
        .by_function(|&item| item)
        .start(move |batch: &Batch<usize>| {
            // Relaxed: the locks hand it over.
            counted.fetch_add(batch.len(), Ordering::Relaxed);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    (queue, count)
}

fn done(count: &AtomicUsize) -> usize {
    // Relaxed: as above.
    count.load(Ordering::Relaxed)
}

#[test]
fn a_worker_is_woken_by_a_full_batch() {
    model(|| {
        let (queue, count) = counting(still().batch_size(1));
        queue.push(0).unwrap();
        // No flush: this waits for the batch that the push has made due.
        while queue.size() > 0 {
            thread::yield_now();
        }
        assert_eq!(done(&count), 1);
        assert!(queue.close(FOREVER).is_complete());
    });
}

#[test]
fn a_flush_waits_for_what_was_put_before() {
    model(|| {
        let (queue, count) = counting(still());
        queue.push(0).unwrap();
        queue.flush(FOREVER).unwrap();
        assert_eq!(done(&count), 1);
        assert!(queue.close(FOREVER).is_complete());
    });
}

#[test]
fn a_flush_and_a_push_of_another_thread() {
    model(|| {
        let (queue, count) = counting(still().batch_size(2));
        queue.push(0).unwrap();
        let other = queue.clone();
        let child = thread::spawn(move || {
            other.push(1).unwrap();
            drop(other);
        });
        queue.flush(FOREVER).unwrap();
        assert!(done(&count) >= 1);
        child.join().unwrap();
        assert_eq!(queue.close(FOREVER).processed, 2);
        assert_eq!(done(&count), 2);
    });
}

/// What is taken by a close is processed, and what is not comes back.
#[test]
fn a_close_and_a_push() {
    model(|| {
        let (queue, count) = counting(still());
        let other = queue.clone();
        let child = thread::spawn(move || {
            let refused = other.push(7).err();
            drop(other);
            refused
        });
        let closed = queue.close(FOREVER);
        let refused = child.join().unwrap();
        assert!(closed.is_complete());
        match refused {
            None => assert_eq!((closed.processed, done(&count)), (1, 1)),
            Some(refused) => {
                assert_eq!((refused.why, refused.value), (Why::Closed, 7));
                assert_eq!((closed.processed, done(&count)), (0, 0));
            }
        }
    });
}

/// Each item goes to the processor or to whoever takes it.
#[test]
fn a_take_and_a_batch() {
    model(|| {
        let (queue, count) = counting(still().batch_size(1));
        queue.push(0).unwrap();
        let taken = queue.take().len();
        let closed = queue.close(FOREVER);
        assert!(closed.is_complete());
        assert_eq!(taken + done(&count), 1);
        assert_eq!((closed.processed as usize, queue.metrics().taken as usize), (1 - taken, taken));
        assert_eq!(queue.metrics().held, 0);
    });
}

#[test]
fn who_waits_for_room_is_woken() {
    model(|| {
        let (queue, count) = counting(still().batch_size(1).capacity(1));
        queue.push(0).unwrap();
        queue.push_within(1, FOREVER).unwrap();
        assert!(queue.close(FOREVER).is_complete());
        assert_eq!(done(&count), 2);
    });
}

/// The watch has it tried again.
#[test]
fn a_batch_that_fails_is_tried_again() {
    model(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let called = Arc::clone(&calls);
        let queue = Queue::builder()
            .options(still().batch_size(1))
            .start(move |_: &Batch<usize>| {
                // Relaxed: one thread at a time.
                if called.fetch_add(1, Ordering::Relaxed) == 0 { Err("once") } else { Ok(()) }
            })
            .unwrap();
        queue.push(0).unwrap();
        let closed = queue.close(FOREVER);
        assert!(closed.is_complete());
        assert_eq!((done(&calls), closed.processed), (2, 1));
    });
}

/// It is in flight, and a newer value waits behind it.
#[test]
fn a_put_beside_a_batch_of_the_same_key() {
    model(|| {
        let last = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&last);
        let map = Map::builder()
            .options(still().batch_size(1))
            .start(move |batch: &Batch<Update<u8, usize>>| {
                // Relaxed: one thread at a time.
                let before = seen.swap(batch[0].value, Ordering::Relaxed);
                assert!(before < batch[0].value);
                Ok::<(), Infallible>(())
            })
            .unwrap();
        map.put_newer(1, 1, 1).unwrap();
        map.put_newer(1, 2, 2).unwrap();
        assert_eq!(map.put_newer(1, 1, 1).unwrap_err().why, Why::Older(2));
        assert!(map.close(FOREVER).is_complete());
        assert_eq!(done(&last), 2);
        assert_eq!(map.metrics().versions, 1);
    });
}

/// Nobody waits for it, and its threads end all the same.
#[test]
fn a_queue_that_is_dropped_is_processed() {
    model(|| {
        let (queue, count) = counting(still());
        queue.push(0).unwrap();
        drop(queue);
        while done(&count) == 0 {
            thread::yield_now();
        }
    });
}
