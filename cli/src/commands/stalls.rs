//! `spandrel stalls`: what blocked the executor.

use spandrel_query::{
    Columns, InnerSpan, RuntimeThreads, Stall, StallsOn, Thread, parse_duration_ns,
};

use super::prelude::*;
use crate::report::Finding;

/// Rows that are shown without asking.
const ROWS: usize = 20;
/// Names of what was inside, for people and for programs.
const INSIDE_SHOWN: usize = 3;
const INSIDE_MAX: usize = 20;
/// Entries of this length or longer are too long, by default.
const BLOCKING: &str = "10ms";
/// Beginnings of the names of threads that runtimes start.
const RUNTIMES: [&str; 3] = ["tokio", "async-", "smol"];
/// Names of threads in a note.
const THREADS: usize = 3;
/// Names that a report tells of.
const FINDINGS: usize = 3;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Only threads that run futures count, while they do: those on which spans were \
    entered more than\nonce, by other than a loop that enters them in younger spans, as the systems in the \
    frames of a game. A\nloop that enters one span again and again looks like a future. Not counted are \
    entries around a runtime,\nas of a span with `block_on` in it.\n\nExamples:\n  \
    spandrel stalls                            entries of 10ms and more\n  \
    spandrel stalls --blocking 1ms -n 5\n  \
    spandrel stalls -w thread=tokio-rt-worker  of one thread\n  \
    spandrel stalls --all-threads --since 30s"
)]
pub(crate) struct Arguments {
    /// Entries that last as long or longer are too long
    #[arg(long, value_name = "DURATION", default_value = BLOCKING, value_parser = parse_limit)]
    blocking: i64,
    /// Also entries on threads that run no futures
    #[arg(long)]
    all_threads: bool,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::ROWS | group::VERBOSE | group::FAIL }>,
}

/// A length of time that an entry can have.
fn parse_limit(text: &str) -> Result<i64, String> {
    match parse_duration_ns(text) {
        Ok(0) => Err("every entry lasts so long; write 1ms, say".into()),
        Ok(ns) => Ok(ns),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let on = if arguments.all_threads { StallsOn::AllThreads } else { StallsOn::Runtimes };
    let scan = profile.pass(Columns::Entries);
    let (stalls, threads) =
        profile.reader.stalls(&scan, &profile.filter, arguments.blocking, on)?;
    let mut view = View::new("stalls", Some(profile.header()?), table(&stalls));
    view.extra.insert("blocking_ns".into(), json!(arguments.blocking));
    let count = threads.as_ref().map(|threads| threads.len() as u64);
    view.extra.insert("runtime_threads".into(), json!(count));
    view.needs_busy_times = stalls.is_empty();
    view.notes = notes(&profile, arguments.blocking, &stalls, threads.as_ref());
    view.notes.extend(profile.passed_over_everything()?);
    context.output.show(view, ROWS)
}

/// What a report says of the worst names.
pub(crate) fn findings(profile: &Profile) -> Result<Vec<Finding>, Failure> {
    let limit = parse_limit(BLOCKING).map_err(Failure::usage)?;
    let scan = profile.pass(Columns::Entries);
    let (stalls, _) = profile.reader.stalls(&scan, &profile.filter, limit, StallsOn::Runtimes)?;
    let finding = |stall: &Stall| Finding {
        text: in_words(stall),
        about: Some(stall.worst.callsite.name.clone()),
        next: Some(format!("spandrel tree s{}", stall.worst.id)),
    };
    Ok(stalls.iter().take(FINDINGS).map(finding).collect())
}

/// `parse held tokio-rt-worker for 103.00 ms at +1.20 s (serde 92%); 4 spans of it did for 10ms or
/// longer`.
fn in_words(stall: &Stall) -> String {
    let span = &stall.worst;
    let (earliest, latest) = stall.began();
    let name = text::clean(&span.callsite.name);
    let thread = Cell::from(&*span.longest_thread).text();
    let longest = text::duration_in_words(stall.longest_ns());
    let at = when(earliest, latest);
    let mut words = format!("{name} held {thread} for {longest} at {at}");
    if !stall.inside.is_empty() {
        words.push_str(&format!(" (in it {})", inside_in_words(stall)));
    }
    if stall.spans > 1 {
        let spans = text::counted(stall.spans, "span");
        words.push_str(&format!("; {spans} of it held a thread for {BLOCKING} or longer"));
    }
    words + ": see `spandrel stalls`"
}

fn notes(
    profile: &Profile,
    blocking_ns: i64,
    stalls: &[Stall],
    threads: Option<&RuntimeThreads>,
) -> Vec<String> {
    let mut notes = Vec::new();
    match (stalls.first(), threads) {
        (Some(stall), _) => {
            let id = stall.worst.id;
            notes.push(format!("`spandrel tree s{id}` shows the span of the first row in its trace"));
        }
        // Neither the lengths of entries nor their threads are known.
        (None, _) if !profile.run.has_busy_times() => return notes,
        (None, Some(threads)) if threads.is_empty() && threads.has_loops() => notes.push(
            "no thread runs futures: spans were entered more than once by loops only, as the systems \
             in the frames of a game; --all-threads looks at all"
                .into(),
        ),
        (None, Some(threads)) if threads.is_empty() && profile.run.spans > 0 => notes.push(
            "no thread runs futures: no span was entered more than once; --all-threads looks at all"
                .into(),
        ),
        (None, _) => {
            let limit = text::duration_in_words(blocking_ns);
            let shorter = "; --blocking 1ms looks for shorter ones";
            let more = if blocking_ns > 1_000_000 { shorter } else { "" };
            notes.push(format!("no entry lasted {limit}{more}"));
        }
    }
    notes.extend(threads.and_then(|_| loops(stalls)));
    let unmeasured = threads.map_or(0, RuntimeThreads::unmeasured);
    if unmeasured > 0 {
        notes.push(format!(
            "entries of {} are not known: recorded without busy times, or by an earlier version",
            text::counted(unmeasured, "span")
        ));
    }
    notes
}

/// A note that entries may be of loops and not of futures, if no thread has a name of a runtime's.
fn loops(stalls: &[Stall]) -> Option<String> {
    let is_plain = |thread: &Thread| {
        let name = thread.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        !RUNTIMES.iter().any(|begin| name.starts_with(begin))
    };
    let mut threads: Vec<String> = Vec::new();
    for thread in stalls.iter().map(|stall| &stall.worst.longest_thread).filter(|t| is_plain(t)) {
        let name = Cell::from(&**thread).text();
        if !threads.contains(&name) {
            threads.push(name);
        }
    }
    if threads.is_empty() {
        return None;
    }
    let more = threads.len().saturating_sub(THREADS);
    threads.truncate(THREADS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "note: spans were entered more than once on {}{more}: by futures, or else by a loop of your own, \
         which blocks nobody",
        threads.join(", ")
    ))
}

fn table(stalls: &[Stall]) -> Table {
    table_of! {
        for stall in stalls, {
            let span = &stall.worst;
            let (earliest, latest) = stall.began();
        }
        Column::right("longest_entry_ns", "longest") => Cell::Ns(stall.longest_ns()),
        Column::right("self_ns", "self") => Cell::Ns(stall.self_ns),
        Column::right("spans", "spans") => Cell::Count(stall.spans),
        Column::left("name", "span") => Cell::from(span.callsite.name.as_str()),
        Column::left("target", "target").hidden() => Cell::from(&*span.callsite.target),
        Column::left("thread", "thread").drop_rank(2) => Cell::from(&*span.longest_thread),
        Column::left("start_ns", "when").drop_rank(4) => Cell::Shown(when(earliest, latest), earliest.into()),
        Column::right("latest_start_ns", "latest").hidden() => Cell::Ns(latest),
        Column::left("id", "id") => Cell::Span(span.id),
        Column::left("trace_id", "trace").hidden() => Cell::Trace(span.root_id),
        Column::right("entries", "entries").hidden() => Cell::Count(span.entries),
        Column::right("busy_ns", "busy").hidden() => span.busy_ns.into(),
        Column::left("status", "status").hidden() => span.status.as_str().into(),
        Column::left("inside", "inside").drop_rank(1) => inside_cell(stall),
    }
}

/// When an entry began: a moment, or between two.
fn when(earliest: i64, latest: i64) -> String {
    let [earliest, latest] =
        [earliest, latest].map(|ns| format!("+{}", text::duration_in_words(ns)));
    if earliest == latest { earliest } else { format!("{earliest}..{latest}") }
}

#[cfg(feature = "tui")]
pub(crate) fn began(stall: &Stall) -> String {
    let (earliest, latest) = stall.began();
    when(earliest, latest)
}

/// On which thread the longest entry was.
#[cfg(feature = "tui")]
pub(crate) fn thread_in_words(stall: &Stall) -> String {
    Cell::from(&*stall.worst.longest_thread).text()
}

pub(crate) fn inside_in_words(stall: &Stall) -> String {
    inside_cell(stall).text()
}

/// `db.query 92 %, parse? 3 %`: uncertain shares have a question mark.
fn inside_cell(stall: &Stall) -> Cell {
    let inside = &stall.inside;
    let share = |one: &InnerSpan| (one.ns as f64 / stall.longest_ns().max(1) as f64).min(1.0);
    let words = |one: &InnerSpan| {
        let doubt = if one.is_certain { "" } else { "?" };
        format!("{}{doubt} {}", text::clean(&one.name), text::share(share(one)))
    };
    let mut shown: Vec<String> = inside.iter().take(INSIDE_SHOWN).map(words).collect();
    if inside.len() > INSIDE_SHOWN {
        shown.push("...".into());
    }
    let members = inside.iter().take(INSIDE_MAX).map(|one| {
        json!({ "name": one.name, "spans": one.spans, "busy_ns": one.ns, "share": share(one),
            "certain": one.is_certain })
    });
    let shown = if shown.is_empty() { "-".into() } else { shown.join(", ") };
    Cell::Shown(shown, members.collect())
}

#[cfg(test)]
mod tests {
    use super::when;

    #[test]
    fn a_moment_is_shown_where_it_is_one() {
        // A long poll after a short one: it began 5 ms after the first, which is less than its length.
        assert_eq!(when(10_310_000, 15_300_000), "+10.31 ms..+15.30 ms");
        assert_eq!(when(10_310_000, 10_310_000), "+10.31 ms");
        assert_eq!(when(2_050_000_000, 2_050_000_900), "+2.05 s");
    }
}
