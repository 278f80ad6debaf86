//! A measurement in a process of its own.

use std::process::{Command, Output};

use crate::case::Case;
use crate::measure::Job;
use crate::recorder::{Entry, Result};

/// The command that makes a measurement, after those words.
pub fn command(before: &[String], entry: &Entry, case: Case, job: Job) -> Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = match before.split_first() {
        Some((first, others)) => {
            let mut command = Command::new(first);
            command.args(others).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.arg("measure").arg(entry.key()).arg(case.name()).args(job.arguments());
    // Documented settings that can be made in no other way: no server that nobody asks, and no
    // refusal of processors that do not promise a steady counter, as virtual ones do not.
    command.env("HOTPATH_METRICS_SERVER_OFF", "1").env("TRACY_NO_INVARIANT_CHECK", "1");
    Ok(command)
}

/// Runs one measurement, and returns the names and numbers that it prints.
pub fn measure(entry: &Entry, case: Case, job: Job) -> Result<Vec<(String, f64)>> {
    let output = command(&[], entry, case, job)?.output()?;
    numbers(&output).map_err(|error| {
        let job = job.arguments().join(" ");
        format!("{}, {case}, {job}: {error}", entry.name).into()
    })
}

/// The lines of a process that has ended well.
pub fn numbers(output: &Output) -> Result<Vec<(String, f64)>> {
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complained = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {said}{complained}", output.status).into());
    }
    let lines = said.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, value)| Ok((name.to_owned(), value.parse()?))).collect()
}
