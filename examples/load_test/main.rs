//! Records a known load, and proves that it is all there.
//!
//!     cargo run --release --example load_test
//!     cargo run --release --example load_test -- --rate max --threads 2
//!     cargo run --release --example load_test -- --help
//!
//! The same load goes first over a layer that does nothing, then over the profiler. After `close`
//! the database is opened again and every row in it is compared with what was sent.
//!
//! `workload` says what one unit of load is, `schedule` when each is due; `threads` or `tasks` make
//! them under `generator`; `sent` sums up, `verify` compares with what is `stored`, or with what can be
//! said of `nameless` spans.

mod args;
mod database;
mod generator;
mod nameless;
mod report;
mod schedule;
mod sent;
mod stored;
#[cfg(test)]
mod tampering;
mod tasks;
mod threads;
mod verify;
mod workload;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use args::Args;
use spandrel::{Profiler, Report};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry};

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let args = match Args::parse(words) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\ntry --help");
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            faults.iter().for_each(|fault| eprintln!("error: {fault}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns what was wrong.
fn run(args: &Args) -> Result<Vec<String>, Box<dyn Error>> {
    let replaced = database::make_room(&args.database)?;
    report::load(args, replaced);
    let clock = generator::clock_overhead();

    let plain = Dispatch::new(Registry::default().with(Nothing));
    let length = args.duration().min(Duration::from_secs_f64(args.baseline));
    let plain = generator::run(args, length, &plain, "no-op layer", String::new)?;

    let mut builder = Profiler::builder()
        .database(&args.database)
        .label(format!("{} {args}", database::LABEL))
        .max_open_spans(open_spans(args));
    if let Some(slots) = args.ring {
        builder = builder.ring_capacity(slots);
    }
    if let Some(spans) = args.batch {
        builder = builder.batch_size(spans);
    }
    let profiler = builder.build()?;
    let empty_bytes = database::bytes(&args.database);
    let dispatch = match args.subscriber {
        true => Dispatch::new(profiler.subscriber()),
        false => Dispatch::new(Registry::default().with(profiler.layer())),
    };
    let note = || {
        let stats = profiler.stats();
        let [stored, dropped] = [stats.stored, stats.dropped.total()].map(report::group);
        format!("{stored} stored  {dropped} dropped")
    };
    let ours = generator::run(args, args.duration(), &dispatch, "spandrel", note)?;
    let closed = profiler.close()?;
    report::latency(args, &plain, &ours, clock);

    let bar = generator::bar("verify", 2 * closed.stored);
    let verification = verify::verify(&args.database, args, &ours.0, &closed, &bar)?;
    bar.finish_and_clear();
    let bytes = database::bytes(&args.database).saturating_sub(empty_bytes);
    report::recording(&closed, ours.1, bytes);
    report::verification(&verification);
    println!("\nlook at it: sqlite3 {} 'select * from top'", args.database.display());

    let mut faults = ledger_faults(&closed, &ours);
    let verified = verification.passed() && faults.is_empty();
    faults.extend(verification.checks.into_iter().filter_map(Result::err));
    report::result(&closed, &plain, &ours, verified, bytes);
    Ok(faults)
}

/// A layer that does nothing: what `tracing` itself costs.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

/// Room for all spans that can be open at once, four times over, as the table is divided into sets
/// that do not fill evenly; at least the default.
fn open_spans(args: &Args) -> usize {
    let trees = if args.tasks { tasks::in_flight(args) } else { args.threads };
    (4 * trees * args.depth).max(16_384)
}

fn ledger_faults(closed: &Report, (sent, _): &report::Made) -> Vec<String> {
    let mut faults = Vec::new();
    if !closed.balances() {
        faults.push(format!("the ledger does not balance: {closed}"));
    }
    for (what, counted, expected) in [
        ("spans recorded", closed.recorded, sent.spans),
        ("events recorded", closed.events.recorded, sent.events),
        ("spans in flight after close", closed.in_flight, 0),
        ("events in flight after close", closed.events.in_flight, 0),
        ("spans unfinished, though all had ended", closed.unfinished, 0),
    ] {
        if counted != expected {
            faults.push(format!("the ledger is wrong: {what}: {counted} instead of {expected}"));
        }
    }
    if closed.timed_out {
        faults.push("closing took too long and was given up".into());
    }
    faults
}
