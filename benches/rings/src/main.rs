//! Throughput of rings of 16,384 slots of 64 bytes. Whoever finds its ring full or empty spins 64 times and then
//! yields, all in the same way.
//!
//! Rounds of all contenders in turn; of each the median. What counts is the ratio within one run: times of a machine
//! that does other work, too, say little.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

mod contender;

use contender::{
    Contender, Crossbeam, DisruptorBroadcast, DisruptorMulti, DisruptorSingle, Pull, Push, Rtrb,
    SpandrelMulti, SpandrelSingle,
};

const ROUNDS: usize = 7;
const SPINS: u32 = 64;

/// Producers, consumers, and how many items are published at once.
#[derive(Debug, Clone, Copy)]
struct Case {
    producers: usize,
    consumers: usize,
    burst: usize,
    /// Of each producer, in one round.
    items: u64,
}

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

fn produce(mut end: impl Push, case: Case) {
    for first in (0..case.items).step_by(case.burst) {
        let mut backoff = Backoff::default();
        while !end.push(first, case.burst) {
            backoff.wait();
        }
    }
}

fn consume(mut end: impl Pull, mut left: usize) {
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
    black_box(sum);
}

/// Million items a second, from when all threads are ready until each consumer has seen everything.
fn round<C: Contender>(case: Case) -> f64 {
    let (producers, consumers) = C::ends(case.producers, case.consumers);
    let ready = Barrier::new(case.producers + case.consumers + 1);
    let items = case.items * case.producers as u64;
    let start = thread::scope(|scope| {
        for end in producers {
            let ready = &ready;
            scope.spawn(move || {
                ready.wait();
                produce(end, case);
            });
        }
        for end in consumers {
            let ready = &ready;
            scope.spawn(move || {
                ready.wait();
                consume(end, items as usize);
            });
        }
        ready.wait();
        Instant::now()
    });
    items as f64 / start.elapsed().as_secs_f64() / 1e6
}

type Round = fn(Case) -> f64;

fn compare(name: &str, case: Case, contenders: &[(&str, Round)]) {
    let mut rates = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for ((_, round), rates) in contenders.iter().zip(&mut rates) {
            rates.push(round(case));
        }
    }
    for rates in &mut rates {
        rates.sort_by(f64::total_cmp);
    }
    let first = rates[0][ROUNDS / 2];
    for ((contender, _), rates) in contenders.iter().zip(&rates) {
        let median = rates[ROUNDS / 2];
        println!(
            "{name:<16} {contender:<22} {median:>8.1} M/s  {:>7.1} to {:>7.1}  x{:.2}",
            rates[0],
            rates[ROUNDS - 1],
            median / first
        );
    }
}

/// Publishes and looks at so many items on one thread, in turns of 1,000: for counting instructions.
fn alone<C: Contender>(burst: usize, items: u64) {
    let (mut producers, mut consumers) = C::ends(1, 1);
    let (Some(producer), Some(consumer)) = (producers.first_mut(), consumers.first_mut()) else {
        return;
    };
    let mut sum = 0_u64;
    for turn in (0..items).step_by(1_000) {
        for first in (turn..turn + 1_000).step_by(burst) {
            assert!(producer.push(first, burst), "there is room");
        }
        let mut left = 1_000;
        while left > 0 {
            left -= consumer.pull(|item| sum = sum.wrapping_add(item[0]));
        }
    }
    black_box(sum);
}

/// By itself, in bursts of so many, so many items.
type Alone = fn(usize, u64);

const CONTENDERS: [(&str, Alone); 6] = [
    (SpandrelSingle::NAME, alone::<SpandrelSingle>),
    (SpandrelMulti::NAME, alone::<SpandrelMulti>),
    (DisruptorSingle::NAME, alone::<DisruptorSingle>),
    (DisruptorMulti::NAME, alone::<DisruptorMulti>),
    (Rtrb::NAME, alone::<Rtrb>),
    (Crossbeam::NAME, alone::<Crossbeam>),
];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &*arguments {
        [] => compare_all(),
        [contender, burst, items] => {
            let found = CONTENDERS.iter().find(|(name, _)| name == contender);
            let (Some((_, alone)), Ok(burst), Ok(items)) = (found, burst.parse(), items.parse())
            else {
                return usage();
            };
            alone(burst, items);
        }
        _ => usage(),
    }
}

fn usage() {
    println!("rings [CONTENDER BURST ITEMS]");
    for (name, _) in CONTENDERS {
        println!("  {name}");
    }
}

fn compare_all() {
    let single: (&str, Round) = (SpandrelSingle::NAME, round::<SpandrelSingle>);
    let multi: (&str, Round) = (SpandrelMulti::NAME, round::<SpandrelMulti>);
    let queue: (&str, Round) = (Crossbeam::NAME, round::<Crossbeam>);
    for burst in [1, 100] {
        let case = Case { producers: 1, consumers: 1, burst, items: 4_000_000 };
        let disruptor = (DisruptorSingle::NAME, round::<DisruptorSingle> as Round);
        let rtrb = (Rtrb::NAME, round::<Rtrb> as Round);
        compare(&format!("1p1c burst {burst}"), case, &[single, disruptor, rtrb, queue, multi]);
    }
    let case = Case { producers: 1, consumers: 4, burst: 1, items: 1_000_000 };
    let disruptor = (DisruptorBroadcast::NAME, round::<DisruptorBroadcast> as Round);
    compare("1p4c burst 1", case, &[single, disruptor]);
    for burst in [1, 100] {
        let case = Case { producers: 4, consumers: 1, burst, items: 1_000_000 };
        let disruptor = (DisruptorMulti::NAME, round::<DisruptorMulti> as Round);
        compare(&format!("4p1c burst {burst}"), case, &[multi, disruptor, queue]);
    }
}
