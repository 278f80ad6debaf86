//! speedscope: the file fits the published schema, and its own importer finds every span, and the time that
//! each path of names has for itself.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;
use spandrel_export::{Format, Settings};
use spandrel_tests_exports::speedscope::{Frame, Profile, import};
use spandrel_tests_exports::{Given, Made, entangled, forests, node, profile, shown};

/// What would be before the start of the run is put there.
fn at(ns: i64) -> i64 {
    ns.max(0)
}

/// What speedscope does with an evented profile: opens and closes have to balance, and time never goes
/// back (<https://github.com/jlfwong/speedscope/blob/main/src/lib/file-format.ts>). Gives how long each
/// frame was open in sum, and how often.
fn sums(file: &Value) -> HashMap<String, (u64, i128)> {
    let frames = file["shared"]["frames"].as_array().unwrap();
    let mut open: HashMap<String, (u64, i128)> = HashMap::new();
    let profiles = file["profiles"].as_array().unwrap();
    let lanes = &profiles[1..];
    for profile in lanes {
        assert_eq!((&profile["type"], &profile["startValue"]), (&"evented".into(), &0.into()));
        assert_eq!(profile["endValue"], lanes[0]["endValue"], "the axes are one");
        let (mut stack, mut last) = (Vec::new(), 0);
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

/// The paths, as the format for flame graphs has them.
fn folded(made: &Made) -> Vec<(String, i64)> {
    let (bytes, _) = made.export_as(&Settings::new(Format::Folded));
    let text = String::from_utf8(bytes).unwrap();
    let line = |line: &str| {
        let (path, ns) = line.rsplit_once(' ').unwrap();
        (path.to_owned(), ns.parse().unwrap())
    };
    text.lines().map(line).collect()
}

fn check_paths(made: &Made, file: &Value) {
    let frames = file["shared"]["frames"].as_array().unwrap();
    let sampled = &file["profiles"][0];
    assert_eq!((&sampled["type"], &file["activeProfileIndex"]), (&"sampled".into(), &0.into()));
    let name = |frame: &Value| {
        let name = frames[frame.as_u64().unwrap() as usize]["name"].as_str().unwrap();
        let name: String = name.chars().map(shown::in_folded).collect();
        if name.is_empty() { "(no name)".to_owned() } else { name }
    };
    let path = |stack: &Value| {
        let names: Vec<String> = stack.as_array().unwrap().iter().map(name).collect();
        names.join(";")
    };
    let paths = sampled["samples"].as_array().unwrap().iter().map(path);
    let weights = sampled["weights"].as_array().unwrap().iter().map(|ns| ns.as_i64().unwrap());
    let found: Vec<_> = paths.zip(weights).collect();
    let expected = folded(made);
    assert_eq!(found, expected);
    let sum = expected.iter().fold(0, |sum: i64, (_, ns)| sum.saturating_add(*ns));
    assert_eq!((&sampled["startValue"], &sampled["endValue"]), (&0.into(), &sum.into()));
}

fn check(made: &Made) -> Value {
    let (bytes, written) = made.export(Format::Speedscope);
    assert_eq!(written.spans, made.given.spans.len() as u64);
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    let mut expected: HashMap<String, (u64, i128)> = HashMap::new();
    let imported = sums(&file);
    for (index, span) in made.given.spans.iter().enumerate() {
        let Some(duration_ns) = span.duration_ns else { continue };
        let sum = expected.entry(made.name(index).to_owned()).or_default();
        let end = i128::from(at(span.start_ns.saturating_add(duration_ns)));
        *sum = (sum.0 + 1, sum.1 + end - i128::from(at(span.start_ns)));
    }
    for (name, sums) in &expected {
        assert_eq!(imported.get(name), Some(sums), "{name:?}");
    }
    let opened: u64 = imported.values().map(|sums| sums.0).sum();
    assert_eq!(opened, made.given.spans.len() as u64, "unfinished spans, too");
    check_paths(made, &file);
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

/// What speedscope finds in the rows; calls without length are none to it.
fn calls(lanes: &[Profile]) -> Vec<Call> {
    let mut calls = Vec::new();
    for lane in lanes {
        assert_eq!((lane.unit.as_str(), lane.weight), ("nanoseconds", lanes[0].weight));
        calls.extend(
            lane.calls.iter().map(|(name, _, from, to)| (name.clone(), *from as i64, *to as i64)),
        );
    }
    calls.sort();
    calls
}

/// Self time is that of the database, however the children overlap.
fn check_self_times(made: &Made, by_path: &Profile) {
    let mut expected: HashMap<&str, f64> = HashMap::new();
    for index in 0..made.given.spans.len() {
        let ns = made.given.self_ns(index).filter(|ns| *ns > 0);
        *expected.entry(made.name(index)).or_default() += ns.unwrap_or(0) as f64;
    }
    let mut found: HashMap<&str, f64> = HashMap::new();
    for Frame { name, own, file, line, .. } in &by_path.frames {
        *found.entry(name).or_default() += own;
        let is_made_up = name == "(missing parent)";
        let from = (!is_made_up).then(|| ("src/\"shop\".rs".to_owned(), 7));
        assert_eq!(file.clone().zip(*line), from, "{name}");
    }
    expected.retain(|_, ns| *ns > 0.0);
    found.retain(|_, ns| *ns > 0.0);
    assert_eq!(found, expected);
}

fn check_in_speedscope(mut given: Given) {
    // Its numbers are doubles, which cannot tell such neighbours.
    for span in &mut given.spans {
        span.start_ns = span.start_ns.clamp(-1_000_000_000_000, 10_000_000_000_000);
        span.duration_ns = span.duration_ns.map(|ns| ns.min(1_000_000_000_000));
    }
    given.events.iter_mut().for_each(|event| event.1 = event.1.clamp(0, 1_000_000_000_000));
    let made = given.make();
    let (bytes, file) = (made.export(Format::Speedscope).0, made.folder.path().join("a.json"));
    std::fs::write(&file, &bytes).unwrap();
    let json = check(&made);
    let Some((profiles, shown)) = import(&file) else { return };
    assert_eq!(profiles[shown].name, "all spans: self time by path");
    check_self_times(&made, &profiles[0]);
    let ends = json["profiles"].as_array().unwrap()[1..].iter().map(|it| it["endValue"].as_i64());
    let last = ends.max().flatten().unwrap_or_default();
    let mut expected: Vec<Call> = made
        .given
        .spans
        .iter()
        .enumerate()
        .map(|(index, span)| {
            let (name, start) = (made.name(index), at(span.start_ns));
            match span.duration_ns {
                Some(ns) => (name.to_owned(), start, at(span.start_ns + ns)),
                None => (format!("{name} ({})", made.given.status(index).as_str()), start, last),
            }
        })
        .filter(|(_, start, end)| start < end)
        .collect();
    expected.sort();
    assert_eq!(calls(&profiles[1..]), expected);
}

#[test]
fn self_times_are_right_though_children_overlap() {
    check_in_speedscope(entangled::given());
}

#[test]
fn a_profile_without_spans_opens() {
    let (names, threads) = (profile::names(), profile::threads());
    check_in_speedscope(Given { names, threads, ..Given::default() });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn speedscope_itself_finds_every_span(given in forests()) {
        check_in_speedscope(given);
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
    let made = entangled::given().make();
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
