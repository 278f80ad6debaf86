//! Spans as rows: every column, with names, for spreadsheets, data frames and scripts.
//!
//! Ids and times are whole numbers, as in the profile; `start_unix_ns` is the wall clock. What is not
//! known is empty (CSV) or null (NDJSON). Fields are a JSON object; in NDJSON, what has more than 64 bits in it is
//! text. Events and links are rows of another
//! shape and are left out; `sqlite` has them.

use super::Written;
use super::error::ExportError;
use super::for_scripts::object_for_data_frames;
use super::out::Out;
use super::source::Source;
use super::text::{integer, json, key, unsigned};
use crate::query::{Columns, SpanRef};

/// A value in a row.
enum Cell<'a> {
    Id(u64),
    Integer(i64),
    Text(&'a str),
    Fields(&'a str),
    Unknown,
}

const COLUMNS: [&str; 20] = [
    "id",
    "parent_id",
    "root_id",
    "run_id",
    "name",
    "target",
    "level",
    "module",
    "file",
    "line",
    "thread",
    "thread_os_id",
    "start_ns",
    "start_unix_ns",
    "duration_ns",
    "busy_ns",
    "self_ns",
    "entries",
    "status",
    "fields",
];

fn cells<'a>(span: &'a SpanRef<'_>, started_unix_ns: i64) -> [Cell<'a>; COLUMNS.len()] {
    let integer = |value: Option<i64>| value.map_or(Cell::Unknown, Cell::Integer);
    let text = |value: Option<&'a str>| value.map_or(Cell::Unknown, Cell::Text);
    let callsite = span.callsite;
    [
        Cell::Id(span.id),
        span.parent_id.map_or(Cell::Unknown, Cell::Id),
        Cell::Id(span.root_id),
        Cell::Integer(span.run_id),
        Cell::Text(&callsite.name),
        Cell::Text(&callsite.target),
        Cell::Text(&callsite.level),
        text(callsite.module.as_deref()),
        text(callsite.file.as_deref()),
        integer(callsite.line.map(i64::from)),
        text(span.thread.name.as_deref()),
        Cell::Id(span.thread.os_id),
        Cell::Integer(span.start_ns),
        Cell::Integer(started_unix_ns.saturating_add(span.start_ns)),
        integer(span.duration_ns),
        integer(span.busy_ns),
        integer(span.self_ns),
        Cell::Id(span.entries),
        Cell::Text(span.status.as_str()),
        span.fields.map_or(Cell::Unknown, Cell::Fields),
    ]
}

/// Comma-separated values, RFC 4180. With `safe`, text that a spreadsheet would take for a formula
/// gets a quotation mark in front: <https://owasp.org/www-community/attacks/CSV_Injection>.
pub(super) fn csv(
    source: &mut Source<'_>,
    safe: bool,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    out.buffer.extend_from_slice(COLUMNS.join(",").as_bytes());
    out.buffer.extend_from_slice(b"\r\n");
    let started = source.run.info.started_unix_ns;
    let mut formulas = 0;
    let spans = source.spans(Columns::All, |span| {
        for (at, cell) in cells(span, started).into_iter().enumerate() {
            if at > 0 {
                out.buffer.push(b',');
            }
            match cell {
                Cell::Id(id) => unsigned(&mut out.buffer, id),
                Cell::Integer(value) => integer(&mut out.buffer, value),
                Cell::Text(text) | Cell::Fields(text) => {
                    formulas += u64::from(is_formula(text));
                    quoted(&mut out.buffer, text, safe);
                }
                Cell::Unknown => {}
            }
        }
        out.buffer.extend_from_slice(b"\r\n");
        Ok(out.pass()?)
    })?;
    Ok(Written { spans, formulas, ..Written::default() })
}

/// Whether a spreadsheet would take the text for a formula, as the page above lists them.
pub fn is_formula(text: &str) -> bool {
    const STARTS: [char; 11] =
        ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    text.starts_with(STARTS)
}

fn quoted(out: &mut Vec<u8>, text: &str, safe: bool) {
    let guard = safe && is_formula(text);
    // An empty text is not what is not known.
    let plain = !text.is_empty() && !text.contains([',', '"', '\r', '\n']) && !guard;
    if plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.extend_from_slice(if guard { b"\"'" } else { b"\"" });
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A JSON object a line.
pub(super) fn ndjson(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let started = source.run.info.started_unix_ns;
    let spans = source.spans(Columns::All, |span| {
        let line = out.buffer.len();
        for (name, cell) in COLUMNS.iter().zip(cells(span, started)) {
            key(&mut out.buffer, name);
            match cell {
                Cell::Id(id) => unsigned(&mut out.buffer, id),
                Cell::Integer(value) => integer(&mut out.buffer, value),
                Cell::Text(text) => json(&mut out.buffer, text),
                Cell::Fields(text) => object_for_data_frames(&mut out.buffer, text),
                Cell::Unknown => out.buffer.extend_from_slice(b"null"),
            }
        }
        if let Some(comma) = out.buffer.get_mut(line) {
            *comma = b'{';
        }
        out.buffer.extend_from_slice(b"}\n");
        Ok(out.pass()?)
    })?;
    Ok(Written { spans, ..Written::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str, safe: bool) -> String {
        let mut out = Vec::new();
        quoted(&mut out, text, safe);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        assert_eq!(cell("plain text", false), "plain text");
        assert_eq!(cell("", false), "\"\"");
        assert_eq!(cell("a \"b\", c\nd", false), "\"a \"\"b\"\", c\nd\"");
    }

    #[test]
    fn no_formula_gets_through() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(cell(formula, true), format!("\"'{formula}\""));
            assert!(!cell(formula, false).contains('\''));
        }
        assert_eq!(cell("a=1", true), "a=1");
    }
}
