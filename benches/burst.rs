//! Makes so many spans as fast as they can be made, at default settings, and says what was lost of them and
//! what memory it took, for scripts/burst.sh: `burst CASE RECORDER SPANS THREADS`.
//!
//! The memory is that by which the process has grown since before the profiler was built, code that was loaded
//! meanwhile included.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark says what it finds"
)]

use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use spandrel::Profiler;
use spandrel_benches::Case;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Each thread makes its first spans before the burst.
const FIRST_SPANS: u64 = 30;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let (case, recorder) = (Case::from_name(&next()), next());
    let (Some(case), Ok(spans), Ok(threads)) = (case, next().parse(), next().parse()) else {
        return usage();
    };
    let before = kib("VmRSS:");
    let folder = tempfile::tempdir().expect("a folder for the database");
    let profiler = Profiler::builder()
        .database(folder.path().join("profile.db"))
        .close_timeout(Duration::from_secs(600))
        .build()
        .expect("the profiler starts");
    match recorder.as_str() {
        "layer" => tracing_subscriber::registry().with(profiler.layer()).init(),
        "subscriber" => profiler.subscriber().init().expect("this is the only subscriber"),
        _ => return usage(),
    }
    let took = burst(case, spans, threads);
    profiler.flush(Duration::from_secs(600)).expect("all is stored");
    let (peak, after) = (kib("VmHWM:"), kib("VmRSS:"));
    let report = profiler.close().expect("the profiler closes");
    println!("ns_per_span {:.1}", took.as_secs_f64() * 1e9 / (spans / threads) as f64);
    println!("lost {}", report.dropped.total());
    println!("peak_kib {}", peak.saturating_sub(before));
    println!("after_kib {}", after.saturating_sub(before));
    println!("{report}");
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("burst CASE layer|subscriber SPANS THREADS");
    ExitCode::from(2)
}

/// So many spans, shared out among threads. Returns how long that took.
fn burst(case: Case, spans: u64, threads: u64) -> Duration {
    let ready = Barrier::new(threads as usize + 1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                case.run(FIRST_SPANS);
                ready.wait();
                case.run(spans / threads);
            });
        }
        ready.wait();
        let began = Instant::now();
        move || began
    })()
    .elapsed()
}

/// What the kernel says of the memory of the process.
fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("the kernel says how much memory the process has")
}
