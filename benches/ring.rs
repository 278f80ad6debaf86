//! Throughput of the ring against crossbeam's `ArrayQueue` and bounded channel: 1, 2, 4 and 8
//! producers, one consumer, 16,384 slots of 64 bytes. Whoever finds the queue full or empty spins
//! 64 times and then yields.
//!
//! `uncontended` pushes and drains on one thread, in turns of 1,024.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nobody to report to")]

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use crossbeam_queue::ArrayQueue;
use spandrel_benches::queues::{CAPACITY, Channel, Drain, Leased, Payload, Push, Queue, Shared};

const SPINS: u32 = 64;
const DRAIN_MAX: usize = 1_024;

/// Spins so many times, then yields until something has happened.
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

fn produce(producer: &mut impl Push, items: u64) {
    for n in 0..items {
        let mut backoff = Backoff::default();
        while !producer.try_push([n; 7]) {
            backoff.wait();
        }
    }
}

fn consume(consumer: &mut impl Drain, items: u64) {
    let mut left = items;
    let mut checksum = 0;
    let mut backoff = Backoff::default();
    while left > 0 {
        let got = consumer.drain(DRAIN_MAX, &mut checksum);
        left -= got;
        if got == 0 {
            backoff.wait();
        } else {
            backoff = Backoff::default();
        }
    }
    black_box(checksum);
}

/// From the moment when all threads are ready until the last of `items` is consumed.
fn through<Q: Queue>(producers: usize, items: u64) -> Duration {
    let (ends, mut consumer) = Q::with_capacity(CAPACITY, producers);
    let ready = Barrier::new(producers + 1);
    let each = items.div_ceil(producers as u64);
    thread::scope(|scope| {
        for mut end in ends {
            let ready = &ready;
            scope.spawn(move || {
                ready.wait();
                produce(&mut end, each);
            });
        }
        ready.wait();
        let start = Instant::now();
        consume(&mut consumer, each * producers as u64);
        start.elapsed()
    })
}

fn uncontended<Q: Queue>(items: u64) -> Duration {
    let (mut ends, mut consumer) = Q::with_capacity(CAPACITY, 1);
    let producer = ends.first_mut().expect("one producer was asked for");
    let start = Instant::now();
    let mut left = items;
    while left > 0 {
        let turn = left.min(DRAIN_MAX as u64);
        left -= turn;
        produce(producer, turn);
        consume(&mut consumer, turn);
    }
    start.elapsed()
}

fn bench<Q: Queue>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::new(Q::NAME, "uncontended"), |bencher| {
        bencher.iter_custom(uncontended::<Q>);
    });
    for producers in [1, 2, 4, 8] {
        let id = BenchmarkId::new(Q::NAME, format!("{producers}_producers"));
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|items| through::<Q>(producers, items));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    bench::<Leased>(&mut criterion);
    bench::<Shared>(&mut criterion);
    bench::<ArrayQueue<Payload>>(&mut criterion);
    bench::<Channel>(&mut criterion);
    criterion.final_summary();
}
