//! `spandrel tree`: one trace as a waterfall, with its critical path.

mod lines;
mod meanwhile;
mod waterfall;

use serde_json::Value;
use spandrel_query::OrderRows as _;
use spandrel_query::trace::{Node, Outlived, TraceEntry};
use spandrel_query::{
    Columns, CriticalPath, Event, Filter, Link, SlowBy, SlowScope, Slowest, Span, SpanRef, Trace,
    parse_duration_ns,
};
use spandrel_storage::TraceId;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use self::lines::{LineLimits, Lines};
use self::waterfall::Waterfall;
use super::fields;
use super::prelude::*;

/// Spans of a trace that are kept in memory.
const SPANS_MAX: usize = 100_000;
/// Events of a trace that are kept in memory.
const EVENTS_MAX: usize = 10_000;
/// Lines that are shown without asking.
const LINES: usize = 2_000;
/// How many spans are named that outlived their work.
const OUTLIVED: usize = 3;
/// Children of a span that are shown without asking.
const CHILDREN: usize = 20;
/// How much of other threads is shown without asking.
const MEANWHILE: usize = 10;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel tree                         the slowest trace\n  \
    spandrel tree s8925 --events\n  \
    spandrel tree t8925 --depth 3 --min-dur 1ms\n  \
    spandrel tree 4bf92f3577b34da6        by the id that OpenTelemetry has, or its first digits\n  \
    spandrel tree --since 30s             the slowest trace that began in this window\n  \
    spandrel tree -w 'name=db.* field.shard=7'      the trace of the slowest such span")]
pub(crate) struct Arguments {
    /// Span (s123), trace (t123) or trace id (4bf92f35…) [default: the slowest, or the slowest match of --where]
    #[arg(add = ArgValueCompleter::new(candidates::traces))]
    id: Option<String>,
    /// Maximum depth of children
    #[arg(long, value_name = "LEVELS")]
    depth: Option<usize>,
    /// Only spans that took at least this long, and unfinished ones
    #[arg(long, value_name = "DURATION")]
    min_dur: Option<String>,
    /// Maximum children of a span, longest first (0 = all)
    #[arg(long, value_name = "SPANS", default_value_t = CHILDREN)]
    children: usize,
    /// Maximum rows of what ran on other threads meanwhile, longest first (0 = all)
    #[arg(long, value_name = "ROWS", default_value_t = MEANWHILE)]
    meanwhile: usize,
    /// Also show the events in the spans
    #[arg(long)]
    events: bool,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::ROWS | group::VERBOSE | group::FAIL }>,
}

/// A trace, and what was found out about it.
#[derive(Debug)]
pub(crate) struct TraceAnalysis {
    trace: Trace,
    path: CriticalPath,
    events: Vec<Event>,
    events_total: u64,
    links: Vec<Link>,
    /// The span that was asked for, or because of which this trace is shown.
    asked: Option<u64>,
    /// The spans that were asked for or that match, by index.
    marked: HashSet<usize>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let min_ns = match &arguments.min_dur {
        Some(text) => parse_duration_ns(text)
            .map_err(|error| Failure::usage(format!("--min-dur: {error}")))?,
        None => 0,
    };
    let Some(found) = find(&profile, arguments)? else {
        let mut view = View::new("tree", Some(profile.header()?), table_of_spans(None));
        members(&mut view, None);
        view.notes.push("no span matches, so there is no trace to show".into());
        return context.output.show(view, 0);
    };
    let mut view = View::new("tree", Some(profile.header()?), table_of_spans(Some(&found)));
    members(&mut view, Some(&found));
    let wanted = LineLimits {
        depth: arguments.depth,
        min_ns,
        children: arguments.children,
        lines: context.output.limit(LINES),
        meanwhile: arguments.meanwhile,
    };
    let lines = Lines::of(&found, &wanted);
    let waterfall = Waterfall::new(&found, context.output.width());
    view.drawing = Some(waterfall.draw(&lines));
    view.is_chart = true;
    view.verbose_is_table = true;
    view.drawing_is_limited = true;
    notes(&mut view, &found);
    let used_index = profile.reader.indexes()?.traces;
    view.extra.insert("used_index".into(), json!(used_index));
    let note = profile.read_everything(used_index);
    view.notes.extend(match arguments.id {
        Some(_) => note,
        None => note.or(profile.passed_over_everything()?),
    });
    // The drawing has limits of its own.
    context.output.show(view, 0)
}

impl TraceAnalysis {
    /// The trace of a span, for a view that draws it, with a limited number of spans. `None` if none of them
    /// has closed.
    #[cfg(feature = "tui")]
    pub(crate) fn around(
        reader: &spandrel_query::Reader,
        root_id: u64,
        span_id: u64,
        spans_max: usize,
    ) -> Result<Option<Self>, spandrel_storage::Error> {
        let Some(trace) = Trace::read_around(reader, root_id, spans_max, span_id)? else {
            return Ok(None);
        };
        let path = CriticalPath::of(&trace);
        let asked = Some(span_id).filter(|id| *id != root_id);
        let spans = trace.spans.iter().enumerate();
        let marked = spans.filter(|(_, span)| asked == Some(span.id)).map(|(index, _)| index);
        let marked = marked.collect();
        let (events, links) = (Vec::new(), Vec::new());
        Ok(Some(Self { trace, path, events, events_total: 0, links, asked, marked }))
    }

    /// The waterfall, `columns` wide, with default settings.
    #[cfg(feature = "tui")]
    pub(crate) fn drawing(&self, columns: usize) -> String {
        let (lines, children, meanwhile) = (Some(LINES), CHILDREN, MEANWHILE);
        let wanted = LineLimits { depth: None, min_ns: 0, children, lines, meanwhile };
        Waterfall::new(self, columns).draw(&Lines::of(self, &wanted))
    }

    /// The id by which other systems know the trace: of the root, or of the span that was asked for.
    fn known_as(&self) -> Option<TraceId> {
        let asked = self.asked.and_then(|id| self.trace.spans.iter().find(|span| span.id == id));
        let root = self.trace.root().and_then(|at| self.trace.spans.get(at));
        asked.or(root)?.context.map(|context| context.trace_id)
    }

    /// The spans that were open long after their work, the longest first.
    fn outlived(&self) -> Vec<String> {
        let all = 0..self.trace.spans.len();
        let mut outlived: Vec<_> =
            all.filter_map(|index| Some((index, self.trace.outlived(index)?))).collect();
        outlived.order_by_key(|(_, one)| std::cmp::Reverse(one.closed_ns - one.left_ns));
        let more = outlived.len().saturating_sub(OUTLIVED);
        let said = outlived.iter().take(OUTLIVED);
        let mut said: Vec<String> =
            said.map(|(index, one)| in_words(&self.trace, *index, one)).collect();
        if more > 0 {
            said.push(format!("… {} likewise", text::counted(more as u64, "more span")));
        }
        said
    }

    /// A note that only a part of the trace was read.
    pub(crate) fn cut(&self) -> Option<String> {
        let trace = &self.trace;
        let spans = trace.is_truncated().then(|| {
            format!(
                "only the first {} of {} of this trace were read: figures are of those",
                text::count(trace.spans.len() as u64),
                text::counted(trace.total, "span")
            )
        });
        let kept = trace.entries.len() as u64;
        let entries = (kept < trace.entries_total || trace.entries_left_out).then(|| {
            let more = if trace.entries_left_out { " or more" } else { "" };
            let (kept, all) = (text::count(kept), text::count(trace.entries_total));
            format!("only the longest {kept} of {all}{more} entries in this trace are shown")
        });
        let is_partial = trace.meanwhile.as_ref().is_some_and(|meanwhile| meanwhile.left_out);
        let meanwhile = is_partial.then(|| {
            "so much ran on other threads meanwhile that figures of it are of a part".to_owned()
        });
        let said: Vec<String> = [spans, entries, meanwhile].into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// A note that the work of a span was over long before it closed, and why.
pub(super) fn in_words(trace: &Trace, index: usize, one: &Outlived) -> String {
    let node = |index| trace.node(index);
    let name = |index| node(index).map_or(String::new(), |n| text::clean(&n.callsite().name));
    let id = node(index).map_or(0, Node::span_id);
    let (left, closed) =
        (text::duration_in_words(one.left_ns), text::duration_in_words(one.closed_ns));
    let by = one.kept_by.map_or(String::new(), |child| format!(" by `{}`", name(child)));
    format!("s{id} {}: work ended after {left}, kept open to {closed}{by}", name(index))
}

/// Finds the trace that was asked for; `None` when nothing matches.
fn find(profile: &Profile, arguments: &Arguments) -> Result<Option<TraceAnalysis>, Failure> {
    let (root_id, asked) = match &arguments.id {
        Some(id) => {
            let (root_id, asked) = root_of(profile, id)?;
            (root_id, asked)
        }
        None => match slowest(profile)? {
            Some((root_id, span_id)) => {
                (root_id, Some(span_id).filter(|_| !profile.filter.is_empty()))
            }
            None => return Ok(None),
        },
    };
    let trace = match asked {
        Some(span_id) => Trace::read_around(&profile.reader, root_id, SPANS_MAX, span_id)?,
        None => Trace::read(&profile.reader, root_id, SPANS_MAX)?,
    };
    let Some(trace) = trace else {
        let message = format!("there is no trace t{root_id}");
        return Err(Failure::cannot_read(message).hint("`spandrel slow` lists traces"));
    };
    let path = CriticalPath::of(&trace);
    let links = trace.links(&profile.reader)?;
    let (events, events_total) =
        if arguments.events { trace.events(&profile.reader, EVENTS_MAX)? } else { (Vec::new(), 0) };
    let marked = marked(profile, &trace, asked);
    Ok(Some(TraceAnalysis { trace, path, events, events_total, links, asked, marked }))
}

/// The indexes of the span that was asked for, and of those that match the filter.
fn marked(profile: &Profile, trace: &Trace, asked: Option<u64>) -> HashSet<usize> {
    let mut matcher = profile.filter.matcher();
    let by_filter = !profile.filter.is_empty();
    let spans = trace.spans.iter().enumerate();
    let marked = spans.filter(|(_, span)| {
        asked == Some(span.id) || by_filter && matcher.matches(&SpanRef::from(*span))
    });
    marked.map(|(index, _)| index).collect()
}

/// The root of the trace, and the span, for an id.
fn root_of(profile: &Profile, text: &str) -> Result<(u64, Option<u64>), Failure> {
    let wrong = || {
        Failure::usage(format!("{text:?} is no id"))
            .hint("a span is s123, a trace t123 or the first digits of its trace id")
    };
    if let Some(filter) = trace_id(text) {
        return of_trace_id(profile, text, &filter);
    }
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| wrong());
    if let Some(trace) = text.strip_prefix('t') {
        return Ok((number(trace)?, None));
    }
    let span_id = number(text.strip_prefix('s').unwrap_or(text))?;
    match profile.reader.root_of(span_id)? {
        Some(root_id) => Ok((root_id, Some(span_id))),
        None => Err(Failure::cannot_read(format!("there is no span s{span_id}"))
            .hint("it may be open still, dropped or pruned; `spandrel slow` lists spans")),
    }
}

/// The filter for the id of a trace as other systems write it. Short numbers are those of spans.
fn trace_id(text: &str) -> Option<Filter> {
    let is_number = text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'.'));
    Filter::parse(&format!("trace_id={text}")).ok().filter(|_| is_id && !is_number)
}

/// The root of the slowest span of such a trace, and that span.
fn of_trace_id(
    profile: &Profile,
    text: &str,
    filter: &Filter,
) -> Result<(u64, Option<u64>), Failure> {
    let mut slowest = Slowest::new(SlowBy::Duration, 1);
    let scan = profile.pass(Columns::Numbers);
    profile.reader.scan_filtered(&scan, filter, |span| {
        slowest.add(span);
        ControlFlow::Continue(())
    })?;
    match slowest.into_spans().first() {
        Some(span) => Ok((span.root_id, Some(span.id))),
        None => Err(Failure::cannot_read(format!("no span is known by the trace id {text}"))
            .hint("`spandrel slow -w has:trace_id` lists spans that are known by one")),
    }
}

/// The slowest trace; with a filter, or if no root has closed yet, the trace of the slowest span, and
/// that span.
fn slowest(profile: &Profile) -> Result<Option<(u64, u64)>, Failure> {
    if profile.filter.is_empty()
        && let Some(root) = slowest_root(profile)?
    {
        return Ok(Some((root.id, root.id)));
    }
    let mut slowest = Slowest::new(SlowBy::Duration, 1);
    profile.scan(Columns::Numbers, |span| {
        slowest.add(span);
        ControlFlow::Continue(())
    })?;
    if let Some(span) = slowest.into_spans().first() {
        return Ok(Some((span.root_id, span.id)));
    }
    open_for_longest(profile)
}

/// If nothing has closed, the trace of the span that has been open for longest, and that span.
fn open_for_longest(profile: &Profile) -> Result<Option<(u64, u64)>, Failure> {
    let mut matcher = profile.filter.matcher();
    let window = &profile.window;
    let open = profile.reader.open_spans(profile.run.id)?;
    let open = open.iter().map(|open| &open.span).filter(|span| {
        window.from_ns.is_none_or(|from| span.start_ns >= from)
            && window.until_ns.is_none_or(|until| span.start_ns < until)
            && matcher.matches(&SpanRef::from(*span))
    });
    let first = open.min_by_key(|span| (span.start_ns, span.id));
    Ok(first.map(|span| (span.root_id, span.id)))
}

fn slowest_root(profile: &Profile) -> Result<Option<Span>, Failure> {
    let scan = profile.pass(Columns::Numbers);
    Ok(profile.reader.slowest(&scan, SlowScope::Roots, SlowBy::Duration, 1)?.pop())
}

/// All spans of the trace for programs, those at the top first.
fn table_of_spans(found: Option<&TraceAnalysis>) -> Table {
    let mut critical_ns: HashMap<usize, i64> = HashMap::new();
    for section in found.iter().flat_map(|found| found.path.sections()) {
        if let Some(index) = section.span {
            let sum = critical_ns.entry(index).or_default();
            *sum = sum.saturating_add(section.length_ns());
        }
    }
    let spans = found.map_or_else(Vec::new, |found| lines::all(&found.trace));
    let mut table = table_of! {
        for (index, depth) in spans, {
            let Some(found) = found else { continue };
            let Some(node) = found.trace.node(index) else { continue };
            let (entry, parent, busy_ns, last_exit_ns, status) = match node {
                Node::Span(span) => {
                    let status = Cell::from(span.status.as_str());
                    (None, span.parent_id, span.busy_ns, span.last_exit_ns, status)
                }
                Node::Entry(TraceEntry { entry, .. }) => {
                    (Some(entry.id), entry.around_id, Some(entry.duration_ns), None, Cell::Null)
                }
            };
            let counts_by_entries = entry.is_some() || found.trace.lives_long(index);
            let open_ns = found.trace.open_ns(index);
        }
        Column::left("id", "id") => Cell::Span(node.span_id()),
        Column::right("entry_id", "entry").drop_rank(10) => entry.map_or(Cell::Null, Cell::Count),
        Column::left("parent_id", "parent").drop_rank(6) => parent.map_or(Cell::Null, Cell::Span),
        Column::right("depth", "depth") => Cell::Count(depth as u64),
        Column::left("name", "span") => node.callsite().name.as_str().into(),
        Column::left("target", "target").drop_rank(9) => Cell::from(&*node.callsite().target),
        Column::right("start_ns", "start").drop_rank(3) => Cell::Ns(node.start_ns()),
        Column::right("duration_ns", "dur") => node.duration_ns().into(),
        Column::right("open_ns", "open for").drop_rank(12) => open_ns.into(),
        Column::right("last_exit_ns", "work").drop_rank(11) => last_exit_ns.into(),
        Column::right("busy_ns", "busy").drop_rank(5) => busy_ns.into(),
        Column::right("self_ns", "self") => node.self_ns().into(),
        Column::right("critical_ns", "critical").drop_rank(2) =>
            Cell::Ns(critical_ns.get(&index).copied().unwrap_or(0)),
        Column::right("on_critical_path", "on path").drop_rank(8) => Cell::Bool(found.path.contains(index)),
        Column::right("matched", "matched").drop_rank(7) => Cell::Bool(found.marked.contains(&index)),
        Column::left("by", "counts by").drop_rank(9) =>
            Cell::from(if counts_by_entries { "entries" } else { "lifetime" }),
        Column::left("status", "status").drop_rank(2) => status,
        Column::left("thread", "thread").drop_rank(4) => node.thread().name.clone().into(),
        Column::left("fields", "fields") => Cell::Json(fields::value(node.fields())),
    };
    let all = |found: &TraceAnalysis| found.trace.total.saturating_add(found.trace.entries_total);
    table.total = table.total.max(found.map_or(0, all));
    table
}

/// What the document says beside the spans, whether a trace was found or not.
fn members(view: &mut View, found: Option<&TraceAnalysis>) {
    let none = json!({
        "trace_id": null, "otel_trace_id": null, "start_ns": null, "duration_ns": null,
        "critical_path": [], "kept_open_ns": 0, "missing_parents": [], "links": [], "events": [], "entries": 0,
        "meanwhile_of": null, "meanwhile": [], "meanwhile_left_out": 0, "used_index": false,
    });
    if let Value::Object(none) = none {
        view.extra.extend(none);
    }
    let Some(found) = found else { return };
    let trace = &found.trace;
    let (from_ns, until_ns) = trace.interval_ns();
    let length_ns = until_ns.saturating_sub(from_ns);
    let path = found.path.by_name(trace).into_iter().map(|(callsite, ns)| {
        let name = callsite.as_ref().map(|callsite| callsite.name.as_str());
        let target = callsite.as_ref().map(|callsite| &*callsite.target);
        json!({ "name": name, "target": target, "is_root": callsite.is_none(), "critical_ns": ns,
            "share": ns as f64 / length_ns.max(1) as f64 })
    });
    let events = found.events.iter().map(|event| {
        json!({ "span_id": event.span_id, "at_ns": event.at_ns, "level": &*event.callsite.level,
            "name": event.callsite.name,
            "message": event.message, "fields": fields::value(event.fields.as_deref()) })
    });
    let links = found.links.iter();
    let links = links.map(|link| json!({ "span_id": link.span_id, "follows_id": link.follows_id }));
    let missing: Vec<u64> = trace.orphans().map(|(parent, _)| parent).collect();
    view.extra.insert("trace_id".into(), json!(trace.root_id));
    let known = found.known_as().map(|id| id.to_string());
    view.extra.insert("otel_trace_id".into(), json!(known));
    view.extra.insert("start_ns".into(), json!(from_ns));
    view.extra.insert("duration_ns".into(), json!(length_ns));
    view.extra.insert("critical_path".into(), path.collect());
    view.extra.insert("kept_open_ns".into(), json!(found.path.kept_open_ns(trace)));
    view.extra.insert("missing_parents".into(), json!(missing));
    view.extra.insert("entries".into(), json!(trace.entries_total));
    view.extra.insert("links".into(), links.collect());
    view.extra.insert("events".into(), events.collect());
    meanwhile::members(view, trace.meanwhile.as_ref());
}

fn notes(view: &mut View, found: &TraceAnalysis) {
    view.notes.extend(found.known_as().map(|id| format!("trace id {id}")));
    view.notes.extend(found.cut().map(|cut| format!("! {cut}")));
    if found.events_total > found.events.len() as u64 {
        view.notes.push(format!(
            "! only {} of {} were read",
            text::count(found.events.len() as u64),
            text::counted(found.events_total, "event")
        ));
    }
    view.notes.extend(found.outlived());
    for link in found.links.iter().take(CHILDREN) {
        view.notes.push(format!("s{} follows from s{}", link.span_id, link.follows_id));
    }
    if let Some(more) = found.links.len().checked_sub(CHILDREN).filter(|more| *more > 0) {
        view.notes.push(format!("… {}", text::counted(more as u64, "more link")));
    }
}
