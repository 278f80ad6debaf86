//! `spandrel open`: what is open now, read from the ring files of the programs, or as their recordings last looked.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use spandrel_query::OrderRows as _;
use spandrel_query::{OpenSpan, Reader, Run};

use super::prelude::*;
use crate::open_rings::{Looked, Program, Programs, collected_from};
use crate::recorder::State;
use crate::rings::Left;

/// Rows that are shown without asking.
const ROWS: usize = 50;
/// Characters of fields that people see without asking.
const FIELDS_SHOWN: usize = 100;
/// How deep a span is indented at most.
const DEPTH_MAX: usize = 16;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Of programs that record with SPANDREL_CRASH_PROOF=1, or are collected, open spans are read from \
    their ring files:\nto the millisecond, and without asking the program, which may be stopped, hang, or have died. Of \
    others it is what\nthe recording saw when it last looked, at most half a second ago by default.\n\nExamples:\n  \
    spandrel open                        of the programs that record into the newest profile here\n  \
    spandrel open /dev/shm/shop          of those that record into ring files in a folder\n  \
    spandrel open -f json\n  \
    spandrel top --live                  and o: the same, again each second"
)]
pub(crate) struct Arguments {
    /// Folder of ring files of programs that are collected [default: the programs of the profile]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    pub(super) shared:
        Shared<{ group::DB | group::RUN | group::ROWS | group::VERBOSE | group::EMPTY }>,
}

/// The open spans of a program, and where that was read.
struct Source<'a> {
    program: Option<&'a Program>,
    run: Option<&'a Run>,
    seen_ns: i64,
    open: &'a [OpenSpan],
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    if let Some(folder) = &arguments.folder {
        if context.wanted.run.is_some() {
            return Err(Failure::usage("a folder of ring files has no runs")
                .hint("--run is of a profile: `spandrel open --db FILE --run RUN`"));
        }
        let looked = Programs::default().of_folder(folder).map_err(Failure::cannot_read)?;
        let sources: Vec<Source<'_>> = looked.programs.iter().map(Source::of).collect();
        let about = text::clean(&folder.display().to_string());
        if sources.is_empty() && !folder.is_dir() && looked.refused.is_empty() {
            return Err(Failure::cannot_read(format!("{about}: there is no such folder"))
                .hint("the first program with SPANDREL_COLLECT=DIR makes it"));
        }
        let notes = crate::rings::of_folder(folder).iter().map(Left::line).collect();
        return show(context, &about, &sources, &looked, notes);
    }
    let reader = context.wanted.reader()?;
    let all = reader.runs()?;
    let chosen = chosen(context, &reader, &all)?;
    let path = reader.path().to_owned();
    let looked = Programs::default().of_profile(&path, &chosen);
    let mut sources: Vec<Source<'_>> = looked.programs.iter().map(Source::of).collect();
    for source in &mut sources {
        let id = source.program.and_then(|program| program.run_id);
        source.run = chosen.iter().find(|run| Some(run.id) == id);
    }
    // Of one without a ring file: what the writer has seen.
    let latest = chosen.last().filter(|run| {
        !sources.iter().any(|source| source.run.is_some_and(|other| other.id == run.id))
    });
    let stored = match latest {
        Some(run) => reader.open_spans(run.id)?,
        None => Vec::new(),
    };
    let left = crate::rings::of_runs(&path, &chosen);
    let mut notes = Vec::new();
    if let Some(run) = latest {
        notes.extend(ended(run, left.iter().any(|left| left.is_of(run))));
        let seen_ns = stored.iter().map(|open| open.seen_ns).max().unwrap_or(run.last_ns);
        // Of one that is collected the profile has what was open when its end is stored, and not before.
        let is_known = collected_from(run).is_none() || is_over(run);
        if !stored.is_empty() || sources.is_empty() && is_known {
            sources.push(Source { program: None, run: Some(run), seen_ns, open: &stored });
        }
    }
    notes.extend(left.iter().map(Left::line));
    let about = text::clean(&path.display().to_string());
    show(context, &about, &sources, &looked, notes)
}

/// The run that was asked for; without that all of which programs may record.
fn chosen(context: &Context, reader: &Reader, all: &[Run]) -> Result<Vec<Run>, Failure> {
    if context.wanted.run.is_some() {
        let selector =
            spandrel_query::RunSelector::parse(context.wanted.run.as_deref().unwrap_or_default())
                .map_err(|error| Failure::usage(error.to_string()))?;
        return Ok(vec![context.wanted.find(reader, &selector)?]);
    }
    if all.is_empty() {
        let path = reader.path().display();
        return Err(Failure::cannot_read(format!("{path}: there is no run in this profile")));
    }
    Ok(all.to_vec())
}

/// Whether nothing can be open in a run any more.
fn is_over(run: &Run) -> bool {
    matches!(State::of(run), State::Ended | State::Crashed)
}

/// What to say of a run in which nothing can be open. `is_left`: something of it is not in the profile, as is said below.
fn ended(run: &Run, is_left: bool) -> Option<String> {
    let left = || text::counted_with(run.unfinished, "span", text::WAS);
    match State::of(run) {
        State::Ended if run.unfinished > 0 => Some(format!(
            "run {} has ended; {} open then: `spandrel sql --recipe unfinished`",
            run.id,
            left()
        )),
        State::Ended => Some(format!("run {} has ended: nothing is open", run.id)),
        State::Crashed => Some(format!(
            "run {}: its process has died, and was recovered; {} open then: `spandrel sql --recipe unfinished`",
            run.id,
            left()
        )),
        State::Killed => Some(format!(
            "! run {}: its process is gone{}: this was open shortly before",
            run.id,
            if is_left { "" } else { ", and there is no ring file of it" }
        )),
        _ => None,
    }
}

impl<'a> Source<'a> {
    fn of(program: &'a Program) -> Self {
        let Program { seen_ns, open, .. } = program;
        Self { program: Some(program), run: None, seen_ns: *seen_ns, open }
    }

    /// `run 1: process 4121 (shop): 3 spans open, as its ring file has them now`.
    fn line(&self) -> String {
        let run = self.run.map(|run| format!("run {}", run.id));
        let open = format!("{} open", text::counted(self.open.len() as u64, "span"));
        let (who, when) = match self.program {
            Some(program) => (Some(program.name()), program.when()),
            None if self.run.is_some_and(is_over) => (None, "as the run is over".to_owned()),
            None => (
                None,
                format!(
                    "as the recording last looked, at +{}",
                    text::duration_in_words(self.seen_ns)
                ),
            ),
        };
        let who: Vec<String> = run.into_iter().chain(who).collect();
        format!("{}: {open}, {when}", who.join(": "))
    }

    /// For programs.
    fn members(&self) -> Value {
        let run = self.run.map(|run| run.id);
        let program = self.program;
        json!({
            "run": run,
            "pid": self.pid(),
            "program": self.program_path(),
            "from": self.from(),
            "ring": program.map(|program| program.ring.display().to_string()),
            "owner": program.map(|program| program.owner.key()),
            "seen_ns": self.seen_ns,
            "open": self.open.len(),
            "damaged": program.map_or(0, |program| program.damaged),
            "turned": program.map_or(0, |program| program.turned),
        })
    }

    fn from(&self) -> &'static str {
        if self.program.is_some() { "ring" } else { "profile" }
    }

    fn pid(&self) -> Option<u64> {
        let of_run = || self.run.map(|run| u64::from(run.info.pid));
        self.program.map(|program| program.pid).or_else(of_run)
    }

    fn program_path(&self) -> Option<&str> {
        let of_run = || self.run.map(|run| run.info.program.as_str());
        self.program.map(|program| program.program.as_str()).or_else(of_run)
    }
}

fn show(
    context: &Context,
    about: &str,
    sources: &[Source<'_>],
    looked: &Looked,
    notes: Vec<String>,
) -> Result<Exit, Failure> {
    let has_several = sources.len() > 1;
    let rows = sources.iter().flat_map(|source| {
        nested(source.open).into_iter().map(move |(open, depth)| (source, open, depth))
    });
    let table = table_of! {
        for (source, open, depth) in rows, {
            let span = &open.span;
            let age_ns = open.seen_ns.saturating_sub(span.start_ns).max(0);
            let shown = "  ".repeat(depth.min(DEPTH_MAX)) + &text::clean(&span.callsite.name);
            let fields = span.fields.as_deref().and_then(|text| serde_json::from_str(text).ok());
            let fields = fields.map_or(Cell::Null, |fields| in_short(fields, context.output.verbose));
            let run = source.run.map_or(Cell::Null, |run| Cell::Number(run.id));
            let program = source.program_path().map(Path::new);
            let file = program.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        }
        Column::left("program", "program").drop_rank(4).shown_if(has_several) =>
            Cell::Shown(text::clean(&file), json!(program)),
        Column::right("pid", "pid").shown_if(has_several) =>
            source.pid().map_or(Cell::Null, |pid| Cell::Shown(pid.to_string(), pid.into())),
        Column::right("run", "run").hidden() => run,
        Column::right("age_ns", "open for") => Cell::Ns(age_ns),
        Column::left("name", "span") => Cell::Shown(shown, span.callsite.name.as_str().into()),
        Column::left("target", "target").hidden() => Cell::from(&*span.callsite.target),
        Column::left("level", "level").hidden() => Cell::from(&*span.callsite.level),
        Column::left("thread", "thread").drop_rank(3) => Cell::from(&*span.thread),
        Column::right("entries", "entries").drop_rank(6) => Cell::Count(span.entries),
        Column::right("busy_ns", "busy").drop_rank(5) => span.busy_ns.into(),
        Column::right("first_entry_ns", "entered after").hidden() => span.first_entry_ns.into(),
        Column::right("longest_entry_ns", "longest").hidden() => span.longest_entry_ns.into(),
        Column::right("last_exit_ns", "left after").hidden() => span.last_exit_ns.into(),
        Column::right("id", "id") => Cell::Span(span.id),
        Column::right("parent_id", "in").drop_rank(7) => span.parent_id.map_or(Cell::Null, Cell::Span),
        Column::right("trace_id", "trace").hidden() => Cell::Trace(span.root_id),
        Column::right("start_ns", "start").hidden() => Cell::Ns(span.start_ns),
        Column::right("seen_ns", "seen").hidden() => Cell::Ns(open.seen_ns),
        Column::left("from", "from").hidden() => source.from().into(),
        Column::left("fields", "fields").drop_rank(2) => fields,
    };
    let mut view = View::new("open", None, table);
    view.preamble.extend(sources.iter().map(Source::line));
    if sources.is_empty() {
        view.preamble.push(match looked.refused.is_empty() && notes.is_empty() {
            true => format!("{about}: no program records here"),
            false => format!("{about}: what is open cannot be read, as is said below"),
        });
    }
    // What is said of ring files below says why they were refused, too.
    let is_told = |why: &String| {
        let path = why.split_once(": ").map_or("", |(path, _)| path);
        !path.is_empty() && notes.iter().any(|note| note.contains(path))
    };
    let refused = looked.refused.iter().filter(|why| !is_told(why));
    view.notes.extend(refused.map(|why| format!("! {}", text::clean(why))));
    for program in &looked.programs {
        view.notes.extend(faults(program));
    }
    view.notes.extend(notes);
    view.extra.insert("programs".into(), sources.iter().map(Source::members).collect());
    view.extra.insert("refused".into(), json!(looked.refused));
    context.output.show(view, ROWS)
}

/// Fields; for people not more than they read.
fn in_short(fields: Value, verbose: bool) -> Cell {
    let whole = Cell::Json(fields);
    let shown = whole.text();
    if verbose || shown.chars().count() <= FIELDS_SHOWN {
        return whole;
    }
    let shown: String = shown.chars().take(FIELDS_SHOWN).collect();
    Cell::Shown(shown + "…", whole.value())
}

/// What could not be read of a ring file.
fn faults(program: &Program) -> Vec<String> {
    let mut faults = Vec::new();
    if program.damaged > 0 {
        faults.push(format!(
            "! {}: {} in its ring file {} not as a recorder writes it",
            program.name(),
            text::counted(program.damaged, "place"),
            text::agree(program.damaged, "is", "are")
        ));
    }
    if program.turned > 0 {
        faults.push(format!(
            "{}: {} opened and closed so fast that no look has met the same span twice",
            program.name(),
            text::counted_with(program.turned, "place", text::WAS)
        ));
    }
    faults
}

/// Spans in the order in which they were made, each below the one that it is in, and how deep it is.
fn nested(open: &[OpenSpan]) -> Vec<(&OpenSpan, usize)> {
    let there: HashSet<u64> = open.iter().map(|open| open.span.id).collect();
    let mut below: HashMap<u64, Vec<&OpenSpan>> = HashMap::new();
    let mut rest: Vec<(&OpenSpan, usize)> = Vec::new();
    let mut oldest_last: Vec<&OpenSpan> = open.iter().collect();
    oldest_last.order_by_key(|open| std::cmp::Reverse((open.span.start_ns, open.span.id)));
    for open in &oldest_last {
        let inside = |parent: &u64| there.contains(parent) && *parent != open.span.id;
        match open.span.parent_id.filter(inside) {
            Some(parent) => below.entry(parent).or_default().push(open),
            None => rest.push((open, 0)),
        }
    }
    let mut order = Vec::with_capacity(open.len());
    while let Some((open, depth)) = rest.pop() {
        order.push((open, depth));
        let inside = below.remove(&open.span.id).unwrap_or_default();
        rest.extend(inside.into_iter().map(|open| (open, depth + 1)));
    }
    // A cycle of parents, which only a damaged file has.
    let mut left: Vec<&OpenSpan> = below.into_values().flatten().collect();
    left.order_by_key(|open| open.span.id);
    order.extend(left.into_iter().map(|open| (open, 0)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_is_below_the_one_that_it_is_in_whatever_its_thread() {
        let span = |id: u64, parent: u64, start_ns: i64| {
            let mut open = OpenSpan::default();
            (open.span.id, open.span.start_ns) = (id, start_ns);
            open.span.parent_id = Some(parent).filter(|parent| *parent != 0);
            open
        };
        let open = [
            span(4, 2, 40),
            span(2, 1, 20),
            span(9, 77, 5), // its parent has closed
            span(1, 0, 10),
            span(3, 1, 30),
            span(6, 7, 1), // a cycle
            span(7, 6, 2),
            span(8, 8, 50),
        ];
        let order: Vec<_> =
            nested(&open).iter().map(|(open, depth)| (open.span.id, *depth)).collect();
        assert_eq!(order, [(9, 0), (1, 0), (2, 1), (4, 2), (3, 1), (8, 0), (6, 0), (7, 0)]);
    }
}
