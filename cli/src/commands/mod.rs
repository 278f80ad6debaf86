//! The commands, one file each.

mod by;
mod check;
mod collect;
pub(crate) mod completions;
mod diff;
mod distributions;
mod doctor;
mod explain;
mod export;
mod fields;
pub(crate) mod flame;
pub(crate) mod gauges;
mod guide;
mod hist;
mod info;
mod load;
mod man;
mod mark;
mod merge;
mod name_hints;
mod open;
mod optimize;
mod prelude;
mod prune;
mod record;
mod recover;
mod report;
mod runs;
mod sides;
mod slow;
mod sql;
pub(crate) mod stalls;
mod tail;
#[cfg(test)]
pub(crate) mod test_profile;
mod top;
pub(crate) mod tree;

use clap::Subcommand;

use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, ending};

/// Refuses a file whose ending belongs to another format than the one that would be written.
fn fits_its_name(command: &Command, context: &Context) -> Result<(), Failure> {
    let path = context.output.path.as_deref().filter(|_| context.any_format.is_none());
    let Some(ending) = path.and_then(ending) else { return Ok(()) };
    let is_page = ending == "html" || ending == "htm";
    let refused = match command {
        // These make the file that they are told to, or look at the name themselves.
        Command::Flame(_)
        | Command::Export(_)
        | Command::Record(_)
        | Command::Collect(_)
        | Command::Man(_) => false,
        Command::Report(_) => {
            ending == "svg" || path.is_some_and(|path| Format::of_file_name(path).is_some())
        }
        _ => ending == "svg" || is_page,
    };
    if !refused {
        return Ok(());
    }
    let failure = Failure::usage(format!("this command writes no .{ending}"));
    Err(failure.hint(match command {
        Command::Report(_) => "a report is a page: name it .html",
        _ => "`spandrel flame` draws .svg, `spandrel report` makes a page",
    }))
}

/// Makes the enum of commands, and the `match` over them: their arguments have different types.
macro_rules! commands {
    ($($(#[$about:meta])* $name:ident $module:ident,)*) => {
        /// What to do.
        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($(#[$about])* $name($module::Arguments),)*
        }

        impl Command {
            /// The options that it shares with other commands.
            pub(crate) fn context(&self) -> Context {
                match self {
                    $(Self::$name(arguments) => arguments.shared.context(),)*
                }
            }
        }

        pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, Failure> {
            export::only_there(command, context)?;
            fits_its_name(command, context)?;
            if !matches!(command, Command::Export(_)) {
                context.output.check()?;
            }
            match command {
                $(Command::$name(arguments) => $module::run(arguments, context),)*
            }
        }
    };
}

commands! {
    /// Show where the time went, by span name
    Top top,
    /// Show what is open now: what programs are doing, or were when they died
    Open open,
    /// List the slowest spans
    Slow slow,
    /// Find what held up a runtime's threads: the longest entries by name
    Stalls stalls,
    /// Show one trace as a waterfall with its critical path
    Tree tree,
    /// Compare two recordings and tell changes from noise
    Diff diff,
    /// Find what the slow spans of one name have in common
    Explain explain,
    /// Show where the time went as a flame graph, by path from the root
    Flame flame,
    /// Show how the durations of one name are distributed
    Hist hist,
    /// Show values that the program has set, over time
    Gauges gauges,
    /// Export spans to other tools: trace viewers, tracing back ends, spreadsheets
    Export export,
    /// Generate a known load, record it, and verify every span
    Load load,
    /// Run a program that has the layer, and report what was recorded
    Record record,
    /// Collect what programs record into ring files into one profile
    Collect collect,
    /// Write a single HTML page with everything, which opens offline
    Report report,
    /// Follow a live recording, span by span
    Tail tail,
    /// List the runs in a profile
    Runs runs,
    /// Run your own read-only SQL query
    Sql sql,
    /// Show the size, runs, losses, writer and indexes of a profile
    Info info,
    /// Merge a left-over write-ahead log, so that the profile is a single file
    Merge merge,
    /// Move what a program that died had recorded last into its profile
    Recover recover,
    /// Add indexes to a finished profile, to make queries on large ones fast
    Optimize optimize,
    /// Fail if a span got slower or a limit is exceeded, for use in CI
    Check check,
    /// Check the recording for problems and suggest fixes
    Doctor doctor,
    /// Name a moment or a section in a live recording
    Mark mark,
    /// Delete the oldest spans of a profile that is not being recorded
    Prune prune,
    /// Print a short introduction, for people and programs
    Guide guide,
    /// Print a completion script for your shell
    Completions completions,
    /// Print the manual pages, or write them to a folder
    Man man,
}
