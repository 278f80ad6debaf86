//! `spandrel completions`: what a shell needs to complete the command line.
//!
//! The script asks this program at each press of Tab, by a variable of the environment, so that names of
//! spans, runs and fields are those of the profile that the line is about. What is proposed is in
//! [`candidates`]; how the words of a line are told apart, and how each shell is answered, is `clap`'s.

pub(crate) mod candidates;

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};

use super::prelude::*;

/// Set by the scripts, to the name of the shell.
const VARIABLE: &str = "SPANDREL_COMPLETE";
/// What scripts call: whichever is found first, as for the line itself.
const PROGRAM: &str = "spandrel";

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    source <(spandrel completions bash)                        in ~/.bashrc\n  \
    source <(spandrel completions zsh)                         in ~/.zshrc, after compinit\n  \
    spandrel completions fish | source                         in ~/.config/fish/config.fish\n  \
    eval (spandrel completions elvish | slurp)                 in ~/.elvish/rc.elv\n  \
    spandrel completions powershell | Out-String | Invoke-Expression\n\n\
Commands, options and their values are completed; names of spans (slow, hist, explain, flame --root),\n\
the latest traces (tree), runs (--run), keys and fields (--where) as they are in the profile of the\n\
line: --db, $SPANDREL_DB, or the newest one here. The profile is read for a moment at most, and nothing\n\
is written. Names that a shell would take for more than a word are left out.\n\n\
The script and the program belong together: source it as above, or make the file anew after an upgrade.")]
pub(crate) struct Arguments {
    /// Your shell
    shell: Shell,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::OUTPUT | group::LOOK | group::PAGER }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let name = arguments.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&name)
        .ok_or_else(|| Failure::usage(format!("nothing is known of completions for {name}")))?;
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|source| Failure::cannot_read(format!("cannot make the script: {source}")))?;
    context.output.write(&script)?;
    Ok(Exit::Ok)
}

/// Answers a shell, if one asks. Errors are not reported: the message would appear in the middle of the
/// line that is being typed.
pub(crate) fn answer() -> Option<Exit> {
    let here = std::env::current_dir().ok();
    let here: Option<&Path> = here.as_deref();
    let environment = CompleteEnv::with_factory(crate::arguments::Arguments::command)
        .var(VARIABLE)
        .bin(PROGRAM)
        .completer(PROGRAM);
    match environment.try_complete(std::env::args_os(), here) {
        Ok(false) => None,
        Ok(true) => Some(Exit::Ok),
        Err(_) => Some(Exit::Usage),
    }
}
