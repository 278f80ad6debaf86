//! Asking by what spans have in common, and of names that are equal: busy time in `diff` and `check`, `--by` in
//! every command that takes it, lists of names, and targets that tell names apart.

use std::path::PathBuf;

use serde_json::Value;
use spandrel_storage::{CallsiteInfo, CallsiteKind, SpanRow};
use tempfile::TempDir;

use super::fixture::{Recording, bare, check, info, json, new_path, profile, rows, run, said};

/// Two runs: 400 calls of `apply` of two targets, each in a `request` of a shard. In the second run those of
/// `cache` run for three times as long, and their durations stay; of shard 3, all take twice as long.
fn shop() -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    for number in 1..=2_i64 {
        let mut run = Recording::begin(&path, &info(number as u32));
        let request = run.name_of("request", "http");
        let apply = ["cache", "disk"].map(|target| run.name_of("apply", target));
        let first = run.store.next_id();
        for at in 0..400_i64 {
            let shard = at % 4;
            let fields = run.text(&format!(r#"{{"shard":{shard}}}"#));
            let slower = if shard == 3 { number } else { 1 };
            let duration_ns = (1_000_000 + at * 500) * slower;
            let id = first + at as u64 * 2;
            let which = usize::from(at % 2 == 1);
            let busy_ns = if which == 0 { 100_000 * (number * 2 - 1) } else { 50_000 };
            let row = SpanRow {
                busy_ns: Some(busy_ns),
                self_ns: Some(duration_ns),
                entries: 2,
                fields,
                ..run.span(id, request, at * 20_000_000, duration_ns * 2)
            };
            let child = SpanRow {
                id: id + 1,
                parent_id: id,
                callsite_id: apply[which],
                duration_ns: Some(duration_ns),
                ..row.clone()
            };
            run.batch.spans.extend([row, child]);
        }
        run.end(10_000_000_000);
    }
    (folder, path)
}

fn of<'a>(rows: &'a [Value], key: &str, value: &Value) -> Vec<&'a Value> {
    rows.iter().filter(|row| row[key] == *value).collect()
}

#[test]
fn work_that_grew_inside_the_same_duration_fails_the_gate() {
    let (_folder, db) = shop();
    let change =
        "[[rule]]\nspan = \"apply\"\nmetric = \"busy\"\npercent = 20\nabsolute = \"10us\"\n";
    let (text, code) = check(&db, change, &["--run", "2", "--baseline", "1"]);
    assert_eq!(code, 1, "{text}");
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap_or_default();
    assert!(
        line("apply (cache)").contains('✗') && line("apply (cache)").contains("+200.0%"),
        "{text}"
    );
    assert!(line("apply (disk)").contains('✓'), "{text}");
    let limit =
        "[[rule]]\nspan = \"apply\"\ntarget = \"cache\"\nmetric = \"busy\"\nmax = \"0.2ms\"\n";
    assert_eq!(check(&db, limit, &["--run", "1"]).1, 0);
    for format in ["github", "junit", "json"] {
        let (text, code) = check(&db, limit, &["--run", "2", "-f", format]);
        assert!(code == 1 && text.contains("busy") && text.contains("300"), "{format}: {text}");
    }
}

#[test]
fn busy_time_that_nobody_measured_is_not_judged_and_not_zero() {
    let (_folder, db) = new_path();
    let mut run = Recording::begin(&db, &info(1));
    let work = run.name("work");
    for id in 1..=300 {
        let row = run.span(id, work, id as i64 * 1_000, 1_000);
        run.batch.spans.push(SpanRow { busy_ns: None, entries: 0, ..row });
    }
    run.leave();
    for bound in ["max = \"1ms\"", "percent = 5"] {
        let rules = format!("[[rule]]\nspan = \"work\"\nmetric = \"busy\"\n{bound}\n");
        let (text, _) = check(&db, &rules, &["--baseline", "latest"]);
        assert!(text.contains("busy time was not measured"), "{text}");
    }
    let diff = rows(&db, &["diff", "latest", "latest"]);
    assert!(diff[0]["busy_a_ns"].is_null() && diff[0]["busy_change"].is_null(), "{diff:?}");
}

#[test]
fn diff_says_by_how_much_busy_time_changed() {
    let (_folder, db) = shop();
    let diff = rows(&db, &["diff", "1", "2"]);
    let one = |target: &str| *of(&diff, "target", &target.into()).first().unwrap();
    let cache = one("cache");
    assert_eq!((&cache["busy_a_ns"], &cache["busy_b_ns"]), (&100_000.into(), &300_000.into()));
    assert_eq!(
        (cache["busy_change"].as_f64(), &cache["busy_significant"]),
        (Some(2.0), &true.into())
    );
    assert_eq!(one("disk")["busy_significant"], false);
}

#[test]
fn diff_tells_equal_names_apart() {
    let (_folder, db) = shop();
    let text = said(&db, &["diff", "1", "2"]);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("apply")).collect();
    assert!(lines.iter().any(|line| line.contains("cache")), "{text}");
    assert!(lines.iter().any(|line| line.contains("disk")), "{text}");
    let plain = said(profile(), &["diff", "1", "2"]);
    assert!(!plain.contains("target"), "no name needs it: {plain}");
}

#[test]
fn diff_by_a_field_compares_each_value_with_itself() {
    let (_folder, db) = shop();
    let diff = rows(&db, &["diff", "1", "2", "--by", "field.shard", "-w", "name=request"]);
    assert_eq!(diff.len(), 4, "{diff:?}");
    for row in &diff {
        let is_slower = row["value"] == "3";
        assert_eq!(row["p50_significant"], is_slower, "{row}");
        assert_eq!((&row["calls_a"], &row["calls_b"]), (&100.into(), &100.into()));
    }
    let without = rows(&db, &["diff", "1", "2", "--by", "field.none"]);
    assert!(without.len() == 1 && without[0]["value"].is_null(), "{without:?}");
    for (by, key, count) in
        [("target", "target", 3), ("level", "level", 1), ("thread", "thread", 1)]
    {
        let found = rows(&db, &["diff", "1", "2", "--by", by]);
        assert!(found.len() == count && found[0][key].is_string(), "{by}: {found:?}");
    }
}

#[test]
fn hist_by_a_field_has_a_line_for_each_value() {
    let (_folder, db) = shop();
    let words = ["hist", "request", "--by", "field.shard"];
    let found = rows(&db, &words);
    assert_eq!(found.len(), 4);
    for row in &found {
        let counts = row["counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap());
        assert_eq!((row["calls"].as_u64(), counts.sum::<u64>()), (Some(100), 100), "{row}");
    }
    let p50 = |value: &str| of(&found, "value", &value.into())[0]["p50_ns"].as_i64().unwrap();
    assert!(p50("3") > p50("2") * 3 / 2);
    // As `top` has it.
    let top = rows(&db, &["top", "--by", "field.shard", "-w", "name=request"]);
    for row in &top {
        assert_eq!(of(&found, "value", &row["value"])[0]["p99_ns"], row["p99_ns"]);
    }
    assert!(said(&db, &words).contains('█'));
}

#[test]
fn slow_by_a_field_has_the_slowest_of_each_value() {
    let (_folder, db) = shop();
    let found = rows(&db, &["slow", "request", "--by", "field.shard"]);
    assert_eq!(found.len(), 4);
    for row in &found {
        let filter = format!("name=request field.shard={}", row["value"].as_str().unwrap());
        let slowest = rows(&db, &["slow", "-n", "1", "-w", &filter]);
        assert_eq!((&row["id"], &row["calls"]), (&slowest[0]["id"], &100.into()));
    }
    let busy = rows(&db, &["slow", "--by", "busy", "--by", "target"]);
    let targets: Vec<&Value> = busy.iter().map(|row| &row["target"]).collect();
    assert_eq!(busy.len(), 3);
    assert!(targets[..2].contains(&&"http".into()) && targets[2] == "disk", "{targets:?}");
    let (_, err, code) = run(bare(&["slow", "--by", "busy", "--by", "self", "--db"]).arg(&db));
    assert!(code == 2 && err.contains("two times"), "{err}");
    let (_, err, code) = run(bare(&["slow", "--by", "bsy", "--db"]).arg(&db));
    assert!(code == 2 && err.contains("field.NAME"), "{err}");
}

#[test]
fn explain_by_a_field_compares_within_each_value() {
    let (_folder, db) = shop();
    let words = ["explain", "request", "--by", "field.shard", "--sel", "p90.."];
    let document = json(&db, &words);
    let values = document["values"].as_array().unwrap();
    assert_eq!(values.len(), 4);
    for value in values {
        let (selected, rest) = (value["selected"].as_u64(), value["rest"].as_u64());
        assert!(selected.unwrap() >= 9 && selected.unwrap() + rest.unwrap() == 100, "{value}");
    }
    // All slow ones are of shard 3, unless each shard has its own.
    let whole = rows(&db, &["explain", "request", "--sel", "p75.."]);
    assert!(whole.iter().any(|row| row["field"] == "shard" && row["value"] == "3"), "{whole:?}");
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["field"] != "shard" && row["group"].is_string()), "{rows:?}");
    let text = said(&db, &words);
    assert_eq!(text.matches("shard=").count(), 4, "{text}");
}

#[test]
fn without_a_name_the_names_are_listed_with_their_calls() {
    let (_folder, db) = shop();
    for command in ["hist", "explain"] {
        let text = said(&db, &[command]);
        let apply: Vec<&str> = text.lines().filter(|line| line.ends_with(" apply")).collect();
        assert!(apply.len() == 2 && apply.iter().all(|line| line.contains("200")), "{text}");
        assert!(text.contains(&format!("choose one: `spandrel {command} request`")), "{text}");
        assert_eq!(rows(&db, &[command]).len(), 3);
        assert_eq!(rows(&db, &[command, "-w", "target=disk"]).len(), 1, "of what is asked about");
    }
    let (_, err, code) = run(bare(&["explain", "--sel", "p50..", "--db"]).arg(&db));
    assert!(code == 2 && err.to_lowercase().contains("name"), "{err}");
}

#[test]
fn equal_names_of_two_targets_are_told_apart_or_said_to_be_together() {
    let (_folder, db) = shop();
    for words in [&["explain", "apply"][..], &["hist", "apply"], &["slow", "apply"]] {
        let text = said(&db, words);
        assert!(text.contains("2 targets") && text.contains("cache (200), disk (200)"), "{text}");
        let one = said(&db, &[words, &["-w", "target=disk"]].concat());
        assert!(!one.contains("2 targets"), "{one}");
    }
    let shares = rows(&db, &["explain", "request", "--sel", "field.shard=3"]);
    let children = of(&shares, "kind", &"child_time".into());
    assert!(children.iter().any(|row| row["value"] == "apply (disk)"), "{shares:?}");
}

#[test]
fn the_critical_path_tells_equal_names_apart() {
    let (_folder, db) = new_path();
    let mut run = Recording::begin(&db, &info(1));
    for (id, (name, target, line, from, length)) in (1..).zip([
        ("request", "http", 1, 0, 100),
        ("apply", "cache", 1, 0, 20),
        ("apply", "disk", 1, 20, 30),
        ("apply", "disk", 2, 50, 40),
    ]) {
        let callsite_id = run.store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: name.into(),
            target: target.into(),
            level: "INFO",
            module: None,
            file: Some("a.rs".into()),
            line: Some(line),
        });
        run.batch.spans.push(SpanRow {
            parent_id: u64::from(id > 1),
            root_id: 1,
            busy_ns: Some(0),
            self_ns: Some(0),
            ..run.span(id, callsite_id, from * 1_000_000, length * 1_000_000)
        });
    }
    run.leave();
    let text = said(&db, &["tree"]);
    assert!(text.contains("apply (disk) 70.0%") && text.contains("apply (cache) 20.0%"), "{text}");
    // Its lines, and the sum beneath.
    assert_eq!(text.lines().filter(|line| line.contains("apply (disk)")).count(), 3, "{text}");
    let document = json(&db, &["tree"]);
    let path = document["critical_path"].as_array().unwrap();
    assert_eq!((&path[0]["target"], &path[0]["share"]), (&"disk".into(), &0.7.into()), "{path:?}");
}

#[test]
fn busy_above_the_whole_duration_is_explained_where_it_is_seen() {
    let (_folder, db) = new_path();
    let mut run = Recording::begin(&db, &info(1));
    let job = run.name("job");
    // As four workers make it that are inside of the span of their job for nearly all of its time.
    let row = run.span(1, job, 0, 1_000_000);
    run.batch.spans.push(SpanRow { busy_ns: Some(3_900_000), entries: 4, ..row });
    run.leave();
    let text = said(&db, &["top"]);
    let note =
        "note: job is busy 390% of its duration: several threads were inside of a span at once";
    assert!(text.contains(note), "{text}");
    assert!(!said(profile(), &["top"]).contains("several threads"));
}
