//! What changes while the buffer works.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::gate::{Gate, Log, NEVER, PATIENCE, SOON, logging, still, until};
use crate::buffer::batch::Batch;
use crate::buffer::error::StartError;
use crate::buffer::latest::Update;
use crate::buffer::map::Map;
use crate::buffer::options::{Options, OptionsError};
use crate::buffer::queue::Queue;

#[test]
fn a_smaller_batch_and_a_shorter_interval_take_effect_at_once() {
    let (queue, log) = logging(still().batch_size(100));
    (0..3).for_each(|number| queue.push(number).unwrap());
    assert_eq!((queue.size(), log.all()), (3, vec![]));
    queue.change(queue.options().batch_size(3)).unwrap();
    until("a batch", || log.all() == [0, 1, 2]);
    until("it is over", || queue.size() == 0);
    queue.push(3).unwrap();
    assert_eq!(queue.options().batch_size, 3);
    queue.change(queue.options().interval(SOON)).unwrap();
    until("the interval", || log.all() == [0, 1, 2, 3]);
    queue.change(queue.options().interval(NEVER)).unwrap();
    queue.push(4).unwrap();
    assert_eq!(queue.close(PATIENCE).processed, 5);
}

#[test]
fn a_processor_is_replaced_from_the_next_attempt_on() {
    let (gate, log) = (Gate::new(), Log::new());
    let (old, new) = ((Arc::clone(&gate), log.clone()), log.clone());
    let queue = Queue::builder()
        .options(still().batch_size(1))
        .start(move |batch: &Batch<u64>| {
            old.0.pass();
            old.1.extend(&[batch[0] + 100]);
            Err("down")
        })
        .unwrap();
    queue.push(1).unwrap();
    gate.wait_for(1);
    queue.replace_processor(move |batch: &Batch<u64>| {
        new.extend(batch);
        Ok::<(), Infallible>(())
    });
    assert_eq!(Arc::strong_count(&gate), 2, "it still runs");
    gate.open(1);
    queue.push(2).unwrap();
    assert!(queue.close(PATIENCE).is_complete());
    assert_eq!(log.all(), [101, 1, 2]);
    assert_eq!(Arc::strong_count(&gate), 1, "it is dropped");
}

#[test]
fn tries_change_while_a_batch_fails() {
    let queue = Queue::builder()
        .options(still().batch_size(1).tries(u32::MAX).backoff(SOON))
        .start(|_: &Batch<u64>| Err("down"))
        .unwrap();
    queue.push(1).unwrap();
    until("a few", || queue.metrics().errors > 2);
    queue.change(queue.options().tries(1)).unwrap();
    assert_eq!(queue.flush(PATIENCE).unwrap().dead, 1);
}

/// Without it, it would never be tried again.
#[test]
fn a_shorter_backoff_holds_for_what_waits_already() {
    let (fails, log) = (AtomicBool::new(true), Log::new());
    let seen = log.clone();
    let queue = Queue::builder()
        .options(still().batch_size(1).backoff(NEVER).backoff_max(NEVER))
        .start(move |batch: &Batch<u64>| {
            if fails.swap(false, Ordering::Relaxed) {
                return Err("once");
            }
            seen.extend(batch);
            Ok(())
        })
        .unwrap();
    queue.push(1).unwrap();
    until("it has failed", || queue.metrics().errors == 1);
    let change = || queue.change(queue.options().backoff(SOON).backoff_max(SOON)).unwrap();
    // Between the failure and the back-off there is a moment in which it does not wait yet.
    until("it is tried again", || {
        change();
        log.all() == [1]
    });
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let refused =
        Queue::builder().options(Options::new().tries(0)).start(|_: &Batch<u8>| Err("no"));
    let Err(StartError::Options(OptionsError::Range { name: "tries", .. })) = refused else {
        panic!("{refused:?}");
    };
    let (queue, _log) = logging(still());
    let before = queue.options();
    for to in [
        queue.options().batch_size(0),
        queue.options().partitions(7),
        queue.options().versions_max(7),
        queue.options().interval(Duration::ZERO),
    ] {
        assert!(queue.change(to).is_err());
        assert_eq!(queue.options(), before);
    }
    let map = Map::builder()
        .options(still().versions_max(7))
        .start(|_: &Batch<Update<u8, u8>>| Ok::<(), Infallible>(()))
        .unwrap();
    map.change(map.options().batch_size(9)).unwrap();
    assert_eq!(map.change(map.options().versions_max(8)), Err(OptionsError::Fixed("versions_max")));
    assert_eq!(map.options().batch_size, 9);
}
