//! The arguments of an event: `args.data`.

use std::fmt::Write;

use super::super::javascript::{self, ForJavaScript, inner, string, words};
use super::super::lanes::{Entry, Slice, What};
use super::super::source::EventRef;
use super::super::text::{self, Quoted, Scaled, ToJson, key, maybe, member};
use spandrel_query::{Callsite, Span, Thread};
use spandrel_storage::Status;

/// Bytes of fields in the line that is shown, at most; all of them are in `fields`.
const DETAIL_MAX: usize = 200;

/// Writes `,"args":{"data":{…}}`.
pub(super) fn of_slice(out: &mut Vec<u8>, slice: &Slice<'_>, is_elsewhere: bool) {
    match slice.what {
        What::Span(span) => of_span(out, span, is_elsewhere),
        What::Entry(entry) => of_entry(out, slice, entry),
    }
}

fn of_entry(out: &mut Vec<u8>, slice: &Slice<'_>, entry: &Entry) {
    out.extend_from_slice(b",\"args\":{\"data\":{\"entry_of\":");
    of(entry.span_id).append(out);
    maybe(out, "around", entry.around_id.map(of));
    of_callsite(out, slice.callsite);
    maybe(out, "self_ns", entry.self_ns.map(ForJavaScript));
    let (entries, ns) = entry.earlier;
    if entries > 0 {
        member(out, "earlier_entries", ForJavaScript(entries));
        member(out, "earlier_ns", ForJavaScript(ns));
    }
    rest(out, Status::Ok, slice.callsite, None);
}

/// A thread, with the number that the operating system gave it.
fn thread(out: &mut Vec<u8>, thread: &Thread) {
    string(out, &format!("{} {}", thread.name.as_deref().unwrap_or("thread"), thread.os_id));
}

fn of_span(out: &mut Vec<u8>, span: &Span, is_elsewhere: bool) {
    out.extend_from_slice(b",\"args\":{\"data\":{\"id\":");
    of(span.id).append(out);
    maybe(out, "parent", span.parent_id.map(of));
    of_callsite(out, &span.callsite);
    if is_elsewhere {
        // The slice is in the row of another thread's span.
        key(out, "thread");
        thread(out, &span.longest_thread);
    }
    if span.thread.id != span.longest_thread.id {
        key(out, "made_on");
        thread(out, &span.thread);
    }
    let status = Some(span.status).filter(|status| *status != Status::Ok);
    maybe(out, "status", status.map(Status::as_str));
    maybe(out, "trace_id", span.context.map(|context| context.trace_id.to_string()));
    member(out, "entries", ForJavaScript(span.entries));
    maybe(out, "self_ns", span.self_ns.map(ForJavaScript));
    maybe(out, "busy_ns", span.busy_ns.map(ForJavaScript));
    let lasting = span.busy_ns.zip(span.duration_ns.filter(|ns| *ns > 0));
    maybe(
        out,
        "busy_share",
        lasting.map(|(busy_ns, duration_ns)| {
            // Rounded to thousandths, which is precise enough to read.
            let share = i128::from(busy_ns) * 1000 / i128::from(duration_ns);
            Scaled(i64::try_from(share).unwrap_or(i64::MAX), 3)
        }),
    );
    rest(out, span.status, &span.callsite, span.fields.as_deref());
}

/// Writes `,"args":{"data":{…}}`.
pub(super) fn of_event(out: &mut Vec<u8>, event: &EventRef<'_>) {
    out.extend_from_slice(b",\"args\":{\"data\":{\"id\":");
    javascript::unsigned(out, event.id);
    maybe(out, "span", event.span_id.map(of));
    of_callsite(out, &event.callsite);
    rest(out, Status::Ok, &event.callsite, event.fields);
}

/// The id of a span.
fn of(id: u64) -> Quoted<u64> {
    Quoted("s", id)
}

fn of_callsite(out: &mut Vec<u8>, callsite: &Callsite) {
    member(out, "level", ForJavaScript(&*callsite.level));
    let Some(file) = &callsite.file else { return };
    key(out, "file");
    out.push(b'"');
    inner(out, file);
    if let Some(line) = callsite.line {
        out.push(b':');
        text::unsigned(out, line.into());
    }
    out.push(b'"');
}

/// The fields, and the line that is shown. It is never empty: without one, Firefox would take the name for that of a
/// type of its own.
fn rest(out: &mut Vec<u8>, status: Status, callsite: &Callsite, fields: Option<&str>) {
    let mut detail = String::new();
    if status != Status::Ok {
        let _infallible = write!(detail, "{} ", status.as_str());
    }
    if let Some(fields) = fields {
        key(out, "fields");
        javascript::object(out, fields);
        words(&mut detail, fields, DETAIL_MAX);
    }
    if detail.trim_end().is_empty() {
        detail.push_str(&callsite.target);
    }
    if detail.is_empty() {
        detail.push_str("spandrel");
    }
    member(out, "detail", ForJavaScript(detail.trim_end()));
    out.extend_from_slice(b"}}");
}
