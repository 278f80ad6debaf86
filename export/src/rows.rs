//! Spans or entries as rows: every column, with names, for spreadsheets, data frames and scripts.
//!
//! Ids and times are whole numbers, as in the profile; `start_unix_ns` is the wall clock. What is not
//! known is empty (CSV) or null (NDJSON). Fields are a JSON object; in NDJSON, what has more than 64 bits in it is
//! text. Entries are rows of another shape, and a file has either; so are events and links, which are left
//! out. `sqlite` has all of them. `trace_id`, `otel_span_id` and `otel_parent_id` are the ids by which other
//! systems know a span.

use super::error::ExportError;
use super::javascript::object_for_data_frames;
use super::out::Out;
use super::source::{NamedEntry, Source};
use super::text::{self, integer, json, key, unsigned};
use super::{Settings, Written};
use spandrel_query::{Columns, SpanRef};
use spandrel_storage::OtelSpanId;

/// A value in a row.
enum Cell<'a> {
    Id(u64),
    Integer(i64),
    Bool(bool),
    Text(&'a str),
    Fields(&'a str),
    /// A number of so many hexadecimal digits.
    Hex(u128, usize),
    Unknown,
}

/// The names of columns, and a function that gives the cells of a row.
macro_rules! columns {
    ($names:ident, $cells:ident($($row:ident: $type:ty),*), { $($name:literal => $cell:expr,)* }) => {
        const $names: &[&str] = &[$($name),*];

        fn $cells<'a>($($row: $type),*) -> [Cell<'a>; $names.len()] {
            [$($cell),*]
        }
    };
}

fn maybe_integer<'a>(value: Option<i64>) -> Cell<'a> {
    value.map_or(Cell::Unknown, Cell::Integer)
}

fn maybe_text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Unknown, Cell::Text)
}

// Columns of spans; `thread` is the thread of the longest entry.
columns!(COLUMNS, cells(span: &'a SpanRef<'_>, started_unix_ns: i64), {
    "id" => Cell::Id(span.id),
    "parent_id" => span.parent_id.map_or(Cell::Unknown, Cell::Id),
    "root_id" => Cell::Id(span.root_id),
    "run_id" => Cell::Integer(span.run_id),
    "name" => Cell::Text(&span.callsite.name),
    "target" => Cell::Text(&span.callsite.target),
    "level" => Cell::Text(&span.callsite.level),
    "module" => maybe_text(span.callsite.module.as_deref()),
    "file" => maybe_text(span.callsite.file.as_deref()),
    "line" => maybe_integer(span.callsite.line.map(i64::from)),
    "thread" => maybe_text(span.longest_thread.name.as_deref()),
    "thread_os_id" => Cell::Id(span.longest_thread.os_id),
    "made_on" => maybe_text(span.thread.name.as_deref()),
    "made_on_os_id" => Cell::Id(span.thread.os_id),
    "start_ns" => Cell::Integer(span.start_ns),
    "start_unix_ns" => Cell::Integer(started_unix_ns.saturating_add(span.start_ns)),
    "duration_ns" => maybe_integer(span.duration_ns),
    "busy_ns" => maybe_integer(span.busy_ns),
    "self_ns" => maybe_integer(span.self_ns),
    "entries" => Cell::Id(span.entries),
    "first_entry_ns" => maybe_integer(span.first_entry_ns),
    "longest_entry_ns" => maybe_integer(span.longest_entry_ns),
    "last_exit_ns" => maybe_integer(span.last_exit_ns),
    "self_busy_ns" => maybe_integer(span.self_busy_ns),
    "status" => Cell::Text(span.status.as_str()),
    "trace_id" => span.context.map_or(Cell::Unknown, |it| Cell::Hex(it.trace_id.get(), 32)),
    "otel_span_id" => maybe_id(span.context.and_then(|context| context.span_id)),
    "otel_parent_id" => maybe_id(span.context.and_then(|context| context.parent_id)),
    "fields" => span.fields.map_or(Cell::Unknown, Cell::Fields),
});

columns!(ENTRY_COLUMNS, entry_cells(entry: &'a NamedEntry, run_id: i64, started_unix_ns: i64), {
    "id" => Cell::Id(entry.row.id),
    "span_id" => Cell::Id(entry.row.span_id),
    "around_id" => Some(entry.row.around_id).filter(|id| *id > 0).map_or(Cell::Unknown, Cell::Id),
    "run_id" => Cell::Integer(run_id),
    "name" => Cell::Text(&entry.callsite.name),
    "target" => Cell::Text(&entry.callsite.target),
    "level" => Cell::Text(&entry.callsite.level),
    "module" => maybe_text(entry.callsite.module.as_deref()),
    "file" => maybe_text(entry.callsite.file.as_deref()),
    "line" => maybe_integer(entry.callsite.line.map(i64::from)),
    "thread" => maybe_text(entry.thread.name.as_deref()),
    "thread_os_id" => Cell::Id(entry.thread.os_id),
    "start_ns" => Cell::Integer(entry.row.start_ns),
    "start_unix_ns" => Cell::Integer(started_unix_ns.saturating_add(entry.row.start_ns)),
    "duration_ns" => Cell::Integer(entry.row.duration_ns),
    "self_ns" => maybe_integer(entry.row.self_ns),
    "counts" => Cell::Bool(entry.row.self_ns.is_some()),
    "earlier_entries" => Cell::Id(entry.row.earlier_entries),
    "earlier_ns" => Cell::Integer(entry.row.earlier_ns),
});

fn maybe_id<'a>(id: Option<OtelSpanId>) -> Cell<'a> {
    id.map_or(Cell::Unknown, |id| Cell::Hex(id.get().into(), 16))
}

/// Appends an id with this many hexadecimal digits.
fn hex(out: &mut Vec<u8>, id: u128, digits: usize) {
    for half in [(id >> 64) as u64, id as u64].into_iter().skip(2 - digits / 16) {
        text::hex(out, half, 16);
    }
}

/// How rows are written.
trait Lines {
    fn header(&mut self, out: &mut Vec<u8>, columns: &[&str]);

    fn line<'a>(
        &mut self,
        out: &mut Vec<u8>,
        columns: &[&str],
        cells: impl IntoIterator<Item = Cell<'a>>,
    );
}

/// Writes the rows of spans, or those of entries.
fn rows(
    source: &mut Source<'_>,
    entries: bool,
    lines: &mut impl Lines,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    let (run_id, started) = (source.run.id, source.run.info.started_unix_ns);
    if entries {
        source.choose()?;
        lines.header(&mut out.buffer, ENTRY_COLUMNS);
        let entries = source.chosen_entries(|entry| {
            let cells = entry_cells(entry, run_id, started);
            lines.line(&mut out.buffer, ENTRY_COLUMNS, cells);
            Ok(out.flush_if_large()?)
        })?;
        return Ok(Written { entries, ..Written::default() });
    }
    lines.header(&mut out.buffer, COLUMNS);
    let spans = source.spans(Columns::All, |span| {
        lines.line(&mut out.buffer, COLUMNS, cells(span, started));
        Ok(out.flush_if_large()?)
    })?;
    Ok(Written { spans, ..Written::default() })
}

/// Comma-separated values, RFC 4180. With `safe`, text that a spreadsheet would take for a formula
/// gets a quotation mark in front: <https://owasp.org/www-community/attacks/CSV_Injection>.
pub(super) fn csv(
    source: &mut Source<'_>,
    settings: &Settings,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    let mut lines = Csv { safe: settings.csv_safe, formulas: 0 };
    let written = rows(source, settings.entries, &mut lines, out)?;
    Ok(Written { formulas: lines.formulas, ..written })
}

struct Csv {
    safe: bool,
    formulas: u64,
}

impl Lines for Csv {
    fn header(&mut self, out: &mut Vec<u8>, columns: &[&str]) {
        out.extend_from_slice(columns.join(",").as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn line<'a>(
        &mut self,
        out: &mut Vec<u8>,
        _columns: &[&str],
        cells: impl IntoIterator<Item = Cell<'a>>,
    ) {
        for (at, cell) in cells.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match cell {
                Cell::Id(id) => unsigned(out, id),
                Cell::Integer(value) => integer(out, value),
                Cell::Bool(value) => out.extend_from_slice(bool_text(value)),
                Cell::Text(text) | Cell::Fields(text) => {
                    self.formulas += u64::from(is_formula(text));
                    quoted(out, text, self.safe);
                }
                Cell::Hex(id, digits) => hex(out, id, digits),
                Cell::Unknown => {}
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn bool_text(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

/// Whether a spreadsheet would take the text for a formula, as the page above lists them.
pub fn is_formula(text: &str) -> bool {
    const STARTS: [char; 11] =
        ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    text.starts_with(STARTS)
}

fn quoted(out: &mut Vec<u8>, text: &str, safe: bool) {
    let guard = safe && is_formula(text);
    // Quotes distinguish an empty text from a missing value.
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
pub(super) fn ndjson(
    source: &mut Source<'_>,
    settings: &Settings,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    rows(source, settings.entries, &mut Ndjson, out)
}

struct Ndjson;

impl Lines for Ndjson {
    fn header(&mut self, _out: &mut Vec<u8>, _columns: &[&str]) {}

    fn line<'a>(
        &mut self,
        out: &mut Vec<u8>,
        columns: &[&str],
        cells: impl IntoIterator<Item = Cell<'a>>,
    ) {
        let line = out.len();
        for (name, cell) in columns.iter().zip(cells) {
            key(out, name);
            match cell {
                Cell::Id(id) => unsigned(out, id),
                Cell::Integer(value) => integer(out, value),
                Cell::Bool(value) => out.extend_from_slice(bool_text(value)),
                Cell::Text(text) => json(out, text),
                Cell::Fields(text) => object_for_data_frames(out, text),
                Cell::Hex(id, digits) => {
                    out.push(b'"');
                    hex(out, id, digits);
                    out.push(b'"');
                }
                Cell::Unknown => out.extend_from_slice(b"null"),
            }
        }
        if let Some(comma) = out.get_mut(line) {
            *comma = b'{';
        }
        out.extend_from_slice(b"}\n");
    }
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
