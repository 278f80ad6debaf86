//! What a slice says of its span.
//!
//! Lists and objects are written as the format's own. Its field for JSON texts is not used: trace processor
//! (55.3) aborts on a `null` there, and the page of its user interface with it.

use serde_json::Value as Json;

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
                Value::Json(text) => match serde_json::from_str(text) {
                    Ok(Json::Array(values)) => list(&values, out),
                    Ok(Json::Object(members)) => object(&members, out),
                    // Null, a number that is too large, or what no text can be.
                    _ => string(out, 6, text),
                },
            }
        });
    });
}

/// What lies in a list or an object; serde_json bounds how deep.
fn value(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => string(out, 6, "null"),
        Json::Bool(value) => unsigned(out, 2, (*value).into()),
        Json::String(value) => string(out, 6, value),
        Json::Array(values) => list(values, out),
        Json::Object(members) => object(members, out),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), ..) => signed(out, 4, value),
            (_, Some(value), _) => unsigned(out, 3, value),
            (.., Some(value)) => double(out, 5, value),
            _ => string(out, 6, &number.to_string()),
        },
    }
}

fn list(values: &[Json], out: &mut Vec<u8>) {
    for one in values {
        message(out, 12, |out| value(one, out));
    }
}

fn object(members: &serde_json::Map<String, Json>, out: &mut Vec<u8>) {
    for (key, member) in members {
        message(out, 11, |out| {
            string(out, 10, key);
            value(member, out);
        });
    }
}
