//! The Firefox profiler's processed profile, version 75:
//! <https://github.com/firefox-devtools/profiler/blob/main/docs-developer/CHANGELOG-formats.md>. Newer
//! profilers upgrade it on loading.
//!
//! The first view is the call tree of a thread of its own, with a sample for each path of names, weighted by the time
//! that no path below it took. Samples must have times; these are spread over the run.
//!
//! Spans and events are markers of their thread: intervals and instants, which the profiler lays out
//! itself, so that they may overlap. The marker's name is that of the span; the schemas `span` and `event`
//! say how the rest is shown, with a line for each field that occurs, up to a bound. Marks and losses
//! are markers of a thread of their own. An unfinished span is an interval without an end. A span that
//! others follow from is the begin of a flow, by which the profiler finds them; that is a field of each.
//!
//! A recorded entry is a marker of its thread, and the entries of a span are a flow. The span itself is in a separate
//! thread, unless it was a call: then it is one marker with its entry.
//!
//! The format has its columns one after the other, so they wait in a [`Spool`]. Times are milliseconds
//! since the start of the run, to the nanosecond.

mod call_tree;
mod schema;
mod threads;

use std::collections::{BTreeSet, HashMap};

use self::call_tree::{CallTree, Samples};
use super::Written;
use super::callsite;
use super::error::ExportError;
use super::fields::{self, Value};
use super::flows::{Flows, Links};
use super::id_set::IdSet;
use super::out::Out;
use super::source::Source;
use super::spool::Spool;
use super::text::{self, Quoted, Scaled, integer, json, maybe, member, unsigned};
use super::timeline::{Cursor, Entries, Recorded, add, is_call, only_entry, with_stacks};
use spandrel_query::Columns;
use spandrel_query::Thread;
use spandrel_storage::internals::FastHashMap;

/// Fields with a line of their own at most; further ones are in the data but not shown.
const KEYS_MAX: usize = 256;

/// Columns of the table of markers, each a stream.
const COLUMNS: [&str; 6] = ["name", "startTime", "endTime", "phase", "category", "data"];

/// Links of a span at most; further ones are left out.
const FOLLOWS_MAX: usize = 16;

/// The thread of marks and losses; no thread of a profile has the number.
const NO_THREAD: i64 = i64::MIN;

/// The thread of the call tree.
const PATHS: i64 = i64::MIN + 1;

/// The thread of spans whose entries are markers of their threads.
const BESIDE: i64 = i64::MIN + 2;

/// The thread, time and kind of a marker.
struct MarkerPosition<'a> {
    thread: i64,
    name: &'a str,
    from_ns: i64,
    to_ns: Option<i64>,
    phase: Phase,
    category: u64,
}

/// `MarkerPhase`.
#[derive(Clone, Copy)]
enum Phase {
    Instant = 0,
    Interval = 1,
    IntervalStart = 2,
}

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let links = Links::find(source, |_, _| true)?;
    let entries = Entries::find(source)?;
    let mut firefox = Firefox {
        entries: entries.as_ref(),
        calls: IdSet::default(),
        flows: Flows::new(&links)?,
        links: 0,
        follows_max: 0,
        spool: Spool::new()?,
        threads: FastHashMap::default(),
        strings: HashMap::new(),
        strings_json: Vec::new(),
        span_keys: BTreeSet::new(),
        event_keys: BTreeSet::new(),
    };
    firefox.row(PATHS, "all spans: self time by path".to_owned());
    let (spans, tree) = with_stacks(source, |source, stacks| {
        source.spans(Columns::All, |span| {
            add(stacks, span)?;
            firefox.span(span)
        })
    })?;
    firefox.write_entries()?;
    let events = source.events(|event| firefox.event(event))?;
    let marks = firefox.marks_and_losses(source)?;
    out.buffer.push(b'{');
    schema::meta(source, &firefox, &mut out.buffer);
    out.buffer.extend_from_slice(b",\"libs\":[],\"threads\":[");
    firefox.write_threads(source, &Samples::new(&tree, source.run.last_ns), out)?;
    out.buffer.extend_from_slice(b"\n],\"shared\":{");
    CallTree::new(&tree, &mut |name| firefox.string(name)).write(out)?;
    out.buffer.extend_from_slice(b",\"stringArray\":[");
    out.buffer.extend_from_slice(&firefox.strings_json);
    out.buffer.extend_from_slice(b"]}}\n");
    let (links, entries) = (firefox.links, entries.as_ref().map_or(0, |entries| entries.count));
    Ok(Written { spans, entries, events, links, marks, ..Written::default() })
}

struct Firefox<'l> {
    entries: Option<&'l Entries>,
    /// Spans that share a marker with their entry.
    calls: IdSet,
    flows: Flows<'l>,
    links: u64,
    /// The most links that a span has.
    follows_max: usize,
    spool: Spool,
    threads: FastHashMap<i64, Row>,
    strings: HashMap<String, u64>,
    strings_json: Vec<u8>,
    span_keys: BTreeSet<String>,
    event_keys: BTreeSet<String>,
}

/// A thread of the profile.
struct Row {
    /// The first of its streams is this times the number of columns.
    number: u32,
    name: String,
    markers: u64,
    from_ns: i64,
}

impl Firefox<'_> {
    fn span(&mut self, span: &spandrel_query::SpanRef<'_>) -> Result<(), ExportError> {
        let is_failure = matches!(
            span.status,
            spandrel_storage::Status::Error | spandrel_storage::Status::Panicked
        );
        let end = span.end_ns().map(|end| end.max(span.start_ns));
        let mut position = MarkerPosition {
            thread: span.longest_thread.id,
            name: &span.callsite.name,
            from_ns: span.start_ns,
            to_ns: end,
            phase: if end.is_some() { Phase::Interval } else { Phase::IntervalStart },
            category: if is_failure { 2 } else { 1 },
        };
        match self.entries.filter(|entries| entries.has(span.id)) {
            Some(entries) if is_call(span) && !entries.has_several(span.id) => {
                self.calls.insert(span.id);
                if let Some((from_ns, to_ns)) = only_entry(span) {
                    position = MarkerPosition { from_ns, to_ns: Some(to_ns), ..position };
                }
            }
            Some(_) => position.thread = BESIDE,
            None => {}
        }
        if position.thread != BESIDE {
            self.add_thread(span.longest_thread);
        }
        let flows = self.flows_of(span.id)?;
        let mut keys = std::mem::take(&mut self.span_keys);
        let marked = self.marker(&position, |out| {
            out.extend_from_slice(b"{\"type\":\"span\"");
            member(out, "id", Quoted("s", span.id));
            maybe(out, "parent", span.parent_id.map(|id| Quoted("s", id)));
            member(out, "trace", Quoted("t", span.root_id));
            maybe(out, "trace_id", span.context.map(|context| context.trace_id.to_string()));
            callsite::members(out, span.callsite, "source");
            let is_elsewhere = span.thread.id != span.longest_thread.id;
            maybe(out, "made_on", is_elsewhere.then(|| name_of(span.thread)));
            member(out, "status", span.status.as_str());
            maybe(out, "busy", span.busy_ns.map(millis));
            maybe(out, "self", span.self_ns.map(millis));
            member(out, "entries", span.entries);
            out.extend_from_slice(&flows);
            of_fields(out, span.fields, &mut keys);
            out.push(b'}');
        });
        self.span_keys = keys;
        marked
    }

    /// Writes the entries, except those of calls.
    fn write_entries(&mut self) -> Result<(), ExportError> {
        let Some(entries) = self.entries else { return Ok(()) };
        let mut sorted = entries.sorted()?;
        let mut cursor = Cursor::new(entries, &mut sorted, 0)?;
        while let Some(recorded) = cursor.take()? {
            if !self.calls.contains(recorded.entry.span_id) {
                self.entry(&recorded)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, recorded: &Recorded) -> Result<(), ExportError> {
        let Recorded { callsite, thread, entry, .. } = recorded;
        self.add_thread(thread);
        let position = MarkerPosition {
            thread: thread.id,
            name: &callsite.name,
            from_ns: recorded.from_ns,
            to_ns: Some(recorded.to_ns),
            phase: Phase::Interval,
            category: 1,
        };
        let is_in_flow = entry.arrives.is_some() || entry.leaves.is_some();
        let flow = is_in_flow.then(|| self.string(&format!("s{}", entry.span_id)));
        self.marker(&position, |out| {
            out.extend_from_slice(b"{\"type\":\"entry\"");
            member(out, "span", Quoted("s", entry.span_id));
            maybe(out, "around", entry.around_id.map(|id| Quoted("s", id)));
            callsite::members(out, callsite, "source");
            maybe(out, "self", entry.self_ns.map(millis));
            maybe(out, "earlier", Some(entry.earlier.0).filter(|entries| *entries > 0));
            maybe(out, "flow", flow);
            out.push(b'}');
        })
    }

    fn event(&mut self, event: &super::source::EventRef<'_>) -> Result<(), ExportError> {
        self.add_thread(&event.thread);
        let position = MarkerPosition {
            thread: event.thread.id,
            name: &event.callsite.target,
            from_ns: event.at_ns,
            to_ns: None,
            phase: Phase::Instant,
            category: 3,
        };
        let mut keys = std::mem::take(&mut self.event_keys);
        let marked = self.marker(&position, |out| {
            out.extend_from_slice(b"{\"type\":\"event\",\"message\":");
            json(out, &event.name());
            maybe(out, "span", event.span_id.map(|id| Quoted("s", id)));
            callsite::members(out, &event.callsite, "source");
            of_fields(out, event.fields, &mut keys);
            out.push(b'}');
        });
        self.event_keys = keys;
        marked
    }

    /// The members of a span's data that connect it with others: numbers of strings.
    fn flows_of(&mut self, span_id: u64) -> Result<Vec<u8>, ExportError> {
        let flows = self.flows.of(span_id)?;
        let mut out = Vec::new();
        if flows.iter().any(|flow| !flow.ends) {
            member(&mut out, "flow", self.string(&format!("s{span_id}")));
        }
        let follows = flows.iter().filter(|flow| flow.ends).take(FOLLOWS_MAX);
        for (at, flow) in follows.enumerate() {
            self.links += 1;
            self.follows_max = self.follows_max.max(at + 1);
            member(&mut out, &schema::follows(at), self.string(&format!("s{}", flow.other)));
        }
        Ok(out)
    }

    fn marks_and_losses(&mut self, source: &Source<'_>) -> Result<u64, ExportError> {
        let position = |name, from_ns, to_ns: Option<i64>| MarkerPosition {
            thread: NO_THREAD,
            name,
            from_ns,
            to_ns,
            phase: if to_ns.is_some() { Phase::Interval } else { Phase::Instant },
            category: 4,
        };
        let marks = source.marks()?;
        for mark in &marks {
            let until_ns = mark.until_ns.map(|until| until.max(mark.at_ns));
            self.marker(&position("mark", mark.at_ns, until_ns), |out| {
                out.extend_from_slice(b"{\"type\":\"note\",\"text\":");
                json(out, &mark.label);
                maybe(out, "fields", mark.fields.as_ref());
                out.push(b'}');
            })?;
        }
        for loss in source.losses()? {
            let to_ns = Some(loss.to_ns.max(loss.from_ns));
            let text = format!(
                "lost: {} spans, {} events, {} entries, {}",
                loss.spans, loss.events, loss.entries, loss.reason
            );
            self.marker(&position("loss", loss.from_ns, to_ns), |out| {
                out.extend_from_slice(b"{\"type\":\"note\",\"text\":");
                json(out, &text);
                out.push(b'}');
            })?;
        }
        Ok(marks.len() as u64)
    }

    fn add_thread(&mut self, thread: &Thread) {
        if !self.threads.contains_key(&thread.id) {
            self.row(thread.id, name_of(thread));
        }
    }

    fn row(&mut self, thread: i64, name: String) {
        let number = self.threads.len() as u32;
        self.threads.insert(thread, Row { number, name, markers: 0, from_ns: i64::MAX });
    }

    fn marker(
        &mut self,
        position: &MarkerPosition<'_>,
        data: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), ExportError> {
        let name = self.string(position.name);
        if position.thread == NO_THREAD && !self.threads.contains_key(&NO_THREAD) {
            self.row(NO_THREAD, "marks and losses".to_owned());
        }
        if position.thread == BESIDE && !self.threads.contains_key(&BESIDE) {
            self.row(BESIDE, "async spans".to_owned());
        }
        let Some(row) = self.threads.get_mut(&position.thread) else { return Ok(()) };
        row.markers += 1;
        row.from_ns = row.from_ns.min(position.from_ns);
        let first = row.number * COLUMNS.len() as u32;
        let time = |out: &mut Vec<u8>, ns: Option<i64>| match ns {
            Some(ns) => text::scaled(out, ns, 6),
            None => out.extend_from_slice(b"null"),
        };
        let spool = &mut self.spool;
        let mut column = |at: u32, write: &mut dyn FnMut(&mut Vec<u8>)| {
            spool.append(first + at, |out, is_first| {
                if !is_first {
                    out.push(b',');
                }
                write(out);
            })
        };
        column(0, &mut |out| unsigned(out, name))?;
        column(1, &mut |out| time(out, Some(position.from_ns)))?;
        column(2, &mut |out| time(out, position.to_ns))?;
        column(3, &mut |out| unsigned(out, position.phase as u64))?;
        column(4, &mut |out| unsigned(out, position.category))?;
        let mut data = Some(data);
        column(5, &mut |out| {
            if let Some(data) = data.take() {
                data(out);
            }
        })
    }

    fn string(&mut self, string: &str) -> u64 {
        if let Some(number) = self.strings.get(string) {
            return *number;
        }
        let number = self.strings.len() as u64;
        self.strings.insert(string.to_owned(), number);
        if number > 0 {
            self.strings_json.push(b',');
        }
        json(&mut self.strings_json, string);
        number
    }
}

fn millis(ns: i64) -> Scaled {
    Scaled(ns, 6)
}

fn name_of(thread: &Thread) -> String {
    thread.name.clone().unwrap_or_else(|| format!("thread {}", thread.os_id))
}

/// Fields as strings, which is what the profiler shows whatever they are.
fn of_fields(out: &mut Vec<u8>, fields: Option<&str>, keys: &mut BTreeSet<String>) {
    fields::each(fields.unwrap_or("{}"), &mut |name, value| {
        if keys.len() < KEYS_MAX && !keys.contains(name) {
            keys.insert(name.to_owned());
        }
        out.extend_from_slice(b",\"field.");
        text::json_inner(out, name);
        out.extend_from_slice(b"\":\"");
        match value {
            Value::Bool(value) => {
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Value::Integer(value) => integer(out, value),
            Value::Unsigned(value) => unsigned(out, value),
            Value::Float(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Value::Text(value) => text::json_inner(out, &value),
            Value::Json(value) => text::json_inner(out, value),
        }
        out.push(b'"');
    });
}
