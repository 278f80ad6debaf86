//! Writes a profile of a made-up server, without waiting for it to happen.
//!
//!     cargo run --release --example generate_profile
//!     cargo run --release --example generate_profile -- --spans 100000 --runs 2 --slower render=1.1
//!     cargo run --release --example generate_profile -- --help
//!
//! `callsites` and `fields` say what its spans look like, `shapes` makes single traces, `timeline`
//! puts them in one order of time, `recording` stores them as a recording would have.

mod arguments;
#[cfg(test)]
mod as_recorded;
mod callsites;
mod fields;
mod ids;
#[path = "../options.rs"]
mod options;
mod random;
mod recording;
mod shapes;
mod timeline;
mod trace;

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use arguments::{LABEL, Settings};
use indicatif::{ProgressBar, ProgressStyle};

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let settings = match arguments::parse(words) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\ntry --help");
            return ExitCode::from(2);
        }
    };
    match generate(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let names = callsites::spans(settings.names);
    if let Some((name, _)) =
        settings.slower.iter().find(|(name, _)| names.iter().all(|known| known.name != *name))
    {
        return Err(format!("--slower {name}: no span has this name").into());
    }
    spandrel_load::make_room(&settings.database, LABEL)?;
    let began = Instant::now();
    let style = ProgressStyle::with_template("{prefix:12} [{bar:32}] {percent:>3}%  {wide_msg}")?;
    let mut spans = 0;
    for run in 1..=settings.runs {
        let bar = ProgressBar::new(settings.spans)
            .with_style(style.clone())
            .with_prefix(format!("run {run} of {}", settings.runs));
        let show = |spans| bar.set_position(spans);
        let totals = recording::record(&settings.database, settings, run, show)?;
        bar.finish_and_clear();
        spans += totals.stored;
        println!(
            "run {run}  {:.1} s  {} spans, {} of them unfinished, {} lost  {} events  {} links",
            totals.length_ns as f64 / 1e9,
            totals.stored,
            totals.unfinished,
            totals.lost,
            totals.events,
            totals.links
        );
    }
    let took = began.elapsed().as_secs_f64();
    let bytes = fs::metadata(&settings.database)?.len();
    println!(
        "{}  {:.1} MiB, {:.1} bytes a span  written in {took:.1} s, {:.0} spans/s",
        settings.database.display(),
        bytes as f64 / f64::from(1 << 20),
        bytes as f64 / spans.max(1) as f64,
        spans as f64 / took
    );
    Ok(())
}
