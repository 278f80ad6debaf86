//! The Firefox profiler: its own program loads the file and shows every marker.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use spandrel_storage::export::Format;
use spandrel_tests_exports::{Made, forests, node, profile};

fn check(made: &Made) {
    let (bytes, written) = made.export(Format::Firefox);
    let file: Value = serde_json::from_slice(&bytes).unwrap();
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
                    assert!(found.insert(id, (name.into(), times.0, times.1)).is_none());
                }
            }
        }
    }
    assert_eq!((found.len(), written.spans as usize), (made.given.spans.len(), found.len()));
    assert_eq!((events, notes), (made.given.events.len(), 3));
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

/// What Mozilla's command line shows of a file: all markers, and the threads with how many they have.
fn shown(program: &Path, file: &Path, home: &Path) -> (Vec<Value>, Vec<(String, u64)>) {
    let loaded = node::load_into_firefox(program, file, home);
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    let ask = |words: &[&str]| -> Value {
        let output = node::run(program, words, home);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let markers = ask(&["profile", "markers", "--json", "--limit", "100000"]);
    let threads = ask(&["thread", "list", "--json"]);
    node::run(program, &["stop", "--all"], home);
    let thread = |thread: &Value| {
        let markers = thread["markerCount"].as_u64().unwrap();
        (thread["name"].as_str().unwrap().to_owned(), markers)
    };
    let threads = threads["threads"].as_array().unwrap().iter().map(thread).collect();
    (markers["markers"].as_array().unwrap().clone(), threads)
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
    let thread = given.threads[span.thread].clone().unwrap_or_else(|| "thread 4711".into());
    assert_eq!((&marker["threadName"], &marker["pid"]), (&thread.into(), &"77".into()));
    assert!(is_near(&marker["start"], span.start_ns), "{marker}");
    match span.duration_ns {
        Some(ns) => assert!(is_near(&marker["duration"], ns), "{marker}"),
        None => {
            // It is drawn until the end of its thread.
            let end = marker["start"].as_f64().unwrap() + marker["duration"].as_f64().unwrap();
            let of_thread = given.spans.iter().filter(|it| it.thread == span.thread);
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
    assert_eq!((value("level"), value("status")), (Some("INFO".into()), Some(status.into())));
    assert_eq!(value("polls"), Some((at as u64 % 4).into()));
    for (key, ns) in [("busy", span.duration_ns.map(|ns| ns / 3)), ("self", given.self_ns(at))] {
        assert_eq!(value(key).is_some(), ns.is_some());
        assert!(ns.is_none_or(|ns| is_near(&value(key).unwrap(), ns)), "{key} {marker}");
    }
    let Some(fields) = span.fields.as_deref() else { return };
    let fields = match serde_json::from_str(fields) {
        Ok(Value::Object(fields)) => fields,
        _ => [("fields".to_owned(), fields.into())].into_iter().collect(),
    };
    for (key, field) in fields {
        let text = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
        assert_eq!(value(&format!("field.{key}")), Some(text.into()));
    }
}

fn check_in_firefox(program: &Path, made: &Made) {
    let (home, file) = (made.folder.path(), made.folder.path().join("a.profile.json"));
    std::fs::write(&file, made.export(Format::Firefox).0).unwrap();
    let (markers, threads) = shown(program, &file, home);
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
        .map(|(_, _, spans)| format!("lost: {spans} spans, 1 events, ring_full"));
    assert_eq!(notes.collect::<HashSet<_>>(), marks.chain(losses).collect());
    assert_eq!(threads.iter().map(|thread| thread.1).sum::<u64>(), markers.len() as u64);
}

proptest! {
    // Each one starts a daemon.
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn the_profiler_itself_shows_every_span(mut given in forests()) {
        let program = node::file("@firefox-devtools/profiler-cli/dist/profiler-cli.js");
        let Some(program) = program else { return Ok(()) };
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
