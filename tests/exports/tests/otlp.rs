//! OTLP: the types that OpenTelemetry publishes parse every line, and hold what was stored.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use spandrel_storage::export::Format;
use spandrel_tests_exports::profile::{STARTED_UNIX_NS, id};
use spandrel_tests_exports::{Given, Made, SpanSpec, forests};

fn requests(bytes: &[u8]) -> Vec<ExportTraceServiceRequest> {
    // A string that no Unicode text can be is refused, rightly.
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn spans(bytes: &[u8]) -> Vec<Span> {
    let resources = requests(bytes).into_iter().flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    let Some(AnyValue { value: Some(value) }) = &found.value else { panic!("{key} has no value") };
    Some(value)
}

fn trace_id(root: u64) -> Vec<u8> {
    [0x0011_2233_4455_6677_u64.to_be_bytes(), root.to_be_bytes()].concat()
}

fn unix(at_ns: i64) -> u64 {
    u64::try_from((i128::from(STARTED_UNIX_NS) + i128::from(at_ns)).max(0)).unwrap_or(u64::MAX)
}

fn check(made: &Made) {
    let given = &made.given;
    let (bytes, written) = made.export(Format::OtlpJson);
    let spans = spans(&bytes);
    assert_eq!((spans.len(), written.spans), (given.spans.len(), given.spans.len() as u64));
    let mut seen = HashSet::new();
    for (at, span) in spans.iter().enumerate() {
        let stored = &given.spans[at];
        assert!(seen.insert(span.span_id.clone()));
        assert_eq!(span.span_id, id(at).to_be_bytes());
        assert_eq!(span.trace_id, trace_id(given.root_id(at)));
        let parent = given.parent_id(at).map(|id| id.to_be_bytes().to_vec());
        assert_eq!(span.parent_span_id, parent.unwrap_or_default());
        assert_eq!(span.name, made.name(at));
        assert_eq!(span.start_time_unix_nano, unix(stored.start_ns));
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        if let Some(duration) = stored.duration_ns {
            let end = unix(stored.start_ns.saturating_add(duration));
            assert_eq!(span.end_time_unix_nano, end);
        } else {
            let unfinished = attribute(&span.attributes, "spandrel.unfinished");
            assert_eq!(unfinished, Some(&Value::BoolValue(true)));
        }
        let status = span.status.as_ref().map_or(0, |status| status.code);
        assert_eq!(status == 2, ["error", "panicked"].contains(&given.status(at).as_str()));
        let of_span = |span: &Option<usize>| *span == Some(at);
        let events = given.events.iter().filter(|event| of_span(&event.0)).count();
        assert_eq!(span.events.len(), events);
        let links = given.links.iter().filter(|(span, _)| *span == at);
        let mut expected: Vec<_> = links
            .map(|(_, to)| (trace_id(given.root_id(*to)), id(*to).to_be_bytes().to_vec()))
            .collect();
        let mut links: Vec<_> =
            span.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect();
        expected.sort();
        links.sort();
        assert_eq!(links, expected);
        if stored.fields.as_deref().is_some_and(|fields| fields.contains("\"number\"")) {
            let fields: serde_json::Value =
                serde_json::from_str(stored.fields.as_deref().unwrap()).unwrap();
            let get = |key| attribute(&span.attributes, key).unwrap();
            assert_eq!(get("number"), &Value::IntValue(fields["number"].as_i64().unwrap()));
            assert_eq!(get("flag"), &Value::BoolValue(fields["flag"].as_bool().unwrap()));
            let text = fields["text"].as_str().unwrap().to_owned();
            assert_eq!(get("text"), &Value::StringValue(text));
            assert_eq!(get("float"), &Value::DoubleValue(0.5));
            assert_eq!(get("large"), &Value::StringValue(u64::MAX.to_string()));
            assert_eq!(get("k\"e\ny"), &Value::StringValue("v".into()));
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

#[test]
fn requests_are_small_and_say_where_they_are_from() {
    let spans = vec![SpanSpec { duration_ns: Some(1), ..SpanSpec::default() }; 2500];
    let made =
        Given { spans, names: vec!["n".into()], threads: vec![None], ..Given::default() }.make();
    let (bytes, _) = made.export(Format::OtlpJson);
    let requests = requests(&bytes);
    let counts: Vec<usize> = requests
        .iter()
        .map(|request| request.resource_spans[0].scope_spans[0].spans.len())
        .collect();
    assert_eq!(counts, [1000, 1000, 500]);
    for request in requests {
        let resource = request.resource_spans[0].resource.as_ref().unwrap();
        let name = attribute(&resource.attributes, "service.name");
        assert_eq!(name, Some(&Value::StringValue("shop".into())));
    }
}
