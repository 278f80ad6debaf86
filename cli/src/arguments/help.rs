//! What `--help` says: what a command needs first, then examples, and at the end what it shares with others.
//!
//! `-h` is the short one: a command's own options, and the names of the others. What is about the command
//! itself fits a screen; a test keeps it there.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::options::is_shared;

const OWN: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}";
/// Columns of the line of names.
const WIDTH: usize = 80;
const SHARED: &str = "{all-args}";

/// The help for a command, if the line asks for it; `None` otherwise.
pub(super) fn asked(words: &[OsString], mut all: Command) -> Option<Help> {
    let mut words = words.iter().skip(1).filter_map(|word| word.to_str());
    let first = words.next()?;
    let name = match first {
        "help" => words.next()?,
        name => name,
    };
    let is_brief = first != "help" && words.all(|word| word != "--help");
    all.build();
    all.find_subcommand(name).map(|command| Help::of(command, is_brief))
}

/// The sections of the help.
#[derive(Debug)]
pub(crate) struct Help {
    own: clap::builder::StyledStr,
    after: String,
    shared: clap::builder::StyledStr,
    /// The last line of the short help: where to find more.
    brief: Option<String>,
}

impl Help {
    fn of(command: &Command, is_brief: bool) -> Self {
        let only = |which: fn(&Arg) -> bool, template: &'static str| {
            let shown = |arg: Arg| {
                let hidden = arg.is_hide_set() || !which(&arg);
                arg.hide(hidden).hide_short_help(false)
            };
            let command = command.clone().help_template(template);
            // The short form has a line for an option; the long one has three.
            command.mut_args(shown).render_help()
        };
        let after = command.get_after_long_help().or(command.get_after_help());
        Self {
            own: only(|arg| !is_shared(arg) && !is_of_clap(arg), OWN),
            after: after.map(ToString::to_string).unwrap_or_default(),
            shared: only(is_shared, SHARED),
            brief: is_brief.then(|| brief(command)),
        }
    }

    /// For a terminal, with or without colors.
    pub(crate) fn text(&self, colored: bool) -> String {
        let text = |styled: &clap::builder::StyledStr| match colored {
            true => styled.ansi().to_string(),
            false => styled.to_string(),
        };
        let own = text(&self.own);
        let parts = match &self.brief {
            Some(brief) => [own, brief.clone(), String::new()],
            None => [own, self.after.clone(), text(&self.shared)],
        };
        let parts = parts.iter().map(|part| part.trim_matches('\n'));
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n") + "\n"
    }
}

/// The names of the options that a command shares with others, and where they are explained.
fn brief(command: &Command) -> String {
    let shared = command.get_arguments().filter(|arg| is_shared(arg));
    let mut lines = vec!["Also:".to_owned()];
    for long in shared.filter_map(Arg::get_long) {
        match lines.last_mut() {
            Some(line) if line.len() + long.len() + 3 <= WIDTH => {
                line.push_str(&format!(" --{long}"))
            }
            _ => lines.push(format!("      --{long}")),
        }
    }
    let more = format!("`spandrel {} --help` explains them, with examples.", command.get_name());
    lines.push(more);
    lines.join("\n")
}

fn is_of_clap(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Lines of the smallest terminal that people have; of 100 columns.
    const SCREEN: usize = 24;

    fn each(check: impl Fn(&Command)) {
        let mut all = super::super::Arguments::command().term_width(100);
        all.build();
        let commands: Vec<&Command> =
            all.get_subcommands().filter(|one| one.get_name() != "help").collect();
        assert!(commands.len() > 20);
        commands.into_iter().for_each(check);
    }

    #[test]
    fn the_help_of_a_command_begins_with_what_is_its_own_and_that_fits_a_screen() {
        each(|one| {
            let help = Help::of(one, false);
            let own = help.own.to_string();
            assert!(own.lines().count() < SCREEN, "{}: {own}", one.get_name());
            assert!(own.lines().all(|line| line.chars().count() <= 100), "{own}");
            let text = help.text(false);
            let about = one.get_about().unwrap().to_string();
            assert!(text.starts_with(&about), "{text}");
            let after: Vec<usize> =
                [&about, "Examples:", " options:"].iter().filter_map(|it| text.find(*it)).collect();
            assert!(after.is_sorted(), "{text}");
            for option in one.get_arguments().filter(|arg| !arg.is_hide_set() && !is_of_clap(arg)) {
                let Some(long) = option.get_long() else { continue };
                assert!(text.contains(&format!("--{long}")), "{}: --{long}", one.get_name());
            }
        });
    }

    #[test]
    fn the_short_help_of_a_command_fits_a_screen() {
        each(|one| {
            let help = Help::of(one, true).text(false);
            assert!(help.lines().count() <= SCREEN, "{}: {help}", one.get_name());
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        });
    }

    #[test]
    fn help_is_asked_for_in_two_ways() {
        let asked = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            super::asked(&words, super::super::Arguments::command()).map(|help| help.text(false))
        };
        assert_eq!(asked("spandrel top --help"), asked("spandrel help top"));
        assert!(asked("spandrel top --help").unwrap().contains("Usage: spandrel top [OPTIONS]"));
        let others = ["spandrel --help", "spandrel help", "spandrel -h", "spandrel help nothing"];
        let found: Vec<_> = others.iter().filter_map(|line| asked(line)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}
