//! The commands, one file each.

mod runs;
mod top;

use clap::Subcommand;

use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Where the time went, by span name
    Top(top::Arguments),
    /// The runs in the file
    Runs(runs::Arguments),
}

/// Runs a command.
pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Top(arguments) => top::run(arguments, context),
        Command::Runs(arguments) => runs::run(arguments, context),
    }
}
