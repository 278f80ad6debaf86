//! From a profile to the document of a page, in a few passes over its spans with flat memory.
//!
//! The first pass finds sums, percentiles, paths, the longest spans and the slowest roots; the second
//! one reads the spans of those traces, and a third the events in them. No pass keeps more than
//! [`super::bounds`] allows, so that ten million spans take no more memory than ten thousand.

mod compare;
mod critical_path;
mod facts;
mod flame;
mod in_order;
mod longest;
mod losses;
mod names;
mod per_name;
mod row;
mod slowest;
mod text;
mod trace_events;
mod waterfall;

use std::ops::ControlFlow;

use spandrel_storage::query::{Columns, Scan, SpanRef};
use spandrel_storage::{Error, Reader, Run, Status};

use self::flame::FlameTree;
use self::in_order::InOrder;
use self::longest::Longest;
use self::names::{Names, Threads};
use self::per_name::AllNames;
use self::row::Row;
use self::slowest::{SlowestRoots, Traces};
use super::bounds;
use super::data::{Document, SCHEMA_VERSION, Trace, Window};

/// What a page is to show.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// `report`, or `flame` for a page with the flame graph only.
    pub command: &'static str,
    pub title: Option<&'a str>,
    /// What the widths of the flame graph mean at first.
    pub weight: Weight,
    /// How many of the slowest traces.
    pub traces: usize,
    pub baseline: Option<Baseline<'a>>,
}

/// What the widths of a flame graph mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Weight {
    /// Time that was not in a child
    #[default]
    #[value(name = "self")]
    SelfTime,
    /// Time that was not waited
    Busy,
    /// Durations
    Wall,
}

impl Weight {
    fn as_str(self) -> &'static str {
        match self {
            Self::SelfTime => "self",
            Self::Busy => "busy",
            Self::Wall => "wall",
        }
    }
}

/// The run to compare with.
#[derive(Debug)]
pub(crate) struct Baseline<'a> {
    pub reader: &'a Reader,
    pub run: &'a Run,
    /// What it is, in words.
    pub words: String,
}

/// Makes the document.
///
/// # Errors
///
/// When a profile cannot be read.
pub(crate) fn collect(reader: &Reader, run: &Run, asked: &Asked<'_>) -> Result<Document, Error> {
    let is_report = asked.command == "report";
    let window = Window { from_ns: 0, until_ns: run.last_ns.max(1), columns: bounds::COLUMNS };
    let mut texts = Texts::default();
    let first = FirstPass::over(reader, run, window, asked, &mut texts)?;
    let mut document = Document {
        schema_version: SCHEMA_VERSION,
        command: asked.command,
        generator: format!("spandrel {}", env!("CARGO_PKG_VERSION")),
        title: asked.title.map_or_else(|| facts::title(reader, run), |title| text::cut(title, 200)),
        complete: run.is_complete(),
        dropped: run.dropped_spans.saturating_add(run.dropped_events),
        run: facts::run(reader, run),
        losses: losses::losses(reader.losses(run.id)?, run.last_ns),
        marks: facts::marks(reader, run)?,
        window,
        ..Document::default()
    };
    first.totals.put(&mut document);
    let pruned = first.flame.finish();
    document.run.orphans = pruned.orphans;
    let mut notes = facts::Notes::default();
    notes.flame(&pruned);
    document.flame = pruned.flame;
    document.flame.weight = asked.weight.as_str();
    if is_report {
        document.run.traces = first.slowest.seen;
        let (top, more) = first.names.top();
        notes.top(more);
        document.top = top;
        document.heatmap = Some(first.names.heatmap());
        let timeline = first.longest.finish(&texts.threads);
        notes.timeline(&timeline);
        document.timeline = Some(timeline);
        document.traces = read_traces(reader, run, first.slowest, &mut texts)?;
        notes.traces(&document.traces);
        if let Some(baseline) = &asked.baseline {
            let diff = compare::compare(reader, run, baseline, &mut texts.names)?;
            notes.diff(&diff);
            document.diff = Some(diff);
        }
    }
    notes.names(texts.names.others());
    document.notes = notes.list;
    document.truncated = !document.notes.is_empty();
    document.names = texts.names.into_list();
    Ok(document)
}

/// Numbers for texts, the same in all passes.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    names: Names,
    threads: Threads,
}

impl Texts {
    fn row(&mut self, span: &SpanRef<'_>) -> Row {
        Row {
            id: span.id,
            parent: span.parent_id,
            root: span.root_id,
            name: self.names.of_callsite(span.callsite),
            thread: self.threads.of(span.thread),
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            busy_ns: span.busy_ns,
            self_ns: span.self_ns,
            polls: span.polls,
            status: span.status,
        }
    }
}

/// Counts of the spans that were looked at.
#[derive(Debug, Default)]
struct Totals {
    spans: u64,
    unfinished: u64,
    errors: u64,
    /// Closed spans of which the busy time is not known.
    not_busy: u64,
}

impl Totals {
    fn add(&mut self, row: &Row) {
        self.spans += 1;
        self.unfinished += u64::from(row.status == Status::Unfinished);
        self.errors += u64::from(row.is_error());
        self.not_busy += u64::from(row.busy_ns.is_none());
    }

    fn put(&self, document: &mut Document) {
        document.run.spans = self.spans;
        document.run.unfinished = self.unfinished;
        document.run.errors = self.errors;
        document.run.has_busy = self.not_busy == 0 && self.spans > 0;
    }
}

/// What one look at all spans finds.
#[derive(Debug)]
struct FirstPass {
    totals: Totals,
    flame: FlameTree,
    names: AllNames,
    longest: Longest,
    slowest: SlowestRoots,
}

impl FirstPass {
    fn over(
        reader: &Reader,
        run: &Run,
        window: Window,
        asked: &Asked<'_>,
        texts: &mut Texts,
    ) -> Result<Self, Error> {
        let mut pass = Self {
            totals: Totals::default(),
            flame: FlameTree::new(),
            names: AllNames::new(window),
            longest: Longest::new(window),
            slowest: SlowestRoots::new(asked.traces),
        };
        let is_report = asked.command == "report";
        let mut in_order = InOrder::default();
        reader.scan(&Scan::new(run.id), |span| {
            let row = texts.row(span);
            pass.totals.add(&row);
            if is_report {
                pass.names.add(&row);
                pass.longest.add(&row);
                pass.slowest.add(&row);
            }
            in_order.push(row, |row| pass.flame.add(&row));
            ControlFlow::Continue(())
        })?;
        in_order.finish(|row| pass.flame.add(&row));
        Ok(pass)
    }
}

/// Reads the slowest traces with their events.
fn read_traces(
    reader: &Reader,
    run: &Run,
    slowest: SlowestRoots,
    texts: &mut Texts,
) -> Result<Vec<Trace>, Error> {
    let mut traces: Traces = slowest.into_traces();
    if traces.is_empty() {
        return Ok(Vec::new());
    }
    reader.scan(&Scan::new(run.id).columns(Columns::All), |span| {
        if traces.wants(span.root_id) {
            traces.add(&texts.row(span), span.fields);
        }
        ControlFlow::Continue(())
    })?;
    let mut list = Vec::new();
    let mut of_span = std::collections::HashMap::new();
    for (at, kept) in traces.into_list().into_iter().enumerate() {
        let (trace, ids) = waterfall::lay_out(kept, &texts.threads);
        of_span.extend(ids.into_iter().map(|id| (id, at)));
        list.push(trace);
    }
    trace_events::read(reader, run, &of_span, &mut list)?;
    Ok(list)
}
