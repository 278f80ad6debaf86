//! Pushes so many slots through one queue, on one thread, for scripts/instructions.sh:
//! `push_slots QUEUE push|push_drain SLOTS`.
//!
//! The queue holds 65,536 slots, and `push` stops at a full one: more would be no push.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nobody to report to")]

use std::hint::black_box;
use std::process::ExitCode;

use crossbeam_queue::ArrayQueue;
use spandrel_benches::queues::{Channel, Drain, Leased, Payload, Push, Queue, Shared};

const CAPACITY: usize = 65_536;

fn run<Q: Queue>(drain: bool, slots: u64) {
    let (mut ends, mut consumer) = Q::with_capacity(CAPACITY, 1);
    let producer = ends.first_mut().expect("one producer was asked for");
    for n in 0..slots {
        assert!(producer.try_push(black_box([n; 7])), "the queue is full after {n} slots");
    }
    if drain {
        let mut checksum = 0;
        assert_eq!(consumer.drain(usize::MAX, &mut checksum), slots);
        black_box(checksum);
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let queue = args.next().unwrap_or_default();
    let drain = args.next().is_some_and(|what| what == "push_drain");
    let slots = args.next().and_then(|slots| slots.parse().ok()).unwrap_or(1_000);
    match queue.as_str() {
        Leased::NAME => run::<Leased>(drain, slots),
        Shared::NAME => run::<Shared>(drain, slots),
        ArrayQueue::<Payload>::NAME => run::<ArrayQueue<Payload>>(drain, slots),
        Channel::NAME => run::<Channel>(drain, slots),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}
