//! Requests as JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. Ids are hexadecimal,
//! integers of 64 bits are texts.

use std::fmt::Write as _;

use super::super::fields::Value;
use super::super::text::{Quoted, hex, integer, json, key, maybe, member, unsigned};
use super::wire::{EventParts, Ids, SpanParts, WireFormat};

/// JSON on one line.
pub(super) struct Json;

impl WireFormat for Json {
    const SEPARATOR: &'static [u8] = b",";

    fn attribute(out: &mut Vec<u8>, _list: u32, name: &str, value: &Value<'_>) {
        out.extend_from_slice(b"{\"key\":");
        json(out, name);
        out.extend_from_slice(b",\"value\":{");
        match value {
            Value::Text(value) => text(out, value),
            // OTLP knows no larger numbers.
            Value::Unsigned(value) => text(out, &value.to_string()),
            Value::Json(value) => text(out, value),
            Value::Integer(value) => {
                out.extend_from_slice(b"\"intValue\":\"");
                integer(out, *value);
                out.push(b'"');
            }
            Value::Bool(value) => {
                out.extend_from_slice(b"\"boolValue\":");
                out.extend_from_slice(if *value { b"true" } else { b"false" });
            }
            Value::Float(value) => {
                let mut digits = String::new();
                // Into a string, which cannot fail.
                let _written = write!(digits, "{value:e}");
                out.extend_from_slice(b"\"doubleValue\":");
                out.extend_from_slice(digits.as_bytes());
            }
        }
        out.extend_from_slice(b"}}");
    }

    fn event(out: &mut Vec<u8>, event: &EventParts<'_>) {
        out.extend_from_slice(b"{\"name\":");
        json(out, event.name);
        fixed(out, "timeUnixNano", event.at_unix_ns);
        attributes(out, event.attributes, event.dropped_attributes);
        out.push(b'}');
    }

    fn link(out: &mut Vec<u8>, link: &Ids) {
        ids(out, link);
        out.push(b'}');
    }

    fn span(out: &mut Vec<u8>, span: &SpanParts<'_>) {
        ids(out, &span.ids);
        if let Some(parent) = span.parent {
            span_id(out, "parentSpanId", parent);
        }
        member(out, "name", span.name);
        fixed(out, "startTimeUnixNano", span.start_unix_ns);
        fixed(out, "endTimeUnixNano", span.end_unix_ns);
        attributes(out, span.attributes, span.dropped_attributes);
        member(out, "kind", u64::from(span.kind));
        list(out, "events", span.events);
        count(out, "droppedEventsCount", span.dropped_events);
        list(out, "links", span.links);
        count(out, "droppedLinksCount", span.dropped_links);
        if span.status.code > 0 {
            out.extend_from_slice(b",\"status\":{\"code\":");
            unsigned(out, span.status.code.into());
            let message = Some(span.status.message).filter(|message| !message.is_empty());
            maybe(out, "message", message);
            out.push(b'}');
        }
        out.push(b'}');
    }

    fn request(out: &mut Vec<u8>, resource: &[u8], spans: &[u8]) {
        out.extend_from_slice(b"{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
        out.extend_from_slice(resource);
        let scope = b"]},\"scopeSpans\":[{\"scope\":{\"name\":\"spandrel\",\"version\":";
        out.extend_from_slice(scope);
        json(out, env!("CARGO_PKG_VERSION"));
        out.extend_from_slice(b"},\"spans\":[");
        out.extend_from_slice(spans);
        out.extend_from_slice(b"]}]}]}");
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(b"\"stringValue\":");
    json(out, value);
}

/// An object that begins with the ids.
fn ids(out: &mut Vec<u8>, ids: &Ids) {
    out.extend_from_slice(b"{\"traceId\":\"");
    ids.trace.iter().for_each(|half| hex(out, *half, 16));
    out.push(b'"');
    span_id(out, "spanId", ids.span);
}

fn span_id(out: &mut Vec<u8>, name: &str, id: u64) {
    key(out, name);
    out.push(b'"');
    hex(out, id, 16);
    out.push(b'"');
}

fn fixed(out: &mut Vec<u8>, name: &str, value: u64) {
    member(out, name, Quoted("", value));
}

fn attributes(out: &mut Vec<u8>, attributes: &[u8], dropped: u32) {
    key(out, "attributes");
    out.push(b'[');
    out.extend_from_slice(attributes);
    out.push(b']');
    count(out, "droppedAttributesCount", dropped);
}

fn list(out: &mut Vec<u8>, name: &str, elements: &[Vec<u8>]) {
    for (at, element) in elements.iter().enumerate() {
        if at == 0 {
            key(out, name);
        }
        out.push(if at == 0 { b'[' } else { b',' });
        out.extend_from_slice(element);
    }
    if !elements.is_empty() {
        out.push(b']');
    }
}

fn count(out: &mut Vec<u8>, name: &str, value: u32) {
    maybe(out, name, (value > 0).then_some(u64::from(value)));
}
