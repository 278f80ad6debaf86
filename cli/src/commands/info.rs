//! `spandrel info`: the file, its runs, what they lost, how the writer kept up, which memory it took, and which
//! indexes there are.
//!
//! Reads small tables, and spans here and there where those say that self times may be waiting, so that it is quick
//! whatever the number of spans.

mod memory;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use spandrel_query::{Indexes, Loss, Run, WriterStat};

use super::optimize::purpose;
use super::prelude::*;
use crate::output::{largest, summed};
use crate::recorder::State;
use crate::rings::Left;

/// Losses of the run that are named.
const LOSSES_SHOWN: usize = 10;
/// Runs that are shown without asking.
const ROWS: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared<
        { group::DB | group::RUN | group::ROWS | group::UTC | group::VERBOSE | group::STRICT },
    >,
}

/// What the file system says.
struct Files {
    path: PathBuf,
    bytes: u64,
    wal_bytes: u64,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let files = Files::of(profile.reader.path())?;
    let runs = profile.reader.runs()?;
    let losses = profile.reader.losses(profile.run.id)?;
    let stats = profile.reader.writer_stats(profile.run.id)?;
    let indexes = profile.reader.indexes()?;
    let left = crate::rings::of_runs(&files.path, &runs);
    let state = State::with(&profile.run, &left);
    let mut view = View::new("info", None, table(context, &profile, (&runs, &left))?);
    let schema = profile.reader.schema_version()?;
    view.preamble.push(first_line(&files, schema, (&profile, state, &left))?);
    view.notes.extend(log_line(&files, profile.reader.lacks_log(), state));
    view.notes.extend(left.iter().map(Left::line));
    view.notes.extend(profile.run.elsewhere().map(|elsewhere| {
        format!("! {}: `spandrel doctor`", super::doctor::in_other_profiles(&elsewhere))
    }));
    view.notes.extend(requests_line(&profile.run, state));
    view.notes.extend(writer_line(&profile, &files, &stats));
    let report = profile.run.report.as_deref().map_or(Value::Null, parsed);
    let memory = memory::Memory::of(&report);
    let lines = memory.as_ref().map(|memory| memory.lines(context.output.verbose));
    view.notes.extend(lines.into_iter().flatten());
    let losses = summed(&losses);
    let (largest, left_out) = largest(&losses, LOSSES_SHOWN);
    view.notes.extend(largest.into_iter().map(loss_line));
    if left_out > 0 {
        let more = text::count(left_out as u64);
        view.notes.push(format!("! and {more} times more: `spandrel sql --recipe losses`"));
    }
    let settings = parsed(&profile.run.info.settings);
    view.notes.extend(super::doctor::caution(&settings).map(|caution| format!("! {caution}")));
    let misleading = super::doctor::waiting(&profile)?;
    view.notes.extend(misleading.lines);
    view.notes.push(indexes_line(indexes));
    view.notes.push(bytes_line(&files, &runs));
    let run = &profile.run;
    let member = |key: &str, value: Value| (key.to_owned(), value);
    let header = profile.header()?;
    view.extra.extend(header.members().into_iter().map(|(key, value)| member(key, value)));
    view.extra.extend([
        member("file", json!(files.path.display().to_string())),
        member("file_bytes", json!(files.bytes)),
        member("wal_bytes", json!(files.wal_bytes)),
        member("schema", json!(schema)),
        member("state", json!(state.key())),
        member("pid", json!(run.info.pid)),
        member("program", json!(run.info.program)),
        member("host", json!(run.info.host)),
        member("os", json!(run.info.os)),
        member("clock", json!(run.info.clock)),
        member("settings", parsed(&run.info.settings)),
        member("report", report),
        member("bytes_per_span", json!(bytes_per_span(&files, &runs))),
        member("is_optimized", json!(indexes.are_complete())),
        member("indexes", indexes.names().collect()),
        member("writer", writer(&profile, &stats)),
        member("waiting", misleading.waiting),
        member("memory", memory.map_or(Value::Null, |memory| memory.json())),
    ]);
    let exit = context.output.show(view, ROWS)?;
    let is_incomplete = context.output.strict && !run.is_complete();
    Ok(if is_incomplete { Exit::Incomplete } else { exit })
}

impl Files {
    fn of(path: &Path) -> Result<Self, Failure> {
        let mut wal = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
        wal.push("-wal");
        let bytes = fs::metadata(path)
            .map_err(|source| Failure::cannot_read(format!("{}: {source}", path.display())))?
            .len();
        // A file that was closed properly has no log.
        let wal_bytes = fs::metadata(wal).map_or(0, |metadata| metadata.len());
        Ok(Self { path: path.to_owned(), bytes, wal_bytes })
    }
}

fn table(
    context: &Context,
    profile: &Profile,
    (runs, left): (&[Run], &[Left]),
) -> Result<Table, Failure> {
    let verbose = context.output.verbose;
    let has_entries = verbose || runs.iter().any(|run| run.entries > 0);
    let has_pruned = verbose || runs.iter().any(|run| run.pruned() > 0);
    Ok(table_of! {
        for run in runs.iter().rev(), {
            let losses = profile.reader.losses(run.id)?;
        }
        Column::right("run", "run") => Cell::Number(run.id),
        Column::left("label", "label") => run.info.label.clone().into(),
        Column::left("started_unix_ns", "start") => context.output.moment(run.info.started_unix_ns),
        Column::right("length_ns", "length").drop_rank(8) => Cell::Ns(run.length_ns()),
        Column::right("spans", "spans") => Cell::Count(run.spans),
        Column::right("events", "events").drop_rank(9) => Cell::Count(run.events),
        Column::right("entries", "entries").drop_rank(7).shown_if(has_entries) => Cell::Count(run.entries),
        Column::right("dropped", "dropped") => Cell::Count(run.dropped()),
        Column::right("pruned", "pruned").shown_if(has_pruned) => Cell::Count(run.pruned()),
        Column::left("state", "state") => state_cell(run, left),
        Column::left("complete", "complete") => Cell::Shown(complete(run, &losses), run.is_complete().into()),
        Column::left("uuid", "uuid").shown_if(verbose) => run.info.uuid.as_str().into(),
    })
}

/// Whether nothing of a run is missing; if not, why.
fn complete(run: &Run, losses: &[Loss]) -> String {
    match (run.is_complete(), losses.first()) {
        (true, _) => "✓".to_owned(),
        (false, None) if run.elsewhere().is_some() => "✗ elsewhere".to_owned(),
        (false, Some(loss)) => format!("✗ {}", text::clean(&loss.reason)),
        (false, None) if run.was_cut() => "✗ ring file cut".to_owned(),
        (false, None) => "✗".to_owned(),
    }
}

fn state_cell(run: &Run, left: &[Left]) -> Cell {
    let key = State::with(run, left).key();
    Cell::Shown(key.replace('_', " "), key.into())
}

/// `profile.db   118 MB + wal 2.1 MB   schema 3   live: pid 4121 recording`
fn first_line(
    files: &Files,
    schema: i32,
    (profile, state, left): (&Profile, State, &[Left]),
) -> Result<String, Failure> {
    let run = &profile.run;
    let path = text::clean(&files.path.display().to_string());
    let mut line = format!("{path}   {}", text::bytes(files.bytes));
    if files.wal_bytes > 0 {
        line.push_str(&format!(" + wal {}", text::bytes(files.wal_bytes)));
    }
    line.push_str(&format!("   schema {schema}   "));
    let pid = run.info.pid;
    line.push_str(&match state {
        State::Ended => "no program is recording".to_owned(),
        State::Live if left.iter().any(|left| left.is_missing && left.run == run.info.uuid) => {
            format!("live: pid {pid} recording, and not all of it comes here: see below")
        }
        State::Live => format!("live: pid {pid} recording"),
        State::Closed => {
            format!("run {} has ended: pid {pid} has closed it, and its end is not here", run.id)
        }
        State::Killed if profile.header()?.has_ring => {
            format!("run {}: pid {pid} is gone, and its ring file is there", run.id)
        }
        State::Killed => format!("run {} was killed: pid {pid} is gone", run.id),
        State::Crashed => format!("run {} crashed: pid {pid} died, and was recovered", run.id),
        State::NotEnded => format!("run {} has not ended: pid {pid}, if it is there", run.id),
    });
    Ok(line)
}

/// What an ended recording has left beside the file, or what is missing there.
fn log_line(files: &Files, lacks_log: bool, state: State) -> Option<String> {
    if lacks_log && !matches!(state, State::Ended | State::Crashed) {
        return Some(
            "! no log beside it: if the profile was copied without its -wal, the last commits are missing"
                .to_owned(),
        );
    }
    let is_over = matches!(state, State::Ended | State::Killed | State::Crashed | State::Closed);
    (is_over && files.wal_bytes > 0).then(|| {
        "! log not merged, copy both files (the profile and its -wal), or merge it: `spandrel merge`"
            .to_owned()
    })
}

/// Why a live recording takes no requests.
fn requests_line(run: &Run, state: State) -> Option<String> {
    let why = crate::control_request::why_not(run).filter(|_| state == State::Live)?;
    Some(format!("! requests, such as `spandrel mark`: {}", text::clean(&why)))
}

/// Rows a second over the last interval in which the writer stored any.
fn of_late(stats: &[WriterStat], stored: impl Fn(&WriterStat) -> u64) -> Option<f64> {
    let [.., before, last] = stats else { return None };
    let ns = last.at_ns.saturating_sub(before.at_ns);
    (ns > 0).then(|| stored(last).saturating_sub(stored(before)) as f64 / (ns as f64 / 1e9))
}

fn spans_per_second(stats: &[WriterStat]) -> Option<f64> {
    of_late(stats, |stat| stat.stored)
}

fn entries_per_second(stats: &[WriterStat]) -> Option<f64> {
    of_late(stats, |stat| stat.entries_stored)
}

fn ring_capacity(run: &Run) -> Option<u64> {
    parsed(&run.info.settings).get("ring_capacity")?.as_u64()
}

/// The longest commit of the whole run.
fn largest_batch_ns(stats: &[WriterStat]) -> u64 {
    stats.iter().map(|stat| stat.largest_batch_ns).max().unwrap_or(0)
}

fn writer_line(profile: &Profile, files: &Files, stats: &[WriterStat]) -> Option<String> {
    let last = stats.last()?;
    let mut parts = Vec::new();
    let length_ns = profile.run.length_ns();
    if length_ns > 0 {
        let rate = last.stored as f64 / (length_ns as f64 / 1e9);
        parts.push(format!("{} spans/s", text::count(rate.round() as u64)));
    }
    if let Some(rate) = spans_per_second(stats) {
        parts.push(format!("at last {} spans/s", text::count(rate.round() as u64)));
    }
    if last.entries_stored > 0 && length_ns > 0 {
        let rate = last.entries_stored as f64 / (length_ns as f64 / 1e9);
        parts.push(format!("{} entries/s", text::count(rate.round() as u64)));
    }
    parts.push(text::counted(last.batches, "batch"));
    let largest = i64::try_from(largest_batch_ns(stats)).unwrap_or(i64::MAX);
    // The rows only tell about earlier commits: a run with a single row knows of none.
    if largest > 0 {
        parts.push(format!("longest commit {}", text::duration_in_words(largest)));
    }
    let fill = match ring_capacity(&profile.run).filter(|capacity| *capacity > 0) {
        Some(capacity) => text::share(last.ring_high_water as f64 / capacity as f64),
        None => text::counted(last.ring_high_water, "slot"),
    };
    parts.push(format!("ring at most {fill} full"));
    parts.push(format!("last commit +{}", text::duration_in_words(last.at_ns)));
    // A log that was merged is no log any more.
    if files.wal_bytes > 0 {
        parts.push(format!("log {}", text::bytes(last.wal_bytes)));
    }
    if last.open_spans > 0 {
        parts.push(text::counted(last.open_spans, "open span"));
    }
    Some(format!("writer: {}", parts.join(", ")))
}

fn writer(profile: &Profile, stats: &[WriterStat]) -> Value {
    let Some(last) = stats.last() else { return Value::Null };
    json!({
        "at_ns": last.at_ns, "recorded": last.recorded, "stored": last.stored,
        "dropped": parsed(&last.dropped), "events_recorded": last.events_recorded,
        "events_stored": last.events_stored, "events_dropped": parsed(&last.events_dropped),
        "batches": last.batches, "largest_batch_ns": largest_batch_ns(stats),
        "ring_high_water": last.ring_high_water, "ring_capacity": ring_capacity(&profile.run),
        "wal_bytes": last.wal_bytes, "file_bytes": last.file_bytes,
        "open_spans": last.open_spans, "spans_per_second": spans_per_second(stats),
        "entries_recorded": last.entries_recorded, "entries_stored": last.entries_stored,
        "entries_dropped": parsed(&last.entries_dropped),
        "entries_per_second": entries_per_second(stats),
    })
}

fn loss_line(loss: &Loss) -> String {
    let at = |ns: i64| format!("+{}", text::duration_in_words(ns));
    let lost = [text::counted(loss.spans, "span"), text::counted(loss.events, "event")];
    let lost = match loss.entries {
        0 => lost.join(" and "),
        entries => {
            let entries =
                format!("{} {}", text::count(entries), text::agree(entries, "entry", "entries"));
            format!("{} and {entries}", lost.join(", "))
        }
    };
    format!(
        "! lost {lost}: {}, {}..{}",
        text::clean(&loss.reason),
        at(loss.from_ns),
        at(loss.to_ns)
    )
}

fn indexes_line(indexes: Indexes) -> String {
    if indexes.are_complete() {
        return "indexes: all (`spandrel optimize --drop` takes them away)".to_owned();
    }
    let names: Vec<&str> = indexes.names().map(purpose).collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("indexes: {there}; `spandrel optimize` makes them once the recording has ended")
}

fn rows(runs: &[Run]) -> u64 {
    let rows = |run: &Run| run.spans.saturating_sub(run.pruned_spans);
    runs.iter().map(rows).fold(0, u64::saturating_add)
}

/// Of all that is in the file; `None` without spans.
fn bytes_per_span(files: &Files, runs: &[Run]) -> Option<f64> {
    let rows = rows(runs);
    (rows > 0).then(|| files.bytes.saturating_add(files.wal_bytes) as f64 / rows as f64)
}

fn bytes_line(files: &Files, runs: &[Run]) -> String {
    match bytes_per_span(files, runs) {
        Some(bytes) => {
            let bytes = text::count(bytes.round() as u64);
            format!("{bytes} bytes a span, everything included")
        }
        None => "no spans yet".to_owned(),
    }
}

/// JSON of the file; as text where it is none.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}
