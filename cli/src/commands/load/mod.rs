//! `spandrel load`: makes a known load, records it, and proves span by span that it is all there.
//!
//! It is recorded as in an application, on this machine and this disk. The profile is temporary, unless
//! it is to be kept.

mod page;

use std::path::PathBuf;
use std::time::Duration;

use spandrel_load::{DEPTH_MAX, FIELDS_MAX, Load, Outcome, Phase, Progress, Rate, THREADS_MAX};
use spandrel_query::{Reader, parse_duration_ns};
use tempfile::TempDir;

use super::prelude::*;
use crate::output::Header;
#[cfg(unix)]
use crate::signals;

/// Where the profile is kept if no place is named.
const KEPT: &str = "load.db";

#[derive(Debug, Args)]
#[command(
    after_help = "The profile is a temporary one unless --keep or --db say otherwise. A file that a \
    load made is\nreplaced; another one is never touched. Exit code 1 when the rate was not kept, a \
    span was dropped,\nor the file does not hold what was sent; without a pace (--rate max) drops are \
    no fault."
)]
pub(crate) struct Arguments {
    /// Spans per second over all threads ('max' = as fast as possible)
    #[arg(long, value_name = "SPANS", default_value = "10000", value_parser = rate)]
    rate: Rate,
    /// How long to run, such as 30s or 5m
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = length)]
    length: Duration,
    /// Number of threads that make spans
    #[arg(long, default_value_t = 4, value_parser = within(1, THREADS_MAX))]
    threads: usize,
    /// Nesting depth of the spans; the innermost has an event
    #[arg(long, default_value_t = 3, value_parser = within(1, DEPTH_MAX))]
    depth: usize,
    /// Number of fields per span
    #[arg(long, default_value_t = 3, value_parser = within(0, FIELDS_MAX))]
    fields: usize,
    /// Make the spans in tokio tasks that move between threads
    #[arg(long = "async")]
    tasks: bool,
    /// Record with spandrel's own subscriber instead of a layer on `Registry`
    #[arg(long)]
    subscriber: bool,
    /// Keep the profile as load.db, or at --db
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::PAGE }>,
}

fn rate(text: &str) -> Result<Rate, String> {
    match text.parse() {
        Ok(rate) => Ok(Rate::PerSecond(rate)),
        Err(_) if text == "max" => Ok(Rate::Max),
        Err(_) => Err("give a number, or max".into()),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    let ns = parse_duration_ns(text).map_err(|error| error.to_string())?;
    Ok(Duration::from_nanos(ns.unsigned_abs()))
}

fn within(least: usize, most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("give a number from {least} to {most}")),
    }
}

/// Where the profile goes, and whether it stays there.
struct Place {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    /// `$SPANDREL_DB` names a profile to look at, and not one to make.
    fn new(arguments: &Arguments, context: &Context) -> Result<Self, Failure> {
        let of_environment = std::env::var_os("SPANDREL_DB").map(PathBuf::from);
        let named = context.wanted.db.clone().filter(|path| Some(path) != of_environment.as_ref());
        match named.or_else(|| arguments.keep.then(|| KEPT.into())) {
            Some(path) => Ok(Self { path, temporary: None }),
            None => {
                let folder = tempfile::tempdir().map_err(|source| {
                    Failure::cannot_write(&std::env::temp_dir(), &source)
                        .hint("--keep makes the profile in the current folder")
                })?;
                Ok(Self { path: folder.path().join(KEPT), temporary: Some(folder) })
            }
        }
    }

    /// Makes sure that nothing temporary is left when somebody ends this program.
    #[cfg(unix)]
    fn guard(&self) -> Result<Option<signals::Guard>, Failure> {
        let Some(folder) = &self.temporary else { return Ok(None) };
        let folder = folder.path().to_owned();
        let guard = signals::guard(move |wish| {
            // Under another name first, so that the writer makes no further files in it, beside its log, say; and again, as
            // one may just be made. What cannot be removed is left in the folder for temporary files.
            let aside = folder.with_extension("ended");
            let aside =
                if std::fs::rename(&folder, &aside).is_ok() { aside } else { folder.clone() };
            let _removed = (0..10).any(|_| std::fs::remove_dir_all(&aside).is_ok());
            signals::give_in(wish);
        });
        guard.map(Some).map_err(|source| Failure::cannot_read(format!("signals: {source}")))
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let place = Place::new(arguments, context)?;
    #[cfg(unix)]
    let _guard = place.guard()?;
    let load = Load {
        rate: arguments.rate,
        length: arguments.length,
        threads: arguments.threads,
        depth: arguments.depth,
        fields: arguments.fields,
        tasks: arguments.tasks,
        subscriber: arguments.subscriber,
        baseline: None,
        database: place.path.clone(),
        ..Load::default()
    };
    let outcome = make(load, context)?;
    let reader = Reader::open(&place.path)?;
    let run = reader
        .latest_run()?
        .ok_or_else(|| Failure::cannot_read(format!("{} holds no run", place.path.display())))?;
    let losses = reader.losses(run.id)?;
    let bytes = std::fs::metadata(&place.path)
        .map_err(|source| Failure::cannot_read(format!("{}: {source}", place.path.display())))?
        .len();
    let kept = place.temporary.is_none().then_some(place.path.as_path());
    let page = page::Page { outcome: &outcome, bytes, kept };
    let passed = page.passed();
    match context.output.show(page.view(Header::new(run, losses)), 0)? {
        Exit::Ok if !passed => Ok(Exit::CheckFailed),
        exit => Ok(exit),
    }
}

fn make(load: Load, context: &Context) -> Result<Outcome, Failure> {
    let prepared = load.prepare().map_err(failure)?;
    let mut line = context.output.progress();
    prepared.run(&mut |progress| line.show(|| in_a_line(progress))).map_err(failure)
}

fn failure(error: spandrel_load::Error) -> Failure {
    match error.kind() {
        spandrel_load::ErrorKind::InvalidSetting => Failure::usage(error.to_string()),
        _ => Failure::cannot_read(error.to_string()),
    }
}

/// ` 12.3 s ████████▎           123,450 sent  9,999/s  dropped 0  ring max 4%`
fn in_a_line(progress: &Progress) -> String {
    let share = progress.done as f64 / progress.total.max(1) as f64;
    let bar = text::bar(share, 20);
    if progress.phase == Phase::Verifying {
        return format!(" verifying {bar:<20} {}", text::share(share));
    }
    let seconds = progress.done as f64 / 1e3;
    let rate = (progress.spans as f64 / seconds.max(1e-3)) as u64;
    let [sent, rate] = [progress.spans, rate].map(text::count);
    let mut line = format!(" {seconds:.1} s {bar:<20}  {sent} sent  {rate}/s");
    if let Some(stats) = &progress.stats {
        let dropped = text::count(stats.dropped.total());
        let ring = stats.ring_high_water as f64 / stats.ring_capacity.max(1) as f64;
        line.push_str(&format!("  dropped {dropped}  ring max {:.0}%", ring * 100.0));
    }
    line
}
