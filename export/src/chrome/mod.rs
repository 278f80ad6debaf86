//! The Trace Event Format: <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.
//!
//! Many programs read it, each in its own way; what is written is what all of them read alike (Perfetto, the
//! Firefox profiler, speedscope, Catapult):
//!
//! * A span is a slice on the stack of a row (`tid`), from `B` to `E`. A row is a lane of a thread, as spans
//!   of asynchronous programs overlap. Slices that are asynchronous by themselves (`b`, `e`) are not
//!   known to speedscope, and paired by name alone in the Firefox profiler. Complete ones (`X`) would be
//!   shorter; but speedscope adds `ts` and `dur` up as floating-point numbers, and where the end of a child
//!   comes out behind that of its parent by one bit, it keeps the parent open for good.
//! * A span without length is an instant (`i`): speedscope may take its end for that of another slice.
//!   An unfinished one has no end.
//! * A link is an arrow from slice to slice (`s`, `f`), each end behind the begin of its slice.
//! * All that is known of a span is in `args.data`, which Firefox keeps, and the best of it in
//!   `args.data.detail`, which it shows. Numbers that a script would round are texts. It is said at the end,
//!   as what is said at the begin becomes a part of the name in speedscope: no two spans would be one frame.
//! * Names with a special meaning in Chrome's own traces are marked.
//!
//! * An entry that was recorded one by one is a slice in the row of its thread, and has an arrow to the next
//!   one of its span. The span itself is then in a row beside (`async`).
//!
//! Marks and losses have rows of their own, what the writer said of itself are counters.
//!
//! Time stamps are microseconds since the start of the run, with decimals; what would be before it is put
//! at 0, as trace processor takes it for very late.

mod arguments;
mod extras;
mod rows;

use std::borrow::Cow;

use self::rows::Rows;
use super::Written;
use super::error::ExportError;
use super::flows::{Flows, Links, goes_right};
use super::javascript::{ForJavaScript, string};
use super::lanes::{Lane, Open, Slice, Slices, What};
use super::out::Out;
use super::source::{Source, SpanLocation};
use super::text::{Quoted, Scaled, maybe, member, unsigned};
use super::timeline;
use spandrel_query::Columns;
use spandrel_storage::internals::FastHashMap;

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    // Instants have no arrows.
    let has_length = |location: &SpanLocation| at(location.start_ns) < at(location.end_ns);
    let links = Links::find(source, |earlier, later| {
        goes_right(earlier, later) && has_length(earlier) && has_length(later)
    })?;
    head(source, &mut out.buffer);
    let rows = Rows::new(source.run.info.pid);
    let mut slices = Chrome {
        out,
        rows,
        flows: Flows::new(&links)?,
        arguments: FastHashMap::default(),
        spare: Vec::new(),
    };
    let drawn = timeline::slices(source, Columns::All, &links, &mut slices)?;
    let Chrome { mut rows, .. } = slices;
    let events = extras::events(source, &mut rows, out)?;
    let marks = extras::marks(source, &mut rows, out)?;
    extras::losses(source, &mut rows, out)?;
    extras::counters(source, &rows, out)?;
    out.buffer.extend_from_slice(b"\n]}\n");
    let timeline::Counts { spans, entries } = drawn;
    Ok(Written { spans, entries, events, links: links.count, marks, ..Written::default() })
}

/// All up to the events, and a first event, so that each of the others can begin with a comma.
fn head(source: &Source<'_>, out: &mut Vec<u8>) {
    let (run, info) = (source.run, &source.run.info);
    out.extend_from_slice(b"{\"displayTimeUnit\":\"ns\",\"otherData\":{\"exporter\":\"spandrel\"");
    for (name, value) in [
        ("run_uuid", Some(&info.uuid)),
        ("label", info.label.as_ref()),
        ("program", Some(&info.program)),
        ("host", Some(&info.host)),
        ("os", Some(&info.os)),
    ] {
        maybe(out, name, value.map(|value| ForJavaScript(value.as_str())));
    }
    for (name, value) in [
        ("started_unix_ns", info.started_unix_ns),
        ("dropped_spans", run.dropped_spans as i64),
        ("dropped_events", run.dropped_events as i64),
        ("dropped_entries", run.dropped_entries as i64),
        ("pruned_spans", run.pruned_spans as i64),
    ] {
        // As text, so that no reader rounds it.
        member(out, name, Quoted("", value));
    }
    out.extend_from_slice(b"},\"traceEvents\":[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":");
    unsigned(out, info.pid.into());
    out.extend_from_slice(b",\"args\":{\"name\":");
    string(out, &info.program);
    out.extend_from_slice(b"}}");
}

/// `,{"ph":…,"name":…`.
fn begin(out: &mut Vec<u8>, phase: &str, name: &str) {
    out.extend_from_slice(b",\n{\"ph\":\"");
    out.extend_from_slice(phase.as_bytes());
    out.extend_from_slice(b"\",\"name\":");
    string(out, &shown(name));
}

fn category(out: &mut Vec<u8>, category: &str) {
    member(out, "cat", ForJavaScript(category));
}

/// A name, marked if it is one of Chrome's own.
fn shown(name: &str) -> Cow<'_, str> {
    match name {
        "CpuProfile"
        | "Profile"
        | "ProfileChunk"
        | "Screenshot"
        | "ScriptCatchup"
        | "TracingStartedInBrowser"
        | "process_labels"
        | "process_name"
        | "process_sort_index"
        | "thread_name"
        | "thread_sort_index" => format!("{name} (name)").into(),
        name => name.into(),
    }
}

/// A moment, from the start of the run on.
fn at(ns: i64) -> i64 {
    ns.max(0)
}

fn position(out: &mut Vec<u8>, pid: u32, row: u64, at_ns: i64) {
    member(out, "pid", u64::from(pid));
    member(out, "tid", row);
    member(out, "ts", Scaled(at(at_ns), 3));
}

/// Larger buffers are not reused.
const SPARE_MAX: usize = 4096;

struct Chrome<'o, 'w, 'l> {
    out: &'o mut Out<'w>,
    rows: Rows,
    flows: Flows<'l>,
    /// The arguments of open slices, which are written at their ends.
    arguments: FastHashMap<u64, Vec<u8>>,
    /// Buffers to be reused.
    spare: Vec<Vec<u8>>,
}

impl Slices for Chrome<'_, '_, '_> {
    type Error = ExportError;

    fn begin(&mut self, lane: Lane, number: u64, slice: &Slice<'_>) -> Result<(), ExportError> {
        let out = &mut self.out.buffer;
        let row = self.rows.lane(lane, slice.thread, out);
        let from_ns = slice.from_ns;
        let has_length = slice.to_ns.is_none_or(|end| at(end) > at(from_ns));
        begin(out, if has_length { "B" } else { "i" }, &slice.callsite.name);
        category(out, &slice.callsite.target);
        position(out, self.rows.pid, row, from_ns);
        if !has_length {
            out.extend_from_slice(b",\"s\":\"t\"");
        }
        let is_elsewhere = slice.thread.id as u64 != lane.group;
        if slice.to_ns.is_some() && has_length {
            let mut arguments = self.spare.pop().unwrap_or_default();
            arguments::of_slice(&mut arguments, slice, is_elsewhere);
            self.arguments.insert(number, arguments);
        } else {
            arguments::of_slice(out, slice, is_elsewhere);
        }
        out.push(b'}');
        let place = (self.rows.pid, row, from_ns);
        match slice.what {
            What::Span(span) => {
                for flow in self.flows.of(span.id)? {
                    arrow(&mut self.out.buffer, FOLLOWS, (flow.number, flow.ends), place);
                }
            }
            What::Entry(entry) => {
                for (number, ends) in [(entry.arrives, true), (entry.leaves, false)] {
                    if let Some(number) = number {
                        arrow(&mut self.out.buffer, AGAIN, (number, ends), place);
                    }
                }
            }
        }
        Ok(self.out.flush_if_large()?)
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), ExportError> {
        let Some(mut arguments) = self.arguments.remove(&open.number) else { return Ok(()) };
        let Some(row) = self.rows.existing(lane) else { return Ok(()) };
        let out = &mut self.out.buffer;
        begin(out, "E", &open.callsite.name);
        category(out, &open.callsite.target);
        position(out, self.rows.pid, row, open.end_ns);
        out.extend_from_slice(&arguments);
        out.push(b'}');
        // Large buffers are freed.
        if arguments.capacity() <= SPARE_MAX {
            arguments.clear();
            self.spare.push(arguments);
        }
        Ok(self.out.flush_if_large()?)
    }
}

/// Name and category of the arrows that are links, and of those from entry to entry.
const FOLLOWS: (&str, &str) = ("follows from", "link");
const AGAIN: (&str, &str) = ("entered again", "entry");

/// An end of an arrow, at the slice that has just begun.
fn arrow(
    out: &mut Vec<u8>,
    (name, of): (&str, &str),
    (number, ends): (u64, bool),
    (pid, row, at_ns): (u32, u64, i64),
) {
    begin(out, if ends { "f" } else { "s" }, name);
    category(out, of);
    member(out, "id", number);
    if ends {
        // To the slice around it and not the next one.
        out.extend_from_slice(b",\"bp\":\"e\"");
    }
    position(out, pid, row, at_ns);
    out.push(b'}');
}
