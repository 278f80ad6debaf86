//! spandrel beside other span recorders.
//!
//! `rivals compare [--quick] [--rounds N] [--check] [--write FILE]` measures all and prints the page;
//! `rivals measure RECORDER CASE JOB SPANS` is what it runs for each figure, in a process of its own,
//! because a process can have one subscriber and a recorder leaves threads and memory behind.

mod case;
mod compare;
mod measure;
mod recorder;
mod recorders;
mod work;

use std::process::ExitCode;

use crate::case::Case;
use crate::measure::Job;
use crate::recorder::Result;

const USAGE: &str = "rivals compare [--quick] [--rounds N] [--check] [--write FILE]\n\
    rivals measure RECORDER CASE counted|loop|singly|burst|enlarged_burst SPANS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["compare", options @ ..] => compare::run(options),
        ["measure", recorder, case, job, spans] => measure(recorder, case, job, spans),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rivals: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(recorder: &str, case: &str, job: &str, spans: &str) -> Result<()> {
    let entry = recorders::find(recorder).ok_or("there is no such recorder")?;
    let case = Case::from_name(case).ok_or("there is no such case")?;
    let job = Job::from_arguments(job, spans).ok_or(USAGE)?;
    if !entry.cases.contains(&case) {
        return Err(format!("{} does not record {case}", entry.name).into());
    }
    measure::run(job, entry, case)
}
