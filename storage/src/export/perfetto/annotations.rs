//! What a slice says of its span.

use super::super::fields::{self, Value};
use super::super::proto::{double, message, signed, string, unsigned};
use super::Interned;
use crate::reader::Span;
use crate::record::Status;

/// Writes a `DebugAnnotation` for each field, and one, named `span`, for what spandrel knows.
pub(super) fn annotations(span: &Span, interned: &mut Interned, out: &mut Vec<u8>) {
    message(out, 4, |out| {
        interned.key("span", out);
        let mut entry = |key: &str, write: &dyn Fn(&mut Vec<u8>)| {
            message(out, 11, |out| {
                interned.key(key, out);
                write(out);
            });
        };
        entry("id", &|out| unsigned(out, 3, span.id));
        if let Some(parent) = span.parent_id {
            entry("parent", &|out| unsigned(out, 3, parent));
        }
        entry("level", &|out| string(out, 6, &span.callsite.level));
        if span.status != Status::Ok {
            entry("status", &|out| string(out, 6, span.status.as_str()));
        }
        entry("polls", &|out| unsigned(out, 3, span.polls));
        if let Some(busy_ns) = span.busy_ns {
            entry("busy_ns", &|out| signed(out, 4, busy_ns));
        }
        if let Some(self_ns) = span.self_ns {
            entry("self_ns", &|out| signed(out, 4, self_ns));
        }
    });
    if let Some(fields) = &span.fields {
        of_fields(fields, interned, out);
    }
}

/// Writes a `DebugAnnotation` for each field.
pub(super) fn of_fields(fields: &str, interned: &mut Interned, out: &mut Vec<u8>) {
    fields::each(fields, &mut |key, value| {
        message(out, 4, |out| {
            interned.key(key, out);
            match value {
                Value::Bool(value) => unsigned(out, 2, value.into()),
                Value::Unsigned(value) => unsigned(out, 3, value),
                Value::Integer(value) => signed(out, 4, value),
                Value::Float(value) => double(out, 5, value),
                Value::Text(value) => string(out, 6, &value),
                Value::Json(value) => string(out, 9, value),
            }
        });
    });
}
