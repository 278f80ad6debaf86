//! Options that several commands take, and the groups in which commands take them.
//!
//! If a command accepted an option and ignored it, it would answer another question than the one that
//! was asked; `prune` would delete more than was meant. So each command says which groups it takes, and
//! every other option is refused.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use clap_complete::engine::ArgValueCompleter;

use super::Context;
use crate::commands::completions::candidates;
use crate::output::{AnyFormat, ColorChoice, Output};
use crate::profile::Wanted;

/// The options that a command takes: a sum of these.
pub(crate) mod group {
    pub(crate) const DB: u32 = 1;
    pub(crate) const RUN: u32 = 1 << 1;
    /// `--since`, `--until` and `--between`, of which some are times of day.
    pub(crate) const WINDOW: u32 = 1 << 2 | UTC;
    pub(crate) const FILTER: u32 = 1 << 3;
    pub(crate) const LIMIT: u32 = 1 << 4;
    pub(crate) const TABLE: u32 = 1 << 5;
    pub(crate) const FORMAT: u32 = 1 << 6;
    pub(crate) const OUTPUT: u32 = 1 << 7;
    /// `--color`, `--ascii` and `--quiet`: they apply to messages, too.
    pub(crate) const LOOK: u32 = 1 << 8;
    pub(crate) const UTC: u32 = 1 << 9;
    pub(crate) const PAGER: u32 = 1 << 10;
    pub(crate) const VERBOSE: u32 = 1 << 11;
    pub(crate) const EMPTY: u32 = 1 << 12;
    pub(crate) const STRICT: u32 = 1 << 13;

    /// Spans of a run.
    pub(crate) const SPANS: u32 = DB | RUN | WINDOW | FILTER;
    /// A page for people, or a document for programs.
    pub(crate) const PAGE: u32 = FORMAT | OUTPUT | LOOK | PAGER;
    /// Rows, of which some can be chosen.
    pub(crate) const ROWS: u32 = PAGE | LIMIT | TABLE;
    /// How it fails on request.
    pub(crate) const FAIL: u32 = EMPTY | STRICT;

    /// The group of an option, by its id.
    pub(super) fn of(id: &str) -> u32 {
        match id {
            "db" => DB,
            "run" => RUN,
            "since" | "until" | "between" => WINDOW & !UTC,
            "filter" => FILTER,
            "limit" => LIMIT,
            "sort" | "columns" => TABLE,
            "format" | "spreadsheet" => FORMAT,
            "output" => OUTPUT,
            "color" | "ascii" | "quiet" => LOOK,
            "utc" => UTC,
            "no_pager" => PAGER,
            "verbose" => VERBOSE,
            "fail_empty" => EMPTY,
            "strict" => STRICT,
            _ => 0,
        }
    }
}

/// All options that more than one command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection options")]
pub(super) struct Options {
    /// Profile to use
    #[arg(long, value_name = "FILE", env = "SPANDREL_DB")]
    db: Option<PathBuf>,
    /// Run: latest, latest~1, 7, a label, or the start of a UUID [default: latest]
    #[arg(long, value_name = "RUN", add = ArgValueCompleter::new(candidates::runs))]
    run: Option<String>,
    /// Only spans since: 30s (ago), +5s (after the start), 14:05 or mark:LABEL
    #[arg(long, value_name = "TIME", conflicts_with = "between")]
    since: Option<String>,
    /// Only spans that started before this time, written like --since
    #[arg(long, value_name = "TIME", conflicts_with = "between")]
    until: Option<String>,
    /// Only spans that started within this window
    #[arg(long, value_name = "TIME..TIME")]
    between: Option<String>,
    /// Only spans that match, such as 'name~^db dur>10ms field.shard=7'
    #[arg(short = 'w', long = "where", value_name = "EXPR", add = ArgValueCompleter::new(candidates::conditions))]
    filter: Option<String>,
    /// Maximum number of rows (0 = all)
    #[arg(short = 'n', long, value_name = "ROWS", help_heading = "Output options")]
    limit: Option<usize>,
    /// Column to sort by, optionally with :asc or :desc
    #[arg(long, value_name = "COLUMN", help_heading = "Output options")]
    sort: Option<String>,
    /// Columns to show, separated by commas ('help' lists them)
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Output options")]
    columns: Vec<String>,
    /// Output format: table, plain, csv, tsv, json, ndjson, md; of check: github, junit; of export: as FORMAT
    #[arg(short, long, value_enum, hide_possible_values = true, help_heading = "Output options")]
    format: Option<AnyFormat>,
    /// For csv and tsv: quote text that a spreadsheet would take for a formula
    #[arg(long, alias = "csv-safe", help_heading = "Output options")]
    spreadsheet: bool,
    /// Write to this file once the output is complete ('-' = standard output)
    #[arg(short, long, value_name = "FILE", help_heading = "Output options")]
    output: Option<PathBuf>,
    /// When to use colors; NO_COLOR, CLICOLOR_FORCE and TERM=dumb are respected
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output options")]
    color: ColorChoice,
    /// Use ASCII characters only [default: if the locale is not UTF-8]
    #[arg(long, help_heading = "Output options")]
    ascii: bool,
    /// Show times of day in UTC
    #[arg(long, help_heading = "Output options")]
    utc: bool,
    /// Do not use a pager
    #[arg(long, help_heading = "Output options")]
    no_pager: bool,
    /// Suppress header, notes and progress
    #[arg(short, long, help_heading = "Output options")]
    quiet: bool,
    /// Show more columns and notes
    #[arg(short, long, conflicts_with = "quiet", help_heading = "Output options")]
    verbose: bool,
    /// Exit with code 4 if nothing matched
    #[arg(long, help_heading = "Exit code options")]
    fail_empty: bool,
    /// Exit with code 5 if the profile is incomplete
    #[arg(long, help_heading = "Exit code options")]
    strict: bool,
}

/// All of them, as clap knows them.
fn all() -> Vec<Arg> {
    Options::augment_args(Command::new("all")).get_arguments().cloned().collect()
}

/// Whether an option is one of them, and means in this command what it means in others.
pub(super) fn is_shared(option: &Arg) -> bool {
    // All of them are under headings, and what is a command's own is not.
    group::of(option.get_id().as_str()) != 0 && option.get_help_heading().is_some()
}

/// What an option means in a command in which it does not mean what it means in others.
fn own_meaning(command: &str, id: &str) -> Option<&'static str> {
    Some(match (command, id) {
        ("collect", "output") => {
            "Profile to write: made if it is not there; in one that is, each program becomes another run [default: --db]"
        }
        ("record", "output") => {
            "Profile to write: made if it is not there; one that is gets another run [default: --db, or \
             PROGRAM.spandrel.db]"
        }
        ("doctor", "strict") => {
            "Exit with code 1 if there is a problem, else with code 5 if the profile is incomplete"
        }
        _ => return None,
    })
}

/// All of them, for the book, and whether an option is one.
#[cfg(test)]
pub(crate) mod listed {
    pub(crate) fn command() -> clap::Command {
        <super::Options as clap::Args>::augment_args(clap::Command::new("all"))
    }

    pub(crate) fn is_shared(option: &clap::Arg) -> bool {
        super::is_shared(option)
    }
}

/// Those of some groups.
#[derive(Debug, Clone)]
pub(crate) struct Shared<const GROUPS: u32>(Options);

impl<const GROUPS: u32> Shared<GROUPS> {
    pub(crate) fn context(&self) -> Context {
        self.0.context()
    }
}

// What is the same for all groups is compiled once.
impl Options {
    fn context(&self) -> Context {
        let this = self.clone();
        Context {
            wanted: Wanted {
                db: this.db,
                run: this.run,
                since: this.since,
                until: this.until,
                between: this.between,
                filter: this.filter,
                utc: this.utc,
                strict: this.strict,
            },
            output: Output {
                format: this.format.and_then(AnyFormat::of_view),
                is_standard: this.output.as_deref() == Some(Path::new("-")),
                path: this.output.filter(|path| path != Path::new("-")),
                spreadsheet: this.spreadsheet,
                color: this.color,
                ascii: this.ascii,
                utc: this.utc,
                pager: !this.no_pager,
                quiet: this.quiet,
                verbose: this.verbose,
                limit: this.limit,
                sort: this.sort,
                columns: this.columns,
                fail_empty: this.fail_empty,
                strict: this.strict,
            },
            any_format: this.format,
        }
    }

    fn given_to(command: Command, groups: u32) -> Command {
        let own = all().into_iter().filter(|one| group::of(one.get_id().as_str()) & groups != 0);
        let name = command.get_name().to_owned();
        // If it is given both before the command and after it, the latter counts.
        command.args(own.map(|one| {
            let id = one.get_id().clone();
            let one = match own_meaning(&name, id.as_str()) {
                Some(meaning) => one.help(meaning).help_heading(None),
                None => one,
            };
            one.overrides_with(id)
        }))
    }

    fn of(matches: &ArgMatches) -> Self {
        fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
            // An option of another command is not known here.
            matches.try_get_one::<T>(id).ok().flatten().cloned()
        }
        let flag = |id: &str| one::<bool>(matches, id).unwrap_or_default();
        let columns = matches.try_get_many::<String>("columns").ok().flatten();
        Self {
            db: one(matches, "db"),
            run: one(matches, "run"),
            since: one(matches, "since"),
            until: one(matches, "until"),
            between: one(matches, "between"),
            filter: one(matches, "filter"),
            limit: one(matches, "limit"),
            sort: one(matches, "sort"),
            columns: columns.map(|all| all.cloned().collect()).unwrap_or_default(),
            format: one(matches, "format"),
            spreadsheet: flag("spreadsheet"),
            output: one(matches, "output"),
            color: one(matches, "color").unwrap_or_default(),
            ascii: flag("ascii"),
            utc: flag("utc"),
            no_pager: flag("no_pager"),
            quiet: flag("quiet"),
            verbose: flag("verbose"),
            fail_empty: flag("fail_empty"),
            strict: flag("strict"),
        }
    }
}

impl<const GROUPS: u32> Args for Shared<GROUPS> {
    fn augment_args(command: Command) -> Command {
        Options::given_to(command, GROUPS)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const GROUPS: u32> FromArgMatches for Shared<GROUPS> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(Options::of(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Moves options that stand before the command behind it: `spandrel --db FILE top`.
pub(super) fn behind_the_command(words: Vec<OsString>) -> Vec<OsString> {
    let options = all();
    let mut at = 1;
    while let Some(length) = words.get(at).and_then(|word| length(word.to_str()?, &options)) {
        at += length;
    }
    let is_command =
        words.get(at).and_then(|word| word.to_str()).is_some_and(|word| !word.starts_with('-'));
    if at == 1 || !is_command {
        return words;
    }
    let mut words = words;
    words.get_mut(1..=at).unwrap_or_default().rotate_right(1);
    words
}

/// How many words one of our options takes with its value; `None` if it is not ours.
fn length(word: &str, options: &[Arg]) -> Option<usize> {
    let length = |option: &Arg, has_value: bool| {
        if option.get_action().takes_values() && !has_value { 2 } else { 1 }
    };
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, v)| (name, Some(v)));
        let option = options.iter().find(|option| option.get_long() == Some(name))?;
        return Some(length(option, value.is_some()));
    }
    let shorts = word.strip_prefix('-').filter(|shorts| !shorts.is_empty())?;
    for (at, short) in shorts.char_indices() {
        let option = options.iter().find(|option| option.get_short() == Some(short))?;
        if option.get_action().takes_values() {
            return Some(length(option, at + short.len_utf8() < shorts.len()));
        }
    }
    Some(1)
}

/// The option of ours that a word means.
pub(super) fn spelled(word: &str) -> Option<Arg> {
    let name = word.split('=').next().unwrap_or(word);
    all().into_iter().find(|option| {
        let long = option.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let mut shorts = name.chars();
        let is_short = shorts.next() == Some('-') && shorts.next() == option.get_short();
        long || is_short && option.get_short().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_in_a_group() {
        for option in all() {
            assert_ne!(group::of(option.get_id().as_str()), 0, "{option}");
        }
    }

    #[test]
    fn options_may_stand_before_the_command() {
        for (line, ordered) in [
            ("spandrel --db a top -n 3", "spandrel top --db a -n 3"),
            ("spandrel --db=a -qf json top", "spandrel top --db=a -qf json"),
            ("spandrel -fjson -q top", "spandrel top -fjson -q"),
            ("spandrel top --db a", "spandrel top --db a"),
            ("spandrel --db a", "spandrel --db a"),
            ("spandrel --help", "spandrel --help"),
            ("spandrel --db a --help", "spandrel --db a --help"),
            ("spandrel --dbx a top", "spandrel --dbx a top"),
            ("spandrel", "spandrel"),
        ] {
            let words = line.split(' ').map(OsString::from).collect();
            let said: Vec<String> = behind_the_command(words)
                .into_iter()
                .map(|word| word.into_string().unwrap_or_default())
                .collect();
            assert_eq!(said.join(" "), ordered);
        }
    }
}
