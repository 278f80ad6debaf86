//! Many threads under spandrel's own subscriber, for scripts/churn.sh:
//! `churn_threads LIVE CHURNED`.
//!
//! First `LIVE` threads are in a span at the same time, twice; then `CHURNED` threads come and go. No
//! thread may panic, every span has to be stored, and the memory of the process must not grow with the
//! threads that have ended.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark says what it finds"
)]

use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use spandrel::Profiler;
use tracing::info_span;

/// Threads that come and go side by side.
const AT_ONCE: u64 = 50;
/// What the process may grow by while all but the first tenth of the threads come and go: pages of
/// the allocator, of SQLite's cache, of a hash table that is about to shrink.
const GROWTH_MAX_KIB: u64 = 8 << 10;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let (Some(Ok(live)), Some(Ok(churned))) = (args.next(), args.next()) else {
        eprintln!("churn_threads LIVE CHURNED");
        return ExitCode::from(2);
    };
    let folder = tempfile::tempdir().expect("a folder for the database");
    let profiler = Profiler::builder()
        .database(folder.path().join("profile.db"))
        .max_open_spans(2 * live as usize + 1024)
        .close_timeout(Duration::from_secs(600))
        .build()
        .expect("the profiler starts");
    profiler.subscriber().init().expect("this is the only subscriber");

    for round in 1..=2 {
        let panicked = live_at_once(live);
        println!("{live} threads in a span at once, round {round}: {panicked} panics");
        if panicked > 0 {
            return ExitCode::FAILURE;
        }
    }
    settle(&profiler);
    let began = Instant::now();
    let mut panicked = churn(churned / 10);
    settle(&profiler);
    let before = resident_kib();
    panicked += churn(churned - churned / 10);
    let seconds = began.elapsed().as_secs_f64();
    settle(&profiler);
    let after = resident_kib();
    println!("{churned} threads one after the other, {seconds:.1} s: {panicked} panics");
    println!("resident after a tenth of them {before} KiB, after all {after} KiB");

    let report = profiler.close().expect("the profiler closes");
    let expected = 2 * (2 * live + churned);
    println!("{report}");
    let whole = report.stored == expected && report.recorded == expected;
    if panicked > 0 || !whole || after > before + GROWTH_MAX_KIB {
        eprintln!(
            "of {expected} spans {} are stored, or the memory grew, or a panic",
            report.stored
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Every thread is in its span until all are. Says how many panicked.
fn live_at_once(threads: u64) -> usize {
    let all_inside = Barrier::new(threads as usize);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|n| {
                let all_inside = &all_inside;
                let body = move || {
                    info_span!("outer", n).in_scope(|| {
                        all_inside.wait();
                        info_span!("inner").in_scope(|| ());
                    });
                };
                let small = thread::Builder::new().stack_size(64 << 10);
                small.spawn_scoped(scope, body).expect("the system lets so many threads live")
            })
            .collect();
        handles.into_iter().filter_map(|handle| handle.join().err()).count()
    })
}

/// Threads that open two spans and end.
fn churn(threads: u64) -> usize {
    thread::scope(|scope| {
        let handles: Vec<_> = (0..AT_ONCE)
            .map(|lane| {
                scope.spawn(move || {
                    let of_lane = threads / AT_ONCE + u64::from(lane < threads % AT_ONCE);
                    let body = |n| {
                        move || {
                            info_span!("outer", n).in_scope(|| info_span!("inner").in_scope(|| ()));
                        }
                    };
                    (0..of_lane).filter(|n| thread::spawn(body(*n)).join().is_err()).count()
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or(1)).sum()
    })
}

/// Waits until all is stored, so that what is measured is what stays.
fn settle(profiler: &Profiler) {
    profiler.flush(Duration::from_secs(600)).expect("the writer catches up");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}
