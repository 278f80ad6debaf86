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

mod extras;

use std::collections::HashSet;

use super::Written;
use super::callsite;
use super::error::ExportError;
use super::fields;
use super::lanes::{GroupBy, Lane, Open, Slices};
use super::out::Out;
use super::source::Source;
use super::text::{self, integer, json, key, unsigned};
use super::timeline;
use crate::query::Columns;
use crate::reader::{Span, Thread};
use crate::record::Status;

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let pid = source.run.info.pid;
    head(source, &mut out.buffer);
    let mut slices = Chrome { out, pid, threads: HashSet::new() };
    let spans = timeline::slices(source, Columns::All, GroupBy::Trace, &mut slices)?;
    let Chrome { mut threads, .. } = slices;
    let events = source.events(|event| {
        name_thread(&mut out.buffer, &mut threads, pid, &event.thread);
        begin(&mut out.buffer, "i", &event.callsite.target, &event.name());
        place(&mut out.buffer, pid, event.thread.id, event.at_ns);
        out.buffer.extend_from_slice(b",\"s\":\"t\",\"args\":{\"id\":");
        unsigned(&mut out.buffer, event.id);
        if let Some(span_id) = event.span_id {
            key(&mut out.buffer, "span");
            id(&mut out.buffer, 's', span_id);
        }
        callsite::members(&mut out.buffer, &event.callsite, "file");
        more_fields(&mut out.buffer, event.fields);
        out.buffer.extend_from_slice(b"}}");
        Ok(out.pass()?)
    })?;
    let links = extras::arrows(source, out)?;
    let marks = extras::marks(source, out)?;
    extras::losses(source, out)?;
    extras::counters(source, out)?;
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
    callsite::members(out, &span.callsite, "file");
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
