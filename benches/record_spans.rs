//! Makes so many spans of one case under one recorder, for scripts/instructions.sh,
//! scripts/writer_cost.sh and scripts/syscalls.sh: `record_spans CASE RECORDER SPANS [RING_SLOTS]`.
//!
//! The spans lie between the lines `begin` and `end`, each written with one system call; the
//! thread's first spans come before. Fails if spandrel dropped a span, because what was measured
//! would then be how it drops.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark says what it finds"
)]

use std::process::ExitCode;

use spandrel_benches::{Case, Recorder};

/// Holds 131,072 slots for the one thread that leases a partition: valgrind may let the writer wait
/// until the spans are made, and a full partition would send them the long way.
const RING_SLOTS: usize = 262_144;
const FIRST_SPANS: u64 = 30;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let (case, recorder) = (Case::from_name(&next()), Recorder::from_name(&next()));
    let (Some(case), Some(recorder), Ok(spans)) = (case, recorder, next().parse()) else {
        eprintln!("record_spans CASE RECORDER SPANS [RING_SLOTS]");
        return ExitCode::from(2);
    };
    let ring_slots = next().parse().unwrap_or(RING_SLOTS);

    let folder = tempfile::tempdir().expect("a folder for the database");
    let database = folder.path().join("profile.db");
    let profiler = recorder.install(&database, ring_slots, 1);
    case.run(FIRST_SPANS);
    println!("begin");
    case.run(spans);
    println!("end");

    let Some(profiler) = profiler else { return ExitCode::SUCCESS };
    let report = profiler.close().expect("the profiler closes");
    let clock: String = rusqlite::Connection::open(&database)
        .and_then(|file| file.query_row("SELECT clock FROM run", [], |row| row.get(0)))
        .expect("the database names its clock");
    println!("clock {clock}");
    println!("{report}");
    if let Some(cpu) = report.writer_cpu {
        println!("writer_cpu_ns {}", cpu.as_nanos());
    }
    let stored = match case {
        Case::Events => report.events.stored,
        Case::LongLived | Case::LongLivedAside => report.entries.stored,
        _ => report.stored,
    };
    let dropped =
        report.dropped.total() + report.events.dropped.total() + report.entries.dropped.total();
    if dropped > 0 || (case.is_wanted() && stored < spans) {
        eprintln!("spans are missing, so that the figures say nothing: {report}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
