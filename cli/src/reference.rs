//! The reference page of the command line, made of the command line itself.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::arguments::listed;

#[path = "../tests/book/fresh.rs"]
mod fresh;

const START: &str = "<!-- Made of the command line by cli/src/reference.rs. Change that. -->

# The command line

";

#[test]
fn book_command_line_is_that_of_the_code() {
    let mut command = crate::arguments::Arguments::command().term_width(100);
    command.build();
    let mut page = START.to_owned();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(page, "{about}\n").unwrap();
    for one in shown(&command) {
        let about = one.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "* [`{0}`](#spandrel-{0}): {about}", one.get_name()).unwrap();
    }
    page.push_str("\n## What several commands take\n\n");
    page.push_str(
        "Each command has a list of those that are its own; any other is refused. They may stand before\n\
         the command, too: `spandrel --db FILE top`.\n\n",
    );
    options(&mut page, &listed::command(), |_| true);
    after(&mut page, &command);
    for one in shown(&command) {
        section(&mut page, one, "spandrel");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/cli.md");
    fresh::check(&file, &page);
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| one.get_name() != "help" && !one.is_hide_set())
}

fn section(page: &mut String, command: &Command, before: &str) {
    let name = format!("{before} {}", command.get_name());
    writeln!(page, "\n## {name}\n").unwrap();
    let about = command.get_long_about().or(command.get_about());
    writeln!(page, "{}\n", about.map(ToString::to_string).unwrap_or_default()).unwrap();
    let usage = command.clone().render_usage().to_string();
    writeln!(page, "```text\n{}\n```\n", usage.trim_start_matches("Usage: ")).unwrap();
    options(page, command, |option| !listed::is_shared(option));
    let shared = command.get_arguments().filter(|option| listed::is_shared(option));
    let shared: Vec<String> =
        shared.filter_map(|option| Some(format!("`--{}`", option.get_long()?))).collect();
    if !shared.is_empty() {
        writeln!(
            page,
            "And of those that [several commands take](#what-several-commands-take): {}\n",
            shared.join(", ")
        )
        .unwrap();
    }
    after(page, command);
    for one in shown(command) {
        section(page, one, &name);
    }
}

fn options(page: &mut String, command: &Command, which: impl Fn(&Arg) -> bool) {
    let is_ours = |id: &str| id != "help" && id != "version";
    let all: Vec<&Arg> = command
        .get_arguments()
        .filter(|one| is_ours(one.get_id().as_str()) && !one.is_hide_set() && which(one))
        .collect();
    if all.is_empty() {
        return;
    }
    page.push_str("| | |\n|---|---|\n");
    for one in all {
        writeln!(page, "| {} | {} |", spelling(one).replace('|', "\\|"), cell(&meaning(one)))
            .unwrap();
    }
    page.push('\n');
}

/// `-n`, `--limit ROWS`.
fn spelling(option: &Arg) -> String {
    let values = option.get_value_names().unwrap_or_default();
    let takes = option.get_action().takes_values() && !values.is_empty();
    let value = values.iter().map(|name| format!(" {name}")).collect::<String>();
    let value = if takes { value } else { String::new() };
    match (option.get_short(), option.get_long()) {
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
        (None, Some(long)) => format!("`--{long}{value}`"),
        (Some(short), None) => format!("`-{short}{value}`"),
        (None, None) => format!("`{}`", value.trim_start()),
    }
}

fn meaning(option: &Arg) -> String {
    let help = option.get_long_help().or(option.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> = option.get_possible_values();
    let names: Vec<String> = values
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let is_listed = !option.is_hide_possible_values_set();
    if is_listed && !names.is_empty() && option.get_action().takes_values() {
        write!(text, ": {}", names.join(", ")).unwrap();
    }
    let defaults = option.get_default_values();
    if !defaults.is_empty() && option.get_action().takes_values() {
        let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
        write!(text, " [default: {}]", defaults.join(", ")).unwrap();
    }
    if let Some(variable) = option.get_env() {
        write!(text, " [variable: `{}`]", variable.to_string_lossy()).unwrap();
    }
    text
}

fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;")
}

fn after(page: &mut String, command: &Command) {
    if let Some(text) = command.get_after_long_help().or(command.get_after_help()) {
        writeln!(page, "```text\n{}\n```", text.to_string().trim_end()).unwrap();
    }
}
