//! The Trace Event Format: what a viewer builds from it is what was stored. Perfetto's trace processor and
//! the Firefox profiler read it, too; Catapult, which made the format, is here as a model of its rules.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;
use spandrel_storage::export::Format;
use spandrel_tests_exports::profile::id;
use spandrel_tests_exports::{Given, Made, forests, node, profile};

/// A slice as Catapult builds it (`createNestableAsyncSlices_` of its importer of trace events).
#[derive(Debug)]
struct Slice {
    start: f64,
    end: Option<f64>,
    inside: Option<String>,
    args: Value,
}

/// Slices by their id: events of one category and id, sorted by time, are a stack; an end finds its
/// begin by name.
fn slices(events: &[Value]) -> HashMap<String, Slice> {
    let mut by_key: HashMap<String, Vec<&Value>> = HashMap::new();
    for event in events.iter().filter(|event| event["cat"] == "span") {
        by_key.entry(event["id"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    let mut slices = HashMap::new();
    for mut events in by_key.into_values() {
        let time = |event: &Value| event["ts"].as_f64().unwrap();
        events.sort_by(|a, b| time(a).total_cmp(&time(b)));
        let mut stack: Vec<(String, Value)> = Vec::new();
        for event in events {
            if event["ph"] == "e" {
                let at = stack.iter().rposition(|(_, name)| *name == event["name"]).unwrap();
                let open: Vec<_> = stack.drain(at..).collect();
                let slice: &mut Slice = slices.get_mut(&open[0].0).unwrap();
                slice.end = Some(time(event));
                continue;
            }
            assert_eq!(event["ph"], "b");
            let id = event["args"]["id"].as_str().unwrap().to_owned();
            let inside = stack.last().map(|(id, _)| id.clone());
            stack.push((id.clone(), event["name"].clone()));
            let slice =
                Slice { start: time(event), end: None, inside, args: event["args"].clone() };
            assert!(slices.insert(id, slice).is_none());
        }
    }
    slices
}

fn near(micros: f64, ns: i64) -> bool {
    let expected = ns as f64 / 1000.0;
    (micros - expected).abs() <= expected.abs() * 1e-12 + 1e-9
}

fn check(made: &Made) {
    let (bytes, written) = made.export(Format::Chrome);
    let text = String::from_utf8(bytes).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let events = file["traceEvents"].as_array().unwrap();
    let slices = slices(events);
    assert_eq!((slices.len(), written.spans as usize), (made.given.spans.len(), slices.len()));
    for (at, span) in made.given.spans.iter().enumerate() {
        let slice = &slices[&format!("s{}", id(at))];
        assert!(near(slice.start, span.start_ns), "{} {}", slice.start, span.start_ns);
        match (slice.end, span.duration_ns) {
            (Some(end), Some(ns)) => assert!(near(end, span.start_ns.saturating_add(ns))),
            (None, None) => {}
            other => panic!("{other:?}"),
        }
        let parent = made.given.parent_id(at).map(|id| format!("s{id}"));
        assert_eq!(slice.args["parent"], Value::from(parent.clone()));
        if let Some(outer) = &slice.inside {
            assert_eq!(Some(outer), parent.as_ref(), "what lies in a slice is its child");
        }
    }
    let phase = |phase: &str, category: &str| {
        let found = events.iter().filter(|event| event["ph"] == phase && event["cat"] == category);
        found.count()
    };
    let instants = events.iter().filter(|event| event["ph"] == "i" && event["s"] == "t").count();
    assert_eq!((instants, written.events as usize), (made.given.events.len(), instants));
    assert_eq!(written.links as usize, made.given.links.len());
    let arrows = |way| events.iter().filter(move |event| event[way] == true);
    let ends = |event: &Value| (event["bind_id"].clone(), event["args"].clone());
    assert!(arrows("flow_out").map(ends).eq(arrows("flow_in").map(ends)));
    assert_eq!(arrows("flow_out").count(), made.given.links.len());
    assert_eq!((phase("i", "mark"), phase("b", "mark"), phase("e", "mark")), (2, 1, 1));
    assert_eq!((phase("i", "loss"), phase("b", "loss")), (1, 1));
    assert_eq!(phase("C", "writer"), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn slices_are_the_spans(mut given in forests()) {
        // A viewer reads times as floating-point numbers, which cannot tell such neighbours.
        for span in &mut given.spans {
            span.start_ns = span.start_ns.clamp(-1_000_000_000_000, 1_000_000_000_000);
            span.duration_ns = span.duration_ns.map(|ns| ns.min(1_000_000_000_000));
        }
        check(&given.make());
    }
}

const ARROWS: &str =
    "SELECT extract_arg(o.arg_set_id, 'args.from'), extract_arg(i.arg_set_id, 'args.to')
    FROM flow JOIN slice AS o ON o.id = slice_out JOIN slice AS i ON i.id = slice_in
    WHERE extract_arg(o.arg_set_id, 'args.to') = extract_arg(i.arg_set_id, 'args.to')";

const SLICES: &str = "SELECT extract_arg(s.arg_set_id, 'args.id'), s.name, s.ts, s.dur,
      extract_arg(p.arg_set_id, 'args.id'), extract_arg(s.arg_set_id, 'args.parent')
    FROM slice AS s LEFT JOIN slice AS p ON p.id = s.parent_id
    WHERE s.category = 'span'";

/// What it did not understand.
const ERRORS: &str = "SELECT name, value FROM stats WHERE severity != 'info' AND value != 0";

fn check_with_trace_processor(made: &Made) {
    let file = made.folder.path().join("trace.json");
    std::fs::write(&file, made.export(Format::Chrome).0).unwrap();
    let Some(found) = node::ask_trace_processor(&file, &[ERRORS, SLICES, ARROWS]) else { return };
    assert_eq!(found[0], Vec::<Vec<Option<String>>>::new());
    let text = |value: &dyn ToString| Some(value.to_string());
    let spans: HashMap<_, _> = found[1].iter().map(|row| (row[0].clone(), row)).collect();
    assert_eq!((spans.len(), found[1].len()), (made.given.spans.len(), spans.len()));
    for (at, span) in made.given.spans.iter().enumerate() {
        let row = spans[&Some(format!("s{}", id(at)))];
        let name = Some(made.name(at)).filter(|name| !name.is_empty());
        assert_eq!(row[1].as_deref(), name.or(Some("[No name]")));
        assert_eq!(row[2..4], [text(&span.start_ns), text(&span.duration_ns.unwrap_or(-1))]);
        let parent = made.given.parent_id(at).map(|id| format!("s{id}"));
        assert_eq!(row[5], parent);
        assert!(row[4].is_none() || row[4] == parent);
    }
    let mut arrows = found[2].clone();
    let ids = |(to, from): &(usize, usize)| [from, to].map(|at| Some(format!("s{}", id(*at))));
    let mut expected: Vec<_> = made.given.links.iter().map(|link| ids(link).to_vec()).collect();
    arrows.sort();
    expected.sort();
    assert_eq!(arrows, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn trace_processor_finds_the_spans(mut given in forests()) {
        // It reads times as floating-point numbers, and takes what is before 0 for large.
        for span in &mut given.spans {
            span.start_ns = span.start_ns.clamp(0, 1_000_000_000_000);
            span.duration_ns = span.duration_ns.map(|ns| ns.min(1_000_000_000_000));
        }
        given.events.iter_mut().for_each(|event| event.1 = event.1.clamp(0, 1_000_000_000_000));
        // JSON says it, but trace processor ends its answers' texts there.
        given.names.iter_mut().for_each(|name| *name = name.replace('\0', ""));
        check_with_trace_processor(&given.make());
    }
}

#[test]
fn firefox_reads_it_too() {
    let Some(program) = node::file("@firefox-devtools/profiler-cli/dist/profiler-cli.js") else {
        return;
    };
    let span = |start_ns, duration_ns| profile::SpanSpec {
        start_ns,
        duration_ns: Some(duration_ns),
        ..profile::SpanSpec::default()
    };
    let spans = vec![span(0, 5_000_000), span(1_000_000, 2_000_000)];
    let made =
        Given { spans, names: profile::names(), threads: profile::threads(), ..Given::default() }
            .make();
    let file = made.folder.path().join("trace.json");
    std::fs::write(&file, made.export(Format::Chrome).0).unwrap();
    let home = made.folder.path();
    let loaded = node::load_into_firefox(&program, &file, home);
    let shown = node::run(&program, &["profile", "info"], home);
    node::run(&program, &["stop", "--all"], home);
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
}
