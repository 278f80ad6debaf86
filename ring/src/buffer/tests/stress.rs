//! Everything at once: producers, a processor that fails, panics and is slow, hand-overs, changes of options; and in the end each
//! item is in one place, once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::gate::{Log, PATIENCE, SOON, assert_adds_up};
use crate::buffer::batch::{Batch, LetterState};
use crate::buffer::error::Why;
use crate::buffer::options::{AfterTimeOut, Options};
use crate::buffer::queue::Queue;

const PRODUCERS: u64 = 4;

#[test]
fn each_item_is_in_one_place() {
    everything_at_once(if cfg!(miri) { 30 } else { 20_000 });
}

fn everything_at_once(each: u64) {
    let log = Log::new();
    let (seen, calls) = (log.clone(), AtomicU64::new(0));
    let options = Options::new().partitions(3).workers(2).batch_size(16).interval(SOON);
    // A time-out that is met on a machine with much to do, too: both ways have to add up.
    let options = options.tries(3).backoff(Duration::ZERO).capacity(500).hung_max(64);
    let queue = Queue::builder()
        .options(options.time_out(Duration::from_millis(2)))
        .by_function(|&item: &u64| item as usize)
        .start(move |batch: &Batch<u64>| {
            match calls.fetch_add(1, Ordering::Relaxed) % 7 {
                1 | 3 => return Err("it fails"),
                5 => panic!("it panics"),
                6 if !cfg!(miri) => thread::sleep(SOON * 3),
                _ => {}
            }
            seen.extend(batch);
            Ok(())
        })
        .unwrap();
    let (mut elsewhere, mut in_letters) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let queue = &queue;
                scope.spawn(move || {
                    for number in 0..each {
                        match queue.push_within(producer * each + number, PATIENCE) {
                            Ok(()) => {}
                            Err(refused) => panic!("{refused}"),
                        }
                    }
                })
            })
            .collect();
        let mut turn = 0;
        while producers.iter().any(|producer| !producer.is_finished()) {
            turn += 1;
            if turn % 3 == 0 {
                elsewhere.extend(queue.take());
            }
            in_letters.extend(queue.dead_letters());
            queue.change(queue.options().batch_size(1 + turn % 40)).unwrap();
            _ = queue.flush(SOON);
            thread::yield_now();
        }
    });
    let closed = queue.close(PATIENCE);
    assert_eq!((closed.waiting, closed.in_flight), (0, 0), "{closed}");
    assert_eq!(queue.push(0).unwrap_err().why, Why::Closed);
    // What is in doubt comes to an end: nothing here hangs for ever.
    super::gate::until("all have ended", || queue.metrics().hung == 0);
    in_letters.extend(queue.dead_letters());
    let metrics = queue.metrics();
    assert_adds_up(&metrics);
    assert_eq!((metrics.held, metrics.accepted), (0, PRODUCERS * each));
    let mut places = HashMap::<u64, u32>::new();
    let mut note = |item| *places.entry(item).or_default() += 1;
    elsewhere.into_iter().for_each(&mut note);
    log.all().into_iter().for_each(&mut note);
    for letter in in_letters {
        match letter.state() {
            LetterState::Failed => letter.items().iter().copied().for_each(&mut note),
            LetterState::Succeeded => {} // it is in the log
            state => panic!("{state:?}"),
        }
    }
    assert_eq!(places.len() as u64, PRODUCERS * each, "nothing is lost");
    assert!(places.values().all(|&times| times == 1), "nothing comes twice");
}

/// The same where what hangs is tried again: nothing is lost, and what comes twice is not more than what hung.
#[test]
fn nothing_is_lost_where_what_hangs_is_tried_again() {
    what_hangs_is_tried_again(if cfg!(miri) { 30 } else { 5_000 });
}

fn what_hangs_is_tried_again(items: u64) {
    let log = Log::new();
    let (seen, calls) = (log.clone(), AtomicU64::new(0));
    let options = Options::new().partitions(3).workers(2).batch_size(8).hung_max(64);
    let options = options.tries(u32::MAX).backoff(Duration::ZERO).interval(SOON);
    let queue = Queue::builder()
        .options(options.time_out(SOON).after_time_out(AfterTimeOut::Retry))
        .start(move |batch: &Batch<u64>| {
            match calls.fetch_add(1, Ordering::Relaxed) % 5 {
                1 => return Err("it fails"),
                3 if !cfg!(miri) => thread::sleep(SOON * 2),
                _ => {}
            }
            seen.extend(batch);
            Ok(())
        })
        .unwrap();
    (0..items).for_each(|item| queue.push(item).unwrap());
    // Attempts that are only slow go on for ever otherwise, on a machine with much to do.
    queue.change(queue.options().time_out(PATIENCE)).unwrap();
    let closed = queue.close(PATIENCE);
    super::gate::until("all have ended", || queue.metrics().hung == 0);
    let metrics = queue.metrics();
    assert!(closed.is_complete(), "{closed}");
    assert_eq!(metrics.processed, items);
    assert_adds_up(&metrics);
    let mut done = log.all();
    let all = done.len() as u64;
    done.sort_unstable();
    done.dedup();
    assert!(done.iter().copied().eq(0..items));
    assert!(all - items <= metrics.time_outs * 8, "{all} of {items}, {metrics:?}");
}

/// Minutes of the same, for `scripts/ring_stress.sh`: `SPANDREL_STRESS_SECONDS=120`.
#[test]
fn nothing_is_lost_for_as_long_as_asked() {
    let seconds = std::env::var("SPANDREL_STRESS_SECONDS").ok();
    let seconds = seconds.map_or(0, |seconds| seconds.parse().expect("a number"));
    type Round = (&'static str, fn(u64));
    let rounds: [Round; 2] = [
        ("failures, hand-overs and changes", everything_at_once),
        ("what hangs is tried again", what_hangs_is_tried_again),
    ];
    for (name, round) in rounds {
        let began = Instant::now();
        let mut done = 0;
        while began.elapsed() < Duration::from_secs(seconds) {
            round(20_000);
            done += 1;
        }
        println!("buffer, {name}: {done} rounds");
    }
}
