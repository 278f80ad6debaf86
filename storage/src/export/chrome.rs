//! The Trace Event Format: <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.
//!
//! A span is a nestable asynchronous slice (`b` and `e`). Viewers nest the slices of one category and
//! id by a stack, and pair ends with begins by name: so all spans have the category `span`, and their
//! id is that of their trace (`t12`), or of a further lane of it (`t12.1`) for what overlaps. The target is
//! an argument. An unfinished span has no end.
//!
//! Events are instants of their thread, links arrows between threads, marks and losses slices and
//! global instants, what the writer said of itself counters. A profile holds how often a span was polled
//! and the sum of its busy time, not when: so polls are no slices, but `polls`, `busy_ns` and
//! `busy_share` are arguments.
//!
//! Threads go by their number in the profile, as the operating system gives its numbers again; that one
//! is in the name. Time stamps are microseconds since the start of the run, with decimals.

use std::collections::HashSet;

use super::Written;
use super::error::ExportError;
use super::fields;
use super::lanes::{GroupBy, Lane, Open, Slices};
use super::out::Out;
use super::source::Source;
use super::text::{self, integer, json, key, unsigned};
use super::timeline;
use crate::query::Columns;
use crate::reader::{Callsite, Span, Thread};
use crate::record::Status;

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let pid = source.run.info.pid;
    head(source, &mut out.buffer);
    let mut slices = Chrome { out, pid, threads: HashSet::new() };
    let spans = timeline::slices(source, Columns::All, GroupBy::Trace, &mut slices)?;
    let Chrome { mut threads, .. } = slices;
    let events = source.events(|event| {
        name_thread(&mut out.buffer, &mut threads, pid, &event.thread);
        begin(&mut out.buffer, "i", &event.callsite.target, event.name());
        place(&mut out.buffer, pid, event.thread.id, event.at_ns);
        out.buffer.extend_from_slice(b",\"s\":\"t\",\"args\":{\"id\":");
        unsigned(&mut out.buffer, event.id);
        if let Some(span_id) = event.span_id {
            key(&mut out.buffer, "span");
            id(&mut out.buffer, 's', span_id);
        }
        callsite(&mut out.buffer, &event.callsite);
        more_fields(&mut out.buffer, event.fields);
        out.buffer.extend_from_slice(b"}}");
        Ok(out.pass()?)
    })?;
    let links = arrows(source, out)?;
    let marks = marks(source, out)?;
    losses(source, out)?;
    counters(source, out)?;
    out.buffer.extend_from_slice(b"\n]}\n");
    Ok(Written { spans, events, links, marks, ..Written::default() })
}

/// All up to the events, and a first one, so that each of the others can begin with a comma.
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
        let Some(value) = value else { continue };
        key(out, name);
        json(out, value);
    }
    for (name, value) in [
        ("started_unix_ns", info.started_unix_ns),
        ("dropped_spans", run.dropped_spans as i64),
        ("dropped_events", run.dropped_events as i64),
        ("pruned_spans", run.pruned_spans as i64),
    ] {
        // As text, so that no reader rounds it.
        key(out, name);
        out.push(b'"');
        integer(out, value);
        out.push(b'"');
    }
    out.extend_from_slice(b"},\"traceEvents\":[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":");
    unsigned(out, info.pid.into());
    out.extend_from_slice(b",\"args\":{\"name\":");
    json(out, &info.program);
    out.extend_from_slice(b"}}");
}

/// `,{"ph":…,"cat":…,"name":…`.
fn begin(out: &mut Vec<u8>, phase: &str, category: &str, name: &str) {
    out.extend_from_slice(b",\n{\"ph\":\"");
    out.extend_from_slice(phase.as_bytes());
    out.extend_from_slice(b"\",\"cat\":");
    json(out, category);
    key(out, "name");
    json(out, name);
}

fn place(out: &mut Vec<u8>, pid: u32, thread_id: i64, at_ns: i64) {
    key(out, "pid");
    unsigned(out, pid.into());
    key(out, "tid");
    integer(out, thread_id);
    key(out, "ts");
    text::scaled(out, at_ns, 3);
}

fn id(out: &mut Vec<u8>, letter: char, id: u64) {
    out.extend_from_slice(&[b'"', letter as u8]);
    unsigned(out, id);
    out.push(b'"');
}

fn callsite(out: &mut Vec<u8>, callsite: &Callsite) {
    key(out, "target");
    json(out, &callsite.target);
    key(out, "level");
    json(out, &callsite.level);
    if let Some(file) = &callsite.file {
        key(out, "file");
        out.push(b'"');
        text::json_inner(out, file);
        if let Some(line) = callsite.line {
            out.push(b':');
            unsigned(out, line.into());
        }
        out.push(b'"');
    }
}

fn more_fields(out: &mut Vec<u8>, fields: Option<&str>) {
    if let Some(fields) = fields {
        key(out, "fields");
        fields::object(out, fields);
    }
}

fn name_thread(out: &mut Vec<u8>, named: &mut HashSet<i64>, pid: u32, thread: &Thread) {
    if !named.insert(thread.id) {
        return;
    }
    out.extend_from_slice(b",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":");
    unsigned(out, pid.into());
    key(out, "tid");
    integer(out, thread.id);
    out.extend_from_slice(b",\"args\":{\"name\":\"");
    text::json_inner(out, thread.name.as_deref().unwrap_or("thread"));
    out.push(b' ');
    unsigned(out, thread.os_id);
    out.extend_from_slice(b"\"}}");
}

struct Chrome<'o, 'w> {
    out: &'o mut Out<'w>,
    pid: u32,
    threads: HashSet<i64>,
}

impl Slices for Chrome<'_, '_> {
    type Error = ExportError;

    fn begin(&mut self, lane: Lane, span: &Span) -> Result<(), ExportError> {
        let out = &mut self.out.buffer;
        name_thread(out, &mut self.threads, self.pid, &span.thread);
        begin(out, "b", "span", &span.callsite.name);
        lane_id(out, lane);
        place(out, self.pid, span.thread.id, span.start_ns);
        arguments(out, span);
        out.push(b'}');
        Ok(self.out.pass()?)
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), ExportError> {
        if open.is_unfinished {
            return Ok(());
        }
        let out = &mut self.out.buffer;
        begin(out, "e", "span", &open.callsite.name);
        lane_id(out, lane);
        place(out, self.pid, open.thread_id, open.end_ns);
        out.push(b'}');
        Ok(self.out.pass()?)
    }
}

fn lane_id(out: &mut Vec<u8>, lane: Lane) {
    out.extend_from_slice(b",\"id\":\"t");
    unsigned(out, lane.group);
    if lane.number > 0 {
        out.push(b'.');
        unsigned(out, lane.number.into());
    }
    out.push(b'"');
}

fn arguments(out: &mut Vec<u8>, span: &Span) {
    out.extend_from_slice(b",\"args\":{\"id\":");
    id(out, 's', span.id);
    if let Some(parent) = span.parent_id {
        key(out, "parent");
        id(out, 's', parent);
    }
    callsite(out, &span.callsite);
    if span.status != Status::Ok {
        key(out, "status");
        json(out, span.status.as_str());
    }
    key(out, "polls");
    unsigned(out, span.polls);
    if let Some(self_ns) = span.self_ns {
        key(out, "self_ns");
        integer(out, self_ns);
    }
    if let Some(busy_ns) = span.busy_ns {
        key(out, "busy_ns");
        integer(out, busy_ns);
        if let Some(duration_ns) = span.duration_ns.filter(|ns| *ns > 0) {
            // In thousandths: nobody reads more of a share.
            let share = i128::from(busy_ns) * 1000 / i128::from(duration_ns);
            key(out, "busy_share");
            text::scaled(out, i64::try_from(share).unwrap_or(i64::MAX), 3);
        }
    }
    more_fields(out, span.fields.as_deref());
    out.push(b'}');
}

/// Arrows, for links whose two spans are both exported. An asynchronous slice has room for one arrow at
/// most, so that each arrow has two slices of its own, without length, in the rows of the threads.
fn arrows(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<u64, ExportError> {
    let pid = source.run.info.pid;
    let mut drawn = 0;
    source.links(|link| {
        let (Some(later), Some(earlier)) = (&link.later, &link.earlier) else { return Ok(()) };
        drawn += 1;
        // From the end of the earlier span, if that is before the later one begins.
        let from = earlier.end_ns.min(later.start_ns).max(earlier.start_ns);
        let to = later.start_ns.max(from);
        let ends = [
            ("followed by", "flow_out", from, earlier.thread_id),
            ("follows from", "flow_in", to, later.thread_id),
        ];
        for (name, way, at_ns, thread_id) in ends {
            begin(&mut out.buffer, "X", "link", name);
            place(&mut out.buffer, pid, thread_id, at_ns);
            out.buffer.extend_from_slice(b",\"dur\":0,\"bind_id\":\"");
            unsigned(&mut out.buffer, drawn);
            out.buffer.push(b'"');
            key(&mut out.buffer, way);
            out.buffer.extend_from_slice(b"true,\"args\":{\"from\":");
            id(&mut out.buffer, 's', link.follows_id);
            key(&mut out.buffer, "to");
            id(&mut out.buffer, 's', link.span_id);
            out.buffer.extend_from_slice(b"}}");
        }
        Ok(out.pass()?)
    })?;
    Ok(drawn)
}

/// A slice of its own, from `from_ns` to `to_ns`; and an instant over all rows.
fn region(
    out: &mut Vec<u8>,
    pid: u32,
    (category, number): (&str, usize),
    name: &str,
    (from_ns, to_ns): (i64, Option<i64>),
    arguments: impl FnOnce(&mut Vec<u8>),
) {
    begin(out, "i", category, name);
    place(out, pid, 0, from_ns);
    out.extend_from_slice(b",\"s\":\"g\",\"args\":{");
    arguments(out);
    out.extend_from_slice(b"}}");
    let Some(to_ns) = to_ns.filter(|to| *to >= from_ns) else { return };
    for (phase, at) in [("b", from_ns), ("e", to_ns)] {
        begin(out, phase, category, name);
        key(out, "id");
        unsigned(out, number as u64);
        place(out, pid, 0, at);
        out.push(b'}');
    }
}

fn marks(source: &Source<'_>, out: &mut Out<'_>) -> Result<u64, ExportError> {
    let marks = source.marks()?;
    for (number, mark) in marks.iter().enumerate() {
        let times = (mark.at_ns, mark.until_ns);
        region(&mut out.buffer, source.run.info.pid, ("mark", number), &mark.label, times, |out| {
            if let Some(fields) = &mark.fields {
                out.extend_from_slice(b"\"fields\":");
                fields::object(out, fields);
            }
        });
        out.pass()?;
    }
    Ok(marks.len() as u64)
}

fn losses(source: &Source<'_>, out: &mut Out<'_>) -> Result<(), ExportError> {
    for (number, loss) in source.losses()?.into_iter().enumerate() {
        let times = (loss.from_ns, Some(loss.to_ns));
        let name = format!("lost: {}", loss.reason);
        region(&mut out.buffer, source.run.info.pid, ("loss", number), &name, times, |out| {
            out.extend_from_slice(b"\"spans\":");
            unsigned(out, loss.spans);
            key(out, "events");
            unsigned(out, loss.events);
        });
        out.pass()?;
    }
    Ok(())
}

fn counters(source: &Source<'_>, out: &mut Out<'_>) -> Result<(), ExportError> {
    for sample in source.counters()? {
        for (name, value) in sample.values() {
            begin(&mut out.buffer, "C", "writer", name);
            place(&mut out.buffer, source.run.info.pid, 0, sample.at_ns);
            out.buffer.extend_from_slice(b",\"args\":{\"value\":");
            unsigned(&mut out.buffer, value);
            out.buffer.extend_from_slice(b"}}");
        }
        out.pass()?;
    }
    Ok(())
}
