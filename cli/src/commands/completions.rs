//! `spandrel completions`: what a shell needs to complete the command line.
//!
//! Completed are commands, options and their values. Names of spans and runs are not: the way of `clap`
//! to ask the program for them is not stable yet, and a shell would open the profile at each key.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel completions bash > ~/.local/share/bash-completion/completions/spandrel\n  \
    spandrel completions zsh  > ~/.zfunc/_spandrel\n  \
    spandrel completions fish > ~/.config/fish/completions/spandrel.fish")]
pub(crate) struct Arguments {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let mut command = crate::arguments::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "spandrel", &mut script);
    context.output.write(&script)?;
    Ok(Exit::Ok)
}
