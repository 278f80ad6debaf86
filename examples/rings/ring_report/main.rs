//! What rings reach on this machine: throughput with percentiles, sizes, contention and memory.
//!
//!     cargo run --release --example ring_report
//!     cargo run --release --example ring_report -- --quick
//!     cargo run --release --example ring_report -- --help
//!
//! Each item says whose it is and which one, and each consumer looks at all of it: a report of a ring that loses
//! something fails.

mod arguments;
mod cases;
mod check;
mod clock;
mod ends;
mod figures;
mod histogram;
mod memory;
#[path = "../../options.rs"]
mod options;
mod page;
mod run;

use std::io;
use std::process::ExitCode;

use arguments::Arguments;
use cases::Case;
use clock::Clock;
use figures::Figures;
use page::Page;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let arguments = match arguments::parse(words) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    let done = match memory::was_for_one_kind() {
        Ok(false) if arguments.list => {
            let names = cases::all().into_iter().map(|case| case.name).chain(memory::names());
            names.for_each(|name| println!("{name}"));
            Ok(())
        }
        Ok(false) => report(&arguments),
        done => done.map(|_| ()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(arguments: &Arguments) -> Result<(), String> {
    let clock = Clock::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut page = Page::new(io::stdout(), arguments.csv, cores);
    let wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only));
    let cases: Vec<_> = cases::all().into_iter().filter(|case| wanted(&case.name)).collect();
    let with_memory = wanted("memory");
    if cases.is_empty() && !with_memory {
        return Err(format!(
            "no case has {:?} in its name; --list has all names",
            arguments.only.as_deref().unwrap_or_default()
        ));
    }
    let written = |done: io::Result<()>| done.map_err(|error| format!("cannot write: {error}"));
    written(page.head(arguments, clock))?;
    for section in cases::SECTIONS {
        let mut cases = cases.iter().filter(|case| case.section == section).peekable();
        if cases.peek().is_some() {
            written(page.section(section))?;
        }
        for case in cases {
            match why_skipped(case, arguments) {
                Some(why) => written(page.skipped(case, &why))?,
                None => written(page.case(case, &measure(case, arguments, clock)?))?,
            }
        }
    }
    if with_memory {
        match memory::per_slot() {
            Some(kinds) => written(page.memory(&kinds?))?,
            None => written(page.no_memory())?,
        }
    }
    written(page.end())
}

/// Not measured, and said so.
fn why_skipped(case: &Case, arguments: &Arguments) -> Option<String> {
    // A page that is touched first, and as much again for what else there is.
    let wanted = case.bytes() * 5 / 4;
    if case.shape.slots == cases::HUGE && arguments.quick {
        return Some("it takes seconds, and --quick none of them".to_owned());
    }
    match memory::free() {
        Some(free) if wanted > free => {
            Some(format!("it takes {} MiB, and {} MiB are free", wanted >> 20, free >> 20))
        }
        None if case.shape.slots == cases::HUGE => Some(format!(
            "it takes {} MiB, and this system does not say what is free",
            wanted >> 20
        )),
        _ => None,
    }
}

fn measure(case: &Case, arguments: &Arguments, clock: Clock) -> Result<Figures, String> {
    let runs = (0..arguments.runs).map(|_| (case.measure)(case.shape, arguments.length, clock));
    let runs = runs.collect::<Result<Vec<_>, _>>();
    let runs = runs.map_err(|why| format!("{} has failed: {why}", case.name))?;
    Ok(Figures::of(&runs, clock))
}
