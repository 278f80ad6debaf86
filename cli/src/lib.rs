//! `spandrel`: ask a profile what is slow, why, and what changed.
//!
//! A command reads the profile by `spandrel-query`, makes a `View` of what it
//! found, and `output` shows that to people or to programs. Nothing here writes to a profile but the
//! commands that say so.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod control_request;
mod exit;
mod failure;
#[cfg(feature = "tui")]
mod live;
#[cfg(test)]
mod named_commands;
mod open_rings;
mod output;
mod profile;
mod recorder;
#[cfg(test)]
#[path = "../tests/recording/mod.rs"]
mod recording;
#[cfg(test)]
mod reference;
mod report;
mod rings;
#[cfg(unix)]
mod signals;

use std::process::ExitCode;

use crate::arguments::{Arguments, Refused};
use crate::failure::Failure;
use crate::output::Output;

/// Obeys the command line of this process. A library, so that it is compiled while what it uses still is: a program
/// would wait for that.
pub fn run() -> ExitCode {
    // Files that cannot grow are errors, as a full disk is. Programs that are started are not concerned.
    let survives = spandrel_storage::survive_file_size_limit();
    if let Some(exit) = commands::completions::answer() {
        return exit.into();
    }
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(Refused::Option(failure)) => return Output::default().failure(&failure).into(),
        Err(Refused::Help(help)) => return output::help(&help),
        Err(Refused::Line(error)) => return output::usage(&error),
    };
    let context = arguments.command.context();
    if let Err(error) = survives {
        let message = format!("cannot block the signal of the limit on file sizes: {error}");
        return context.output.failure(&Failure::cannot_read(message)).into();
    }
    match commands::run(&arguments.command, &context) {
        Ok(exit) => exit.into(),
        Err(failure) => context.output.failure(&failure).into(),
    }
}
