//! `spandrel prune`: deletes the oldest spans of a profile that nobody records into.
//!
//! The steps are those of a recording with a limit: a bounded number of rows in a transaction each, what
//! was deleted is counted in its run, and runs, callsites and losses stay. So it can be interrupted at
//! any moment.

use spandrel_query::{Run, parse_duration_ns};
use spandrel_storage::{Error, ErrorKind, Pruned, Store, StoreOptions};

use super::prelude::*;
use crate::recorder::now_unix_ns;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel prune --keep 24h --dry-run\n  \
    spandrel prune --max-bytes 2GB\n  \
    spandrel prune --runs 5                      only the last five runs keep their spans\n\n\
Spans, events and entries are deleted, the oldest first; the rows of runs and what they dropped stay, so that\n\
the ledger still adds up. A profile that somebody records into is left alone: give the recording\n\
SPANDREL_MAX_BYTES or SPANDREL_MAX_AGE_S instead.")]
pub(crate) struct Arguments {
    /// Delete spans that started longer ago than this
    #[arg(long, value_name = "TIME")]
    keep: Option<String>,
    /// Delete the oldest spans until the file is at most this large, such as 500MB or 2GB
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<String>,
    /// Delete the spans of all runs but the last N
    #[arg(long, value_name = "RUNS")]
    runs: Option<usize>,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::PAGE }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let path = context.wanted.path()?;
    let reader = context.wanted.reader()?;
    let runs = reader.runs()?;
    drop(reader);
    let limits = limits(arguments, &runs)?;
    let Limits { cutoff, first_run, bytes } = limits;
    if cutoff.is_none() && first_run.is_none() && bytes.is_none() {
        let failure = Failure::usage("nothing says what may go");
        return Err(failure.hint("--keep 24h, --max-bytes 2GB or --runs 5"));
    }
    let before = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if arguments.dry_run {
        return dry_run(context, &runs, limits, before);
    }
    let options = StoreOptions { max_bytes: bytes, ..StoreOptions::default() };
    let mut store = Store::open(&path, &options).map_err(|error| match error.kind() {
        ErrorKind::InUse | ErrorKind::Busy => Failure::from(error)
            .hint("end the recording, or give it SPANDREL_MAX_BYTES or SPANDREL_MAX_AGE_S"),
        _ => error.into(),
    })?;
    let mut deleted = Deleted::default();
    let mut steps = |step: &mut dyn FnMut() -> Result<Pruned, Error>| -> Result<(), Error> {
        loop {
            let pruned = step()?;
            deleted.add(pruned.spans, pruned.events, pruned.entries);
            if !pruned.more {
                return Ok(());
            }
        }
    };
    if let Some(run_id) = first_run {
        steps(&mut || store.prune_runs_before(run_id))?;
    }
    if let Some(cutoff) = cutoff {
        steps(&mut || store.prune_before(cutoff))?;
    }
    steps(&mut || store.prune())?;
    store.close()?;
    let after = std::fs::metadata(&path).map_or(before, |metadata| metadata.len());
    show(context, "deleted", deleted, before, Some(after))
}

#[derive(Default)]
struct Deleted {
    spans: u64,
    events: u64,
    entries: u64,
}

impl Deleted {
    fn add(&mut self, spans: u64, events: u64, entries: u64) {
        self.spans = self.spans.saturating_add(spans);
        self.events = self.events.saturating_add(events);
        self.entries = self.entries.saturating_add(entries);
    }

    /// What the file has of a run.
    fn of_run(run: &Run) -> Self {
        Self {
            spans: run.spans.saturating_sub(run.pruned_spans),
            events: run.events.saturating_sub(run.pruned_events),
            entries: run.entries.saturating_sub(run.pruned_entries),
        }
    }
}

fn show(
    context: &Context,
    what: &str,
    deleted: Deleted,
    before: u64,
    after: Option<u64>,
) -> Result<Exit, Failure> {
    let Deleted { spans, events, entries } = deleted;
    let table = table_of! {
        for () in [()], {}
        Column::right("spans", "spans") => Cell::Count(spans),
        Column::right("events", "events") => Cell::Count(events),
        Column::right("entries", "entries") => Cell::Count(entries),
        Column::right("bytes_before", "before") => Cell::Bytes(before),
        Column::right("bytes_after", "after") => after.map_or(Cell::Null, Cell::Bytes),
    };
    let mut view = View::new("prune", None, table);
    let (spans, events) = (text::counted(spans, "span"), text::counted(events, "event"));
    let mut line = match entries {
        0 => format!("{what} {spans} and {events}"),
        _ => {
            let noun = text::agree(entries, "entry", "entries");
            format!("{what} {spans}, {events} and {} {noun}", text::count(entries))
        }
    };
    if let Some(after) = after {
        let [before, after] = [before, after].map(text::bytes);
        line.push_str(&format!("; the file has {after}, it had {before}"));
    }
    view.drawing = Some(line + "\n");
    view.extra.insert("dry_run".into(), json!(after.is_none()));
    if after == Some(before) {
        view.notes.push("free pages stay in the file and are used by the next recording; with --max-bytes they are given back".into());
    }
    context.output.show(view, 0)
}

/// What would be deleted; the file is not touched.
fn dry_run(
    context: &Context,
    runs: &[Run],
    Limits { cutoff, first_run, bytes }: Limits,
    before: u64,
) -> Result<Exit, Failure> {
    let reader = context.wanted.reader()?;
    let mut gone = Deleted::default();
    for run in runs {
        if first_run.is_some_and(|first| run.id < first) {
            let Deleted { spans, events, entries } = Deleted::of_run(run);
            gone.add(spans, events, entries);
            continue;
        }
        let Some(cutoff) = cutoff else { continue };
        let until = cutoff.saturating_sub(run.info.started_unix_ns);
        if until <= 0 {
            continue;
        }
        if run.last_ns < until {
            let Deleted { spans, events, entries } = Deleted::of_run(run);
            gone.add(spans, events, entries);
            continue;
        }
        reader.spans(run.id, |span| gone.spans += u64::from(span.start_ns < until))?;
        reader.events(run.id, |event| gone.events += u64::from(event.at_ns < until))?;
        if run.entries > 0 {
            reader.entries(run.id, |entry| gone.entries += u64::from(entry.start_ns < until))?;
        }
    }
    // With a limit in bytes, this is an estimate by share: rows are deleted from the front until the
    // rest fits.
    if let Some(max) = bytes.filter(|max| before > *max) {
        let share = 1.0 - max as f64 / before as f64;
        let mut all = Deleted::default();
        for Deleted { spans, events, entries } in runs.iter().map(Deleted::of_run) {
            all.add(spans, events, entries);
        }
        let part = |rows: u64| (rows as f64 * share).round() as u64;
        gone.spans = gone.spans.max(part(all.spans));
        gone.events = gone.events.max(part(all.events));
        gone.entries = gone.entries.max(part(all.entries));
    }
    let about = if bytes.is_some() { "would delete about" } else { "would delete" };
    show(context, about, gone, before, None)
}

/// What may go.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// What began before this moment.
    cutoff: Option<i64>,
    /// All of the runs before this one: those that were recorded at the same time, too.
    first_run: Option<i64>,
    /// The oldest rows, until the file is so large.
    bytes: Option<u64>,
}

fn limits(arguments: &Arguments, runs: &[Run]) -> Result<Limits, Failure> {
    let keep = arguments.keep.as_deref().map(parse_duration_ns).transpose();
    let keep = keep.map_err(|error| Failure::usage(format!("--keep: {error}")))?;
    let bytes = arguments.max_bytes.as_deref().map(parse_bytes).transpose()?;
    let first_run = match arguments.runs {
        Some(0) => {
            let failure = Failure::usage("--runs 0 would leave nothing");
            return Err(failure.hint("keep one run at least, or delete the file"));
        }
        // If all stay, none is before it.
        Some(kept) => {
            let first = runs.len().checked_sub(kept).and_then(|at| runs.get(at));
            Some(first.map_or(i64::MIN, |run| run.id))
        }
        None => None,
    };
    let cutoff = keep.map(|keep| now_unix_ns().saturating_sub(keep));
    Ok(Limits { cutoff, first_run, bytes })
}

/// `2GB`, `500MB`, `1GiB`, or a plain number of bytes.
pub(super) fn parse_bytes(text: &str) -> Result<u64, Failure> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1.0),
        "k" | "kb" => Some(1e3),
        "m" | "mb" => Some(1e6),
        "g" | "gb" => Some(1e9),
        "t" | "tb" => Some(1e12),
        "kib" => Some(1024.0),
        "mib" => Some(1_048_576.0),
        "gib" => Some(1_073_741_824.0),
        _ => None,
    };
    let bytes = number.parse::<f64>().ok().zip(unit).map(|(number, unit)| number * unit);
    bytes.filter(|bytes| *bytes >= 1.0 && *bytes < 1e18).map(|bytes| bytes as u64).ok_or_else(
        || {
            let failure = Failure::usage(format!("--max-bytes: {text:?} is no size"));
            failure.hint("write one as 500MB, 2GB or 1GiB")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let sizes = ["1", "500MB", "2 GB", "1GiB", "1.5k"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(sizes, [1, 500_000_000, 2_000_000_000, 1 << 30, 1_500]);
        for wrong in ["", "GB", "-1", "1 parsec", "1e9", "0", "nan", "9999999999TB"] {
            assert_eq!(parse_bytes(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
