//! Makes so many spans as fast as they can be made, at default settings, and says what was lost of them and
//! what memory it took, for scripts/burst.sh: `burst CASE RECORDER SPANS THREADS [SLOTS]`, with a ring of so many slots.
//!
//! The memory is that by which the process has grown since before the profiler was built, code that was loaded
//! meanwhile included.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark says what it finds"
)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use spandrel::Profiler;
use spandrel_benches::{Case, in_file};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Each thread makes its first spans before the burst.
const FIRST_SPANS: u64 = 30;
/// ... which comes when threads that are new have found their processors, and the writer is asleep.
const REST: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let (case, recorder) = (Case::from_name(&next()), next());
    let (Some(case), Ok(spans), Ok(threads)) = (case, next().parse(), next().parse()) else {
        return usage();
    };
    let slots = next().parse().ok();
    let before = kib("VmRSS:");
    let folder = tempfile::tempdir().expect("a folder for the database");
    let builder = Profiler::builder()
        .database(folder.path().join("profile.db"))
        .close_timeout(Duration::from_secs(600));
    let is_in_file = recorder.starts_with("in_file");
    let builder = if is_in_file { in_file(builder) } else { builder };
    let builder = match slots {
        Some(slots) => builder.ring_capacity(slots),
        None => builder,
    };
    let profiler = builder.build().expect("the profiler starts");
    assert_eq!(profiler.stats().crash_proof_error, None);
    match recorder.as_str() {
        "layer" | "in_file_layer" => tracing_subscriber::registry().with(profiler.layer()).init(),
        "subscriber" | "in_file" => {
            profiler.subscriber().init().expect("this is the only subscriber")
        }
        _ => return usage(),
    }
    let waited = writer_waited();
    let took = burst(case, spans, threads);
    let waited = writer_waited() - waited;
    profiler.flush(Duration::from_secs(600)).expect("all is stored");
    let (peak, after) = (kib("VmHWM:"), kib("VmRSS:"));
    let report = profiler.close().expect("the profiler closes");
    println!("ns_per_span {:.1}", took.as_secs_f64() * 1e9 / (spans / threads) as f64);
    println!("lost {}", report.dropped.total());
    println!("writer_waited_us {waited}");
    println!("peak_kib {}", peak.saturating_sub(before));
    println!("after_kib {}", after.saturating_sub(before));
    println!("{report}");
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("burst CASE layer|subscriber|in_file_layer|in_file SPANS THREADS [SLOTS]");
    ExitCode::from(2)
}

/// So many spans, shared out among threads. Returns how long the slowest of them took.
fn burst(case: Case, spans: u64, threads: u64) -> Duration {
    let ready = Barrier::new(threads as usize);
    std::thread::scope(|scope| {
        let burst = || {
            case.run(FIRST_SPANS);
            std::thread::sleep(REST);
            ready.wait();
            let began = Instant::now();
            case.run(spans / threads);
            began.elapsed()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(burst)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it makes spans")).max()
    })
    .unwrap_or_default()
}

/// How long the writer was ready to run and had no processor, in microseconds: what others took of it.
fn writer_waited() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the kernel lists threads");
    let read = |task: &Path, name| std::fs::read_to_string(task.join(name)).unwrap_or_default();
    let writer = tasks.flatten().map(|task| task.path());
    let writer = writer.filter(|task| read(task, "comm").starts_with("spandrel-writer"));
    let waited = writer.filter_map(|task| {
        let ns: u64 = read(&task, "schedstat").split_whitespace().nth(1)?.parse().ok()?;
        Some(ns / 1_000)
    });
    waited.sum()
}

/// What the kernel says of the memory of the process.
fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("the kernel says how much memory the process has")
}
