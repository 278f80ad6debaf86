//! Requests as protocol buffers. The numbers of the members are those of OTLP's
//! [`trace.proto`](https://github.com/open-telemetry/opentelemetry-proto).

use super::super::fields::Value;
use super::super::proto::{bytes, double, fixed, message, signed, unsigned};
use super::wire::{EventParts, Ids, SpanParts, WireFormat};

/// Protocol buffers.
pub(super) struct Protobuf;

impl WireFormat for Protobuf {
    const SEPARATOR: &'static [u8] = b"";

    fn attribute(out: &mut Vec<u8>, list: u32, name: &str, value: &Value<'_>) {
        message(out, list, |out| {
            text(out, 1, name);
            message(out, 2, |out| match value {
                Value::Text(value) => text(out, 1, value),
                // OTLP knows no larger numbers.
                Value::Unsigned(value) => text(out, 1, &value.to_string()),
                Value::Json(value) => text(out, 1, value),
                Value::Bool(value) => unsigned(out, 2, u64::from(*value)),
                Value::Integer(value) => signed(out, 3, *value),
                Value::Float(value) => double(out, 4, *value),
            });
        });
    }

    fn event(out: &mut Vec<u8>, event: &EventParts<'_>) {
        fixed(out, 1, event.at_unix_ns);
        text(out, 2, event.name);
        out.extend_from_slice(event.attributes);
        count(out, 4, event.dropped_attributes);
    }

    fn link(out: &mut Vec<u8>, link: &Ids) {
        ids(out, link);
    }

    fn span(out: &mut Vec<u8>, span: &SpanParts<'_>) {
        message(out, 2, |out| {
            ids(out, &span.ids);
            if let Some(parent) = span.parent {
                bytes(out, 4, &parent.to_be_bytes());
            }
            text(out, 5, span.name);
            unsigned(out, 6, span.kind.into());
            fixed(out, 7, span.start_unix_ns);
            fixed(out, 8, span.end_unix_ns);
            out.extend_from_slice(span.attributes);
            count(out, 10, span.dropped_attributes);
            span.events.iter().for_each(|event| bytes(out, 11, event));
            count(out, 12, span.dropped_events);
            span.links.iter().for_each(|link| bytes(out, 13, link));
            count(out, 14, span.dropped_links);
            if span.status.code > 0 {
                message(out, 15, |out| {
                    text(out, 2, span.status.message);
                    unsigned(out, 3, span.status.code.into());
                });
            }
        });
    }

    fn request(out: &mut Vec<u8>, resource: &[u8], spans: &[u8]) {
        message(out, 1, |out| {
            bytes(out, 1, resource);
            message(out, 2, |out| {
                message(out, 1, |out| {
                    text(out, 1, "spandrel");
                    text(out, 2, env!("CARGO_PKG_VERSION"));
                });
                out.extend_from_slice(spans);
            });
        });
    }
}

fn text(out: &mut Vec<u8>, field: u32, text: &str) {
    bytes(out, field, text.as_bytes());
}

fn ids(out: &mut Vec<u8>, ids: &Ids) {
    let [high, low] = ids.trace.map(u64::to_be_bytes);
    bytes(out, 1, &[high, low].concat());
    bytes(out, 2, &ids.span.to_be_bytes());
}

fn count(out: &mut Vec<u8>, field: u32, value: u32) {
    if value > 0 {
        unsigned(out, field, value.into());
    }
}
