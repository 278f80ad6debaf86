//! OpenTelemetry's OTLP: the requests that receivers of traces take.
//!
//! As a file, a line is an `ExportTraceServiceRequest` as JSON: what the collector's `otlpjsonfile` receiver
//! reads, and the body of a POST to `/v1/traces`
//! (<https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>). Whoever sends gets the same
//! requests one by one, as JSON or as protocol buffers.
//!
//! * A request has at most a thousand spans and a million bytes, whatever the profile holds. What of a span
//!   has no room beside its other parts is left out, and counted as OTLP counts it: `droppedEventsCount`
//!   and its like.
//! * The id of a span is its own: `000000000000001f` is `s31`. Those of traces are in `ids`. The same
//!   profile exported twice has the same ids. Where it is known by which ids other systems know a trace, a
//!   span or its parent, those are used; such a span, and one whose parent is in another trace, says which one
//!   of the profile it is: `spandrel.id`, `spandrel.parent_id`.
//! * Events are events of their span; those that say what failed are exceptions. An event outside of spans
//!   has no place in a trace and is left out.
//! * Links go to spans that are stored, even if those are not exported.
//! * An unfinished span ends with the run, and has the attribute `spandrel.unfinished`; `spandrel.status` of one that
//!   was open when its process died is `crashed`.

mod attached;
mod attributes;
mod event;
mod ids;
mod json;
mod protobuf;
mod span;
mod wire;

use std::path::Path;

use super::error::ExportError;
use super::out::Out;
use super::source::Source;
use super::{Settings, Written};
use spandrel_query::{Columns, SpanRef};

use self::attached::{Attached, Cursor, SpanAttachments};
use self::attributes::Attributes;
use self::ids::TraceIds;
use self::json::Json;
use self::protobuf::Protobuf;
use self::span::describe;
use self::wire::{SpanParts, Status, WireFormat, list};

/// Spans of one request at most.
const SPANS_MAX: usize = 1000;

/// Bytes of one request at most: less than a mebibyte, which is what the `otlpjsonfile` receiver takes for a
/// line (`max_log_size`) and some servers for a body.
const BYTES_MAX: usize = 1_000_000;

/// Bytes of a request about its resource at most.
const RESOURCE_BYTES_MAX: usize = 200_000;

/// Bytes of a request that are neither of its resource nor of its spans, at most.
const HEAD_BYTES_MAX: usize = 1000;

/// Bytes of a span that are neither attributes, events nor links, at most: its name, and why it failed, as JSON
/// at its longest.
const OVERHEAD_BYTES: usize = 120_000;

/// How requests are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtlpEncoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// A request for `/v1/traces`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpRequest {
    /// The body.
    pub body: Vec<u8>,
    /// The id of its first span.
    pub first_span: u64,
    /// Its spans.
    pub spans: u64,
    /// Events of its spans.
    pub events: u64,
    /// Links of its spans.
    pub links: u64,
}

/// Takes requests.
type Each<'e> = &'e mut dyn FnMut(OtlpRequest) -> Result<(), ExportError>;

/// Hands on the spans of `source`, and what belongs to them, as requests in the order of ids.
///
/// # Errors
///
/// When the profile cannot be read, `each` fails, or the export is stopped.
///
/// # Blocking
///
/// Reads all spans of the run, some two seconds for a million. A read transaction is open while `each`
/// runs: it must not wait for others.
pub fn otlp_requests(
    source: &mut Source<'_>,
    settings: &Settings,
    encoding: OtlpEncoding,
    each: &mut dyn FnMut(OtlpRequest) -> Result<(), ExportError>,
) -> Result<Written, ExportError> {
    let mut bytes = 0;
    let mut each = |request: OtlpRequest| {
        bytes += request.body.len() as u64;
        each(request)
    };
    let mut written = match encoding {
        OtlpEncoding::Protobuf => requests::<Protobuf>(source, settings, &mut each),
        OtlpEncoding::Json => requests::<Json>(source, settings, &mut each),
    }?;
    written.bytes = bytes;
    written.left_out = source.left_out(&written)?;
    Ok(written)
}

/// A line of JSON for each request.
pub(super) fn write(
    source: &mut Source<'_>,
    settings: &Settings,
    out: &mut Out<'_>,
) -> Result<Written, ExportError> {
    requests::<Json>(source, settings, &mut |request| {
        out.buffer.extend_from_slice(&request.body);
        out.buffer.push(b'\n');
        Ok(out.flush_if_large()?)
    })
}

fn requests<W: WireFormat>(
    source: &mut Source<'_>,
    settings: &Settings,
    each: Each<'_>,
) -> Result<Written, ExportError> {
    let otlp = Otlp::new::<W>(source, settings);
    source.choose()?;
    let attached = Attached::<W>::collect(source, &otlp)?;
    let (mut events, mut links) = (attached.rows("event")?, attached.rows("link")?);
    let (mut events, mut links) = (Cursor::new(&mut events)?, Cursor::new(&mut links)?);
    let mut request = RequestBuilder::default();
    let mut written = Written::default();
    let (mut bytes, mut attributes) = (Vec::new(), Vec::new());
    written.spans = source.spans(Columns::All, |span| {
        bytes.clear();
        let rest = otlp.spans_bytes_max - OVERHEAD_BYTES;
        let described = describe::<W>(span, rest / 2, &mut attributes);
        let rest = rest - attributes.len();
        let links = links.take(span.id, rest / 4)?;
        let events = events.take(span.id, rest - links.bytes)?;
        otlp.span::<W>(span, &described, &attributes, &events, &links, &mut bytes);
        if request.counts.spans as usize == SPANS_MAX
            || request.spans.len() + bytes.len() > otlp.spans_bytes_max
        {
            request.flush::<W>(&otlp, each)?;
        }
        let (events, links) = (events.bodies.len() as u64, links.bodies.len() as u64);
        (written.events, written.links) = (written.events + events, written.links + links);
        request.add::<W>(span.id, &bytes, (events, links));
        Ok(())
    })?;
    request.flush::<W>(&otlp, each)?;
    Ok(written)
}

/// Collects spans into a request.
#[derive(Default)]
struct RequestBuilder {
    spans: Vec<u8>,
    counts: OtlpRequest,
}

impl RequestBuilder {
    fn add<W: WireFormat>(&mut self, id: u64, span: &[u8], (events, links): (u64, u64)) {
        if self.spans.is_empty() {
            self.counts.first_span = id;
        } else {
            self.spans.extend_from_slice(W::SEPARATOR);
        }
        self.spans.extend_from_slice(span);
        self.counts.spans += 1;
        self.counts.events += events;
        self.counts.links += links;
    }

    /// Hands on the request if it is not empty, and begins the next one.
    fn flush<W: WireFormat>(&mut self, otlp: &Otlp, each: Each<'_>) -> Result<(), ExportError> {
        let mut request = std::mem::take(&mut self.counts);
        if request.spans > 0 {
            request.body.reserve(self.spans.len() + otlp.resource.len() + 1000);
            W::request(&mut request.body, &otlp.resource, &self.spans);
            self.spans.clear();
            each(request)?;
        }
        Ok(())
    }
}

/// What all spans have in common.
struct Otlp {
    ids: TraceIds,
    started_unix_ns: i64,
    last_ns: i64,
    /// The attributes of the resource, as they are written.
    resource: Vec<u8>,
    /// Bytes of the spans of a request at most.
    spans_bytes_max: usize,
}

impl Otlp {
    fn new<W: WireFormat>(source: &Source<'_>, settings: &Settings) -> Self {
        let info = &source.run.info;
        let mut resource = Vec::new();
        let mut attributes =
            Attributes::<W>::new(&mut resource, list::OF_RESOURCE, RESOURCE_BYTES_MAX);
        match &settings.service_name {
            Some(name) => attributes.text("service.name", name),
            None => attributes.text("service.name", &program(&info.program)),
        }
        attributes.text("service.instance.id", &info.uuid);
        attributes.text("host.name", &info.host);
        attributes.text("os.description", &info.os);
        attributes.integer("process.pid", info.pid.into());
        attributes.text("process.executable.path", &info.program);
        if let Some(label) = &info.label {
            attributes.text("spandrel.run.label", label);
        }
        for (name, lost) in [
            ("spandrel.run.dropped_spans", source.run.dropped_spans),
            ("spandrel.run.dropped_events", source.run.dropped_events),
            ("spandrel.run.dropped_entries", source.run.dropped_entries),
            ("spandrel.run.pruned_spans", source.run.pruned_spans),
        ] {
            attributes.integer(name, i64::try_from(lost).unwrap_or(i64::MAX));
        }
        Self {
            ids: TraceIds::new(&info.uuid),
            started_unix_ns: info.started_unix_ns,
            last_ns: source.run.last_ns,
            spans_bytes_max: BYTES_MAX - HEAD_BYTES_MAX - resource.len(),
            resource,
        }
    }

    fn unix(&self, at_ns: i64) -> u64 {
        let unix_ns = i128::from(self.started_unix_ns) + i128::from(at_ns);
        u64::try_from(unix_ns.max(0)).unwrap_or(u64::MAX)
    }

    fn span<W: WireFormat>(
        &self,
        span: &SpanRef<'_>,
        described: &span::Described<'_>,
        attributes: &[u8],
        events: &SpanAttachments,
        links: &SpanAttachments,
        out: &mut Vec<u8>,
    ) {
        let end_ns = span.end_ns().unwrap_or(self.last_ns).max(span.start_ns);
        let message = described.description.as_deref().or(events.exception.as_deref());
        let message = attributes::shortened(message.filter(|_| described.code > 1).unwrap_or(""));
        let parts = SpanParts {
            ids: self.ids.of_span(span.root_id, span.id, span.context.as_ref()),
            parent: TraceIds::parent(span),
            name: &described.name,
            kind: described.kind,
            start_unix_ns: self.unix(span.start_ns),
            end_unix_ns: self.unix(end_ns),
            attributes,
            dropped_attributes: described.dropped_attributes,
            events: &events.bodies,
            dropped_events: events.dropped,
            links: &links.bodies,
            dropped_links: links.dropped,
            status: Status { code: described.code, message: &message },
        };
        W::span(out, &parts);
    }
}

/// The name of a program without its folder; without one what OpenTelemetry calls such a service.
fn program(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(|| "unknown_service".to_owned(), |name| name.to_string_lossy().into_owned())
}
