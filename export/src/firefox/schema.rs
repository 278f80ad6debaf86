//! Metadata: the run, the categories, and how each type of marker is shown.

use std::collections::BTreeSet;

use super::super::source::Source;
use super::super::text::{Scaled, json, key, member, unsigned};
use super::Firefox;

/// Categories, with colours; markers go by the status of their span.
const CATEGORIES: [(&str, &str); 5] = [
    ("Other", "grey"),
    ("Span", "blue"),
    ("Failed span", "red"),
    ("Event", "yellow"),
    ("Mark", "purple"),
];

/// Threads that are shown at first, at most; by default the profiler hides those without samples.
const SHOWN_MAX: usize = 100;

/// Writes what is known of the run, the categories, and how markers are shown, with the keys of the
/// fields that spans and events have.
pub(super) fn meta(source: &Source<'_>, firefox: &Firefox<'_>, out: &mut Vec<u8>) {
    let info = &source.run.info;
    out.extend_from_slice(
        b"\"meta\":{\"interval\":1,\"processType\":0,\"stackwalk\":0,\"version\":36,\
          \"preprocessedProfileVersion\":75,\"symbolicated\":true,\
          \"importedFrom\":\"spandrel\"",
    );
    member(out, "product", info.label.as_ref().unwrap_or(&info.program));
    member(out, "startTime", Scaled(info.started_unix_ns, 6));
    member(out, "profilingStartTime", 0_u64);
    member(out, "profilingEndTime", Scaled(source.run.last_ns.max(0), 6));
    member(out, "oscpu", &info.os);
    member(out, "arguments", &info.args);
    key(out, "categories");
    for (at, (name, color)) in CATEGORIES.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"[{\"name\":" } else { b",{\"name\":" });
        json(out, name);
        member(out, "color", color);
        out.extend_from_slice(b",\"subcategories\":[\"Other\"]}");
    }
    out.extend_from_slice(b"],\"initialSelectedThreads\":[0],\"initialVisibleThreads\":[");
    for thread in 0..firefox.threads.len().min(SHOWN_MAX) {
        if thread > 0 {
            out.push(b',');
        }
        unsigned(out, thread as u64);
    }
    out.extend_from_slice(b"],\"markerSchema\":[");
    schemas(firefox, out);
    out.extend_from_slice(b"]}");
}

/// The key of a link, counted from 0.
pub(super) fn follows(at: usize) -> String {
    if at == 0 { "follows".to_owned() } else { format!("follows{}", at + 1) }
}

fn schemas(firefox: &Firefox<'_>, out: &mut Vec<u8>) {
    let mut of_spans = SPAN_FIELDS.to_vec();
    let follows: Vec<String> = (0..firefox.follows_max).map(follows).collect();
    if !follows.is_empty() {
        of_spans.push(("flow", "Followed by others as", "flow-id"));
    }
    of_spans.extend(follows.iter().map(|key| (key.as_str(), "Follows from", "flow-id")));
    schema(out, ("span", "{marker.name}"), &of_spans, &firefox.span_keys);
    out.push(b',');
    schema(out, ("entry", "{marker.name}"), ENTRY_FIELDS, &BTreeSet::new());
    out.push(b',');
    schema(out, ("event", "{marker.data.message}"), EVENT_FIELDS, &firefox.event_keys);
    out.push(b',');
    schema(out, ("note", "{marker.data.text}"), NOTE_FIELDS, &BTreeSet::new());
}

/// Key, label and format.
type Field<'a> = (&'a str, &'a str, &'a str);

const SPAN_FIELDS: &[Field<'static>] = &[
    ("id", "Span", "string"),
    ("parent", "Parent", "string"),
    ("trace", "Trace", "string"),
    ("trace_id", "Trace id", "string"),
    ("target", "Target", "string"),
    ("level", "Level", "string"),
    ("source", "Source", "string"),
    ("made_on", "Made on", "string"),
    ("status", "Status", "string"),
    ("busy", "Busy", "duration"),
    ("self", "Self", "duration"),
    ("entries", "Entries", "integer"),
];

const ENTRY_FIELDS: &[Field<'static>] = &[
    ("span", "Entry of", "string"),
    ("around", "Around it", "string"),
    ("target", "Target", "string"),
    ("level", "Level", "string"),
    ("source", "Source", "string"),
    ("self", "Self", "duration"),
    ("earlier", "Entries before that were not recorded", "integer"),
    ("flow", "Entries of", "flow-id"),
];

const EVENT_FIELDS: &[Field<'static>] = &[
    ("message", "Message", "string"),
    ("span", "Span", "string"),
    ("target", "Target", "string"),
    ("level", "Level", "string"),
    ("source", "Source", "string"),
];

const NOTE_FIELDS: &[Field<'static>] =
    &[("text", "Text", "string"), ("fields", "Fields", "string")];

fn schema(
    out: &mut Vec<u8>,
    (name, label): (&str, &str),
    known: &[Field<'_>],
    keys: &BTreeSet<String>,
) {
    out.extend_from_slice(b"{\"name\":");
    json(out, name);
    for place in ["tooltipLabel", "tableLabel", "chartLabel"] {
        member(out, place, label);
    }
    out.extend_from_slice(
        b",\"display\":[\"marker-chart\",\"marker-table\",\"timeline-overview\"],\"fields\":[",
    );
    let mut field = |is_first: bool, name: &str, label: &str, format: &str| {
        out.extend_from_slice(if is_first { b"{\"key\":" } else { b",{\"key\":" });
        json(out, name);
        member(out, "label", label);
        member(out, "format", format);
        out.push(b'}');
    };
    for (at, (name, label, format)) in known.iter().enumerate() {
        field(at == 0, name, label, format);
    }
    for name in keys {
        field(false, &format!("field.{name}"), name, "string");
    }
    out.extend_from_slice(b"]}");
}
