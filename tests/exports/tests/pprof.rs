//! pprof: the message types of another implementation, Google's own pprof and a decoder in JavaScript read the
//! same stacks, and these add up to what the database has.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use pprof::protos::Message;
use pprof::protos::Profile;
use proptest::prelude::*;
use spandrel_export::{Format, Settings};
use spandrel_query::Weight;
use spandrel_tests_exports::nasty::{Nasty, Row, nasty, rows};
use spandrel_tests_exports::profile::STARTED_UNIX_NS;
use spandrel_tests_exports::{forests, node};

/// What spans of a path, with a status, on threads of a name sum up to: spans, self time, busy time.
type Sums = BTreeMap<(Vec<Frame>, String, String), [i64; 3]>;

/// Name, file and line.
type Frame = (String, String, i64);

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut raw).unwrap();
    raw
}

fn decoded(bytes: &[u8]) -> Profile {
    Profile::parse_from_bytes(&unzipped(bytes)).unwrap()
}

/// The samples, the root of a path first; each path, status and thread is there once.
fn samples(profile: &Profile) -> Sums {
    let text = |number: i64| profile.string_table[number as usize].clone();
    let frame = |location: &u64| {
        let location = profile.location.iter().find(|one| one.id == *location).unwrap();
        let line = &location.line[0];
        let function = profile.function.iter().find(|one| one.id == line.function_id).unwrap();
        assert_eq!(function.start_line, line.line);
        (text(function.name), text(function.filename), line.line)
    };
    let mut sums = Sums::new();
    for sample in &profile.sample {
        let path: Vec<Frame> = sample.location_id.iter().rev().map(frame).collect();
        let label = |name: &str| {
            let found = sample.label.iter().find(|label| text(label.key) == name);
            text(found.unwrap().str)
        };
        let values = <[i64; 3]>::try_from(&sample.value[..]).unwrap();
        let before = sums.insert((path, label("status"), label("thread")), values);
        assert_eq!(before, None, "one sample for each path, status and thread");
    }
    sums
}

/// The path of a span, as the database has it.
fn path(rows: &BTreeMap<u64, &Row>, row: &Row) -> Vec<Frame> {
    let mut path = match row.parent_id {
        None => Vec::new(),
        Some(parent) => match rows.get(&parent) {
            Some(parent) => path(rows, parent),
            None => vec![("(missing parent)".to_owned(), String::new(), 0)],
        },
    };
    let name = if row.name.is_empty() { "(no name)" } else { &row.name };
    let file = row.file.clone().unwrap_or_default();
    path.push((name.to_owned(), file, row.line.unwrap_or(0)));
    path
}

/// What must be in it, without busy times, which are of paths; and those, without the labels.
fn expected(rows: &[Row]) -> (Sums, BTreeMap<Vec<Frame>, i64>) {
    let by_id: BTreeMap<u64, &Row> = rows.iter().map(|row| (row.id, row)).collect();
    let mut sums = Sums::new();
    let mut inclusive = BTreeMap::<Vec<Frame>, i64>::new();
    for row in rows {
        let path = path(&by_id, row);
        // A path is there for its children, even if all of its own spans are unfinished.
        for depth in 1..=path.len() {
            inclusive.entry(path[..depth].to_vec()).or_default();
        }
        if row.duration_ns.is_none() {
            continue;
        }
        let thread = match &row.thread_name {
            Some(name) => name.clone(),
            None => format!("thread {}", row.thread_os_id),
        };
        let busy = inclusive.get_mut(&path).unwrap();
        *busy = busy.saturating_add(row.busy_ns.unwrap());
        let sum = sums.entry((path, row.status.clone(), thread)).or_default();
        sum[0] += 1;
        sum[1] = sum[1].saturating_add(row.self_ns.unwrap());
    }
    let mut own = BTreeMap::new();
    let mut below = BTreeMap::<Vec<Frame>, i64>::new();
    // The longest paths first: children before their parents.
    let mut paths: Vec<_> = inclusive.into_iter().collect();
    paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    for (path, busy) in paths {
        let children = below.remove(&path).unwrap_or(0);
        let width = busy.max(children);
        let above = below.entry(path[..path.len() - 1].to_vec()).or_default();
        *above = above.saturating_add(width);
        own.insert(path, width.saturating_sub(children));
    }
    own.retain(|path, _| sums.keys().any(|(there, ..)| there == path));
    (sums, own)
}

fn check(bytes: &[u8], rows: &[Row]) {
    let found = samples(&decoded(bytes));
    let (expected, own) = expected(rows);
    let first_two = |sums: &Sums| -> Vec<_> {
        sums.iter().map(|(key, [spans, own, _])| (key.clone(), *spans, *own)).collect()
    };
    assert_eq!(first_two(&found), first_two(&expected));
    let mut busy = BTreeMap::<Vec<Frame>, i128>::new();
    for ((path, ..), [_, _, ns]) in &found {
        *busy.entry(path.clone()).or_default() += i128::from(*ns);
    }
    assert_eq!(busy, own.into_iter().map(|(path, ns)| (path, i128::from(ns))).collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn stacks_add_up_to_the_spans_of_any_profile(given in forests()) {
        let made = given.make();
        let (bytes, written) = made.export(Format::Pprof);
        let rows = rows(&made.path);
        check(&bytes, &rows);
        let unfinished = rows.iter().filter(|row| row.duration_ns.is_none()).count() as u64;
        prop_assert_eq!(written.left_out.spans, unfinished);
        prop_assert_eq!(written.spans + unfinished, rows.len() as u64);
    }
}

fn exported(profile: &Nasty, weight: Weight) -> Vec<u8> {
    profile.export(&Settings::new(Format::Pprof).weight(weight)).0
}

#[test]
fn a_nasty_profile_is_what_the_database_says_stack_by_stack() {
    let profile = nasty();
    let (bytes, rows) = (exported(&profile, Weight::SelfTime), profile.rows());
    check(&bytes, &rows);
    let decoded = decoded(&bytes);
    let text = |number: i64| decoded.string_table[number as usize].as_str();
    let types: Vec<_> = decoded.sample_type.iter().map(|of| (text(of.ty), text(of.unit))).collect();
    assert_eq!(types, [("spans", "count"), ("self", "nanoseconds"), ("busy", "nanoseconds")]);
    assert_eq!(text(decoded.default_sample_type), "self");
    assert_eq!(decoded.string_table[0], "");
    let closed = || rows.iter().filter_map(|row| Some((row, row.duration_ns?)));
    let total: i64 = closed().map(|(row, _)| row.self_ns.unwrap()).sum();
    assert_eq!(decoded.sample.iter().map(|sample| sample.value[1]).sum::<i64>(), total);
    // From the first begin to the last end.
    assert_eq!(decoded.time_nanos, STARTED_UNIX_NS - 50);
    let end = closed().map(|(row, ns)| row.start_ns + ns).max().unwrap();
    assert_eq!(decoded.duration_nanos, end + 50);
    assert_eq!(text(decoded.mapping[0].filename), "/opt/shop \"1\"/shop");
    assert!(decoded.string_table.iter().any(|text| text == "n\u{0}u;l\n\u{202e}"), "as it is");
    for (weight, first) in [(Weight::Busy, "busy"), (Weight::Calls, "spans")] {
        let profile = Profile::parse_from_bytes(&unzipped(&exported(&profile, weight))).unwrap();
        assert_eq!(profile.string_table[profile.default_sample_type as usize], first);
    }
}

#[test]
fn busy_time_that_was_not_measured_is_not_there() {
    let profile = nasty();
    let conn = rusqlite::Connection::open(&profile.path).unwrap();
    conn.execute_batch("UPDATE span SET busy_ns = NULL").unwrap();
    for weight in [Weight::SelfTime, Weight::Busy] {
        let decoded = decoded(&exported(&profile, weight));
        assert_eq!(decoded.sample_type.len(), 2);
        assert!(decoded.sample.iter().all(|sample| sample.value.len() == 2));
        assert_eq!(decoded.string_table[decoded.default_sample_type as usize], "self");
    }
}

/// Runs Google's pprof; says aloud when it is not there.
fn google_pprof(arguments: &[&str], file: &Path) -> Option<String> {
    let Some(program) = std::env::var_os("SPANDREL_TEST_PPROF") else {
        eprintln!("SKIPPED: no pprof; scripts/exports.sh gets it, and sets SPANDREL_TEST_PPROF");
        return None;
    };
    // A program by itself, or `go tool pprof`.
    let program = program.into_string().unwrap();
    let words = match Path::new(&program).exists() {
        true => vec![program.as_str()],
        false => program.split(' ').collect(),
    };
    let output = Command::new(words[0])
        .args(&words[1..])
        .args(arguments)
        .arg(file)
        .env("PPROF_TMPDIR", file.parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_pprof_of_google_sees_the_same_figures() {
    let profile = nasty();
    let file = profile.folder.path().join("a.pb.gz");
    std::fs::write(&file, exported(&profile, Weight::SelfTime)).unwrap();
    let Some(raw) = google_pprof(&["-raw"], &file) else { return };
    assert!(raw.contains("spans/count self/nanoseconds[dflt] busy/nanoseconds\n"), "{raw}");
    let rows = profile.rows();
    let (sums, _) = expected(&rows);
    // A line of values for each sample, and its labels below.
    for ((_, status, thread), [spans, own, _]) in &sums {
        let is_so = |line: &str| {
            let mut words = line.split_whitespace();
            words.next() == Some(&spans.to_string()) && words.next() == Some(&own.to_string())
        };
        let labels = format!("status:[{status}] thread:[{thread}]");
        let mut lines = raw.lines().zip(raw.lines().skip(1));
        let found = lines.any(|(values, below)| is_so(values) && below.contains(&labels));
        assert!(found, "{spans} {own} {labels} in {raw}");
    }
    let total: i64 = sums.values().map(|[_, own, _]| own).sum();
    let top =
        google_pprof(&["-top", "-unit=ns", "-nodecount=0", "-nodefraction=0"], &file).unwrap();
    assert!(top.contains("File: shop\n") && top.contains("Type: self\n"), "{top}");
    assert!(top.contains(&format!("{total}ns total")), "{top}");
    let queries: i64 =
        rows.iter().filter(|row| row.name == "query").filter_map(|row| row.self_ns).sum();
    // One name, in two places of the source.
    assert!(
        top.lines().any(|line| line.ends_with(" query") && line.contains(&format!("{queries}ns"))),
        "{top}"
    );
    let busy = google_pprof(&["-top", "-sample_index=busy", "-focus=query"], &file).unwrap();
    assert!(busy.contains("Type: busy\n"), "{busy}");
    let tags = google_pprof(&["-tags", "-sample_index=spans"], &file).unwrap();
    assert!(tags.contains("status: Total") && tags.contains("thread: Total"), "{tags}");
    let focused = google_pprof(&["-top", "-sample_index=spans", "-tagfocus=status=error"], &file);
    let errors = rows.iter().filter(|row| row.status == "error").count();
    assert!(focused.unwrap().contains(&format!(
        "Active filters:\n   tagfocus=status=error\nShowing nodes accounting for {errors}, "
    )));
}

#[test]
fn a_decoder_in_javascript_sees_the_same_samples() {
    let Some(decoder) = node::file("pprof-format/package.json") else { return };
    let profile = nasty();
    let file = profile.folder.path().join("a.pb");
    let bytes = exported(&profile, Weight::SelfTime);
    std::fs::write(&file, unzipped(&bytes)).unwrap();
    let script = r#"
        const { Profile } = require(process.argv[1]);
        const { readFileSync } = require("fs");
        const profile = Profile.decode(readFileSync(process.argv[2]));
        const text = (number) => profile.stringTable.strings[Number(number)];
        const samples = profile.sample.map((sample) => ({
            values: sample.value.map(String),
            labels: sample.label.map((label) => [text(label.key), text(label.str)]),
            names: sample.locationId.map((id) => {
                const location = profile.location.find((one) => one.id == id);
                const of = location.line[0].functionId;
                return text(profile.function.find((one) => one.id == of).name);
            }),
        }));
        console.log(JSON.stringify(samples));"#;
    let output = Command::new("node")
        .args(["-e", script])
        .arg(decoder.parent().unwrap())
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let sums = samples(&decoded(&bytes));
    assert_eq!(seen.len(), sums.len());
    for sample in seen {
        let texts = |of: &serde_json::Value| -> Vec<String> {
            of.as_array().unwrap().iter().map(|text| text.as_str().unwrap().into()).collect()
        };
        let mut names = texts(&sample["names"]);
        names.reverse();
        let label = |at: usize| sample["labels"][at][1].as_str().unwrap().to_owned();
        let values: Vec<i64> =
            texts(&sample["values"]).iter().map(|digits| digits.parse().unwrap()).collect();
        let is_it = |(path, status, thread): &(Vec<Frame>, String, String), sum: &[i64; 3]| {
            path.iter().map(|(name, ..)| name).eq(&names)
                && (status, thread) == (&label(0), &label(1))
                && values == sum
        };
        assert!(sums.iter().any(|(key, sum)| is_it(key, sum)), "{sample}");
    }
}
