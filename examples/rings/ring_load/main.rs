//! A load between processes: writers that hold a rate, readers that look at each checksum.
//!
//!     cargo run --release --example ring_load -- --slot-bytes 1000000 --slots 50 --writes-per-second 24 --readers 5
//!     cargo run --release --example ring_load -- --writes-per-second 2000 --find-knee --duration-seconds 1
//!     cargo run --release --example ring_load -- --help
//!
//! Each writer and each reader is a process, over one ring of `spandrel_ring::between`.

mod arguments;
mod child;
mod knee;
#[path = "../../options.rs"]
mod options;
mod outcome;
mod page;
mod parent;
// Elsewhere there are no rings between processes.
#[cfg(all(test, any(target_os = "linux", target_os = "macos")))]
mod scenarios;
mod slot;

use std::process::ExitCode;

use arguments::Load;

fn main() -> ExitCode {
    match child::was_child() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let load = match arguments::parse(words) {
        Ok(Some(load)) => load,
        Ok(None) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    match run(&load) {
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
fn run(load: &Load) -> Result<Vec<String>, String> {
    page::head(load);
    if !load.find_knee {
        let outcome = parent::run(load)?;
        page::outcome(&outcome);
        page::result(&outcome, None);
        return Ok(outcome.faults());
    }
    let mut last = None;
    let knee = knee::find(load, |load| {
        let outcome = parent::run(load)?;
        page::step(&outcome);
        let faults = outcome.faults();
        if !faults.is_empty() {
            return Err(faults.join("\nerror: "));
        }
        let is_held = knee::is_held(&outcome);
        last = Some(outcome);
        Ok(is_held)
    })?;
    page::knee(load, knee);
    if let Some(outcome) = last {
        page::result(&outcome, Some(knee));
    }
    Ok(Vec::new())
}
