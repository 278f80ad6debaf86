//! `spandrel export`: the spans for other programs.
//!
//! The formats are those of `spandrel_storage::export`; here is where they go: a file that appears
//! when it is complete, or the standard output.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use spandrel_storage::export::{self, ExportError, Format, Settings, Written};

use super::Command;
use super::flame::Width;
use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{
    AnyFormat, Cell, Column, Destination, NewDatabase, Progress, Sheet, View, text,
};
use crate::profile::Profile;
#[cfg(unix)]
use crate::signals;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel export -o slow.pftrace --since 30s     the ending tells the format\n  \
    spandrel export chrome -o trace.json            as does a word, or --format\n  \
    spandrel export folded | inferno-flamegraph > flame.svg\n  \
    spandrel export ndjson -w 'dur>10ms' | jq .name\n  \
    spandrel export sqlite -w name=db.query -o queries.db\n\n\
    Without a format and a file: the formats, and what opens them.")]
pub(crate) struct Arguments {
    /// What to write [default: what the name of the file says]
    #[arg(id = "export_format", value_enum, value_name = "FORMAT")]
    format: Option<Name>,
    /// folded: the time that is added up
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    weight: Width,
    /// csv: a quotation mark before text that a spreadsheet would take for a formula
    #[arg(long)]
    csv_safe: bool,
}

/// A format by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name(Format);

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Name; Format::ALL.len()] = {
            let mut names = [Name(Format::Csv); Format::ALL.len()];
            let mut at = 0;
            while at < names.len() {
                names[at] = Name(Format::ALL[at]);
                at += 1;
            }
            names
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.opened_by()))
    }
}

/// Refuses the formats of exports for other commands, which read the same `--format`.
pub(crate) fn only_there(command: &Command, context: &Context) -> Result<(), Failure> {
    match (command, context.any_format) {
        (Command::Export(_), _) => Ok(()),
        (_, Some(AnyFormat::Export(format))) => {
            let name = format.name();
            let message = format!("{name} is a format of `spandrel export`, not of this command");
            Err(Failure::usage(message).hint(format!("spandrel export {name} -o FILE")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let named =
        [arguments.format.map(|name| name.0), context.any_format.and_then(AnyFormat::of_export)];
    if named == [None, None] && context.output.path.is_none() {
        return list(context);
    }
    let format = choose(named, context)?;
    let settings =
        Settings::new(format).weight(arguments.weight.weight()).csv_safe(arguments.csv_safe);
    refuse_terminal(format, context)?;
    let profile = context.wanted.profile()?;
    let written = guarded(&profile, &settings, context)?;
    profile.passed_over_everything()?.iter().for_each(|note| context.output.say(note));
    Ok(match () {
        () if context.output.strict && !profile.run.is_complete() => Exit::Incomplete,
        () if context.output.fail_empty && written.spans == 0 => Exit::NothingMatched,
        () => Exit::Ok,
    })
}

fn choose(named: [Option<Format>; 2], context: &Context) -> Result<Format, Failure> {
    let names = || Format::ALL.map(Format::name).join(" ");
    let of_file = || {
        let name = context.output.path.as_ref()?.file_name()?.to_str()?;
        Format::of_file_name(name)
    };
    match named {
        [Some(one), Some(other)] if one != other => {
            let message = format!("two formats: {} and --format {}", one.name(), other.name());
            Err(Failure::usage(message).hint("choose one"))
        }
        [None, None] if context.any_format.is_some() => {
            Err(Failure::usage("--format names no format of an export")
                .hint(format!("one of {}", names())))
        }
        [one, other] => one.or(other).or_else(of_file).ok_or_else(|| {
            Failure::usage("the name of the file does not say which format is meant")
                .hint(format!("`spandrel export FORMAT -o FILE` with one of {}", names()))
        }),
    }
}

fn refuse_terminal(format: Format, context: &Context) -> Result<(), Failure> {
    let is_database = format == Format::Sqlite;
    let refused = !format.is_text() && (is_database || io::stdout().is_terminal());
    if context.output.path.is_some() || !refused {
        return Ok(());
    }
    let name = format.name();
    let where_to = if is_database { "the standard output" } else { "a terminal" };
    let ending = format.endings().first().unwrap_or(&"");
    Err(Failure::usage(format!("{name} is not text and is not written to {where_to}"))
        .hint(format!("spandrel export {name} -o profile{ending}")))
}

/// Exports; when somebody wants this program to end, it ends when the half-written file is removed.
fn guarded(profile: &Profile, settings: &Settings, context: &Context) -> Result<Written, Failure> {
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    {
        let wish = std::sync::Arc::new(std::sync::Mutex::new(None));
        let act = {
            let (stop, wish) = (stop.clone(), wish.clone());
            move |new: signals::Wish| {
                if stop.swap(true, Ordering::Relaxed) {
                    signals::give_in(new); // said twice
                }
                *wish.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(new);
            }
        };
        let guard = signals::guard(act)
            .map_err(|source| Failure::cannot_read(format!("signals: {source}")))?;
        let written = write(profile, settings, context, &stop);
        drop(guard);
        if written.is_err()
            && let Some(wish) = *wish.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            signals::give_in(wish);
        }
        written
    }
    #[cfg(not(unix))]
    write(profile, settings, context, &stop)
}

fn write(
    profile: &Profile,
    settings: &Settings,
    context: &Context,
    stop: &AtomicBool,
) -> Result<Written, Failure> {
    let mut watch = Watch::new(profile, context);
    let mut source = profile.source().watched_by(|rows| {
        watch.show(rows);
        if stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let Some(path) = &context.output.path else {
        let out = io::stdout().lock();
        let written = export::export(&mut source, settings, &mut Stoppable { out, stop });
        return match written {
            // A reader that went away has seen enough.
            Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Written::default())
            }
            written => written.map_err(|error| failure(error, Path::new("the standard output"))),
        };
    };
    let written = if settings.format == Format::Sqlite {
        let database = NewDatabase::new(path)?;
        let written = export::copy(&mut source, &database.until_complete())
            .map_err(|error| failure(error, path))?;
        database.complete()?;
        written
    } else {
        let mut file = Destination::new(path)?;
        let written =
            export::export(&mut source, settings, &mut Stoppable { out: &mut file, stop })
                .map_err(|error| failure(error, path))?;
        file.complete()?;
        written
    };
    drop(source);
    drop(watch);
    report(path, settings.format, &written, profile, context);
    Ok(written)
}

fn failure(error: ExportError, path: &Path) -> Failure {
    match error {
        ExportError::Profile(error) => error.into(),
        ExportError::Write(source) => Failure::cannot_write(path, &source),
        other => Failure::cannot_read(other.to_string()),
    }
}

/// Says where it is, and what opens it.
fn report(path: &Path, format: Format, written: &Written, profile: &Profile, context: &Context) {
    let bytes = text::bytes(written.bytes);
    let mut line =
        format!("wrote {} ({bytes}, {}", path.display(), text::counted(written.spans, "span"));
    for (count, what) in [(written.events, "event"), (written.links, "link")] {
        if count > 0 {
            line.push_str(&format!(", {}", text::counted(count, what)));
        }
    }
    line.push_str(&format!("). Open: {}", format.opened_by()));
    context.output.say(&text::clean(&line));
    let dropped = profile.run.dropped_spans;
    if dropped > 0 {
        let lost = text::counted(dropped, "span");
        let are = text::agree(dropped, "is", "are");
        context.output.say(&format!("note: the run lost {lost}, which {are} missing here"));
    }
}

/// A writer that fails when somebody wants this program to end.
struct Stoppable<'a, W> {
    out: W,
    stop: &'a AtomicBool,
}

impl<W: Write> Write for Stoppable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the export was stopped"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How far it is.
struct Watch {
    line: Progress,
    began: Instant,
    rows: u64,
}

impl Watch {
    fn new(profile: &Profile, context: &Context) -> Self {
        let run = &profile.run;
        let spans = run.spans.saturating_sub(run.pruned_spans);
        let events = run.events.saturating_sub(run.pruned_events);
        let rows = spans.saturating_add(events).saturating_add(run.links);
        Self { line: context.output.progress(), began: Instant::now(), rows }
    }

    /// `exporting ████████▎            41%  412,000 rows/s  3 s left`
    fn show(&mut self, rows: u64) {
        let (began, all) = (self.began, self.rows);
        self.line.show(|| {
            // Some formats look at some rows twice; and a live run grows.
            let share = (rows as f64 / all.max(1) as f64).min(1.0);
            let seconds = began.elapsed().as_secs_f64().max(1e-3);
            let rate = text::count((rows as f64 / seconds) as u64);
            let bar = text::bar(share, 20);
            let left = seconds / share.max(1e-9) * (1.0 - share);
            let percent = (share * 100.0) as u64;
            format!("exporting {bar:<20} {percent:>3}%  {rate} rows/s  {left:.0} s left")
        });
    }
}

/// The formats, and what opens them.
fn list(context: &Context) -> Result<Exit, Failure> {
    let mut sheet = Sheet::new(vec![
        Column::left("format", "format"),
        Column::left("ending", "ending"),
        Column::left("opened_by", "opened by"),
    ]);
    for format in Format::ALL {
        let ending = format.endings().first().copied().unwrap_or_default();
        let texts = [format.name(), ending, format.opened_by()];
        sheet.push(texts.map(|text| Cell::Text(text.to_owned())).to_vec());
    }
    let mut view = View::new("export", None, sheet);
    view.notes.push("`spandrel export FORMAT -o FILE` writes one".to_owned());
    context.output.show(view, 0)
}
