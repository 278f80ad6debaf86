//! A span that no thread was ever inside: how long it was open is nobody's work. It leads no list of what is slow,
//! is marked where it stands, and can be found.

use std::path::Path;

use serde_json::Value;
use spandrel::Profiler;
use tracing::info_span;

use super::fixture::{Shared, record, rows, text};

const STEPS: usize = 30;

/// `held` is open from beginning to end, and `job` inside of that, with `step`s below it. Only these are entered.
fn recorded() -> &'static Path {
    static MADE: Shared = Shared::new();
    MADE.written_by(|path| {
        record(path, Profiler::builder(), |_| {
            let _held = info_span!("held");
            let job = info_span!("job");
            for number in 0..STEPS {
                info_span!(parent: &job, "step", number).in_scope(|| drop(info_span!("idle")));
            }
            drop(info_span!("alone").entered());
        });
    })
}

/// As it was recorded, and with indexes.
fn both() -> [&'static Path; 2] {
    static QUICK: Shared = Shared::new();
    let quick = QUICK.written_by(|path| {
        std::fs::copy(recorded(), path).unwrap();
        text(path, &["optimize"]);
    });
    [recorded(), quick]
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn spans_that_were_never_entered_lead_no_list_of_the_slowest() {
    for db in both() {
        let ways: [&[&str]; 8] = [
            &["slow", "-n", "0"],
            &["slow", "-n", "0", "-w", "name=*"],
            &["slow", "-n", "0", "--since", "+0s"],
            &["slow", "-n", "0", "--by", "self"],
            &["slow", "-n", "0", "--by", "busy"],
            &["slow", "-n", "0", "--by", "idle"],
            &["slow", "-n", "0", "--by", "name"],
            &["slow", "-n", "0", "--by", "idle", "--by", "name"],
        ];
        for words in ways {
            let found = rows(db, words);
            let entered: Vec<bool> = found.iter().map(|row| row["entries"] != 0).collect();
            let behind = entered.iter().position(|entered| !entered).unwrap();
            assert!(entered[behind..].iter().all(|entered| !entered), "{words:?}: {entered:?}");
            // None is left out.
            if !words.ends_with(&["name"]) {
                assert_eq!((behind, found.len()), (STEPS + 1, 2 * STEPS + 3), "{words:?}");
            }
            if words.len() == 3 {
                assert_eq!(names(&found[behind..behind + 2]), ["held", "job"]);
            }
        }
        let few = rows(db, &["slow", "-n", "5"]);
        assert!(few.len() == 5 && few.iter().all(|row| row["entries"] == 1), "{few:?}");
    }
}

#[test]
fn spans_that_were_never_entered_are_found_and_marked() {
    for db in both() {
        let alone = rows(db, &["slow", "-w", "entries=0", "-n", "2"]);
        assert_eq!(names(&alone), ["held", "job"]);
        for words in [&["slow", "held"][..], &["slow", "-w", "entries=0"]] {
            let page = text(db, words);
            assert!(page.contains("held (never entered)"), "{page}");
            assert_eq!(page.matches("no thread was ever inside").count(), 1, "{page}");
        }
        assert_eq!(names(&rows(db, &["slow", "held"])), ["held"], "the name is as it was");
        let page = text(db, &["slow", "step"]);
        assert!(!page.contains("never entered"), "{page}");
    }
}

#[test]
fn the_slowest_trace_is_one_in_which_somebody_worked() {
    for db in both() {
        for words in [&["tree"][..], &["tree", "--since", "+0s"]] {
            let page = text(db, words);
            let root = page.lines().find(|line| line.contains("job")).unwrap_or_default();
            assert!(root.contains("never entered") && !page.contains("held"), "{page}");
        }
        // Of what a filter means, likewise; and what was asked for is shown in any case.
        let page = text(db, &["tree", "-w", "name!=step name!=idle"]);
        assert!(page.contains("alone"), "{page}");
        let held = rows(db, &["slow", "held"])[0]["id"].as_u64().unwrap();
        assert!(text(db, &["tree", &format!("s{held}")]).contains("held"));
        assert!(text(db, &["tree", "-w", "name=held"]).contains("held"));
    }
}
