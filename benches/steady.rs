//! Makes spans at a steady rate, into a database or into a ring file that is collected, for scripts/collected.sh:
//! `steady database|collected PLACE CASE SPANS RATE [BURST]`, where a rate of 0 is as fast as they come: in bursts of so many,
//! each of which is stored before the next one begins, if BURST is said (for scripts/writer_cost.sh).
//!
//! At the end all of it is stored, before the recording is closed. What is printed is what the program itself knows: how
//! much it has recorded and lost, and what its writer's thread has cost, if it has one.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark says what it finds"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use spandrel::Profiler;
use spandrel_benches::Case;

/// So often some spans are made.
const PAUSE: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let (mode, place, case) = (next(), next(), Case::from_name(&next()));
    let (Some(case), Ok(spans), Ok(rate)) = (case, next().parse::<u64>(), next().parse()) else {
        return usage();
    };
    let burst = next().parse().unwrap_or(u64::MAX);
    let builder = Profiler::builder().close_timeout(LONG);
    let builder = match mode.as_str() {
        "database" => builder.database(&place),
        #[cfg(feature = "collected")]
        "collected" => builder.collected(&place),
        _ => return usage(),
    };
    let profiler = builder.build().expect("the profiler starts");
    profiler.subscriber().init().expect("this is the only subscriber");
    let mut late = Duration::ZERO;
    let mut left = spans;
    while left > 0 {
        let some = left.min(burst).max(1);
        late = make(case, some, rate);
        profiler.flush(LONG).expect("all is stored");
        left -= some;
    }
    let report = profiler.close().expect("the profiler closes");
    println!("pid {}", std::process::id());
    println!("recorded {}", report.recorded);
    println!("lost {}", report.dropped.total());
    println!("late_ms {}", late.as_millis());
    if let Some(cpu) = report.writer_cpu {
        println!("writer_cpu_ns {}", cpu.as_nanos());
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("steady database|collected PLACE CASE SPANS RATE [BURST]");
    ExitCode::from(2)
}

/// Makes so many spans. Returns by how much it was late at the end.
fn make(case: Case, spans: u64, rate: u64) -> Duration {
    if rate == 0 {
        case.run(spans);
        return Duration::ZERO;
    }
    let began = Instant::now();
    let (mut made, due) = (0, Duration::from_secs_f64(spans as f64 / rate as f64));
    while made < spans {
        std::thread::sleep(PAUSE);
        let wanted = ((began.elapsed().as_secs_f64() * rate as f64) as u64).min(spans);
        case.run(wanted - made);
        made = wanted;
    }
    began.elapsed().saturating_sub(due)
}
