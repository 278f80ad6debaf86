//! A gate that cannot fail is none: what `check` says of runs and rules that are about nothing.

use std::path::Path;

use spandrel_storage::{SpanRow, Status};
use tempfile::TempDir;

use super::fixture::{Recording, check, info, new_path, profile, text};

/// A folder with `p.db`, each run of which has so many calls of `work`.
fn runs(calls: &[u64]) -> TempDir {
    let (folder, path) = new_path();
    write_runs(&path, calls);
    folder
}

/// Writes such a profile.
pub fn write_runs(path: &Path, calls: &[u64]) {
    for (number, calls) in (1..).zip(calls) {
        let mut run = Recording::begin(path, &info(number));
        let work = run.name("work");
        let first = run.store.next_id();
        for n in 0..*calls {
            let status = if n == 0 { Status::Error } else { Status::Ok };
            let row = run.span(first + n, work, n as i64 * 1_000_000, 1_000);
            run.batch.spans.push(SpanRow { status, ..row });
        }
        run.end(10_000_000_000);
    }
}

fn rule(span: &str, metric: &str, bound: &str) -> String {
    format!("[[rule]]\nspan = \"{span}\"\nmetric = \"{metric}\"\n{bound}\n")
}

#[test]
fn an_empty_run_is_no_pass() {
    let folder = runs(&[0, 300]);
    let db = folder.path().join("p.db");
    for (words, expected) in [
        (&["--run", "1"][..], 1),
        (&["--run", "2"], 0),
        (&["--run", "2", "--baseline", "1"], 1),
        (&["--run", "1", "--baseline", "2"], 1),
        (&["--run", "2", "-w", "name=none"], 1),
        (&["--run", "2", "--since", "+9s"], 1),
    ] {
        let (said, code) = check(&db, "", words);
        assert_eq!(code, expected, "{words:?}: {said}");
        assert_eq!(said.contains("no closed span"), expected == 1, "{words:?}: {said}");
    }
    let lost = "[[rule]]\nmetric = \"dropped\"\nmax = 0\n";
    assert_eq!(check(&db, lost, &["--run", "1"]).1, 1);
    let may_be_empty = "[[rule]]\nmetric = \"spans\"\nmin = 0\n";
    assert_eq!(check(&db, may_be_empty, &["--run", "1"]).1, 0);
}

#[test]
fn a_rule_about_no_span_fails() {
    let db = profile();
    for (rules, expected) in [
        (rule("http.reqest", "p50", "max = \"1s\""), 1),
        (rule("http.reqest", "max", "max = \"1s\""), 1),
        (rule("http.reqest", "error_rate", "max = 1"), 1),
        (rule("http.reqest", "p50", "percent = 5"), 1),
        (rule("admin.*", "p50", "percent = 5"), 1),
        (rule("http.reqest", "calls", "min = 1"), 1),
        (rule("http.reqest", "calls", "max = 0"), 0),
        (rule("http.request", "calls", "max = 0"), 1),
        (rule("http.request", "p50", "max = \"1s\"\nsamples = 10"), 0),
        (rule("http.*", "p50", "max = \"1s\"\nsamples = 10"), 0),
    ] {
        let (said, code) = check(db, &rules, &["--run", "2", "--baseline", "1"]);
        assert_eq!(code, expected, "{rules}: {said}");
        assert_eq!(
            said.contains("there is no such span"),
            rules.contains("reqest") || rules.contains("admin")
        );
        assert_eq!(said.contains("did you mean http.request?"), rules.contains("reqest"), "{said}");
    }
}

#[test]
fn nothing_judged_is_no_pass() {
    let folder = runs(&[50, 50]);
    let db = folder.path().join("p.db");
    for words in [&["--baseline", "1"][..], &["--baseline", "1", "-f", "github"]] {
        let (said, code) = check(&db, "", words);
        assert!(code == 1 && said.contains("nothing is known of any span"), "{said}");
    }
    let few = rule("work", "p50", "max = \"1s\"");
    assert_eq!(check(&db, &few, &[]).1, 1);
    let (said, code) = check(&db, &rule("work", "p50", "percent = 5"), &[]);
    assert!(code == 1 && said.contains("give --baseline"), "{said}");
}

#[test]
fn counts_are_exact_however_few() {
    let folder = runs(&[71, 70, 72]);
    let db = folder.path().join("p.db");
    let calls = |bound: &str| rule("work", "calls", bound);
    for (rules, run, expected) in [
        (calls("max = 70"), "1", 1),
        (calls("max = 70"), "2", 0),
        (calls("max = 70"), "*", 1),
        (calls("max = 72"), "*", 0),
        (calls("min = 71"), "*", 1),
        (calls("min = 70"), "*", 0),
        (calls("max = 70\nsamples = 200"), "1", 1),
        (rule("work", "max", "max = \"500ns\""), "1", 1),
        (rule("work", "error_rate", "max = 0.01"), "1", 1),
        (rule("work", "error_rate", "max = 0.02"), "1", 0),
    ] {
        let (said, code) = check(&db, &rules, &["--run", run]);
        assert_eq!(code, expected, "{rules} of {run}: {said}");
        assert!(said.contains(" 0 not judged"), "{said}");
    }
    // Of a change, too: one run beside several is no fewer calls.
    for (percent, run, baseline, expected) in [
        ("percent = 1", "1", "2", 1),
        ("percent = 2", "1", "2", 0),
        ("percent = 1\nabsolute = 1", "1", "2", 0),
        ("percent = 1", "2", "1,3", 0),
        ("percent = 1", "2,1", "2", 0),
        ("percent = 1", "3", "2,1", 1),
    ] {
        let (said, code) = check(&db, &calls(percent), &["--run", run, "--baseline", baseline]);
        assert_eq!(code, expected, "{percent} of {run} against {baseline}: {said}");
    }
}

#[test]
fn a_comparison_with_nothing_or_with_itself_says_so() {
    let folder = runs(&[300, 300]);
    let db = folder.path().join("p.db");
    for format in ["plain", "github", "csv", "junit", "json", "md"] {
        let of = |words: &[&str]| check(&db, "", &[words, &["-f", format]].concat()).0;
        assert!(of(&[]).contains("no baseline"), "{format}");
        assert!(of(&["--baseline", "2"]).contains("A = B"), "{format}");
        let differ = of(&["--baseline", "1"]);
        assert!(!differ.contains("A = B") && !differ.contains("no baseline"), "{format}: {differ}");
        assert!(of(&["--run", "*", "--baseline", "1"]).contains("1 run is on both sides"));
    }
    let copy = folder.path().join("copy.db");
    std::fs::copy(&db, &copy).unwrap();
    assert!(text(&db, &["diff", "latest", copy.to_str().unwrap()]).contains("A = B"));
}

/// Adds names with one span each to the only run of a profile.
fn add_names(db: &Path, names: i64) {
    let file = rusqlite::Connection::open(db).unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO callsite (id, kind, name, target, level)
        SELECT 1000 + i, 'span', printf('name_%06d', i), 'made', 'INFO' FROM n";
    file.execute(sql, [names]).unwrap();
    let sql =
        "INSERT INTO span (id, run_id, root_id, callsite_id, thread_id, start_ns, duration_ns,
        busy_ns, self_ns, entries, status, batch_id)
        SELECT 1000 + c.id, s.run_id, 1000 + c.id, c.id, s.thread_id, s.start_ns, s.duration_ns,
        s.busy_ns, s.self_ns, s.entries, 'ok', s.batch_id
        FROM callsite AS c, (SELECT * FROM span LIMIT 1) AS s WHERE c.target = 'made'";
    file.execute(sql, []).unwrap();
    file.execute("UPDATE run SET spans = spans + ?1, last_id = 1000000", [names]).unwrap();
}

#[test]
fn verdicts_on_names_without_number_are_counted_and_not_all_listed() {
    let folder = runs(&[3]);
    let db = folder.path().join("p.db");
    add_names(&db, 2_500);
    let rules = |max: &str| {
        format!(
            "[defaults]\nsamples = 1\n[[rule]]\nspan = \"name_*\"\nmetric = \"max\"\nmax = \"{max}\"\n"
        )
    };
    for (max, key, exit) in [("1s", "passed", 0), ("1ns", "failed", 1)] {
        let (said, code) = check(&db, &rules(max), &["-f", "json", "--quiet"]);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, said[key].as_u64()), (exit, Some(2_500)), "{key}");
        let rows = said["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2_001);
        assert_eq!(rows[2_000]["outcome"], key);
        let more = rows[2_000]["said"].as_str().unwrap();
        assert_eq!(more, "500 names more that are not listed");
    }
    let (said, _) = check(&db, &rules("1s"), &[]);
    assert!(said.contains("0 failed, 2,500 passed, 0 not judged"), "{said}");
}

#[test]
fn an_entry_that_blocks_a_runtime_fails_a_rule() {
    let rules = |max: &str| rule("http.request", "longest", &format!("max = \"{max}\""));
    let (said, code) = check(profile(), &rules("10ms"), &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("10.25 ms"), "{said}");
    let (said, code) = check(profile(), &rules("11ms"), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("none is longer"), "{said}");
    // The first run's queries take half as long.
    assert_eq!(check(profile(), &rules("10ms"), &["--run", "1"]).1, 0);
    // Nothing was entered more than once there, so there is no runtime, and nothing is judged.
    let folder = runs(&[300]);
    let rules = rule("work", "longest", "max = \"1ns\"");
    let (said, code) = check(&folder.path().join("p.db"), &rules, &[]);
    assert!(code == 1 && said.contains("no thread runs futures"), "{said}");
}
