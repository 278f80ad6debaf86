//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser};
use clap_complete::engine::ArgValueCompleter;

use crate::commands::Command;
use crate::commands::completions::candidates;
use crate::output::{AnyFormat, ColorChoice, Output};
use crate::profile::Wanted;

/// Asks a profile of spandrel what is slow, why, and what changed.
#[derive(Debug, Parser)]
#[command(
    name = "spandrel",
    version,
    max_term_width = 100,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Without --db: $SPANDREL_DB, or the newest profile in the current folder.\n\
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
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What all commands take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What to look at")]
pub(crate) struct Global {
    /// The profile database
    #[arg(long, global = true, value_name = "FILE", env = "SPANDREL_DB")]
    db: Option<PathBuf>,
    /// The run: latest, latest~1, 7, a label, or the start of a uuid [default: latest]
    #[arg(long, global = true, value_name = "RUN", add = ArgValueCompleter::new(candidates::runs))]
    run: Option<String>,
    /// Spans that started at this moment or later: 30s (ago), +5s (after the start), 14:05, mark:LABEL
    #[arg(long, global = true, value_name = "TIME", conflicts_with = "between")]
    since: Option<String>,
    /// Spans that started before this moment
    #[arg(long, global = true, value_name = "TIME", conflicts_with = "between")]
    until: Option<String>,
    /// Spans that started in this window
    #[arg(long, global = true, value_name = "TIME..TIME")]
    between: Option<String>,
    /// Spans for which this holds, such as 'name~^db dur>10ms field.shard=7'
    #[arg(short = 'w', long = "where", global = true, value_name = "EXPR", add = ArgValueCompleter::new(candidates::conditions))]
    filter: Option<String>,
    /// Rows that are shown at most; 0: all
    #[arg(short = 'n', long, global = true, value_name = "ROWS", help_heading = "How to show it")]
    limit: Option<usize>,
    /// The column to sort by, with :asc or :desc
    #[arg(long, global = true, value_name = "COLUMN", help_heading = "How to show it")]
    sort: Option<String>,
    /// The columns to show, by comma; 'help' lists them
    #[arg(
        long,
        global = true,
        value_name = "COLUMNS",
        value_delimiter = ',',
        help_heading = "How to show it"
    )]
    columns: Vec<String>,
    /// How it is written [default: table on a terminal, else plain]
    #[arg(short, long, global = true, value_enum, help_heading = "How to show it")]
    format: Option<AnyFormat>,
    /// Write into this file, which appears when it is complete
    #[arg(short, long, global = true, value_name = "FILE", help_heading = "How to show it")]
    output: Option<PathBuf>,
    /// Colours; NO_COLOR, CLICOLOR_FORCE and TERM=dumb are heeded
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "How to show it"
    )]
    color: ColorChoice,
    /// Only ASCII characters [default: where the locale is not UTF-8]
    #[arg(long, global = true, help_heading = "How to show it")]
    ascii: bool,
    /// Times of day in UTC
    #[arg(long, global = true, help_heading = "How to show it")]
    utc: bool,
    /// Never through a pager
    #[arg(long, global = true, help_heading = "How to show it")]
    no_pager: bool,
    /// Neither header nor notes nor progress
    #[arg(short, long, global = true, help_heading = "How to show it")]
    quiet: bool,
    /// More columns and notes
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = "How to show it")]
    verbose: bool,
    /// Exit code 4 when nothing matched
    #[arg(long, global = true, help_heading = "When to fail")]
    fail_empty: bool,
    /// Exit code 5 when the profile is incomplete
    #[arg(long, global = true, help_heading = "When to fail")]
    strict: bool,
}

/// What a command works with beside its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) wanted: Wanted,
    pub(crate) output: Output,
    /// `--format`, for `export`, which has formats of its own.
    pub(crate) any_format: Option<AnyFormat>,
}

impl Global {
    pub(crate) fn context(&self) -> Context {
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
            },
            output: Output {
                format: this.format.and_then(AnyFormat::of_view),
                path: this.output,
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
}
