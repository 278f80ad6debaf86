//! One round: so many items through a ring, and all of them looked at.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::clock::Clock;
use crate::contender::{Contender, Pull, Push};
use crate::histogram::Histogram;

const SPINS: u32 = 64;

/// One push in so many is timed. A prime, so that it is not the same slots of the ring again and again.
pub const ONE_IN: u64 = 61;

/// Producers, consumers, and how many items are published at once.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub producers: usize,
    pub consumers: usize,
    pub burst: usize,
    /// Of each producer, in one round.
    pub items: u64,
}

/// Million items a second, and what pushes took.
pub type Round = fn(Case, Clock) -> Result<(f64, Histogram), String>;

#[derive(Default)]
struct Backoff(u32);

impl Backoff {
    fn wait(&mut self) {
        if self.0 < SPINS {
            self.0 += 1;
            spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

#[inline(always)]
fn push(end: &mut impl Push, first: u64, burst: usize) {
    let mut backoff = Backoff::default();
    while !end.push(first, burst) {
        backoff.wait();
    }
}

fn produce(mut end: impl Push, case: Case, clock: Clock) -> Histogram {
    let mut times = Histogram::new();
    for (pushes, first) in (0..case.items).step_by(case.burst).enumerate() {
        if (pushes as u64).is_multiple_of(ONE_IN) {
            let before = clock.now();
            push(&mut end, first, case.burst);
            times.add(clock.since(before));
        } else {
            push(&mut end, first, case.burst);
        }
    }
    times
}

/// The sum of what it has seen.
fn consume(mut end: impl Pull, mut left: usize) -> u64 {
    let (mut sum, mut backoff) = (0_u64, Backoff::default());
    while left > 0 {
        match end.pull(|item| sum = sum.wrapping_add(item[0])) {
            0 => backoff.wait(),
            pulled => {
                left -= pulled;
                backoff = Backoff::default();
            }
        }
    }
    sum
}

/// From when all threads are ready until each consumer has seen everything.
pub fn round<C: Contender>(case: Case, clock: Clock) -> Result<(f64, Histogram), String> {
    let (producers, consumers) = C::ends(case.producers, case.consumers);
    let ready = Barrier::new(case.producers + case.consumers + 1);
    let items = case.items * case.producers as u64;
    let (rate, times, sums) = thread::scope(|scope| {
        let ready = &ready;
        let producers = producers.into_iter().map(|end| {
            scope.spawn(move || {
                ready.wait();
                produce(end, case, clock)
            })
        });
        let producers: Vec<_> = producers.collect();
        let consumers = consumers.into_iter().map(|end| {
            scope.spawn(move || {
                ready.wait();
                consume(end, items as usize)
            })
        });
        let consumers: Vec<_> = consumers.collect();
        ready.wait();
        let began = Instant::now();
        let sums: Vec<_> = consumers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let rate = items as f64 / began.elapsed().as_secs_f64() / 1e6;
        let times: Vec<_> = producers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (rate, times, sums)
    });
    let mut all = Histogram::new();
    for times in times {
        all.join(&times.map_err(|_| "a producer has panicked")?);
    }
    if all.samples() == 0 {
        return Err("no push was timed".to_owned());
    }
    let wanted = case.producers as u64 * (case.items * (case.items - 1) / 2);
    for sum in sums {
        let sum = sum.map_err(|_| "a consumer has panicked")?;
        if sum != wanted {
            return Err(format!(
                "a consumer has seen other items than were published: {sum}, {wanted}"
            ));
        }
    }
    Ok((rate, all))
}
