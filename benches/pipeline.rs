//! From recorded to committed: how many spans a second one writer stores, and how long the last
//! of them takes.
//!
//! The producers make [`SPANS`] spans in bursts and wait, which a program would not, while more
//! than an eighth of the ring is in use; the clock stops when `flush` says that all are committed.
//! `flush` is one span, recorded and flushed.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark says what it finds; one that cannot run has nobody to report to"
)]

use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use spandrel::Profiler;
use spandrel_benches::Case;
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

const SPANS: u64 = 200_000;
const BURST: u64 = 2_000;
const RING_SLOTS: usize = 262_144;
const PATIENCE: Duration = Duration::from_secs(60);

struct Recording {
    profiler: Profiler,
    /// A subscriber of one thread: a process can have only one of its own, and the writer is what
    /// holds this benchmark up.
    subscriber: Dispatch,
    _folder: tempfile::TempDir,
}

impl Recording {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the database");
        let profiler = Profiler::builder()
            .database(folder.path().join("profile.db"))
            .ring_capacity(RING_SLOTS)
            .partitions(2)
            .build()
            .expect("the profiler starts");
        let layer = profiler.layer::<Registry>();
        let subscriber = Dispatch::new(tracing_subscriber::registry().with(layer));
        Self { profiler, subscriber, _folder: folder }
    }

    fn record(&self, case: Case, spans: u64) {
        with_default(&self.subscriber, || {
            for _ in 0..spans / BURST {
                case.run(BURST);
                while self.profiler.stats().in_flight > RING_SLOTS as u64 / 8 {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        });
    }

    fn flush(&self) {
        self.profiler.flush(PATIENCE).expect("the writer commits");
    }

    /// Checks that the figures mean something, and says what the writer used.
    fn finish(self, name: &str) {
        let report = self.profiler.close().expect("the profiler closes");
        assert_eq!(report.dropped.total(), 0, "the figures say nothing: {report}");
        if let Some(cpu) = report.writer_cpu
            && report.stored > 0
        {
            let each = cpu.as_nanos() as f64 / report.stored as f64;
            println!("pipeline/{name}: {each:.0} ns of the writer's processor time a span");
        }
    }
}

fn sustained(criterion: &mut Criterion, case: Case, threads: u64) {
    let name = format!("{}/{threads}_threads", case.name());
    let mut recording = None;
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(SPANS)).sampling_mode(SamplingMode::Flat);
    group.bench_function(&name, |bencher| {
        let recording = recording.get_or_insert_with(Recording::start);
        bencher.iter_custom(|iterations| {
            let start = Instant::now();
            for _ in 0..iterations {
                thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| recording.record(case, SPANS / threads));
                    }
                });
                recording.flush();
            }
            start.elapsed()
        });
    });
    group.finish();
    if let Some(recording) = recording {
        recording.finish(&name);
    }
}

fn one_span(criterion: &mut Criterion) {
    let mut recording = None;
    let mut group = criterion.benchmark_group("pipeline");
    group.bench_function(BenchmarkId::new("flush", "1_span"), |bencher| {
        let recording = recording.get_or_insert_with(Recording::start);
        bencher.iter(|| {
            with_default(&recording.subscriber, || Case::NoFields.run(1));
            recording.flush();
        });
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for case in [Case::NoFields, Case::ThreeFields] {
        for threads in [1, 2] {
            sustained(&mut criterion, case, threads);
        }
    }
    one_span(&mut criterion);
    criterion.final_summary();
}
