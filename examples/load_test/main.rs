//! Records a known load, and proves that it is all there.
//!
//!     cargo run --release --example load_test
//!     cargo run --release --example load_test -- --rate max --threads 2
//!     cargo run --release --example load_test -- --help
//!
//! The load, its recording and the verification are in the library `spandrel-load`; here are the
//! options, the progress bar and the exit code.

mod arguments;
#[path = "../options.rs"]
mod options;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use spandrel_load::{Load, Phase, Progress, report};

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let load = match arguments::parse(words) {
        Ok(Some(load)) => load,
        Ok(None) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\ntry --help");
            return ExitCode::from(2);
        }
    };
    match run(load) {
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
fn run(load: Load) -> Result<Vec<String>, Box<dyn Error>> {
    let mut out = io::stdout();
    let prepared = load.prepare()?;
    report::load(&mut out, &prepared)?;
    let mut bar = None;
    let outcome = prepared.run(&mut |progress| show(&mut bar, progress));
    if let Some((_, bar)) = bar {
        bar.finish_and_clear();
    }
    let outcome = outcome?;
    report::outcome(&mut out, &outcome)?;
    let database = outcome.load.database.display();
    writeln!(out, "\nlook at it: spandrel top --db {database}")?;
    report::result(&mut out, &outcome)?;
    Ok(outcome.faults())
}

/// A bar for each phase, on stderr, and only when that is a terminal; indicatif looks.
fn show(bar: &mut Option<(Phase, ProgressBar)>, progress: &Progress) {
    let begun = bar.as_ref().is_some_and(|(phase, _)| *phase == progress.phase);
    if !begun {
        if let Some((_, bar)) = bar {
            bar.finish_and_clear();
        }
        let title = match progress.phase {
            Phase::Baseline => "no-op layer",
            Phase::Recording => "spandrel",
            _ => "verify",
        };
        let style =
            ProgressStyle::with_template("{prefix:12} [{bar:32}] {percent:>3}%  {wide_msg}")
                .unwrap()
                .progress_chars("=> ");
        let new = ProgressBar::new(progress.total).with_style(style).with_prefix(title);
        *bar = Some((progress.phase, new));
    }
    let Some((_, bar)) = bar else { return };
    bar.set_position(progress.done);
    if let Some(stats) = &progress.stats {
        let (spans, dropped) = (progress.spans, stats.dropped.total());
        bar.set_message(format!("{spans} spans  {} stored  {dropped} dropped", stats.stored));
    } else if progress.spans > 0 {
        bar.set_message(format!("{} spans", progress.spans));
    }
}
