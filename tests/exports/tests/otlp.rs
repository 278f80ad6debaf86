//! OTLP: the types that OpenTelemetry publishes parse every request, as JSON and as protocol buffers, and
//! hold what was stored.

use std::collections::{BTreeMap, HashMap, HashSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use proptest::prelude::*;
use prost::Message;
use spandrel_export::{Format, OtlpEncoding, Settings, Source, Written, export, otlp_requests};
use spandrel_query::{Reader, Run};
use spandrel_tests_exports::nasty::{Event, Row, nasty};
use spandrel_tests_exports::profile::{STARTED_UNIX_NS, id};
use spandrel_tests_exports::{Given, Made, SpanSpec, forests};

/// What a receiver is known to take: a line of the collector's `otlpjsonfile` receiver.
const LINE_BYTES_MAX: usize = 1024 * 1024;

type Requests = Vec<ExportTraceServiceRequest>;

/// The requests in both encodings, which say the same, and what was said of them.
fn requests(reader: &Reader, run: &Run, settings: &Settings) -> (Requests, Written) {
    let mut file = Vec::new();
    let mut source = Source::new(reader, run);
    let as_file = export(&mut source, settings, &mut file).unwrap();
    // A string that no Unicode text can be is refused, rightly.
    let lines: Vec<&str> = std::str::from_utf8(&file).unwrap().lines().collect();
    assert!(lines.iter().all(|line| line.len() < LINE_BYTES_MAX));
    let of_file: Requests = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut both = Vec::new();
    for encoding in [OtlpEncoding::Json, OtlpEncoding::Protobuf] {
        let (mut sent, mut counted) = (Vec::new(), (0, 0, 0));
        let mut source = Source::new(reader, run);
        let written = otlp_requests(&mut source, settings, encoding, &mut |request| {
            assert!(request.body.len() < LINE_BYTES_MAX);
            let decoded: ExportTraceServiceRequest = match encoding {
                OtlpEncoding::Json => serde_json::from_slice(&request.body).unwrap(),
                _ => ExportTraceServiceRequest::decode(&request.body[..]).unwrap(),
            };
            let spans = &decoded.resource_spans[0].scope_spans[0].spans;
            assert_eq!(spans[0].span_id, request.first_span.to_be_bytes());
            counted.0 += request.spans;
            counted.1 += request.events;
            counted.2 += request.links;
            sent.push(decoded);
            Ok(())
        })
        .unwrap();
        assert_eq!(counted, (written.spans, written.events, written.links));
        both.push((sent, written));
    }
    assert!(both[0].0 == of_file && both[0].1.left_out == as_file.left_out);
    let [json, protobuf] = [&both[0].0, &both[1].0].map(|requests| spans(requests.clone()));
    // How much fits into a request depends on the encoding.
    let is_cut = |span: &Span| {
        span.dropped_events_count + span.dropped_links_count + span.dropped_attributes_count > 0
    };
    for (json, protobuf) in json.iter().zip(&protobuf).filter(|(json, _)| !is_cut(json)) {
        assert_eq!(json, protobuf);
    }
    assert_eq!(json.len(), protobuf.len());
    both.remove(1)
}

fn spans(requests: Requests) -> Vec<Span> {
    let resources = requests.into_iter().flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

/// As a map; each key may be there once.
fn by_key(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let mut map = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        let Some(AnyValue { value: Some(value) }) = value.clone() else {
            panic!("{key} has no value")
        };
        assert!(map.insert(key.clone(), value).is_none(), "{key} is there twice");
    }
    map
}

fn text(text: impl Into<String>) -> Value {
    Value::StringValue(text.into())
}

fn unix(at_ns: i64) -> u64 {
    u64::try_from((i128::from(STARTED_UNIX_NS) + i128::from(at_ns)).max(0)).unwrap_or(u64::MAX)
}

fn check(made: &Made) {
    let given = &made.given;
    let settings = Settings::new(Format::OtlpJson);
    let (requests, written) = requests(&made.reader(), &made.run, &settings);
    let spans = spans(requests);
    assert_eq!((spans.len(), written.spans), (given.spans.len(), given.spans.len() as u64));
    let mut seen = HashSet::new();
    let mut traces = HashMap::new();
    for (at, span) in spans.iter().enumerate() {
        let trace = traces.entry(given.root_id(at)).or_insert(span.trace_id.clone());
        assert_eq!((&span.trace_id, span.trace_id.len()), (&*trace, 16), "one id a trace");
    }
    assert_eq!(traces.values().collect::<HashSet<_>>().len(), traces.len());
    for (at, span) in spans.iter().enumerate() {
        let stored = &given.spans[at];
        assert!(seen.insert(span.span_id.clone()));
        assert_eq!(span.span_id, id(at).to_be_bytes());
        let parent = given.parent_id(at).map(|id| id.to_be_bytes().to_vec());
        assert_eq!(span.parent_span_id, parent.unwrap_or_default());
        assert_eq!(span.name, made.name(at));
        assert_eq!(span.start_time_unix_nano, unix(stored.start_ns));
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        let attributes = by_key(&span.attributes);
        if let Some(duration) = stored.duration_ns {
            let end = unix(stored.start_ns.saturating_add(duration));
            assert_eq!(span.end_time_unix_nano, end);
        } else {
            assert_eq!(attributes.get("spandrel.unfinished"), Some(&Value::BoolValue(true)));
        }
        let status = span.status.as_ref().map_or(0, |status| status.code);
        assert_eq!(status == 2, ["error", "panicked"].contains(&given.status(at).as_str()));
        let of_span = |span: &Option<usize>| *span == Some(at);
        let events = given.events.iter().filter(|event| of_span(&event.0)).count();
        assert_eq!(span.events.len(), events);
        let links = given.links.iter().filter(|(span, _)| *span == at);
        let mut expected: Vec<_> = links
            .map(|(_, to)| (traces[&given.root_id(*to)].clone(), id(*to).to_be_bytes().to_vec()))
            .collect();
        let mut links: Vec<_> =
            span.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect();
        expected.sort();
        links.sort();
        assert_eq!(links, expected);
        if stored.fields.as_deref().is_some_and(|fields| fields.contains("\"number\"")) {
            let fields: serde_json::Value =
                serde_json::from_str(stored.fields.as_deref().unwrap()).unwrap();
            let get = |key| &attributes[key];
            assert_eq!(get("number"), &Value::IntValue(fields["number"].as_i64().unwrap()));
            assert_eq!(get("flag"), &Value::BoolValue(fields["flag"].as_bool().unwrap()));
            assert_eq!(get("text"), &text(fields["text"].as_str().unwrap()));
            assert_eq!(get("float"), &Value::DoubleValue(0.5));
            assert_eq!(get("large"), &text(u64::MAX.to_string()));
            assert_eq!(get("k\"e\ny"), &text("v"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_published_types_hold_what_was_stored(given in forests()) {
        check(&given.make());
    }
}

/// What a field of the program is as an attribute.
fn attribute(name: &str, json: &serde_json::Value, raw: &str) -> Value {
    match json {
        serde_json::Value::String(value) => text(value),
        serde_json::Value::Bool(value) => Value::BoolValue(*value),
        serde_json::Value::Number(value) if value.is_i64() => {
            Value::IntValue(value.as_i64().unwrap())
        }
        serde_json::Value::Number(value) if value.is_u64() => text(value.to_string()),
        serde_json::Value::Number(value) => {
            // More digits than a number of 64 bits has stay a text.
            let rest = raw.split_once(&format!("\"{name}\":")).unwrap().1;
            let digits = rest.split([',', '}']).next().unwrap();
            let is_float = digits.contains(['.', 'e']);
            if is_float { Value::DoubleValue(value.as_f64().unwrap()) } else { text(digits) }
        }
        other => text(other.to_string()),
    }
}

/// The attributes that a span or an event must have for its fields.
fn of_fields(fields: Option<&str>, taken: &[&str]) -> BTreeMap<String, Value> {
    let raw = fields.unwrap_or("{}");
    let Ok(object) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(raw) else {
        return BTreeMap::from([("fields".to_owned(), text(raw))]);
    };
    let named = |name: &str| {
        if name.starts_with("spandrel.") { format!("field.{name}") } else { name.to_owned() }
    };
    object
        .iter()
        .filter(|(name, _)| !taken.contains(&name.as_str()))
        .map(|(name, value)| (named(name), attribute(name, value, raw)))
        .collect()
}

/// What spandrel says of a span, under names that nothing of the program has.
fn ours(row: &Row, theirs: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let integer = |value: Option<i64>| value.map(Value::IntValue);
    let idle = row.duration_ns.zip(row.busy_ns).map(|(duration, busy)| duration - busy);
    let own = [
        ("spandrel.level", Some(text(&row.level))),
        ("spandrel.target", Some(text(&row.target))),
        ("spandrel.status", Some(text(&row.status))),
        ("spandrel.busy_ns", integer(row.busy_ns)),
        ("spandrel.idle_ns", integer(idle)),
        ("spandrel.self_ns", integer(row.self_ns)),
        ("spandrel.entries", Some(Value::IntValue(row.entries))),
        ("spandrel.made_on", row.made_on.as_ref().map(text)),
        ("spandrel.first_entry_ns", integer(row.first_entry_ns)),
        ("spandrel.longest_entry_ns", integer(row.longest_entry_ns)),
        ("spandrel.last_exit_ns", integer(row.last_exit_ns)),
        ("spandrel.unfinished", row.duration_ns.is_none().then_some(Value::BoolValue(true))),
    ];
    let conventional = [
        ("code.file.path", row.file.as_ref().map(text)),
        ("code.line.number", integer(row.line)),
        ("thread.id", Some(Value::IntValue(row.thread_os_id))),
        ("thread.name", row.thread_name.as_ref().map(text)),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let conventional = conventional.into_iter().map(|(name, value)| match theirs.get(name) {
        Some(_) => (format!("spandrel.{name}"), value),
        None => (name.to_owned(), value),
    });
    own.chain(conventional).filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What OTLP says of a span, and why, beside its attributes; from the program's own fields.
struct Told {
    name: &'static str,
    kind: i32,
    status: (i32, &'static str),
    taken: &'static [&'static str],
    dropped: u32,
}

fn told(row: &Row) -> Told {
    let internal = Told { name: "", kind: 1, status: (0, ""), taken: &[], dropped: 0 };
    match row.id {
        10 => Told {
            name: "GET /cart/{id}",
            kind: 2,
            status: (1, ""),
            taken: &["otel.name", "otel.kind", "otel.status_code"],
            ..internal
        },
        // What its exception says.
        12 => Told { status: (2, "no route: refused"), ..internal },
        15 => Told { status: (2, "panicked"), ..internal },
        16 => Told {
            status: (2, "out of\u{0}stock"),
            taken: &["otel.status_description"],
            ..internal
        },
        17 => Told { dropped: 1, ..internal },
        31 => Told { status: (2, "it took too long"), ..internal },
        _ => internal,
    }
}

#[test]
fn a_nasty_profile_is_what_the_database_says_span_by_span() {
    let profile = nasty();
    let settings = Settings::new(Format::OtlpJson).service_name(Some("cart".into()));
    let (requests, written) = requests(&profile.reader(), &profile.run, &settings);
    let resource = by_key(&requests[0].resource_spans[0].resource.as_ref().unwrap().attributes);
    assert_eq!(resource["service.name"], text("cart"));
    let (rows, spans) = (profile.rows(), spans(requests));
    assert_eq!(spans.len(), rows.len());
    assert_eq!((written.left_out.spans, written.left_out.events), (0, 1), "the one in no span");
    let trace_of = |id: u64| {
        let at = rows.iter().position(|row| row.id == id)?;
        Some(spans[at].trace_id.clone())
    };
    for (row, span) in rows.iter().zip(&spans) {
        let told = told(row);
        assert_eq!(span.span_id, row.id.to_be_bytes());
        let name = if told.name.is_empty() { &row.name } else { told.name };
        assert_eq!((span.name.as_str(), span.kind), (name, told.kind), "s{}", row.id);
        let parent = row.parent_id.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default();
        assert_eq!(span.parent_span_id, parent);
        assert_eq!(Some(&span.trace_id), trace_of(row.root_id).as_ref().or(Some(&span.trace_id)));
        let end_ns = row.duration_ns.map_or(profile.run.last_ns, |ns| row.start_ns + ns);
        let times = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert_eq!(times, (unix(row.start_ns), unix(end_ns)));
        let status = span.status.clone().unwrap_or_default();
        assert_eq!((status.code, status.message.as_str()), told.status, "s{}", row.id);
        let mut expected = of_fields(row.fields.as_deref(), told.taken);
        expected.extend(ours(row, &expected));
        if !told.name.is_empty() {
            expected.insert("spandrel.name".into(), text(&row.name));
        }
        assert_eq!(by_key(&span.attributes), expected, "s{}", row.id);
        assert_eq!(span.dropped_attributes_count, told.dropped, "s{}", row.id);
        let links: Vec<u64> = span
            .links
            .iter()
            .map(|l| u64::from_be_bytes(l.span_id[..].try_into().unwrap()))
            .collect();
        let of_span = profile.links().into_iter().filter(|(id, to)| *id == row.id && *to != 5);
        assert_eq!(links, of_span.map(|(_, to)| to).collect::<Vec<_>>(), "s{}", row.id);
        for (link, to) in span.links.iter().zip(&links) {
            assert_eq!(Some(&link.trace_id), trace_of(*to).as_ref());
        }
        let events: Vec<Event> =
            profile.events().into_iter().filter(|event| event.span_id == row.id).collect();
        assert_eq!(span.events.len(), events.len(), "s{}", row.id);
        span.events.iter().zip(&events).for_each(|(event, stored)| check_event(event, stored));
    }
}

fn check_event(event: &span::Event, stored: &Event) {
    assert_eq!(event.time_unix_nano, unix(stored.at_ns));
    let fields = stored.fields.as_deref();
    let (name, expected) = match stored.id {
        100 => ("a\u{0}note", of_fields(fields, &[])),
        101 => {
            ("exception", BTreeMap::from([("exception.message".into(), text("no route: refused"))]))
        }
        102 => {
            let mut expected = of_fields(fields, &[]);
            expected.insert("exception.message".into(), text("it took too long"));
            expected.insert("message".into(), text("it took too long"));
            ("exception", expected)
        }
        103 => {
            let mut expected = of_fields(fields, &["err"]);
            expected.insert("exception.message".into(), text("lost"));
            expected.insert("spandrel.message".into(), text("gone"));
            expected.insert("spandrel.name".into(), text("cart.lost"));
            ("exception", expected)
        }
        104 => ("no field says what", of_fields(fields, &[])),
        105 => ("not so bad", of_fields(fields, &[])),
        other => panic!("event {other}"),
    };
    assert_eq!(event.name, name);
    let attributes = by_key(&event.attributes);
    for (key, value) in &expected {
        assert_eq!(attributes.get(key), Some(value), "{key} of event {}", stored.id);
    }
    assert_eq!(attributes["spandrel.level"], text(&stored.level));
    assert_eq!(attributes["spandrel.target"], text(&stored.target));
    // Level, target, file and line are ours.
    assert_eq!(attributes.len(), expected.len() + 4, "{attributes:?}");
}

#[test]
fn requests_are_small_and_say_where_they_are_from() {
    let spans = vec![SpanSpec { duration_ns: Some(1), ..SpanSpec::default() }; 2500];
    let made =
        Given { spans, names: vec!["n".into()], threads: vec![None], ..Given::default() }.make();
    let settings = Settings::new(Format::OtlpJson);
    let (requests, _) = requests(&made.reader(), &made.run, &settings);
    let counts: Vec<usize> = requests
        .iter()
        .map(|request| request.resource_spans[0].scope_spans[0].spans.len())
        .collect();
    assert_eq!(counts, [1000, 1000, 500]);
    for request in requests {
        let resource = request.resource_spans[0].resource.as_ref().unwrap();
        assert_eq!(by_key(&resource.attributes)["service.name"], text("shop"));
    }
}

#[test]
fn a_span_with_sixty_thousand_events_is_a_request_that_receivers_take() {
    let given = vec![SpanSpec { duration_ns: Some(1), ..SpanSpec::default() }; 3];
    let event = |at: i64| (Some(1), at, format!("event {at} {}", "\u{1}".repeat(100)));
    let events = (0..60_000).map(event).collect();
    let links = (0..30_000).map(|_| (1, 2)).collect();
    let names = vec!["n".into()];
    let threads = vec![None];
    let made = Given { spans: given, events, links, names, threads, ..Given::default() }.make();
    // The last one says what failed.
    let conn = rusqlite::Connection::open(&made.path).unwrap();
    conn.execute_batch(
        "INSERT INTO callsite SELECT 99, kind, name, target, 'ERROR', module, file, line
           FROM callsite WHERE kind = 'event';
         UPDATE event SET callsite_id = 99, fields = '{\"error\":\"the last word\"}'
           WHERE id = (SELECT max(id) FROM event);",
    )
    .unwrap();
    let settings = Settings::new(Format::OtlpJson);
    let (requests, written) = requests(&made.reader(), &made.run, &settings);
    let spans = spans(requests);
    let span = &spans[1];
    assert_eq!(span.events.len() as u32 + span.dropped_events_count, 60_000);
    assert_eq!(span.links.len() as u32 + span.dropped_links_count, 30_000);
    assert!(span.events.len() > 500 && span.links.len() > 500, "as many as fit");
    assert_eq!(span.events.last().unwrap().name, "exception");
    let first = &span.events[0];
    assert!(first.name.starts_with("event 0 "), "{}", first.name);
    let left_out = (written.left_out.events, written.left_out.links);
    assert_eq!((written.events + left_out.0, written.links + left_out.1), (60_000, 30_000));
}
