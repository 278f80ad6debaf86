//! The command line.

mod help;
mod options;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

pub(crate) use self::help::Help;
#[cfg(test)]
pub(crate) use self::options::listed;
pub(crate) use self::options::{Shared, group};
use crate::commands::Command;
use crate::failure::{Failure, did_you_mean};
use crate::output::{AnyFormat, Output};
use crate::profile::Wanted;

/// Find out from a profile what is slow, why, and what changed
#[derive(Debug, Parser)]
#[command(
    name = "spandrel",
    version,
    max_term_width = 100,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "`spandrel COMMAND --help` shows the options of a command, with examples.\n\
        Without --db: $SPANDREL_DB, or the newest profile in the current folder.\n\
        Exit codes: 0 ok, 1 check failed, 2 usage, 3 cannot read the profile, 4 nothing matched\n\
        (--fail-empty), 5 profile incomplete (--strict), 6 application not answering.",
    after_long_help = "Examples:\n  \
        spandrel top                                 where the time went\n  \
        spandrel slow http.request -n 5              the slowest of one name\n  \
        spandrel tree s8925                          one trace with its critical path\n  \
        spandrel explain http.request --sel p95..    what the slow ones have in common\n  \
        spandrel top -w 'target~^db dur>10ms' -f json\n\n\
        Without --db: $SPANDREL_DB, or the newest profile in the current folder.\n\
        Exit codes: 0 ok, 1 check failed, 2 usage, 3 cannot read the profile, 4 nothing matched\n\
        (--fail-empty), 5 profile incomplete (--strict), 6 application not answering."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What a command works with, in addition to its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) wanted: Wanted,
    pub(crate) output: Output,
    /// `--format` for `export`, which has formats of its own.
    pub(crate) any_format: Option<AnyFormat>,
}

/// Commands that are suggested if somebody uses their names as options.
const NAMED_MAX: usize = 6;

impl Arguments {
    /// Reads a command line; options that several commands take may stand before the command.
    pub(crate) fn read(words: impl Iterator<Item = OsString>) -> Result<Self, Refused> {
        let words = options::behind_the_command(words.collect());
        Self::try_parse_from(&words).map_err(|error| {
            if error.kind() == ErrorKind::DisplayHelp
                && let Some(help) = help::asked(&words, Self::command())
            {
                return Refused::Help(help);
            }
            let command = words.get(1).and_then(|word| word.to_str()).unwrap_or_default();
            match not_of_this_command(command, &error).or_else(|| no_such_command(&error)) {
                Some(failure) => Refused::Option(failure),
                None => Refused::Line(error),
            }
        })
    }
}

/// Why no command can be run.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The option belongs to other commands.
    Option(Failure),
    /// The long help of a command was asked for.
    Help(Help),
    /// Other help or the version was asked for; or the line is wrong.
    Line(clap::Error),
}

/// The message for an unknown command, if another one may have been meant.
fn no_such_command(error: &clap::Error) -> Option<Failure> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word,
        _ => return None,
    };
    let all = Arguments::command();
    let near = did_you_mean(word, all.get_subcommands().map(clap::Command::get_name));
    let failure = Failure::usage(format!("there is no command {word:?}"));
    (!near.is_empty()).then(|| failure.hint(near + "`spandrel --help` lists all"))
}

/// The message for an option that other commands have, but not this one.
fn not_of_this_command(command: &str, error: &clap::Error) -> Option<Failure> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let option = options::spelled(word)?;
    let all = Arguments::command();
    let is_there = |one: &clap::Command| one.get_arguments().any(|a| a.get_id() == option.get_id());
    let known = all.get_subcommands().find(|one| one.get_name() == command)?;
    if is_there(known) {
        return None;
    }
    let long = option.get_long()?;
    let failure = Failure::usage(format!("`spandrel {command}` takes no --{long}"));
    Some(failure.hint(match (command, option.get_id().as_str()) {
        ("tail", "since" | "until" | "between") => {
            "it shows what comes; `spandrel slow --since 30s` looks back".into()
        }
        ("sql", "filter") => "write it into the query".into(),
        ("sql", "sort") => "write ORDER BY into the query".into(),
        ("sql", "columns") => "write them into the query".into(),
        ("prune", "run" | "since" | "until" | "between" | "filter") => {
            "the oldest go, of all runs: --keep, --max-bytes or --runs say how many".into()
        }
        ("diff", "run") => "it compares two: `spandrel diff RUN RUN`".into(),
        _ => {
            let takers = all.get_subcommands().filter(|one| is_there(one));
            let names: Vec<&str> = takers.map(clap::Command::get_name).collect();
            let more = if names.len() > NAMED_MAX { " and others" } else { "" };
            let named = names.get(..NAMED_MAX).unwrap_or(&names).join(", ");
            format!("it is an option of {named}{more}")
        }
    }))
}
