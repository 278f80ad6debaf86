//! What a span costs the thread that makes it: each [`Case`] under each [`Recorder`], on 1, 2 and 4
//! threads at once. Time is wall time while every thread makes one span; with more threads than
//! processors it can only be so much larger.
//!
//! A process can have one subscriber, so this one starts itself again for each case and recorder,
//! and prints their medians side by side at the end. Spandrel's writer works beside it all the
//! while. Its threads make spans faster than it stores them, so they stop, off the clock, after each
//! [`CHUNK`] until it has caught up; a dropped span would be a wrong figure and ends the benchmark.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark says what it finds; one that cannot run has nobody to report to"
)]

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use spandrel_benches::{Case, Recorder};

const THREADS: [usize; 3] = [1, 2, 4];
/// Spans of one thread between two rests.
const CHUNK: u64 = 20_000;
/// With fewer spans than this, starting the threads would be all that is seen.
const SAMPLE_MIN: u64 = 2_000;
/// 65,536 slots for each of four threads: two for each span of a chunk, and some room.
const RING_SLOTS: usize = 524_288;
/// Tells a process which case and recorder are its, and where to write the medians.
const CHILD: &str = "SPANDREL_HOT_PATH";

fn main() {
    match env::var(CHILD) {
        Ok(job) => child(&job),
        Err(_) => parent(),
    }
}

/// Nanoseconds by (case, threads), one for each recorder in the order of [`Recorder::ALL`].
type Table = BTreeMap<(usize, usize), BTreeMap<usize, f64>>;

fn parent() {
    let program = env::current_exe().expect("this program has a path");
    let folder = tempfile::tempdir().expect("a folder for the results");
    let mut table = Table::new();
    for (case_at, case) in Case::ALL.into_iter().enumerate() {
        for (recorder_at, recorder) in Recorder::ALL.into_iter().enumerate() {
            let results = folder.path().join("medians");
            let job = format!("{} {} {}", case.name(), recorder.name(), results.display());
            let status =
                Command::new(&program).args(env::args_os().skip(1)).env(CHILD, job).status();
            assert!(status.is_ok_and(|status| status.success()), "{} failed", recorder.name());
            for line in std::fs::read_to_string(&results).unwrap_or_default().lines() {
                let (threads, ns) = line.split_once(' ').expect("a line has two columns");
                let (threads, ns) =
                    (threads.parse().expect("a count"), ns.parse().expect("a time"));
                table.entry((case_at, threads)).or_default().insert(recorder_at, ns);
            }
            let _there_may_be_none = std::fs::remove_file(&results);
        }
    }
    print(&table);
}

fn print(table: &Table) {
    const NOOP: usize = 2;
    const SPANDREL: usize = 4;
    assert_eq!(
        (Recorder::ALL[NOOP], Recorder::ALL[SPANDREL]),
        (Recorder::Noop, Recorder::Spandrel)
    );
    if table.is_empty() {
        return;
    }
    print!("\nmedian ns a span   threads");
    for recorder in Recorder::ALL {
        print!("{:>15}", recorder.name());
    }
    println!("   spandrel / noop_layer");
    for ((case_at, threads), row) in table {
        print!("{:<19}{threads:>7}", Case::ALL[*case_at].name());
        for recorder_at in 0..Recorder::ALL.len() {
            match row.get(&recorder_at) {
                Some(ns) => print!("{ns:>15.1}"),
                None => print!("{:>15}", "-"),
            }
        }
        match (row.get(&SPANDREL), row.get(&NOOP)) {
            (Some(ours), Some(floor)) => println!("{:>24.2}", ours / floor),
            _ => println!("{:>24}", "-"),
        }
    }
}

fn child(job: &str) {
    let mut words = job.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let case = Case::from_name(word()).expect("the parent knows the cases");
    let recorder = Recorder::from_name(word()).expect("the parent knows the recorders");
    let results = Path::new(word());

    let folder = tempfile::tempdir().expect("a folder for the database");
    let profiler = recorder.install(&folder.path().join("profile.db"), RING_SLOTS, 4);
    let rest = || {
        if let Some(profiler) = &profiler {
            profiler.flush(Duration::from_secs(60)).expect("the writer catches up");
        }
    };

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .configure_from_args();
    let mut group = criterion.benchmark_group(format!("hot_path/{}", case.name()));
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    let mut medians = String::new();
    for threads in THREADS {
        let mut samples = Vec::new();
        let id = BenchmarkId::new(recorder.name(), format!("{threads}_threads"));
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|spans| {
                let made = spans.max(SAMPLE_MIN);
                let each = run(case, threads, made, &rest).as_nanos() as f64 / made as f64;
                samples.push(each);
                Duration::from_nanos((each * spans as f64) as u64)
            });
        });
        samples.sort_by(f64::total_cmp);
        if let Some(median) = samples.get(samples.len() / 2) {
            medians.push_str(&format!("{threads} {median}\n"));
        }
    }
    group.finish();
    std::fs::write(results, medians).expect("the results can be written");

    if let Some(profiler) = profiler {
        let report = profiler.close().expect("the profiler closes");
        assert_eq!(report.dropped.total(), 0, "the figures say nothing: {report}");
    }
}

/// Makes `spans` spans on each thread, and says how long that took without the rests.
fn run(case: Case, threads: usize, spans: u64, rest: &(dyn Fn() + Sync)) -> Duration {
    let (before, after) = (Gate::new(threads), Gate::new(threads));
    let chunks = spans.div_ceil(CHUNK);
    let edges = Mutex::new(vec![None::<(Instant, Instant)>; chunks as usize]);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                case.run(30); // the thread's first spans, which may allocate
                for chunk in 0..chunks {
                    before.pass(chunk as usize, rest);
                    let start = Instant::now();
                    case.run(CHUNK.min(spans - chunk * CHUNK));
                    let end = Instant::now();
                    after.pass(chunk as usize, &|| ());
                    let mut edges = edges.lock().expect("no thread panics");
                    let edge = &mut edges[chunk as usize];
                    *edge = Some(edge.map_or((start, end), |(s, e)| (s.min(start), e.max(end))));
                }
            });
        }
    });
    let edges = edges.into_inner().expect("no thread panicked");
    edges.iter().flatten().map(|(start, end)| end.duration_since(*start)).sum()
}

/// Where threads wait for each other. They yield but never sleep, so that all are off again at
/// nearly the same moment.
struct Gate {
    threads: usize,
    arrived: AtomicUsize,
    opened: AtomicUsize,
}

impl Gate {
    fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0), opened: AtomicUsize::new(0) }
    }

    /// Waits until all threads are here for the `turn`th time; the last runs `first`.
    fn pass(&self, turn: usize, first: &dyn Fn()) {
        // AcqRel: pairs with the other threads' arrivals.
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == (turn + 1) * self.threads {
            first();
            // Release: pairs with the Acquire below.
            self.opened.store(turn + 1, Ordering::Release);
        }
        // Acquire: pairs with the Release above.
        while self.opened.load(Ordering::Acquire) <= turn {
            thread::yield_now();
        }
    }
}
