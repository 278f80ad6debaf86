//! The commands, one file each.

mod check;
pub(crate) mod completions;
mod diff;
mod doctor;
mod explain;
mod export;
mod fields;
pub(crate) mod flame;
mod guide;
mod hist;
mod info;
mod load;
#[cfg(test)]
pub(crate) mod made;
mod man;
mod mark;
mod merge;
mod named;
mod optimize;
mod prune;
mod record;
mod report;
mod runs;
mod sides;
mod slow;
mod sql;
mod tail;
mod top;
mod tree;

use clap::Subcommand;

use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, ending};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Where the time went, by span name
    Top(top::Arguments),
    /// The slowest spans
    Slow(slow::Arguments),
    /// One trace as a waterfall, with its critical path
    Tree(tree::Arguments),
    /// What changed between two recordings, and whether that is noise
    Diff(diff::Arguments),
    /// What the slow spans of a name have in common
    Explain(explain::Arguments),
    /// Where the time went, by path from the root, as a flame graph
    Flame(flame::Arguments),
    /// How the durations of a name are distributed
    Hist(hist::Arguments),
    /// Write the spans for other programs: viewers, tracing back ends, spreadsheets
    Export(export::Arguments),
    /// Make a known load, record it, and verify every span
    Load(load::Arguments),
    /// Run a program that holds the layer, and say what was recorded
    Record(record::Arguments),
    /// One page with everything, that opens offline
    Report(report::Arguments),
    /// Spans as they are committed, of a live recording
    Tail(tail::Arguments),
    /// The runs in the file
    Runs(runs::Arguments),
    /// Ask with a query of your own, which only reads
    Sql(sql::Arguments),
    /// The file: its size, runs, losses, writer and indexes
    Info(info::Arguments),
    /// Merge the log that a recording has left behind, so that the profile is one file
    Merge(merge::Arguments),
    /// Make indexes for a profile that has ended, so that large ones are quick to ask
    Optimize(optimize::Arguments),
    /// Fails when a span got slower or a limit is passed, for a build server
    Check(check::Arguments),
    /// What is wrong with the recording, and how to mend it
    Doctor(doctor::Arguments),
    /// Name a moment or a section in a live recording
    Mark(mark::Arguments),
    /// Delete the oldest spans of a profile that nobody records into
    Prune(prune::Arguments),
    /// A page to begin with, for people and programs
    Guide(guide::Arguments),
    /// What a shell needs to complete the command line
    Completions(completions::Arguments),
    /// The pages of the manual
    Man(man::Arguments),
}

/// Refuses to write into a file what its name says that it is not.
fn fits_its_name(command: &Command, context: &Context) -> Result<(), Failure> {
    let path = context.output.path.as_deref().filter(|_| context.any_format.is_none());
    let Some(ending) = path.and_then(ending) else { return Ok(()) };
    let is_page = ending == "html" || ending == "htm";
    let refused = match command {
        // Which make the file that they are told to, or look at the name themselves.
        Command::Flame(_) | Command::Export(_) | Command::Record(_) | Command::Man(_) => false,
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

/// Makes a `match` of commands, whose arguments have types of their own.
macro_rules! commands {
    ($($name:ident $module:ident,)*) => {
        impl Command {
            /// What the options say that it shares with others.
            pub(crate) fn context(&self) -> Context {
                match self {
                    $(Self::$name(arguments) => arguments.shared.context(),)*
                }
            }
        }

        /// Runs a command.
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
    Top top,
    Slow slow,
    Tree tree,
    Diff diff,
    Explain explain,
    Flame flame,
    Hist hist,
    Export export,
    Load load,
    Record record,
    Report report,
    Tail tail,
    Runs runs,
    Sql sql,
    Info info,
    Merge merge,
    Optimize optimize,
    Check check,
    Doctor doctor,
    Mark mark,
    Prune prune,
    Guide guide,
    Completions completions,
    Man man,
}
