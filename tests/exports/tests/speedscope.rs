//! speedscope: the file fits the published schema, and its own importer finds every span.

use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use spandrel_storage::export::Format;
use spandrel_tests_exports::{Given, Made, forests, node, profile};

/// What speedscope does with an evented profile: opens and closes have to balance, and time never goes
/// back (<https://github.com/jlfwong/speedscope/blob/main/src/lib/file-format.ts>). Gives how long each
/// frame was open in sum, and how often.
fn import(file: &Value) -> HashMap<String, (u64, i128)> {
    let frames = file["shared"]["frames"].as_array().unwrap();
    let mut open: HashMap<String, (u64, i128)> = HashMap::new();
    for profile in file["profiles"].as_array().unwrap() {
        let (mut stack, mut last) = (Vec::new(), profile["startValue"].as_i64().unwrap());
        for event in profile["events"].as_array().unwrap() {
            let at = event["at"].as_i64().unwrap();
            assert!(at >= last, "time goes back from {last} to {at}");
            last = at;
            let frame = event["frame"].as_u64().unwrap();
            if event["type"] == "O" {
                stack.push((frame, at));
                continue;
            }
            let (opened, from) = stack.pop().unwrap();
            assert_eq!(opened, frame, "the innermost frame has to close first");
            let name = frames[frame as usize]["name"].as_str().unwrap();
            let sum = open.entry(name.to_owned()).or_default();
            *sum = (sum.0 + 1, sum.1 + i128::from(at) - i128::from(from));
        }
        assert!(stack.is_empty());
        assert!(last <= profile["endValue"].as_i64().unwrap());
    }
    open
}

fn check(made: &Made) -> Value {
    let (bytes, written) = made.export(Format::Speedscope);
    assert_eq!(written.spans, made.given.spans.len() as u64);
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    let mut expected: HashMap<String, (u64, i128)> = HashMap::new();
    let imported = import(&file);
    for (at, span) in made.given.spans.iter().enumerate() {
        let Some(duration_ns) = span.duration_ns else { continue };
        let sum = expected.entry(made.name(at).to_owned()).or_default();
        let end = i128::from(span.start_ns.saturating_add(duration_ns));
        *sum = (sum.0 + 1, sum.1 + end - i128::from(span.start_ns));
    }
    for (name, sums) in &expected {
        assert_eq!(imported.get(name), Some(sums), "{name:?}");
    }
    let opened: u64 = imported.values().map(|sums| sums.0).sum();
    assert_eq!(opened, made.given.spans.len() as u64, "unfinished spans, too");
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn opens_and_closes_balance(given in forests()) {
        check(&given.make());
    }
}

/// A frame, from when to when it is open.
type Call = (String, i64, i64);

/// What speedscope itself makes of the file; calls without length are none to it.
fn calls_by_speedscope(folder: &Path, file: &Path, json: &Value) -> Vec<Call> {
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/speedscope.cjs"));
    let arguments = [folder, file].map(|path| path.to_str().unwrap());
    let output = node::run(script, &arguments, file.parent().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let profiles = json["profiles"].as_array().unwrap();
    assert_eq!(text.lines().count(), profiles.len());
    let mut calls = Vec::new();
    for (line, profile) in text.lines().zip(profiles) {
        let imported: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&imported["name"], &imported["unit"]), (&profile["name"], &profile["unit"]));
        // It shows each profile from its own start.
        let start = profile["startValue"].as_i64().unwrap();
        calls.extend(imported["calls"].as_array().unwrap().iter().map(|call| {
            let at = |index: usize| start + call[index].as_i64().unwrap();
            (call[0].as_str().unwrap().to_owned(), at(2), at(3))
        }));
    }
    calls.sort();
    calls
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn speedscope_itself_finds_every_span(mut given in forests()) {
        let Some(schema) = node::file("speedscope/dist/release/file-format-schema.json") else {
            return Ok(());
        };
        // Its numbers are doubles, which cannot tell such neighbours.
        for span in &mut given.spans {
            span.start_ns = span.start_ns.clamp(-1_000_000_000_000, 1_000_000_000_000);
            span.duration_ns = span.duration_ns.map(|ns| ns.min(1_000_000_000_000));
        }
        given.events.iter_mut().for_each(|event| event.1 = event.1.clamp(0, 1_000_000_000_000));
        let made = given.make();
        let (bytes, file) = (made.export(Format::Speedscope).0, made.folder.path().join("a.json"));
        std::fs::write(&file, &bytes).unwrap();
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        let ends = json["profiles"].as_array().unwrap().iter().map(|it| it["endValue"].as_i64());
        let last = ends.max().flatten().unwrap_or_default();
        let mut expected: Vec<Call> = made.given.spans.iter().enumerate().map(|(at, span)| {
            let (name, start) = (made.name(at), span.start_ns);
            match span.duration_ns {
                Some(ns) => (name.to_owned(), start, start + ns),
                None => (format!("{name} (unfinished)"), start, last),
            }
        }).filter(|(_, start, end)| start < end).collect();
        expected.sort();
        prop_assert_eq!(calls_by_speedscope(schema.parent().unwrap(), &file, &json), expected);
    }
}

#[test]
fn the_published_schema_holds() {
    let (Some(schema), Some(ajv)) = (
        node::file("speedscope/dist/release/file-format-schema.json"),
        node::file("ajv/package.json"),
    ) else {
        return;
    };
    let span = |parent, start_ns, duration_ns| profile::SpanSpec {
        parent,
        start_ns,
        duration_ns,
        ..profile::SpanSpec::default()
    };
    let spans = vec![span(None, 0, Some(9)), span(Some(0), 3, Some(3)), span(Some(0), 4, None)];
    let made =
        Given { spans, names: profile::names(), threads: profile::threads(), ..Given::default() }
            .make();
    check(&made);
    let file = made.folder.path().join("a.speedscope.json");
    std::fs::write(&file, made.export(Format::Speedscope).0).unwrap();
    let script = made.folder.path().join("check.js");
    let program = format!(
        "const Ajv = require({:?}); const fs = require('fs');
         const read = (path) => JSON.parse(fs.readFileSync(path));
         const ajv = new (Ajv.default || Ajv)({{strict: false}});
         const schema = read({:?}); delete schema.$schema;
         const holds = ajv.compile(schema);
         if (!holds(read({:?}))) {{ console.error(holds.errors); process.exit(1); }}",
        ajv.parent().unwrap(),
        schema,
        file
    );
    std::fs::write(&script, program).unwrap();
    let output = node::run(&script, &[], made.folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
