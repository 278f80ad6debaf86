//! `spandrel record`: runs a program that holds the layer, and says what was recorded.
//!
//! The program gets the settings by its environment (`Profiler::from_env`), and this terminal: its input,
//! its output, its signals, its exit code. What there is to say about the profile goes to the standard
//! error, so that a pipe gets the program's output and nothing else.

mod child;
#[cfg(feature = "collected")]
mod collected;
mod find_recorded;
#[cfg(feature = "collected")]
mod folder;
#[cfg(feature = "collected")]
mod told;
#[cfg(unix)]
mod unix;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use spandrel_query::{Reader, Run};

#[cfg(feature = "collected")]
use self::collected::Other;
#[cfg(feature = "collected")]
pub(super) use self::folder::check_folder;
#[cfg(feature = "collected")]
use super::collect::collecting;
use super::prelude::*;
use crate::output::Header;
use crate::recorder::State;

#[derive(Debug, Args)]
#[command(
    after_help = "The profile is -o FILE, else --db FILE, else PROGRAM.spandrel.db in the current \
    folder. A profile\nthat is there gets another run; another file is never touched. The exit code is \
    the program's; 3 if it ended well and recorded nothing.\nCtrl-C goes to the program, which then closes its recording; a second one kills it."
)]
pub(crate) struct Arguments {
    /// Label for the run, such as 'after the index'
    #[arg(long)]
    label: Option<String>,
    /// Collect what the program, and those that it starts, record into ring files: they link no SQLite, and may be many
    #[arg(long)]
    collect: bool,
    /// Program to run, with its arguments, after --
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::OUTPUT | group::LOOK | group::FAIL }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let [program, rest @ ..] = arguments.program.as_slice() else {
        return Err(Failure::usage("no program is named; name it behind --"));
    };
    let path = path(program, context)?;
    let known = last_run(&path)?;
    let mut command = Command::new(program);
    command.args(rest).env("SPANDREL_DB", literally(&path)).env_remove("SPANDREL_COLLECT");
    match &arguments.label {
        Some(label) => command.env("SPANDREL_LABEL", label),
        None => &mut command,
    };
    if let Some(commit) = commit() {
        command.env("SPANDREL_COMMIT", commit);
    }
    let began = SystemTime::now();
    let (exit, other) = attend(arguments.collect, &path, &mut command, context)?;
    let mut runs = runs_after(&path, known, context)?;
    let mut recorded = path.clone();
    if runs.is_empty()
        // The profile of another collector is not one that the program has named.
        && other.is_none()
        && let Some(found) = elsewhere(program, &path, began, context)
    {
        (recorded, runs) = found;
    }
    if runs.is_empty() {
        let failure = match other {
            Some(other) => recorded_elsewhere(program, &path, other),
            None => nothing_recorded(program, arguments.collect),
        };
        context.output.failure(&failure);
    }
    summarize(&recorded, &runs, context)?;
    Ok(match exit {
        Exit::Ok if runs.is_empty() && context.output.fail_empty => Exit::NothingMatched,
        // If something went wrong, the exit code must say so.
        Exit::Ok if runs.is_empty() => Exit::CannotRead,
        Exit::Ok if context.output.strict && !runs.iter().all(Run::is_complete) => Exit::Incomplete,
        exit => exit,
    })
}

#[cfg(feature = "collected")]
fn attend(
    collects: bool,
    path: &Path,
    command: &mut Command,
    context: &Context,
) -> Result<(Exit, Option<Other>), Failure> {
    if !collects {
        return Ok((child::run(command, &context.output)?, None));
    }
    let collector = collected::Collector::start(path, command, context)?;
    let exit = child::run(command, &context.output);
    let other = collector.finish(context)?;
    Ok((exit?, other))
}

/// Nobody else collects where nothing is.
#[cfg(not(feature = "collected"))]
enum Other {}

#[cfg(not(feature = "collected"))]
fn attend(
    collects: bool,
    _: &Path,
    command: &mut Command,
    context: &Context,
) -> Result<(Exit, Option<Other>), Failure> {
    match collects {
        true => {
            Err(Failure::usage("this build collects nothing: it is without the feature collected"))
        }
        false => Ok((child::run(command, &context.output)?, None)),
    }
}

/// Says where the program has recorded instead, and what.
fn elsewhere(
    program: &OsString,
    told: &Path,
    began: SystemTime,
    context: &Context,
) -> Option<(PathBuf, Vec<Run>)> {
    let here = std::env::current_dir().ok()?;
    let (path, runs) = find_recorded::recorded(&here, began, told)?;
    context.output.say(&format!(
        "{} names its own database, and did not record into {}; with `Profiler::from_env()` it takes \
         the one that it is given",
        text::clean(&Path::new(program).display().to_string()),
        text::clean(&in_a_shell(told)),
    ));
    let reader = Reader::open(&path).ok()?;
    let runs = runs.into_iter().map(|run| context.wanted.looked_at(&reader, run));
    Some((path.clone(), runs.collect::<Result<_, _>>().ok()?))
}

/// The file to record into, absolute: the program may go to another folder.
fn path(program: &OsString, context: &Context) -> Result<PathBuf, Failure> {
    if context.output.is_standard {
        let failure =
            Failure::usage("a profile is a database and cannot go to the standard output");
        return Err(failure.hint("-o profile.db; `spandrel export` writes other formats"));
    }
    let named = context.output.path.clone().or_else(|| context.wanted.db.clone());
    let path = named.unwrap_or_else(|| {
        let stem = Path::new(program).file_stem();
        let mut name = stem.map_or_else(|| "profile".into(), OsString::from);
        name.push(".spandrel.db");
        name.into()
    });
    let path =
        std::path::absolute(&path).map_err(|source| Failure::cannot_write(&path, &source))?;
    match path.parent() {
        Some(folder) if !folder.is_dir() => {
            let message = format!("there is no folder {}", folder.display());
            Err(Failure::cannot_read(message).hint("make it first, or choose another with -o"))
        }
        _ => Ok(path),
    }
}

/// The path in the form for `SPANDREL_DB`, where a percent sign has a meaning.
fn literally(path: &Path) -> OsString {
    match path.to_str() {
        Some(text) => text.replace('%', "%%").into(),
        None => path.into(),
    }
}

/// The id of the last run in a file that is a profile; 0 if there is no file yet, or an empty one.
fn last_run(path: &Path) -> Result<i64, Failure> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Ok(file) if file.is_file() && file.len() == 0 => Ok(0),
        _ => {
            let run = Reader::open(path).and_then(|reader| reader.latest_run());
            let run = run.map_err(|error| {
                Failure::from(error).hint("choose another file to record into, with -o")
            })?;
            Ok(run.map_or(0, |run| run.id))
        }
    }
}

/// What the program, and programs that it has started, have recorded.
fn runs_after(path: &Path, known: i64, context: &Context) -> Result<Vec<Run>, Failure> {
    match fs::metadata(path) {
        Ok(file) if file.len() > 0 => {}
        _ => return Ok(Vec::new()),
    }
    let reader = Reader::open(path)?;
    let runs = reader.runs()?.into_iter().filter(|run| run.id > known);
    runs.map(|run| context.wanted.looked_at(&reader, run)).collect()
}

/// The commit of the current folder, if it is in a repository and `git` is there.
fn commit() -> Option<String> {
    if std::env::var_os("SPANDREL_COMMIT").is_some() {
        return None;
    }
    let said = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(said.stdout).ok()?.trim().to_owned();
    (said.status.success() && !commit.is_empty()).then_some(commit)
}

fn nothing_recorded(program: &OsString, is_collected: bool) -> Failure {
    let program = Path::new(program).display();
    let needs = if is_collected { "be built with spandrel's feature `collected`, " } else { "" };
    Failure::cannot_read(format!("{program} recorded nothing")).hint(format!(
        "it must {needs}take the settings from its environment by `spandrel::Profiler::from_env()`, and \
         install the profiler's `layer()`, as in `registry().with(profiler.layer()).init()`; what it \
         says itself may tell more"
    ))
}

/// It has recorded, and this command has none of it.
#[cfg(feature = "collected")]
fn recorded_elsewhere(program: &OsString, path: &Path, other: Other) -> Failure {
    let program = text::clean(&Path::new(program).display().to_string());
    let path = text::clean(&in_a_shell(path));
    let (who, hint) = match other {
        Other::Drains(pid) => (
            format!("another collector has its ring files, {}", collecting::process(pid)),
            "what it has recorded is in the profile of that collector, and what is left in them can be collected when that has ended",
        ),
        Other::HasTaken => (
            "ring files that were in their folder are gone, and nothing of them came here"
                .to_owned(),
            "a program that is killed as it begins to record leaves nothing; or else somebody has taken them: if it was a collector, they are in the profile of that one",
        ),
    };
    Failure::cannot_read(format!("{path} has nothing of {program}: {who}")).hint(hint)
}

#[cfg(not(feature = "collected"))]
fn recorded_elsewhere(_: &OsString, _: &Path, other: Other) -> Failure {
    match other {}
}

/// Tells what was recorded, and what to do with it.
fn summarize(path: &Path, runs: &[Run], context: &Context) -> Result<(), Failure> {
    if runs.is_empty() {
        return Ok(());
    }
    let reader = Reader::open(path)?;
    let say = |line: &str| context.output.say(&context.output.human_readable(line));
    for run in runs {
        let mut header = Header::new(run.clone(), reader.losses(run.id)?);
        header.has_ring =
            State::of(run) == State::Killed && crate::rings::is_left(reader.path(), run);
        header.lines().iter().for_each(|line| say(line));
        match crate::rings::of_run(reader.path(), run) {
            Some(left) => say(&left.line()),
            // What has crashed was recovered to its end, as the header says.
            None if run.ended_unix_ns.is_none() && !run.has_crashed() => {
                say("! the program did not close its recording: what it held last is missing");
            }
            None => {}
        }
    }
    let name = text::clean(&in_a_shell(path));
    say(&format!("recorded into {name}"));
    let died = runs.iter().filter(|run| run.has_crashed());
    let open = died.map(|run| run.unfinished).fold(0, u64::saturating_add);
    open_at_death(open, &name).iter().for_each(|line| say(line));
    let dropped = runs.iter().map(Run::dropped).fold(0, u64::saturating_add);
    way_to_losses(dropped, &name).iter().for_each(|line| say(line));
    say(&format!("next: spandrel top --db {name}   or slow, tree, flame, report"));
    Ok(())
}

/// What was open when programs died, and what shows it; in the profile of this name.
pub(super) fn open_at_death(open: u64, name: &str) -> Option<String> {
    let spans = text::counted_with(open, "span", text::WAS);
    (open > 0)
        .then(|| format!("{spans} open at a death: spandrel sql --recipe unfinished --db {name}"))
}

/// What says why so much was lost.
pub(super) fn way_to_losses(dropped: u64, name: &str) -> Option<String> {
    let records = text::counted_with(dropped, "record", text::WAS);
    (dropped > 0).then(|| format!("{records} lost: spandrel doctor --db {name} says why"))
}

/// The path as a user would type it: relative if it is in the current folder, quoted if necessary.
pub(super) fn in_a_shell(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    let name = short.unwrap_or_else(|| path.to_owned()).display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=~".contains(c);
    if name.chars().all(plain) { name } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(in_a_shell(Path::new("/a/b.db")), "/a/b.db");
        assert_eq!(in_a_shell(Path::new("/a b/it's.db")), r"'/a b/it'\''s.db'");
        let here = std::env::current_dir().unwrap().join("x.db");
        assert_eq!(in_a_shell(&here), "x.db");
    }
}
