//! Processors that hang. Each hangs until the test lets it go.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;

use super::gate::{Gate, Log, NEVER, PATIENCE, SOON, assert_adds_up, still, until};
use crate::buffer::batch::{Batch, LetterState};
use crate::buffer::error::{Failure, Why};
use crate::buffer::options::{AfterTimeOut, Options};
use crate::buffer::queue::Queue;

/// Hangs with 0, at the gate, and says then that it has failed if `fails`. The attempt that hangs runs out of time at once,
/// and others do not.
fn hanging(options: Options, fails: bool) -> (Queue<u64>, Arc<Gate>, Log<u64>) {
    let (gate, log) = (Gate::new(), Log::new());
    let (closed, seen) = (Arc::clone(&gate), log.clone());
    let queue = Queue::builder()
        .options(options.batch_size(1).time_out(SOON))
        .by_function(|&number: &u64| number as usize)
        .start(move |batch: &Batch<u64>| {
            if batch[0] == 0 && batch.attempt() == 1 {
                closed.pass();
                if fails {
                    return Err("late");
                }
            }
            seen.extend(batch);
            Ok(())
        })
        .unwrap();
    queue.push(0).unwrap();
    gate.wait_for(1);
    queue.change(queue.options().time_out(NEVER)).unwrap();
    until("it is overdue", || queue.metrics().time_outs == 1);
    (queue, gate, log)
}

#[test]
fn a_batch_that_hangs_is_set_aside_and_its_partition_goes_on() {
    let (queue, gate, log) = hanging(still(), false);
    queue.push(1).unwrap();
    queue.flush(PATIENCE).unwrap();
    assert_eq!(log.all(), [1]);
    let metrics = queue.metrics();
    assert_eq!((metrics.dead, metrics.dead_kept, metrics.processed, metrics.hung), (1, 1, 1, 1));
    assert_eq!((metrics.held, metrics.last_failure.as_ref()), (1, Some(&Failure::TimedOut)));
    assert_adds_up(&metrics);
    let letter = queue.dead_letters().remove(0);
    assert_eq!((letter.state(), letter.failure()), (LetterState::InDoubt, &Failure::TimedOut));
    let letter = letter.into_items().unwrap_err();
    assert_eq!(queue.close(PATIENCE).hung, 1);
    gate.open(1);
    until("it has succeeded", || letter.state() == LetterState::Succeeded);
    assert_eq!(log.all(), [1, 0]);
    until("it is counted", || queue.metrics().late_successes == 1);
    assert_eq!((queue.metrics().hung, queue.metrics().dead), (0, 1), "the letter is the user's");
    assert_eq!(letter.into_items().unwrap(), [0]);
}

/// It counts as processed, and nobody can do it again.
#[test]
fn a_batch_that_succeeds_late_is_no_dead_letter_any_more() {
    let (queue, gate, log) = hanging(still(), false);
    until("it is set aside", || queue.metrics().dead == 1);
    gate.open(1);
    until("it has succeeded", || queue.metrics().late_successes == 1);
    assert_eq!(log.all(), [0]);
    let metrics = queue.metrics();
    assert_eq!((metrics.dead, metrics.dead_kept, metrics.processed, metrics.held), (0, 0, 1, 0));
    assert_adds_up(&metrics);
    assert!(queue.dead_letters().is_empty());
    let closed = queue.close(PATIENCE);
    assert!(closed.is_complete() && closed.processed == 1, "{closed}");
}

#[test]
fn a_batch_that_fails_late_stays_a_dead_letter() {
    let (queue, gate, log) = hanging(still(), true);
    gate.open(1);
    until("it has ended", || queue.metrics().hung == 0);
    queue.flush(PATIENCE).unwrap();
    let letter = queue.dead_letters().remove(0);
    assert_eq!((letter.state(), log.all()), (LetterState::Failed, vec![]));
    assert_eq!(letter.into_items().unwrap(), [0]);
    assert_eq!((queue.metrics().late_successes, queue.metrics().dead), (0, 1));
    assert!(queue.close(PATIENCE).is_complete());
}

/// The thread that hung is one too many then, and ends.
#[test]
fn other_partitions_go_on_with_another_thread() {
    let (queue, gate, log) = hanging(still().partitions(2), false);
    for number in 1..20 {
        queue.push(number).unwrap();
    }
    queue.flush(PATIENCE).unwrap();
    assert_eq!(log.all().len(), 19);
    gate.open(1);
    until("it has ended", || queue.metrics().hung == 0);
    for number in 20..40 {
        queue.push(number).unwrap();
    }
    let closed = queue.close(PATIENCE);
    assert!(closed.is_complete() && closed.processed == 40, "{closed}");
}

#[test]
fn a_batch_may_be_tried_again_while_it_hangs() {
    let options = still().after_time_out(AfterTimeOut::Retry);
    // Not before the time-out is a long one.
    let (queue, gate, log) = hanging(options.backoff(PATIENCE).backoff_max(PATIENCE), true);
    let soon = std::time::Duration::ZERO;
    queue.change(queue.options().backoff(soon).backoff_max(soon)).unwrap();
    queue.flush(PATIENCE).unwrap();
    let metrics = queue.metrics();
    assert_eq!((log.all(), metrics.processed, metrics.retries), (vec![0], 1, 1));
    assert_eq!((metrics.hung, metrics.dead, metrics.held), (1, 0, 0));
    gate.open(1);
    until("it has ended", || queue.metrics().hung == 0);
    assert_eq!(log.all(), [0]);
    assert!(queue.close(PATIENCE).is_complete());
}

/// Nothing is processed twice after a success, also if that came late.
#[test]
fn a_batch_that_succeeds_before_it_is_tried_again_is_not() {
    for way in 0..3 {
        let options = still().after_time_out(AfterTimeOut::Retry);
        let options = options.backoff(PATIENCE).backoff_max(PATIENCE);
        let (queue, gate, log) = hanging(options, false);
        if way == 1 {
            assert_eq!(queue.take(), [], "it may still succeed");
            assert_eq!(queue.size(), 1);
        }
        if way == 2 {
            let closed = queue.close(SOON);
            // In flight until whoever knows the time has set it aside, which is after the time-out was counted.
            let left = closed.waiting + closed.in_flight;
            assert_eq!((left, closed.processed, closed.hung), (1, 0, 1), "{closed}");
        }
        gate.open(1);
        until("it has succeeded", || queue.metrics().late_successes == 1);
        let closed = queue.close(PATIENCE);
        assert!(closed.is_complete() && closed.processed == 1, "way {way}: {closed}");
        assert_eq!((log.all(), queue.metrics().retries, queue.metrics().held), (vec![0], 0, 0));
        assert_adds_up(&queue.metrics());
    }
}

#[test]
fn a_batch_whose_last_try_hangs_is_dead_also_if_it_may_be_tried_again() {
    let options = still().after_time_out(AfterTimeOut::Retry).tries(1);
    let (queue, gate, _log) = hanging(options, true);
    until("it is dead", || queue.metrics().dead == 1);
    assert_eq!(queue.dead_letters().remove(0).state(), LetterState::InDoubt);
    gate.open(1);
    assert!(queue.close(PATIENCE).is_complete());
}

/// Threads that hang have a bound. Then the queue fills up, and says so, and goes on when one comes back.
#[test]
fn while_too_many_hang_no_attempt_begins() {
    let gate = Gate::new();
    let (closed, log) = (Arc::clone(&gate), Log::new());
    let seen = log.clone();
    let options = still().partitions(3).hung_max(2).capacity(5).batch_size(1).time_out(SOON);
    let queue = Queue::builder()
        .options(options)
        .by_function(|&number: &u64| number as usize)
        .start(move |batch: &Batch<u64>| {
            if batch[0] < 2 {
                closed.pass();
            }
            seen.extend(batch);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    queue.push(0).unwrap();
    gate.wait_for(1);
    until("it is overdue", || queue.metrics().hung == 1);
    queue.push(1).unwrap();
    gate.wait_for(2);
    queue.change(queue.options().time_out(NEVER)).unwrap();
    until("both are", || queue.metrics().hung == 2);
    until("both are dead", || queue.metrics().dead == 2);
    (2..5).for_each(|number| queue.push(number).unwrap());
    assert_eq!(queue.push(5).unwrap_err().why, Why::Full);
    assert!(queue.flush(SOON).is_err());
    let metrics = queue.metrics();
    assert_eq!((metrics.attempts, metrics.waiting), (2, 3));
    gate.open(1);
    queue.flush(PATIENCE).unwrap();
    let mut done = log.all();
    done.retain(|number| *number >= 2);
    done.sort_unstable();
    assert_eq!(done, [2, 3, 4]);
    gate.open(2);
    until("both are back", || queue.metrics().late_successes == 2);
    let closed = queue.close(PATIENCE);
    assert!(closed.is_complete() && closed.processed == 5, "{closed}");
}

#[test]
fn what_is_taken_while_too_many_hang_is_not_processed() {
    let (queue, gate, log) = hanging(still().hung_max(1), false);
    until("it is set aside", || queue.metrics().dead == 1);
    (1..4).for_each(|number| queue.push(number).unwrap());
    let mut taken = Vec::new();
    until("all are taken", || {
        taken.extend(queue.take());
        taken.len() == 3
    });
    gate.open(1);
    until("it has succeeded", || queue.metrics().late_successes == 1);
    queue.push(4).unwrap();
    let closed = queue.close(PATIENCE);
    assert!(closed.is_complete(), "{closed}");
    assert_eq!((taken, log.all()), (vec![1, 2, 3], vec![0, 4]));
    assert_adds_up(&queue.metrics());
}

#[test]
fn a_processor_knows_how_long_it_may_take() {
    let log = Log::new();
    let seen = log.clone();
    let queue = Queue::builder()
        .options(still().batch_size(1))
        .start(move |batch: &Batch<u64>| {
            seen.extend(&[batch.time_left()]);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    queue.push(0).unwrap();
    queue.flush(PATIENCE).unwrap();
    queue.change(queue.options().time_out(PATIENCE)).unwrap();
    queue.push(1).unwrap();
    queue.close(PATIENCE);
    let left = log.all();
    assert!(left[0] == NEVER && left[1] <= PATIENCE && left[1] > SOON, "{left:?}");
}

/// Whatever hangs: a close comes back when its time is out, and says what is where.
#[test]
fn a_close_does_not_wait_for_what_hangs() {
    let gate = Gate::new();
    let processor = Arc::clone(&gate);
    let queue = Queue::builder()
        .options(still().batch_size(2))
        .start(move |_: &Batch<u64>| {
            processor.pass();
            Ok::<(), Infallible>(())
        })
        .unwrap();
    (0..5).for_each(|number| queue.push(number).unwrap());
    gate.wait_for(1);
    let closed = queue.close(SOON);
    let numbers = (closed.processed, closed.waiting, closed.in_flight, closed.dead, closed.hung);
    assert_eq!(numbers, (0, 3, 2, 0, 0), "{closed}");
    assert_eq!(queue.take(), [2, 3, 4]);
    gate.open(1);
    until("it has succeeded", || queue.metrics().processed == 2);
    assert!(queue.close(PATIENCE).is_complete());
    assert_adds_up(&queue.metrics());
    thread::yield_now();
}
