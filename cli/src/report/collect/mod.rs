//! From a profile to the document of a page, in a few passes over its spans with flat memory.
//!
//! One pass finds sums, percentiles, paths, the longest spans and the slowest roots. Then those traces
//! are read one by one, and the events in them. Nothing is kept beyond what [`super::bounds`] allows, so
//! that ten million spans take no more memory than ten thousand.

mod compare;
mod facts;
mod failures;
mod flame;
mod gauges;
mod longest;
mod losses;
mod names;
mod per_name;
mod row;
mod slowest;
mod text;
mod trace_events;
mod waterfall;

use std::collections::{HashMap, HashSet};

use spandrel_query::{Columns, SpanRef, StackTree, Stacks, Trace};

use self::longest::Longest;
use self::names::{Names, Threads};
use self::per_name::AllNames;
use self::row::{Kind, Row};
use self::slowest::SlowestRoots;
use super::bounds;
use super::data::{self, Document, SCHEMA_VERSION, Window};
use crate::failure::Failure;
use crate::profile::Profile;

pub(crate) use self::compare::Baseline;

/// What a page is to show.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub title: Option<&'a str>,
    /// How many of the slowest traces.
    pub traces: usize,
    /// What stands out.
    pub findings: Vec<data::Finding>,
    pub baseline: Option<Baseline>,
}

/// The document of a page with everything.
///
/// # Errors
///
/// When the profile cannot be read.
pub(crate) fn report(profile: &Profile, asked: &Asked<'_>) -> Result<Document, Failure> {
    let mut notes = facts::Notes::default();
    let mut document = facts::about(profile, "report", &mut notes)?;
    if let Some(title) = asked.title {
        document.title = text::cut(title, bounds::NAME_CHARS);
    }
    let mut texts = Texts::default();
    let pass = Pass::over(profile, document.window, asked, &mut texts)?;
    pass.totals.put(&mut document);
    document.run.traces = pass.slowest.seen;
    show_flame(&mut document, &pass.tree, "self", &mut texts.names, &mut notes);
    let (top, more) = pass.names.top();
    document.self_ns = pass.names.self_ns();
    notes.top(more);
    document.top = top;
    document.heatmap = Some(pass.names.heatmap());
    let timeline = pass.longest.finish(&texts.threads);
    notes.timeline(&timeline);
    document.timeline = Some(timeline);
    let (gauges, more) = gauges::gauges(profile, document.window)?;
    notes.gauges(more);
    document.gauges = gauges;
    document.findings.clone_from(&asked.findings);
    let failures = match document.run.errors {
        0 => failures::Failures::default(),
        _ => failures::failures(profile, &mut texts.names)?,
    };
    notes.failures(document.run.errors, &failures);
    let slowest = pass.slowest.into_roots();
    let failed: Vec<u64> =
        failures.roots.into_iter().filter(|root| !slowest.contains(root)).collect();
    document.traces = read_traces(profile, &slowest, &failed, &mut texts.names)?;
    document.failures = failures.list;
    notes.traces(&document.traces, profile.filter.is_empty());
    if let Some(baseline) = &asked.baseline {
        let diff = compare::compare(baseline, &mut texts.names);
        notes.diff(&diff);
        document.diff = Some(diff);
    }
    Ok(finished(document, texts.names, notes))
}

/// The document of a page with nothing but a flame graph, of which `weight` are the widths at first.
///
/// # Errors
///
/// When the profile cannot be read.
pub(crate) fn flame(
    profile: &Profile,
    tree: &StackTree,
    weight: &'static str,
) -> Result<Document, Failure> {
    let mut notes = facts::Notes::default();
    let mut document = facts::about(profile, "flame", &mut notes)?;
    let mut names = Names::default();
    let count = |of: fn(&spandrel_query::stacks::Sums) -> u64| -> u64 {
        tree.nodes().iter().map(|node| of(&node.sums)).fold(0, u64::saturating_add)
    };
    document.run.spans = count(|sums| sums.calls.saturating_add(sums.unfinished));
    document.run.unfinished = count(|sums| sums.unfinished);
    document.run.errors = count(|sums| sums.errors);
    document.run.has_busy = tree.has_busy();
    show_flame(&mut document, tree, weight, &mut names, &mut notes);
    Ok(finished(document, names, notes))
}

fn show_flame(
    document: &mut Document,
    tree: &StackTree,
    weight: &'static str,
    names: &mut Names,
    notes: &mut facts::Notes,
) {
    let pruned = flame::prune(tree, names);
    notes.flame(tree, &pruned);
    document.run.orphans = tree.orphans();
    document.flame = pruned.flame;
    document.flame.weight = weight;
}

fn finished(document: Document, names: Names, mut notes: facts::Notes) -> Document {
    notes.names(names.others());
    Document {
        schema_version: SCHEMA_VERSION,
        truncated: !notes.list.is_empty(),
        notes: notes.list,
        names: names.into_list(),
        ..document
    }
}

/// Numbers for texts, the same in all passes.
#[derive(Debug, Default)]
struct Texts {
    names: Names,
    threads: Threads,
}

impl Texts {
    fn row(&mut self, span: &SpanRef<'_>) -> Row {
        let longest_ns = span.longest_entry_ns.unwrap_or(0);
        let kind = match span.entry {
            Some(entry) => {
                Kind::Entry { earlier: entry.earlier_entries, earlier_ns: entry.earlier_ns }
            }
            None if !span.counts_by_entries() => Kind::Span,
            None if !span.status.has_closed() => Kind::LivesLong { longest_ns },
            None => Kind::LivedLong { longest_ns },
        };
        Row {
            kind,
            id: span.id,
            // What an entry lies in is what the thread was in, which need not be the parent.
            parent: span.entry.map_or(span.parent_id, |entry| entry.around_id),
            root: span.root_id,
            name: self.names.of(span.callsite, span.counted()),
            thread: self.threads.of(span.longest_thread),
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            busy_ns: span.busy_ns,
            self_ns: span.self_ns,
            status: span.status,
            never_entered: span.was_never_entered(),
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
        if !row.is_span() {
            return;
        }
        self.spans += 1;
        self.unfinished += u64::from(!row.status.has_closed());
        self.errors += u64::from(row.is_error());
        self.not_busy += u64::from(row.busy_ns.is_none() && row.duration_ns.is_some());
    }

    fn put(&self, document: &mut Document) {
        document.run.spans = self.spans;
        document.run.unfinished = self.unfinished;
        document.run.errors = self.errors;
        document.run.has_busy = self.not_busy == 0 && self.spans > 0;
    }
}

/// What one look at all spans that are asked about finds.
#[derive(Debug)]
struct Pass {
    totals: Totals,
    tree: StackTree,
    names: AllNames,
    longest: Longest,
    slowest: SlowestRoots,
}

impl Pass {
    fn over(
        profile: &Profile,
        window: Window,
        asked: &Asked<'_>,
        texts: &mut Texts,
    ) -> Result<Self, Failure> {
        let mut totals = Totals::default();
        let mut names = AllNames::new(window);
        let mut longest = Longest::new(window);
        let mut slowest = SlowestRoots::new(asked.traces, profile.filter.is_empty());
        let mut stacks = Stacks::new(&profile.reader, profile.run.id)?;
        profile.calls(Columns::Entries, |span| {
            let row = texts.row(span);
            totals.add(&row);
            names.add(&row);
            longest.add(&row);
            slowest.add(&row);
            stacks.add(span)
        })?;
        Ok(Self { totals, tree: stacks.finish()?, names, longest, slowest })
    }
}

/// Reads the slowest traces, and the first of those that failed, with their events.
fn read_traces(
    profile: &Profile,
    slowest: &[u64],
    failed: &[u64],
    names: &mut Names,
) -> Result<Vec<data::Trace>, Failure> {
    let mut list = Vec::new();
    let mut of_span = HashMap::new();
    let mut read = HashSet::new();
    let failed = failed.iter().filter(|root| read.insert(**root)).take(bounds::FAILED_TRACES);
    let wanted = slowest.iter().map(|root| (*root, false)).chain(failed.map(|root| (*root, true)));
    for (root, failed) in wanted {
        // Retention may have deleted it meanwhile.
        let Some(trace) = Trace::read(&profile.reader, root, bounds::TRACE_SPANS)? else {
            continue;
        };
        // Events of a trace are wanted up to a number, and so are the ids of its spans.
        let ids = trace.spans.iter().take(bounds::EVENT_SPANS).map(|span| span.id);
        of_span.extend(ids.map(|id| (id, list.len())));
        list.push(data::Trace { failed, ..waterfall::lay_out(&trace, names) });
    }
    trace_events::read(&profile.reader, &profile.run, &of_span, &mut list)?;
    Ok(list)
}
