//! `spandrel collect`: writes what programs record into ring files of a folder into one profile.

use std::path::PathBuf;

use super::prelude::*;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Programs that are started with SPANDREL_COLLECT=DIR (and have spandrel's feature `collected`) record into \
    ring files in\nDIR, which is in memory, and need no SQLite. This collects from all of them, whenever they come and go, a run \
    each.\nIt may be started before them or after them, and again if it was killed: nothing is lost or stored twice. If there is\nno \
    DIR yet, it is made, for this user alone (not with --once). A program\n\
    that dies leaves all that it has recorded, and what was open. Ctrl-C ends it when all is stored. DIR has to be yours \
    alone\n(mode 0700) and no link, as programs demand it, too.\n\nExit code 3: ring files were left where they are, as their reasons say\n(with --once), or another collector has them.\n\nExamples:\n  \
    spandrel collect /dev/shm/shop -o shop.db\n  \
    SPANDREL_COLLECT=/dev/shm/shop ./server      in another terminal\n  \
    spandrel collect /dev/shm/shop -o shop.db --max-bytes 2GB\n  \
    spandrel collect /dev/shm/shop -o shop.db --once    what is there, until no program is left"
)]
pub(crate) struct Arguments {
    /// Folder of the ring files, in memory, such as /dev/shm/shop
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Delete spans that are older than this, such as 24h
    #[arg(long, value_name = "TIME")]
    keep: Option<String>,
    /// Keep the profile below this size, about, such as 2GB, by deleting the oldest spans
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<String>,
    /// End when no program records into the folder any more
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::OUTPUT | group::LOOK }>,
}

#[cfg(not(feature = "collected"))]
pub(crate) fn run(_: &Arguments, _: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("this build knows no ring files: it is without the feature collected"))
}

#[cfg(feature = "collected")]
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    use spandrel_query::parse_duration_ns;

    let Some(path) = context.output.path.clone().or_else(|| context.wanted.db.clone()) else {
        return Err(Failure::usage("no profile is named").hint("-o profile.db"));
    };
    let mut options = spandrel::collect::CollectOptions::default();
    options.once = arguments.once;
    options.store.max_bytes =
        arguments.max_bytes.as_deref().map(super::prune::parse_bytes).transpose()?;
    let keep = arguments.keep.as_deref().map(parse_duration_ns).transpose();
    let keep = keep.map_err(|error| Failure::usage(format!("--keep: {error}")))?;
    options.store.max_age = keep.map(|ns| std::time::Duration::from_nanos(ns.unsigned_abs()));
    let was_there = path.exists();
    super::record::check_folder(&arguments.folder)?;
    let done = collecting::run(&arguments.folder, &path, &options, context)?;
    let lines = if done.runs.is_empty() {
        collecting::nothing(&arguments.folder, &path, was_there, &done)
    } else {
        collecting::summary(&done, &path)
    };
    lines.iter().for_each(|line| context.output.say(line));
    // What is left alone while others come and go was told of when it was found. That another collector has had all of it
    // is no success of this one, however it ends.
    let spandrel::collect::Collected { refused, elsewhere, .. } = done.collected;
    let is_left = match arguments.once {
        true => refused > 0 || elsewhere > 0,
        false => elsewhere > 0 && done.runs.is_empty(),
    };
    Ok(if is_left { Exit::CannotRead } else { Exit::Ok })
}

/// Collecting until somebody says that it is enough.
#[cfg(feature = "collected")]
pub(super) mod collecting {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use spandrel::collect::{CollectOptions, Collected, Collecting, collect};
    use spandrel_query::Run;

    use super::super::prelude::*;
    use super::super::record::{in_a_shell, open_at_death, way_to_losses};
    use crate::output::Output;
    #[cfg(unix)]
    use crate::signals;

    /// What was collected.
    pub(in crate::commands) struct Done {
        pub(in crate::commands) collected: Collected,
        /// The runs that were begun, or gone on with.
        pub(in crate::commands) runs: BTreeSet<i64>,
        /// Spans that were open when their programs died.
        pub(in crate::commands) open: u64,
        /// Who drains others, if it can be seen.
        pub(in crate::commands) other: Option<u32>,
    }

    pub(in crate::commands) fn run(
        folder: &Path,
        path: &Path,
        options: &CollectOptions,
        context: &Context,
    ) -> Result<Done, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        let _guard = {
            let stop = Arc::clone(&stop);
            // Relaxed, here and below: nothing else is told by it.
            let guard = signals::guard(move |wish| {
                if stop.swap(true, Ordering::Relaxed) {
                    signals::give_in(wish);
                }
            });
            guard.map_err(|source| Failure::cannot_read(format!("signals: {source}")))?
        };
        let is_enough = || stop.load(Ordering::Relaxed);
        let (mut runs, mut other, mut were_open) = (BTreeSet::new(), None, 0_u64);
        let tell = |what: Collecting| {
            match &what {
                Collecting::Begun { run_id, .. } => _ = runs.insert(*run_id),
                Collecting::DrainedElsewhere { pid, .. } => other = *pid,
                Collecting::Ended { crashed: true, open, .. } => {
                    were_open = were_open.saturating_add(*open);
                }
                _ => {}
            }
            tell(&context.output, &what);
        };
        let collected = collect(folder, path, options, is_enough, tell).map_err(failed)?;
        Ok(Done { collected, runs, open: were_open, other })
    }

    pub(in crate::commands) fn failed(error: spandrel::Error) -> Failure {
        use spandrel::{ErrorKind, StorageErrorKind::*};

        // Where no profile could be opened there is nothing to reassure of.
        let has_begun = matches!(
            error.kind(),
            ErrorKind::Storage(Busy | Full | WalFull | Moved | Corrupt | Io | Sqlite | TimedOut)
        );
        let failure = Failure::cannot_read(error.to_string());
        match has_begun {
            true => failure.hint(
                "nothing is lost: what is not stored stays in the ring files, for the next collector",
            ),
            false => failure,
        }
    }

    /// What there is to tell while programs run of which only the runs are told of, at the end.
    pub(in crate::commands) fn tell_refusals(output: &Output, what: &Collecting) {
        use Collecting::{DrainedElsewhere, ProfileRefuses, ProfileTakes};
        if matches!(what, ProfileRefuses { .. } | ProfileTakes | DrainedElsewhere { .. }) {
            tell(output, what);
        }
    }

    fn tell(output: &Output, what: &Collecting) {
        let line = match what {
            Collecting::FolderMade { path } => format!(
                "{} was not there, and is made: programs record into it with SPANDREL_COLLECT",
                text::clean(&path.display().to_string())
            ),
            Collecting::Begun { run_id, pid, program } => {
                let name = Path::new(program).file_name().unwrap_or_default();
                let name = text::clean(&name.to_string_lossy());
                format!("run {run_id}: process {pid} ({name})")
            }
            Collecting::Ended { run_id, pid, crashed, open, spans } => {
                let how = if *crashed { "has died" } else { "has ended" };
                let (recorded, stored) = (text::count(spans.recorded), text::count(spans.stored));
                let were_open = match open {
                    0 => String::new(),
                    open => format!("; {} open then", text::counted_with(*open, "span", text::WAS)),
                };
                format!(
                    "run {run_id}: process {pid} {how}; recorded {recorded} = stored {stored} + dropped {}{were_open}",
                    spans.dropped
                )
            }
            Collecting::DrainedElsewhere { path, pid } => format!(
                "! {}: {} drains ring files there; what is in those comes here only once it has ended",
                text::clean(&path.display().to_string()),
                process(*pid)
            ),
            Collecting::Refused { path, why } => {
                let path = text::clean(&path.display().to_string());
                let why = text::clean(why);
                if why.starts_with(&path) { format!("! {why}") } else { format!("! {path}: {why}") }
            }
            Collecting::StoredAlready { path, run_id } => format!(
                "{}: all that it has is in run {run_id} already, so it is removed",
                text::clean(&path.display().to_string())
            ),
            Collecting::ProfileRefuses { why } => format!(
                "! {}; nothing is stored until then, and what is recorded waits in the ring files as far as they have room",
                text::clean(why)
            ),
            Collecting::ProfileTakes => "the profile takes rows again".to_owned(),
            _ => return,
        };
        output.say(&line);
    }

    /// A process that drains, as far as it can be seen from here.
    pub(in crate::commands) fn process(pid: Option<u32>) -> String {
        pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    }

    /// What was collected, and what to do with it.
    pub(super) fn summary(done: &Done, path: &Path) -> Vec<String> {
        let Done { collected, runs, open, .. } = done;
        let name = text::clean(&in_a_shell(path));
        let ends = if collected.ended == 1 { "its end" } else { "their ends" };
        let mut line = format!("{name}: {} to {ends}", text::counted(collected.ended, "run"));
        if collected.going_on > 0 {
            line.push_str(&format!(
                "; {} on: what is recorded from now on is for the next collector",
                text::counted_with(collected.going_on, "run", ("goes", "go"))
            ));
        }
        let all = spandrel_query::Reader::open(path).and_then(|reader| reader.runs());
        let all = all.unwrap_or_default();
        let of_these = || all.iter().filter(|run| runs.contains(&run.id));
        let spans = of_these().map(|run| run.spans).fold(0, u64::saturating_add);
        let mut lines = vec![
            line,
            format!(
                "{} and {} in {name}",
                text::counted(of_these().count() as u64, "run"),
                text::counted(spans, "span")
            ),
        ];
        lines.extend(open_at_death(*open, &name));
        let dropped = of_these().map(Run::dropped).fold(0, u64::saturating_add);
        lines.extend(way_to_losses(dropped, &name));
        lines.push(format!("next: spandrel top --db {name}   or runs, slow, tree, flame, report"));
        lines
    }

    /// That nothing was, and why that may be.
    pub(super) fn nothing(folder: &Path, path: &Path, was_there: bool, done: &Done) -> Vec<String> {
        let Collected { refused, elsewhere, .. } = done.collected;
        let name = text::clean(&in_a_shell(path));
        let left =
            if was_there { format!("{name} is as it was") } else { format!("{name} was not made") };
        if refused > 0 {
            let files = text::counted_with(refused, "ring file", text::WAS);
            return vec![format!(
                "nothing was collected, and {left}: {files} left alone, as said above"
            )];
        }
        let folder = text::clean(&folder.display().to_string());
        if elsewhere > 0 {
            return vec![format!(
                "nothing was collected, and {left}: {} drains {} in {folder}, into a profile of its own",
                process(done.other),
                text::counted(elsewhere, "ring file")
            )];
        }
        vec![
            format!("there was nothing to collect in {folder}, and {left}"),
            format!(
                "a program records there if it is started with SPANDREL_COLLECT={folder}, has spandrel's feature `collected`, takes \
                 its settings by `Profiler::from_env()`, and has installed the profiler's `layer()`"
            ),
        ]
    }
}
