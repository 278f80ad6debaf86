//! Throughput of rings of 16,384 slots of 64 bytes. Whoever finds its ring full or empty spins 64 times and then
//! yields, all in the same way.
//!
//! Rounds of all contenders in turn; of each the median. What counts is the ratio within one run: times of a machine
//! that does other work, too, say little. So what is aimed at is said in ratios, too, at the end.

mod aims;
#[path = "../../../examples/rings/ring_report/clock.rs"]
mod clock;
mod contender;
#[path = "../../../examples/rings/ring_report/histogram.rs"]
mod histogram;
mod round;

use std::hint::black_box;
use std::process::ExitCode;

use aims::Found;
use clock::Clock;
use contender::{
    Contender, Crossbeam, DisruptorBroadcast, DisruptorMulti, DisruptorSingle, Pull, Push, Rtrb,
    SpandrelMulti, SpandrelPartitions, SpandrelSingle, Tango,
};
use histogram::Histogram;
use round::{Case, ONE_IN, Round, round};

const ROUNDS: usize = 7;

/// Of the pushes that were timed.
const SHARES: [f64; 4] = [0.5, 0.99, 0.999, 0.9999];

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

const CONTENDERS: [(&str, Alone); 8] = [
    (SpandrelSingle::NAME, alone::<SpandrelSingle>),
    (SpandrelMulti::NAME, alone::<SpandrelMulti>),
    (SpandrelPartitions::NAME, alone::<SpandrelPartitions>),
    (DisruptorSingle::NAME, alone::<DisruptorSingle>),
    (DisruptorMulti::NAME, alone::<DisruptorMulti>),
    (Rtrb::NAME, alone::<Rtrb>),
    (Tango::NAME, alone::<Tango>),
    (Crossbeam::NAME, alone::<Crossbeam>),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        [] => _ = compare_all(),
        ["check"] if !compare_all() => return ExitCode::FAILURE,
        ["check"] => {}
        [contender, burst, items] => {
            let found = CONTENDERS.iter().find(|(name, _)| *name == contender);
            let (Some((_, alone)), Ok(burst), Ok(items)) = (found, burst.parse(), items.parse())
            else {
                return usage();
            };
            alone(burst, items);
        }
        ["--help"] => _ = usage(),
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    println!("rings [check | CONTENDER BURST ITEMS]");
    for (name, _) in CONTENDERS {
        println!("  {name}");
    }
    ExitCode::from(2)
}

/// A name, and a round of it.
type Entry = (&'static str, Round);

fn entry<C: Contender>() -> Entry {
    (C::NAME, round::<C>)
}

fn compare(name: &str, case: Case, clock: Clock, found: &mut Found, contenders: &[Entry]) {
    let mut rates = vec![Vec::new(); contenders.len()];
    let mut times = vec![Histogram::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (index, (contender, round)) in contenders.iter().enumerate() {
            match round(case, clock) {
                Ok((rate, its_times)) => {
                    rates[index].push(rate);
                    times[index].join(&its_times);
                }
                // What is not whole has no rate.
                Err(why) => panic!("{name}, {contender}: {why}"),
            }
        }
    }
    for rates in &mut rates {
        rates.sort_by(f64::total_cmp);
    }
    let first = rates[0][ROUNDS / 2];
    for (((contender, _), rates), times) in contenders.iter().zip(&rates).zip(&times) {
        let median = rates[ROUNDS / 2];
        let [p50, p99, p999, p9999] = SHARES.map(|share| clock.ns(times.at(share)));
        println!(
            "{name:<16} {contender:<22} {median:>8.1} {:>8.1} {:>8.1} {:>6.2} {:>8.0} {p50:>8.0} {p99:>8.0} {p999:>9.0} \
             {p9999:>10.0} {:>11.0}",
            rates[0],
            rates[ROUNDS - 1],
            median / first,
            clock.mean_ns(times.mean()),
            clock.ns(times.longest())
        );
        found.note(name, contender, median);
    }
}

/// Whether each aim is met.
fn compare_all() -> bool {
    let clock = Clock::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{cores} cores. One push in {ONE_IN} is timed, with the wait for room, and with {:.0} ns for reading the clock. \
         A push has a whole burst in it.",
        clock.reading_ns
    );
    println!(
        "{:<16} {:<22} {:>8} {:>8} {:>8} {:>6} {:>8} {:>8} {:>8} {:>9} {:>10} {:>11}",
        "case",
        "ring",
        "M/s",
        "least",
        "most",
        "ratio",
        "mean ns",
        "p50 ns",
        "p99 ns",
        "p99.9 ns",
        "p99.99 ns",
        "max ns"
    );
    let mut found = Found::default();
    for burst in [1, 100] {
        let case = Case { producers: 1, consumers: 1, burst, items: 4_000_000 };
        let contenders = [
            entry::<SpandrelSingle>(),
            entry::<DisruptorSingle>(),
            entry::<Rtrb>(),
            entry::<Tango>(),
            entry::<Crossbeam>(),
            entry::<SpandrelPartitions>(),
        ];
        compare(&format!("1p1c burst {burst}"), case, clock, &mut found, &contenders);
    }
    let case = Case { producers: 1, consumers: 4, burst: 1, items: 1_000_000 };
    let contenders = [entry::<SpandrelSingle>(), entry::<DisruptorBroadcast>()];
    compare("1p4c burst 1", case, clock, &mut found, &contenders);
    let contenders = [
        entry::<SpandrelMulti>(),
        entry::<SpandrelPartitions>(),
        entry::<DisruptorMulti>(),
        entry::<Crossbeam>(),
    ];
    for (producers, burst) in [(1, 1), (2, 1), (4, 1), (8, 1), (4, 100)] {
        let items = 4_000_000 / producers as u64;
        let case = Case { producers, consumers: 1, burst, items };
        // Another name than that of the rings of one producer, with which they are not compared.
        let name = format!("{producers}p burst {burst}");
        compare(&name, case, clock, &mut found, &contenders);
    }
    println!();
    aims::print(&found)
}
