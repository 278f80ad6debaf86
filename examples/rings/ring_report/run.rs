//! One run: threads publish and read for a while, and everything is compared.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::check::{Seen, item};
use crate::clock::Clock;
use crate::ends::{Kind, Pull, Push};
use crate::histogram::Histogram;

/// One operation in so many is timed. A prime, so that it is not the same slots of the ring again and again.
pub const ONE_IN: u64 = 61;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub producers: usize,
    pub consumers: usize,
    pub slots: usize,
}

/// What one run gave.
#[derive(Debug)]
pub struct Run {
    /// Published, and seen by each consumer.
    pub items: u64,
    /// From when all threads were ready until each consumer had seen everything.
    pub took: Duration,
    /// Of the operations that were timed.
    pub times: Histogram,
}

/// What one producer did.
type Published = Result<(u64, Histogram), String>;

fn produce(mut end: impl Push, producer: usize, clock: Clock, stop: &AtomicBool) -> Published {
    let (mut number, mut times) = (0, Histogram::new());
    loop {
        let before = clock.now();
        end.push(item(producer, number))?;
        times.add(clock.since(before));
        for number in number + 1..number + ONE_IN {
            end.push(item(producer, number))?;
        }
        number += ONE_IN;
        // Relaxed: a producer that sees it a moment later publishes some more, which count.
        if stop.load(Ordering::Relaxed) {
            return Ok((number, times));
        }
    }
}

fn consume(mut end: impl Pull, producers: usize) -> Result<(Seen, Instant), String> {
    let mut seen = Seen::new(producers);
    while end.pull(|item| seen.look(item))? {}
    Ok((seen, Instant::now()))
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a thread has panicked".to_owned()))
}

pub fn run<K: Kind>(shape: Shape, length: Duration, clock: Clock) -> Result<Run, String> {
    let (producers, consumers) = K::ends(shape.producers, shape.consumers, shape.slots)?;
    let (stop, ready) =
        (AtomicBool::new(false), Barrier::new(shape.producers + shape.consumers + 1));
    let (stop, ready) = (&stop, &ready);
    thread::scope(|scope| {
        let producers = producers.into_iter().enumerate().map(|(producer, end)| {
            scope.spawn(move || {
                ready.wait();
                produce(end, producer, clock, stop)
            })
        });
        let producers: Vec<_> = producers.collect();
        let consumers = consumers.into_iter().map(|end| {
            scope.spawn(move || {
                ready.wait();
                consume(end, shape.producers)
            })
        });
        let consumers: Vec<_> = consumers.collect();
        ready.wait();
        let began = Instant::now();
        thread::sleep(length);
        // Relaxed: as of `produce`.
        stop.store(true, Ordering::Relaxed);
        let producers: Vec<_> = producers.into_iter().map(joined).collect();
        let consumers: Vec<_> = consumers.into_iter().map(joined).collect();
        let (mut published, mut times) = (Vec::new(), Histogram::new());
        for producer in producers {
            let (number, its_times) = producer?;
            published.push(number);
            times.join(&its_times);
        }
        let mut ended = began;
        for consumer in consumers {
            let (seen, at) = consumer?;
            seen.compare(&published)?;
            ended = ended.max(at);
        }
        Ok(Run { items: published.iter().sum(), took: ended - began, times })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ends::{Item, Partitions, SharedRing, SingleRing};

    const SHAPE: Shape = Shape { producers: 3, consumers: 2, slots: 16 };

    fn runs<K: Kind>(shape: Shape) {
        let run = run::<K>(shape, Duration::ZERO, Clock::new()).expect("it adds up");
        assert!(run.times.samples() >= shape.producers as u64);
        assert_eq!(run.times.samples() * ONE_IN, run.items);
    }

    #[test]
    fn each_kind_of_ring_runs_and_adds_up() {
        runs::<SingleRing>(Shape { producers: 1, ..SHAPE });
        runs::<SharedRing>(SHAPE);
        runs::<Partitions>(Shape { consumers: 1, slots: 64, ..SHAPE });
    }

    /// Loses one item of each producer, without a word.
    struct Losing;

    struct LosingEnd<E>(E);

    impl<E: Push> Push for LosingEnd<E> {
        fn push(&mut self, given: Item) -> Result<(), String> {
            if given[0] & 0xFF == 7 { Ok(()) } else { self.0.push(given) }
        }
    }

    impl Kind for Losing {
        const NAME: &str = "losing";
        fn ends(
            producers: usize,
            consumers: usize,
            slots: usize,
        ) -> Result<(Vec<impl Push>, Vec<impl Pull>), String> {
            let (producers, consumers) = SharedRing::ends(producers, consumers, slots)?;
            Ok((producers.into_iter().map(LosingEnd).collect::<Vec<_>>(), consumers))
        }
    }

    #[test]
    fn a_ring_that_loses_something_fails() {
        let why = run::<Losing>(SHAPE, Duration::ZERO, Clock::new()).expect_err("it loses some");
        assert!(why.contains("out of order"), "{why}");
    }
}
