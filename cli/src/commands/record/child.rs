//! The program that is recorded: it is started, told of signals, and waited for.

use std::io;
use std::process::{Command, ExitStatus};

#[cfg(unix)]
use super::unix::attend;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Runs the program to its end.
pub(super) fn run(command: &mut Command, output: &Output) -> Result<Exit, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = attend(command).map_err(|error| {
        // As shells have it: not found, or not to be run.
        let exit = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        let message = format!("cannot run {name}: {error}");
        let hint = Some("name a program, or the path of one, behind --".into());
        Failure { exit: Exit::Program(exit), message, hint }
    })?;
    if status.code().is_none() {
        output.say(&format!("{name} was ended by a signal: {status}"));
    }
    Ok(exit(status))
}

/// As shells have it: the program's own, or 128 and the signal that killed it.
fn exit(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Exit::Program(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    match status.code() {
        Some(0) => Exit::Ok,
        Some(code) => Exit::Program(u8::try_from(code).unwrap_or(u8::MAX)),
        None => Exit::Program(u8::MAX),
    }
}

/// Without Unix signals, the console tells both programs.
#[cfg(not(unix))]
fn attend(command: &mut Command) -> io::Result<ExitStatus> {
    command.status()
}
