//! The Firefox profiler: its own program loads the file and shows every marker.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;
use spandrel_storage::export::Format;
use spandrel_tests_exports::{Given, Made, SpanSpec, forests, node, profile};

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

#[test]
fn the_profiler_itself_shows_every_span() {
    let Some(program) = node::file("@firefox-devtools/profiler-cli/dist/profiler-cli.js") else {
        return;
    };
    let spans = (0..50)
        .map(|at| SpanSpec {
            start_ns: at * 1_000_000,
            duration_ns: (at % 10 != 9).then_some(3_500_000),
            name: at as usize % 8,
            thread: at as usize % 3,
            fields: Some("{\"shard\":7,\"path\":\"<b>&\"}".into()),
            ..SpanSpec::default()
        })
        .collect();
    let events = vec![(Some(3), 4_000_000, "hello".into()), (None, 5_000_000, "world".into())];
    let marks = vec![(1_000_000, None, "deploy".into())];
    let (names, threads) = (profile::names(), profile::threads());
    let given = Given { spans, events, marks, names, threads, ..Given::default() };
    let made = given.make();
    let file = made.folder.path().join("a.profile.json");
    std::fs::write(&file, made.export(Format::Firefox).0).unwrap();
    let home = made.folder.path();
    let loaded = node::load_into_firefox(&program, &file, home);
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    let run = |arguments: &[&str]| {
        let output = node::run(&program, arguments, home);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let markers = run(&["profile", "markers", "--json", "--limit", "1000"]);
    run(&["stop", "--all"]);
    assert!(markers.0, "{markers:?}");
    assert!(markers.1.contains("http.request"), "{markers:?}");
}
