//! OpenTelemetry's OTLP as JSON: <https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>.
//!
//! A line is an `ExportTraceServiceRequest` with at most a thousand spans: what the collector's
//! `otlpjsonfile` receiver reads, and the body of a POST to `/v1/traces`.
//!
//! * The id of a trace is half of the run's uuid and the id of the root span; that of a span is its own:
//!   `000000000000001f` is `s31`. So the same profile exported twice gives the same ids.
//! * Events are events of their span, and wait in a temporary database for it. An event outside of spans
//!   has no place in a trace and is left out.
//! * Links go to spans that are stored, even if those are not exported.
//! * An unfinished span ends with the run, and has the attribute `spandrel.unfinished`.

mod attributes;

use rusqlite::{Connection, Rows, params};

use super::Written;
use super::error::ExportError;
use super::fields;
use super::out::Out;
use super::source::Source;
use super::spool::temporary;
use super::text::{self, hex, json, key, unsigned};
use crate::query::{Columns, SpanRef};
use crate::record::Status;

use self::attributes::{Attributes, attributes};

/// Spans of one request at most.
const SPANS_MAX: usize = 1000;

/// Bytes of one request, from which on it ends with the next span; receivers have limits.
const BYTES_MAX: usize = 1024 * 1024;

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let otlp = Otlp::new(source);
    source.choose()?;
    let conn = attachments(source, &otlp)?;
    let sql = |table| format!("SELECT span_id, json FROM {table} ORDER BY span_id, id");
    let mut events = conn.prepare(&sql("event")).map_err(ExportError::Spool)?;
    let mut links = conn.prepare(&sql("link")).map_err(ExportError::Spool)?;
    let mut events = Cursor::new(events.query([]).map_err(ExportError::Spool)?)?;
    let mut links = Cursor::new(links.query([]).map_err(ExportError::Spool)?)?;
    let (mut in_request, mut begun) = (0, 0);
    let spans = source.spans(Columns::All, |span| {
        if in_request == 0 {
            otlp.begin_request(&mut out.buffer);
            begun = out.buffer.len();
        } else {
            out.buffer.push(b',');
        }
        otlp.span(span, &mut out.buffer);
        events.write(span.id, "events", &mut out.buffer)?;
        links.write(span.id, "links", &mut out.buffer)?;
        out.buffer.push(b'}');
        in_request += 1;
        if in_request == SPANS_MAX || out.buffer.len() - begun > BYTES_MAX {
            out.buffer.extend_from_slice(END_OF_REQUEST);
            in_request = 0;
            out.pass()?;
        }
        Ok(())
    })?;
    if in_request > 0 {
        out.buffer.extend_from_slice(END_OF_REQUEST);
    }
    Ok(Written { spans, events: events.written, links: links.written, ..Written::default() })
}

const END_OF_REQUEST: &[u8] = b"]}]}]}\n";

/// What all spans have in common.
struct Otlp {
    /// The first half of each trace's id.
    run: u64,
    started_unix_ns: i64,
    last_ns: i64,
    /// The request up to its first span.
    head: Vec<u8>,
}

impl Otlp {
    fn new(source: &Source<'_>) -> Self {
        let info = &source.run.info;
        let digits = info.uuid.get(..16).unwrap_or_default();
        // A uuid is 32 digits; of anything else the FNV-1a hash.
        let run = u64::from_str_radix(digits, 16).unwrap_or_else(|_| {
            let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            info.uuid.bytes().fold(0xcbf2_9ce4_8422_2325, fold)
        });
        let mut head = b"{\"resourceSpans\":[{\"resource\":{\"attributes\":[".to_vec();
        let name = std::path::Path::new(&info.program).file_name();
        let name = name.map_or(info.program.as_str().into(), |name| name.to_string_lossy());
        let mut attributes = Attributes::new(&mut head);
        attributes.text("service.name", &name);
        attributes.text("service.instance.id", &info.uuid);
        attributes.text("host.name", &info.host);
        attributes.text("os.description", &info.os);
        attributes.integer("process.pid", info.pid.into());
        attributes.text("process.executable.path", &info.program);
        if let Some(label) = &info.label {
            attributes.text("spandrel.run.label", label);
        }
        attributes.integer("spandrel.run.dropped_spans", source.run.dropped_spans as i64);
        head.extend_from_slice(
            b"]},\"scopeSpans\":[{\"scope\":{\"name\":\"spandrel\",\"version\":",
        );
        json(&mut head, env!("CARGO_PKG_VERSION"));
        head.extend_from_slice(b"},\"spans\":[");
        let started_unix_ns = info.started_unix_ns;
        Self { run, started_unix_ns, last_ns: source.run.last_ns, head }
    }

    fn begin_request(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
    }

    fn trace_id(&self, out: &mut Vec<u8>, root_id: u64) {
        key(out, "traceId");
        out.push(b'"');
        hex(out, self.run, 16);
        hex(out, root_id, 16);
        out.push(b'"');
    }

    fn unix(&self, out: &mut Vec<u8>, name: &str, at_ns: i64) {
        let unix_ns = i128::from(self.started_unix_ns) + i128::from(at_ns);
        key(out, name);
        out.push(b'"');
        unsigned(out, u64::try_from(unix_ns.max(0)).unwrap_or(u64::MAX));
        out.push(b'"');
    }

    /// All of a span but its events and links, and the brace at its end.
    fn span(&self, span: &SpanRef<'_>, out: &mut Vec<u8>) {
        let at = out.len();
        self.trace_id(out, span.root_id);
        if let Some(comma) = out.get_mut(at) {
            *comma = b'{';
        }
        span_id(out, "spanId", span.id);
        if let Some(parent) = span.parent_id {
            span_id(out, "parentSpanId", parent);
        }
        key(out, "name");
        json(out, &span.callsite.name);
        let end_ns = span.end_ns().unwrap_or(self.last_ns).max(span.start_ns);
        self.unix(out, "startTimeUnixNano", span.start_ns);
        self.unix(out, "endTimeUnixNano", end_ns);
        key(out, "attributes");
        out.push(b'[');
        let kind = attributes(span, out);
        out.push(b']');
        key(out, "kind");
        out.push(b'0' + kind);
        match span.status {
            Status::Error => out.extend_from_slice(b",\"status\":{\"code\":2}"),
            Status::Panicked => {
                out.extend_from_slice(b",\"status\":{\"code\":2,\"message\":\"panicked\"}");
            }
            Status::Ok | Status::Unfinished => {}
        }
    }
}

fn span_id(out: &mut Vec<u8>, name: &str, id: u64) {
    key(out, name);
    out.push(b'"');
    hex(out, id, 16);
    out.push(b'"');
}

/// Events and links, put by until their spans come.
fn attachments(source: &mut Source<'_>, otlp: &Otlp) -> Result<Connection, ExportError> {
    let conn = temporary()?;
    for table in ["event", "link"] {
        conn.execute_batch(&format!(
            "CREATE TABLE {table} (span_id INTEGER NOT NULL, id INTEGER NOT NULL, json BLOB NOT NULL,
               PRIMARY KEY (span_id, id)) WITHOUT ROWID"
        ))
        .map_err(ExportError::Spool)?;
    }
    let insert = |table| {
        conn.prepare(&format!("INSERT INTO {table} (span_id, id, json) VALUES (?1, ?2, ?3)"))
            .map_err(ExportError::Spool)
    };
    let mut json_of = Vec::new();
    if source.run.events > 0 {
        let mut insert = insert("event")?;
        source.events(|event| {
            let Some(span_id) = event.span_id else { return Ok(()) };
            json_of.clear();
            json_of.extend_from_slice(b"{\"name\":");
            json(&mut json_of, &event.name());
            otlp.unix(&mut json_of, "timeUnixNano", event.at_ns);
            key(&mut json_of, "attributes");
            json_of.push(b'[');
            let mut attributes = Attributes::new(&mut json_of);
            attributes.of_callsite(&event.callsite);
            fields::each(event.fields.unwrap_or("{}"), &mut |name, value| {
                attributes.value(name, value);
            });
            json_of.extend_from_slice(b"]}");
            insert
                .execute(params![span_id as i64, event.id as i64, json_of])
                .map_err(ExportError::Spool)?;
            Ok(())
        })?;
    }
    if source.run.links > 0 {
        let (mut insert, mut number) = (insert("link")?, 0);
        source.links(|link| {
            let Some(root) = link.follows_root else { return Ok(()) };
            number += 1;
            json_of.clear();
            otlp.trace_id(&mut json_of, root);
            if let Some(comma) = json_of.first_mut() {
                *comma = b'{';
            }
            span_id(&mut json_of, "spanId", link.follows_id);
            json_of.push(b'}');
            insert
                .execute(params![link.span_id as i64, number, json_of])
                .map_err(ExportError::Spool)?;
            Ok(())
        })?;
    }
    Ok(conn)
}

/// Rows in the order of spans, beside a pass over the spans in the same order.
struct Cursor<'a> {
    rows: Rows<'a>,
    span_id: Option<u64>,
    json: Vec<u8>,
    written: u64,
}

impl<'a> Cursor<'a> {
    fn new(rows: Rows<'a>) -> Result<Self, ExportError> {
        let mut cursor = Self { rows, span_id: None, json: Vec::new(), written: 0 };
        cursor.step().map_err(ExportError::Spool)?;
        Ok(cursor)
    }

    fn step(&mut self) -> rusqlite::Result<()> {
        self.span_id = None;
        if let Some(row) = self.rows.next()? {
            self.span_id = Some(row.get::<_, i64>(0)? as u64);
            self.json.clear();
            self.json.extend_from_slice(row.get_ref(1)?.as_blob()?);
        }
        Ok(())
    }

    /// Writes a member with all rows of a span, if there are any.
    fn write(&mut self, span_id: u64, name: &str, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let mut is_first = true;
        while let Some(at) = self.span_id.filter(|at| *at <= span_id) {
            // What is of spans that are not stored is passed over.
            if at == span_id {
                if is_first {
                    text::key(out, name);
                }
                out.push(if is_first { b'[' } else { b',' });
                out.extend_from_slice(&self.json);
                is_first = false;
                self.written += 1;
            }
            self.step().map_err(ExportError::Spool)?;
        }
        if !is_first {
            out.push(b']');
        }
        Ok(())
    }
}
