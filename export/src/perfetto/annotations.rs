//! Annotations of a slice: fields, and what spandrel knows of the span.
//!
//! Lists and objects are written as the format's own. Its field for JSON texts is not used: trace processor
//! (55.3) aborts on a `null` there, and the page of its user interface with it.
//!
//! Trace processor joins names by `.`, puts indexes in brackets, and replaces these characters in names by `_`: `a.b`
//! and `a_b` would be the same. So a name with dots is written as nested names, which it shows as
//! `debug.http.method`, and the other characters are replaced by ones that look alike. What spandrel itself knows is
//! inside `spandrel`; a field of the program with that name, or with the name `fields`, is inside `fields`.

use std::borrow::Cow;

use super::super::fields::{self, Value};
use super::super::lanes::{Entry, Slice};
use super::super::proto::{double, message, signed, string, unsigned};
use super::super::source::EventRef;
use super::Interned;
use super::tracks::thread_name;
use spandrel_query::Span;
use spandrel_storage::Status;

/// The name that contains all of our own.
pub(super) const OURS: &str = "spandrel";

/// The name that contains fields of the program that would be confused with these two.
const THEIRS: &str = "fields";

/// Writes a `DebugAnnotation` for each field, and one for what spandrel knows; the name of the thread if it
/// is not that of the track.
pub(super) fn of_span(
    span: &Span,
    thread: Option<&str>,
    interned: &mut Interned,
    out: &mut Vec<u8>,
) {
    ours(interned, out, |item| {
        item("id", &|out| unsigned(out, 3, span.id));
        if let Some(parent) = span.parent_id {
            item("parent", &|out| unsigned(out, 3, parent));
        }
        item("level", &|out| string(out, 6, &span.callsite.level));
        if let Some(thread) = thread {
            item("thread", &|out| string(out, 6, thread));
        }
        if span.thread.id != span.longest_thread.id {
            item("made_on", &|out| string(out, 6, &thread_name(&span.thread)));
        }
        if span.status != Status::Ok {
            item("status", &|out| string(out, 6, span.status.as_str()));
        }
        if let Some(context) = &span.context {
            item("trace_id", &|out| string(out, 6, &context.trace_id.to_string()));
        }
        item("entries", &|out| unsigned(out, 3, span.entries));
        if let Some(busy_ns) = span.busy_ns {
            item("busy_ns", &|out| signed(out, 4, busy_ns));
        }
        if let Some(self_ns) = span.self_ns {
            item("self_ns", &|out| signed(out, 4, self_ns));
        }
    });
    if let Some(fields) = &span.fields {
        of_fields(fields, interned, out);
    }
}

/// Writes the items of the `DebugAnnotation` for what spandrel knows.
fn ours(
    interned: &mut Interned,
    out: &mut Vec<u8>,
    items: impl FnOnce(&mut dyn FnMut(&str, &dyn Fn(&mut Vec<u8>))),
) {
    message(out, 4, |out| {
        interned.key(OURS, out);
        items(&mut |key, write| {
            message(out, 11, |out| {
                interned.key(key, out);
                write(out);
            });
        });
    });
}

/// Writes a `DebugAnnotation` for what spandrel knows of an entry.
pub(super) fn of_entry(
    slice: &Slice<'_>,
    entry: &Entry,
    interned: &mut Interned,
    out: &mut Vec<u8>,
) {
    ours(interned, out, |item| {
        item("entry_of", &|out| unsigned(out, 3, entry.span_id));
        if let Some(around) = entry.around_id {
            item("around", &|out| unsigned(out, 3, around));
        }
        item("level", &|out| string(out, 6, &slice.callsite.level));
        if let Some(self_ns) = entry.self_ns {
            item("self_ns", &|out| signed(out, 4, self_ns));
        }
        let (entries, ns) = entry.earlier;
        if entries > 0 {
            item("earlier_entries", &|out| unsigned(out, 3, entries));
            item("earlier_ns", &|out| signed(out, 4, ns));
        }
    });
}

/// Writes a `DebugAnnotation` for each field, and one for what spandrel knows.
pub(super) fn of_event(event: &EventRef<'_>, interned: &mut Interned, out: &mut Vec<u8>) {
    ours(interned, out, |item| {
        item("event_id", &|out| unsigned(out, 3, event.id));
        if let Some(span_id) = event.span_id {
            item("span_id", &|out| unsigned(out, 3, span_id));
        }
        item("level", &|out| string(out, 6, &event.callsite.level));
    });
    if let Some(fields) = event.fields {
        of_fields(fields, interned, out);
    }
}

/// Writes a `DebugAnnotation` for each field.
pub(super) fn of_fields(fields: &str, interned: &mut Interned, out: &mut Vec<u8>) {
    // The members of an object have the same names as fields with dots.
    let mut objects = Vec::new();
    if fields.contains('.') && fields.matches('{').nth(1).is_some() {
        fields::each(fields, &mut |key, value| {
            if matches!(value, Value::Json(json) if json.starts_with('{')) {
                objects.push(key.to_owned());
            }
        });
    }
    fields::each(fields, &mut |key, field| {
        message(out, 4, |out| {
            if key.contains(['.', '[', ']']) || [OURS, THEIRS].contains(&key) {
                inside(&names(key, &objects), interned, out, &field);
            } else {
                interned.key(key, out);
                value(&field, out);
            }
        });
    });
}

/// The nested names of a field.
fn names<'a>(key: &'a str, objects: &[String]) -> Vec<Cow<'a, str>> {
    let mut names: Vec<Cow<'a, str>> = Vec::with_capacity(2);
    let first = key.split('.').next().unwrap_or_default();
    if [OURS, THEIRS].contains(&first) {
        names.push(THEIRS.into());
    }
    let is_split = key.split('.').all(|name| !name.is_empty())
        && !(first.len() < key.len() && objects.iter().any(|object| object == first));
    if is_split {
        names.extend(key.split('.').map(alike));
    } else {
        names.push(alike(key));
    }
    names
}

/// Replaces characters that trace processor would replace by ones that look alike.
fn alike(name: &str) -> Cow<'_, str> {
    if !name.contains(['.', '[', ']']) {
        return name.into();
    }
    let alike = |c| match c {
        '.' => '\u{2024}',
        '[' => '\u{ff3b}',
        ']' => '\u{ff3d}',
        c => c,
    };
    name.chars().map(alike).collect::<String>().into()
}

fn inside(names: &[Cow<'_, str>], interned: &mut Interned, out: &mut Vec<u8>, field: &Value<'_>) {
    let Some((name, inner)) = names.split_first() else { return };
    interned.key(name, out);
    if inner.is_empty() {
        value(field, out);
    } else {
        message(out, 11, |out| inside(inner, interned, out, field));
    }
}

/// A value; serde_json bounds how deep it is.
fn value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Bool(value) => unsigned(out, 2, (*value).into()),
        // Trace processor counts in 64 bits with a sign; so its type for others is not used.
        Value::Unsigned(value) => string(out, 6, &value.to_string()),
        Value::Integer(value) => signed(out, 4, *value),
        Value::Float(value) => double(out, 5, *value),
        Value::Text(value) => string(out, 6, value),
        Value::Json(json) => container(json, out),
    }
}

/// A list or an object; anything that the format cannot express, as text: null, a number that is too large, an empty
/// list or object.
fn container(json: &str, out: &mut Vec<u8>) {
    let before = out.len();
    if json.starts_with('[') {
        fields::each_item(json, &mut |item| message(out, 12, |out| value(&item, out)));
    } else if json.starts_with('{') {
        fields::each(json, &mut |key, member| {
            message(out, 11, |out| {
                string(out, 10, &alike(key));
                value(&member, out);
            });
        });
    }
    if out.len() == before {
        string(out, 6, json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_one() {
        let of = |key| names(key, &["object".to_owned()]).join("/");
        for (key, expected) in [
            ("route", "route"),
            ("http.method", "http/method"),
            ("http_method", "http_method"),
            ("spandrel", "fields/spandrel"),
            ("spandrel.id", "fields/spandrel/id"),
            ("fields", "fields/fields"),
            ("fields.spandrel.id", "fields/fields/spandrel/id"),
            ("a[0]", "a\u{ff3b}0\u{ff3d}"),
            ("a..b", "a\u{2024}\u{2024}b"),
            (".", "\u{2024}"),
            ("", ""),
            ("object", "object"),
            ("object.a", "object\u{2024}a"),
        ] {
            assert_eq!(of(key), expected);
        }
    }
}
