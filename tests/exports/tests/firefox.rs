//! The Firefox profiler: its own program loads the file and shows every marker.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use spandrel_export::{Format, Settings};
use spandrel_tests_exports::firefox::{self, Loaded};
use spandrel_tests_exports::profile::id;
use spandrel_tests_exports::{Made, SpanSpec, entangled, forests, profile, shown};

fn column<'a>(table: &'a Value, name: &str) -> &'a Vec<Value> {
    let column = table[name].as_array().unwrap();
    assert_eq!(column.len() as u64, table["length"].as_u64().unwrap(), "{name}");
    column
}

/// The call tree is that of the format for flame graphs.
fn check_call_tree(made: &Made, file: &Value) {
    let shared = &file["shared"];
    let strings = shared["stringArray"].as_array().unwrap();
    let at = |value: &Value| value.as_u64().unwrap() as usize;
    let (stacks, offsets) =
        (column(&shared["stackTable"], "frame"), column(&shared["stackTable"], "prefixOffset"));
    let func = |frame: &Value| &column(&shared["frameTable"], "func")[at(frame)];
    let name = |frame: &Value| {
        let name = &column(&shared["funcTable"], "name")[at(func(frame))];
        let name = strings[at(name)].as_str().unwrap();
        let name: String = name.chars().map(shown::in_folded).collect();
        if name.is_empty() { "(no name)".to_owned() } else { name }
    };
    let path = |stack: &Value| {
        let (mut names, mut stack) = (Vec::new(), at(stack));
        loop {
            names.insert(0, name(&stacks[stack]));
            match at(&offsets[stack]) {
                0 => return names.join(";"),
                offset => stack -= offset,
            }
        }
    };
    let samples = &file["threads"][0]["samples"];
    assert_eq!(samples["weightType"], "tracing-ms");
    let times = column(samples, "time").iter().map(|time| time.as_f64().unwrap());
    assert!(times.is_sorted(), "samples are sorted by time");
    let found: Vec<(String, f64)> = column(samples, "stack")
        .iter()
        .zip(column(samples, "weight"))
        .map(|(stack, weight)| (path(stack), weight.as_f64().unwrap()))
        .collect();
    let (folded, _) = made.export_as(&Settings::new(Format::Folded));
    let line = |line: &str| {
        let (path, ns) = line.rsplit_once(' ').unwrap();
        (path.to_owned(), ns.parse::<f64>().unwrap() / 1e6)
    };
    let expected: Vec<_> = String::from_utf8(folded).unwrap().lines().map(line).collect();
    assert_eq!(found.len(), expected.len());
    for ((path, ms), (expected, expected_ms)) in found.iter().zip(&expected) {
        assert_eq!(path, expected);
        assert!((ms - expected_ms).abs() <= expected_ms.abs() * 1e-12, "{ms} {expected_ms}");
    }
}

/// What of the links the format has room for.
fn links(made: &Made) -> BTreeMap<usize, Vec<usize>> {
    let mut links: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (later, earlier) in &made.given.links {
        links.entry(*later).or_default().push(*earlier);
    }
    links
}

/// What a marker says of flows, by the names of its fields.
fn flows(made: &Made, index: usize) -> BTreeMap<String, String> {
    let links = links(made);
    let mut flows = BTreeMap::new();
    if links.values().flatten().any(|earlier| *earlier == index) {
        flows.insert("flow".to_owned(), format!("s{}", id(index)));
    }
    for (at, earlier) in links.get(&index).into_iter().flatten().enumerate() {
        let key = if at == 0 { "follows".to_owned() } else { format!("follows{}", at + 1) };
        flows.insert(key, format!("s{}", id(*earlier)));
    }
    flows
}

fn check(made: &Made) {
    let (bytes, written) = made.export(Format::Firefox);
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(file["meta"]["preprocessedProfileVersion"], 75);
    check_call_tree(made, &file);
    let strings = file["shared"]["stringArray"].as_array().unwrap();
    let mut found: HashMap<String, (String, f64, Option<f64>)> = HashMap::new();
    let (mut events, mut notes) = (0, 0);
    for thread in file["threads"].as_array().unwrap() {
        let markers = &thread["markers"];
        let length = markers["length"].as_u64().unwrap() as usize;
        for column in ["name", "startTime", "endTime", "phase", "category", "data"] {
            assert_eq!(markers[column].as_array().unwrap().len(), length, "{column}");
        }
        for at in 0..length {
            let data = &markers["data"][at];
            let name = strings[markers["name"][at].as_u64().unwrap() as usize].as_str().unwrap();
            match data["type"].as_str().unwrap() {
                "event" => events += 1,
                "note" => notes += 1,
                _ => {
                    let times = (&markers["startTime"][at], &markers["endTime"][at]);
                    let phase = if times.1.is_null() { 2 } else { 1 };
                    assert_eq!(markers["phase"][at], phase);
                    let id = data["id"].as_str().unwrap().to_owned();
                    let times = (times.0.as_f64().unwrap(), times.1.as_f64());
                    let index = made.indexes()[&id[1..].parse().unwrap()];
                    let text = |value: &Value| {
                        strings[value.as_u64().unwrap() as usize].as_str().unwrap().to_owned()
                    };
                    let is_flow = |key: &str| key == "flow" || key.starts_with("follows");
                    let of_flows = data.as_object().unwrap().iter();
                    let of_flows = of_flows.filter(|(key, _)| is_flow(key));
                    let of_flows = of_flows.map(|(key, value)| (key.clone(), text(value)));
                    assert_eq!(of_flows.collect::<BTreeMap<_, _>>(), flows(made, index));
                    assert!(found.insert(id, (name.into(), times.0, times.1)).is_none());
                }
            }
        }
    }
    assert_eq!((found.len(), written.spans as usize), (made.given.spans.len(), found.len()));
    assert_eq!(written.links as usize, made.given.links.len());
    let others = made.given.marks.len() + made.given.losses.len();
    assert_eq!((events, notes), (made.given.events.len(), others));
    for (id, at) in made.indexes() {
        let (name, start, end) = &found[&format!("s{id}")];
        let span = &made.given.spans[at];
        assert_eq!(name, made.name(at));
        let near = |ms: f64, ns: i64| {
            let expected = ns as f64 / 1e6;
            (ms - expected).abs() <= expected.abs() * 1e-12 + 1e-9
        };
        assert!(near(*start, span.start_ns));
        assert_eq!(end.is_none(), span.duration_ns.is_none());
        let stored = span.duration_ns.map(|ns| span.start_ns.saturating_add(ns));
        assert!(end.zip(stored).is_none_or(|(end, stored)| near(end, stored)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn columns_are_the_spans(mut given in forests()) {
        // No reader of JSON takes a string that no Unicode text can be.
        given.spans.iter_mut().for_each(|span| {
            span.fields.take_if(|fields| fields.contains("\\ud800"));
        });
        check(&given.make());
    }
}

/// Milliseconds, to the nanosecond.
fn is_near(ms: &Value, ns: i64) -> bool {
    (ms.as_f64().unwrap() - ns as f64 / 1e6).abs() < 5e-7
}

fn check_span(made: &Made, at: usize, marker: &Value) {
    let (given, span) = (&made.given, &made.given.spans[at]);
    assert_eq!((&marker["name"], &marker["label"]), (&made.name(at).into(), &made.name(at).into()));
    let status = given.status(at).as_str();
    let is_failed = ["error", "panicked"].contains(&status);
    assert_eq!(marker["category"], if is_failed { "Failed span" } else { "Span" });
    let named = |thread: usize| given.threads[thread].clone().unwrap_or("thread 4711".into());
    let thread = named(given.worker(at));
    assert_eq!((&marker["threadName"], &marker["pid"]), (&thread.into(), &"77".into()));
    assert!(is_near(&marker["start"], span.start_ns), "{marker}");
    match span.duration_ns {
        Some(ns) => assert!(is_near(&marker["duration"], ns), "{marker}"),
        None => {
            // It is drawn until the end of its thread.
            let end = marker["start"].as_f64().unwrap() + marker["duration"].as_f64().unwrap();
            let is_there = |other: &usize| given.worker(*other) == given.worker(at);
            let of_thread = (0..given.spans.len()).filter(is_there).map(|at| &given.spans[at]);
            let ends = of_thread.map(|it| it.start_ns + it.duration_ns.unwrap_or(0));
            assert!(end >= ends.max().unwrap() as f64 / 1e6, "{end} {marker}");
        }
    }
    let value = |key: &str| {
        let fields = marker["fields"].as_array().unwrap().iter();
        fields.filter(|field| field["key"] == key).map(|field| field["value"].clone()).next()
    };
    let parent = given.parent_id(at).map(|id| Value::from(format!("s{id}")));
    assert_eq!(value("parent"), parent);
    assert_eq!(value("trace"), Some(format!("t{}", given.root_id(at)).into()));
    assert_eq!(value("target"), Some(format!("shop::{}", made.name(at)).into()));
    assert_eq!(value("source"), Some("src/\"shop\".rs:7".into()));
    let made_on = (given.worker(at) != span.thread).then(|| named(span.thread).into());
    assert_eq!(value("made_on"), made_on);
    assert_eq!((value("level"), value("status")), (Some("INFO".into()), Some(status.into())));
    assert_eq!(value("entries"), Some((at as u64 % 4).into()));
    for (key, ns) in [("busy", span.duration_ns.map(|ns| ns / 3)), ("self", given.self_ns(at))] {
        assert_eq!(value(key).is_some(), ns.is_some());
        assert!(ns.is_none_or(|ns| is_near(&value(key).unwrap(), ns)), "{key} {marker}");
    }
    let expected = flows(made, at);
    let keys = ["flow".to_owned(), "follows".to_owned()].into_iter();
    for key in keys.chain((2..9).map(|at| format!("follows{at}"))) {
        assert_eq!(value(&key), expected.get(&key).map(|id| id.as_str().into()), "{key}");
    }
    let Some(fields) = span.fields.as_deref() else { return };
    let fields = match serde_json::from_str(fields) {
        Ok(Value::Object(fields)) => fields,
        _ => [("fields".to_owned(), fields.into())].into_iter().collect(),
    };
    for (key, field) in fields {
        let found = value(&format!("field.{key}")).unwrap();
        match &field {
            Value::String(text) => assert_eq!(&found, text),
            // As it is written; serde_json rounds what is very large, on both sides.
            field => {
                let found: Value = serde_json::from_str(found.as_str().unwrap()).unwrap();
                assert_eq!(found, *field);
            }
        }
    }
}

/// Self time is that of the database, however the children overlap.
fn check_functions(made: &Made, loaded: &Loaded<'_>) {
    let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
    for index in 0..made.given.spans.len() {
        let ns = made.given.self_ns(index).filter(|ns| *ns > 0);
        *expected.entry(made.name(index)).or_default() += ns.unwrap_or(0);
    }
    expected.retain(|_, ns| *ns > 0);
    let thread = &loaded.ask(&["thread", "functions", "--json", "--include-idle", "--limit", "0"]);
    let functions = thread["functions"].as_array().unwrap();
    let mut found: BTreeMap<&str, i64> = BTreeMap::new();
    for function in functions {
        let ns = (function["selfSamples"].as_f64().unwrap() * 1e6).round() as i64;
        *found.entry(function["name"].as_str().unwrap()).or_default() += ns;
    }
    found.retain(|_, ns| *ns > 0);
    assert_eq!(found, expected);
}

fn check_in_firefox(program: &Path, made: &Made) {
    let (home, file) = (made.folder.path(), made.folder.path().join("a.profile.json"));
    std::fs::write(&file, made.export(Format::Firefox).0).unwrap();
    let loaded = Loaded::new(program, &file, home);
    let (markers, threads) = (loaded.markers(), loaded.threads());
    check_functions(made, &loaded);
    drop(loaded);
    let of_type =
        |kind: &'static str| markers.iter().filter(move |marker| marker["markerType"] == kind);
    let spans: HashMap<&str, &Value> =
        of_type("span").map(|marker| (marker["data"]["id"].as_str().unwrap(), marker)).collect();
    assert_eq!((spans.len(), of_type("span").count()), (made.given.spans.len(), spans.len()));
    for (id, at) in made.indexes() {
        check_span(made, at, spans[format!("s{id}").as_str()]);
    }
    let mut events: Vec<_> = of_type("event")
        .map(|marker| {
            assert_eq!(
                (&marker["category"], &marker["threadName"]),
                (&"Event".into(), &"main".into())
            );
            (marker["label"].as_str().unwrap().to_owned(), marker["data"]["span"].clone())
        })
        .collect();
    let given = made.given.events.iter();
    let mut expected: Vec<_> = given
        .map(|(span, _, message)| {
            let name = if message.is_empty() { "event=true" } else { message };
            (name.to_owned(), span.map(|at| format!("s{}", profile::id(at))).into())
        })
        .collect();
    events.sort_by_key(|(name, span): &(String, Value)| (name.clone(), span.to_string()));
    expected.sort_by_key(|(name, span): &(String, Value)| (name.clone(), span.to_string()));
    assert_eq!(events, expected);
    let notes = of_type("note").map(|marker| {
        assert_eq!(
            (&marker["category"], &marker["threadName"]),
            (&"Mark".into(), &"marks and losses".into())
        );
        marker["label"].as_str().unwrap().to_owned()
    });
    let marks = made.given.marks.iter().map(|mark| mark.2.clone());
    let losses = made
        .given
        .losses
        .iter()
        .map(|(_, _, spans)| format!("lost: {spans} spans, 1 events, 0 entries, ring_full"));
    assert_eq!(notes.collect::<HashSet<_>>(), marks.chain(losses).collect());
    assert_eq!(threads.iter().map(|thread| thread.1).sum::<u64>(), markers.len() as u64);
}

proptest! {
    // Each one starts a daemon.
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn the_profiler_itself_shows_every_span(mut given in forests()) {
        let Some(program) = firefox::program() else { return Ok(()) };
        // Its numbers are doubles, which cannot tell such neighbours.
        for span in &mut given.spans {
            span.start_ns = span.start_ns.clamp(0, 1_000_000_000_000);
            span.duration_ns = span.duration_ns.map(|ns| ns.min(1_000_000_000_000));
            span.fields.take_if(|fields| fields.contains("\\ud800"));
        }
        given.events.iter_mut().for_each(|event| event.1 = event.1.clamp(0, 1_000_000_000_000));
        check_in_firefox(&program, &given.make());
    }
}

#[test]
fn what_overlaps_follows_and_never_ends_is_there() {
    let made = entangled::given().make();
    check(&made);
    if let Some(program) = firefox::program() {
        check_in_firefox(&program, &made);
    }
}

#[test]
fn links_beyond_the_room_are_counted_as_left_out() {
    let span = |start_ns| SpanSpec { start_ns, duration_ns: Some(1), ..SpanSpec::default() };
    let given = profile::Given {
        spans: (0..21).map(span).collect(),
        links: (0..20).map(|earlier| (20, earlier)).collect(),
        names: profile::names(),
        threads: profile::threads(),
        ..profile::Given::default()
    };
    let (bytes, written) = given.make().export(Format::Firefox);
    assert_eq!((written.links, written.left_out.links), (16, 4));
    // As many as are said to be written are there.
    let text = String::from_utf8(bytes).unwrap();
    let keys = (1..=20).map(|at| if at == 1 { "follows".into() } else { format!("follows{at}") });
    let there = keys.filter(|key| text.contains(&format!("\"{key}\":"))).count();
    assert_eq!(there, 16, "{text}");
}
