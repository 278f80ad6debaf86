//! A run that was told not to measure the time inside of spans: whatever asks for that says why there is nothing,
//! and how there would be something, instead of an empty table that looks like an answer.

use std::path::Path;

use spandrel::Profiler;
use tracing::info_span;

use super::fixture::{Shared, bare, record, run, spandrel};

const SPANS: usize = 300;
const WAY_OUT: &str = "record with busy_time(true)";

/// `task`, entered three times each, with a `part` inside of each entry.
fn untimed() -> &'static Path {
    static MADE: Shared = Shared::new();
    MADE.written_by(|path| {
        record(path, Profiler::builder().busy_time(false), |_| {
            for _ in 0..SPANS {
                let task = info_span!("task");
                (0..3).for_each(|_| task.in_scope(|| drop(info_span!("part").entered())));
            }
        });
    })
}

/// All that a command says, and what of that is beside the rows.
fn said(words: &[&str]) -> (String, String) {
    let (out, err, code) = run(bare(words).arg("--db").arg(untimed()));
    assert!(code < 3, "{words:?} ends with {code}: {err}");
    (out + &err, err)
}

#[test]
fn what_was_not_measured_is_said_and_how_it_would_be() {
    let asked: [&[&str]; 20] = [
        &["stalls"],
        &["stalls", "--all-threads", "--blocking", "1ns"],
        &["slow", "--by", "busy"],
        &["slow", "--by", "work"],
        &["slow", "task", "--by", "idle"],
        &["slow", "--by", "idle", "--by", "target"],
        &["slow", "--columns", "name,busy_ns"],
        &["top", "--sort", "busy"],
        &["top", "--sort", "idle"],
        &["top", "--columns", "name,busy_share"],
        &["top", "-w", "busy>1ns"],
        &["hist", "task", "-w", "longest>1ns"],
        &["slow", "-w", "name=task idle>1ns"],
        &["tree", "-w", "wait<1s"],
        &["flame", "-w", "exit<1s"],
        &["flame", "--weight", "busy"],
        &["explain", "task", "--sel", "busy>1ns"],
        &["explain", "task", "--sel", "busy>1ns", "--by", "target"],
        &["diff", "latest", "latest", "-w", "busy>1ns"],
        &["tail", "-w", "longest>1ns"],
    ];
    for words in asked {
        let all = said(words).0;
        assert_eq!(all.matches(WAY_OUT).count(), 1, "{words:?}: {all}");
        assert!(!all.contains("lasted") && !all.contains("no thread runs futures"), "{all}");
    }
    // Beside rows for programs.
    for words in [["stalls", "-f", "csv"], ["top", "-wbusy>1ns", "-fndjson"]] {
        let aside = said(&words).1;
        assert!(aside.contains(WAY_OUT), "{words:?}: {aside}");
    }
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("x.csv");
    let aside = said(&["export", "csv", "-w", "busy>1ns", "-o", csv.to_str().unwrap()]).1;
    assert!(aside.contains(WAY_OUT), "{aside}");
}

#[test]
fn rules_about_what_was_not_measured_are_not_judged_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    for metric in ["busy", "longest"] {
        let rule = format!("[[rule]]\nspan = \"task\"\nmetric = \"{metric}\"\nmax = \"1s\"\n");
        std::fs::write(&rules, rule).unwrap();
        let all = said(&["check", "--rules", rules.to_str().unwrap()]).0;
        assert!(all.contains(WAY_OUT) && all.contains("not judged"), "{metric}: {all}");
    }
}

#[test]
fn nothing_is_said_of_it_where_nobody_asks_for_it_or_it_was_measured() {
    for words in [&["top"][..], &["slow"], &["slow", "--by", "self"], &["top", "-w", "entries>1"]] {
        let all = said(words).0;
        assert!(all.contains("task") && !all.contains(WAY_OUT), "{words:?}: {all}");
    }
    let (out, err, _) = run(&mut spandrel(&["top", "-w", "busy>1h"]));
    assert!(out.contains("nothing matched") && !(out + &err).contains(WAY_OUT));
    let busy_times = |text: String| {
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["run"]["busy_times"].clone()
    };
    assert_eq!(busy_times(said(&["stalls", "-f", "json"]).0), false);
    assert_eq!(busy_times(run(&mut spandrel(&["stalls", "-f", "json"])).0), true);
}
