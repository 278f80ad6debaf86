//! Lists of `KeyValue`.

use std::fmt::Write as _;

use super::super::fields::{self, Value};
use super::super::text::{integer, json};
use crate::query::SpanRef;

/// Gives the kind, which tracing-opentelemetry takes from a field, too.
pub(super) fn attributes(span: &SpanRef<'_>, out: &mut Vec<u8>) -> u8 {
    let mut kind = 1;
    let mut attributes = Attributes::new(out);
    attributes.of_callsite(span.callsite);
    attributes.integer("thread.id", span.thread.os_id as i64);
    if let Some(name) = &span.thread.name {
        attributes.text("thread.name", name);
    }
    if let Some(busy_ns) = span.busy_ns {
        attributes.integer("busy_ns", busy_ns);
        if let Some(duration_ns) = span.duration_ns {
            attributes.integer("idle_ns", duration_ns.saturating_sub(busy_ns));
        }
    }
    if let Some(self_ns) = span.self_ns {
        attributes.integer("self_ns", self_ns);
    }
    attributes.integer("polls", i64::try_from(span.polls).unwrap_or(i64::MAX));
    if span.duration_ns.is_none() {
        attributes.begin("spandrel.unfinished");
        attributes.out.extend_from_slice(b"{\"boolValue\":true}}");
    }
    fields::each(span.fields.unwrap_or("{}"), &mut |name, value| {
        if let ("otel.kind", Value::Text(text)) = (name, &value) {
            kind = match text.to_ascii_lowercase().as_str() {
                "server" => 2,
                "client" => 3,
                "producer" => 4,
                "consumer" => 5,
                _ => 1,
            };
        }
        attributes.value(name, value);
    });
    kind
}

/// A list of `KeyValue`.
pub(super) struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, is_first: true }
    }

    fn begin(&mut self, name: &str) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out.extend_from_slice(b"{\"key\":");
        json(self.out, name);
        self.out.extend_from_slice(b",\"value\":");
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.begin(name);
        self.out.extend_from_slice(b"{\"stringValue\":");
        json(self.out, text);
        self.out.extend_from_slice(b"}}");
    }

    pub(super) fn integer(&mut self, name: &str, value: i64) {
        self.begin(name);
        self.out.extend_from_slice(b"{\"intValue\":\"");
        integer(self.out, value);
        self.out.extend_from_slice(b"\"}}");
    }

    pub(super) fn value(&mut self, name: &str, value: Value<'_>) {
        match value {
            Value::Integer(value) => self.integer(name, value),
            // OTLP knows no larger numbers.
            Value::Unsigned(value) => self.text(name, &value.to_string()),
            Value::Text(text) => self.text(name, &text),
            Value::Json(json) => self.text(name, json),
            Value::Bool(value) => {
                self.begin(name);
                let value = if value { "true" } else { "false" };
                self.out.extend_from_slice(b"{\"boolValue\":");
                self.out.extend_from_slice(value.as_bytes());
                self.out.extend_from_slice(b"}}");
            }
            Value::Float(value) => {
                let mut digits = String::new();
                // Into a string, which cannot fail.
                let _written = write!(digits, "{value:e}");
                self.begin(name);
                self.out.extend_from_slice(b"{\"doubleValue\":");
                self.out.extend_from_slice(digits.as_bytes());
                self.out.extend_from_slice(b"}}");
            }
        }
    }

    pub(super) fn of_callsite(&mut self, callsite: &crate::reader::Callsite) {
        self.text("level", &callsite.level);
        self.text("target", &callsite.target);
        if let Some(file) = &callsite.file {
            self.text("code.file.path", file);
        }
        if let Some(line) = callsite.line {
            self.integer("code.line.number", line.into());
        }
    }
}
