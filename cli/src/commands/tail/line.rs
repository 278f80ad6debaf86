//! Spans and events as lines.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use spandrel_query::{Event, Span, event_text};
use spandrel_storage::Status;

use crate::commands::fields;
use crate::failure::Failure;
use crate::output::{Cell, Format, Output, no_formula, text};

/// Members of a span, in order; an event has those that it can have.
const COLUMNS: [&str; 20] = [
    "kind",
    "run",
    "id",
    "trace_id",
    "parent_id",
    "name",
    "target",
    "level",
    "thread",
    "start_unix_ns",
    "start_ns",
    "duration_ns",
    "busy_ns",
    "self_ns",
    "self_busy_ns",
    "entries",
    "status",
    "message",
    "fields",
    "open_ns",
];

/// How lines are written.
#[derive(Debug)]
pub(super) struct Lines {
    format: Format,
    zone: TimeZone,
    coloured: bool,
    ascii: bool,
    /// Whether no text is to be taken for a formula.
    spreadsheet: bool,
}

impl Lines {
    pub(super) fn new(output: &Output) -> Result<Self, Failure> {
        let format = output.format();
        match format {
            Format::Table | Format::Plain | Format::Csv | Format::Tsv | Format::Ndjson => {}
            _ => {
                let failure = Failure::usage("tail has no such format: it has no end");
                return Err(failure.hint("it has table, plain, csv, tsv and ndjson"));
            }
        }
        let zone = if output.utc { TimeZone::UTC } else { TimeZone::system() };
        Ok(Self {
            format,
            zone,
            coloured: output.is_coloured(),
            ascii: output.is_ascii(),
            spreadsheet: output.spreadsheet,
        })
    }

    pub(super) fn header(&self, out: &mut impl Write) -> io::Result<()> {
        match self.format {
            Format::Csv | Format::Tsv => self.separated(out, COLUMNS.map(String::from).iter()),
            _ => Ok(()),
        }
    }

    /// `end_ns`: up to when its run is known, for one that has no end.
    pub(super) fn span(
        &self,
        out: &mut impl Write,
        span: &Span,
        (started, end_ns): (i64, i64),
    ) -> io::Result<()> {
        let open_ns = match span.duration_ns {
            None => Some(end_ns.saturating_sub(span.start_ns)).filter(|ns| *ns > 0),
            Some(_) => None,
        };
        if !self.is_human_readable() {
            return self.record(out, span_members(span, started, open_ns));
        }
        let duration = span.duration_ns.map_or_else(|| span.status.as_str().into(), text::duration);
        let busy = span
            .busy_ns
            .map_or_else(String::new, |busy| format!("busy {}", text::duration_in_words(busy)));
        let fields = pairs(span.fields.as_deref());
        let status = match span.status {
            Status::Ok | Status::Unfinished | Status::Crashed => "",
            Status::Error => "  ERROR",
            Status::Panicked => "  PANICKED",
        };
        let open = open_ns.map_or_else(String::new, |ns| {
            format!("  open for at least {}", text::duration_in_words(ns))
        });
        let line = format!(
            "{}  {duration:>11}  {busy:<14}  {}{status}{open}  {fields}  t{}",
            self.time(started.saturating_add(span.start_ns)),
            text::clean(&span.callsite.name),
            span.root_id
        );
        self.human_line(out, &line, !status.is_empty())
    }

    pub(super) fn event(
        &self,
        out: &mut impl Write,
        event: &Event,
        started: i64,
    ) -> io::Result<()> {
        if !self.is_human_readable() {
            return self.record(out, event_members(event, started));
        }
        let span = event.span_id.map_or_else(String::new, |id| format!("  in s{id}"));
        // Fields follow; a name that the event was given comes before the message.
        let said = event_text(&event.callsite.name, event.message.as_deref(), None);
        let line = format!(
            "{}  {:>11}  {}  {}  {}{span}",
            self.time(started.saturating_add(event.at_ns)),
            text::clean(&event.callsite.level),
            text::clean(&event.callsite.target),
            text::clean(&said.unwrap_or_default()),
            pairs(event.fields.as_deref())
        );
        self.human_line(out, &line, *event.callsite.level == *"ERROR")
    }

    fn is_human_readable(&self) -> bool {
        matches!(self.format, Format::Table | Format::Plain)
    }

    fn human_line(&self, out: &mut impl Write, line: &str, is_bad: bool) -> io::Result<()> {
        let line = if self.ascii { text::ascii(line) } else { line.to_owned() };
        let style = anstyle::AnsiColor::Red.on_default();
        if self.coloured && is_bad {
            writeln!(out, "{style}{}{style:#}", line.trim_end())
        } else {
            writeln!(out, "{}", line.trim_end())
        }
    }

    fn record(&self, out: &mut impl Write, members: Map<String, Value>) -> io::Result<()> {
        if self.format == Format::Ndjson {
            return writeln!(out, "{}", Value::Object(members));
        }
        let fields = COLUMNS.map(|column| match members.get(column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if self.spreadsheet => no_formula(text),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        });
        self.separated(out, fields.iter())
    }

    fn separated<'f>(
        &self,
        out: &mut impl Write,
        fields: impl Iterator<Item = &'f String>,
    ) -> io::Result<()> {
        let by = if self.format == Format::Tsv { b'\t' } else { b',' };
        let mut writer = csv::WriterBuilder::new().delimiter(by).from_writer(Vec::new());
        writer.write_record(fields)?;
        let line = writer.into_inner().map_err(|error| error.into_error())?;
        out.write_all(&line)
    }

    fn time(&self, unix_ns: i64) -> String {
        Timestamp::from_nanosecond(unix_ns.into()).map_or_else(
            |_| unix_ns.to_string(),
            |moment| moment.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        )
    }
}

fn pairs(json: Option<&str>) -> String {
    let fields = fields::of(json);
    fields.map_or_else(String::new, |fields| Cell::Json(Value::Object(fields)).text())
}

fn span_members(span: &Span, started: i64, open_ns: Option<i64>) -> Map<String, Value> {
    let members = json!({
        "kind": "span", "run": span.run_id, "id": span.id, "trace_id": span.root_id,
        "parent_id": span.parent_id, "name": span.callsite.name, "target": &*span.callsite.target,
        "level": &*span.callsite.level, "thread": span.longest_thread.name,
        "start_unix_ns": started.saturating_add(span.start_ns), "start_ns": span.start_ns,
        "duration_ns": span.duration_ns, "busy_ns": span.busy_ns, "self_ns": span.self_ns,
        "self_busy_ns": span.self_busy_ns,
        "entries": span.entries, "status": span.status.as_str(), "fields": fields::value(span.fields.as_deref()),
        "open_ns": open_ns,
    });
    object(members)
}

fn event_members(event: &Event, started: i64) -> Map<String, Value> {
    let members = json!({
        "kind": "event", "run": event.run_id, "id": event.id, "parent_id": event.span_id,
        "name": event.callsite.name, "target": &*event.callsite.target,
        "level": &*event.callsite.level, "thread": event.thread.name,
        "start_unix_ns": started.saturating_add(event.at_ns), "start_ns": event.at_ns,
        "message": event.message, "fields": fields::value(event.fields.as_deref()),
    });
    object(members)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
