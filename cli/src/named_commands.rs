//! Every command that a message, an advice or a page names exists as it is written there (a test): they
//! are given to the command's own parser.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::arguments::{Arguments, Refused};

/// Where texts stand that people read.
const PLACES: [&str; 12] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "docs/src",
    "profiler/src",
    "storage/src",
    "query/src",
    "export/src",
    "load/src",
    "cli/src",
    "examples",
];

fn texts(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            texts(&entry.unwrap().path(), found);
        }
    } else if path
        .extension()
        .is_some_and(|ending| ending == "rs" || ending == "md" || ending == "sql")
    {
        found.push(path.to_owned());
    }
}

/// A text in one line, without what stands at the margin of comments and continued literals.
fn joined(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        let line = ["//!", "///", "//", "--"]
            .iter()
            .find_map(|margin| line.strip_prefix(margin))
            .unwrap_or(line);
        line.trim().trim_end_matches('\\').trim()
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// The commands in backquotes.
fn commands(text: &str) -> Vec<String> {
    let text = joined(text);
    let named = text.match_indices("`spandrel ").filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        rest.find('`').map(|end| rest[..end].to_owned())
    });
    // A line of a manifest.
    named.filter(|command| !command.starts_with("spandrel = ")).collect()
}

/// The commands in examples and hints of the source: at the start of a line or a literal. In prose, the word
/// `spandrel` is not followed by the name of a command.
fn examples(text: &str) -> Vec<String> {
    let parser = Arguments::command();
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let at = if line.starts_with("spandrel ") { 0 } else { line.find("\"spandrel ")? + 1 };
        let end = |rest: &str| {
            let ends = ["  ", " | ", " > ", " < ", " && ", "\"", "\\"]
                .iter()
                .filter_map(|end| rest.find(end));
            ends.min().unwrap_or(rest.len())
        };
        let rest = &line[at..];
        let command = &rest[..end(rest)];
        let name = command.split(' ').nth(1)?;
        parser.find_subcommand(name).map(|_| command.to_owned())
    });
    lines.collect()
}

/// Words as a shell takes them, without what a text leaves out of them.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in command.chars() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => words.push(String::new()),
            (letter, _) => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !["", "...", "…"].contains(&word.as_str()));
    words
}

/// Why the parser does not take a command, if it is not for what the text leaves open.
fn refused(command: &str) -> Option<String> {
    let words = words(command);
    let error = match Arguments::read(words.into_iter().map(Into::into)) {
        Ok(_) => return None,
        Err(Refused::Line(error)) => error,
        Err(Refused::Option(failure)) => return Some(failure.to_string()),
        Err(Refused::Help(_)) => return None,
    };
    // In capitals, in braces or absent: whatever the reader puts there.
    let open = |value: &str| {
        value.is_empty()
            || value.starts_with(['{', '<', '['])
            || value.chars().all(|letter| !letter.is_lowercase())
    };
    let is = |what| matches!(error.get(what), Some(ContextValue::String(value)) if open(value));
    let is_open = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand => true,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => is(ContextKind::InvalidValue),
        ErrorKind::InvalidSubcommand => is(ContextKind::InvalidSubcommand),
        _ => false,
    };
    (!is_open).then(|| error.to_string())
}

#[test]
fn each_command_that_a_text_names_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths = Vec::new();
    PLACES.iter().for_each(|place| texts(&root.join(place), &mut paths));
    let (mut all, mut wrong) = (0, Vec::new());
    for path in paths.iter().filter(|path| !path.ends_with("named_commands.rs")) {
        let text = fs::read_to_string(path).unwrap();
        let mut named = commands(&text);
        if path.extension().is_some_and(|ending| ending == "rs") {
            named.extend(examples(&text));
        }
        for command in named {
            all += 1;
            if let Some(why) = refused(&command) {
                wrong.push(format!("{}: `{command}`: {why}", path.display()));
            }
        }
    }
    assert!(all > 100, "{all} commands were found");
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_command_that_is_none_is_found_whatever_stands_around_it() {
    let text = "let way_out = \"record anew (`spandrel export \\\n      sqlight` copies it)\";";
    let [command] = &commands(text)[..] else { panic!("{:?}", commands(text)) };
    assert_eq!(command, "spandrel export sqlight");
    assert!(refused(command).is_some());
    for wrong in ["spandrel dump", "spandrel top --lively", "spandrel info --format nonsense"] {
        assert!(refused(wrong).is_some(), "{wrong}");
    }
    for right in [
        "spandrel export --format sqlite",
        "spandrel prune --max-bytes",
        "spandrel record -- PROGRAM",
    ] {
        assert_eq!(refused(right), None);
    }
}
