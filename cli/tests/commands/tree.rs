//! `spandrel tree`: which trace is shown when none is named.

use std::path::{Path, PathBuf};

use spandrel_storage::{SpanRow, Status};
use tempfile::TempDir;

use super::fixture::{Recording, info, json, new_path, rows, text};

const MS: i64 = 1_000_000;

/// Parent and duration of each span; they begin 10 ms after each other.
fn profile(spans: &[(u64, Option<i64>)]) -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    let mut run = Recording::begin(&path, &info(1));
    let work = run.name("work");
    for (id, (parent_id, duration_ns)) in (1..).zip(spans) {
        run.batch.spans.push(SpanRow {
            parent_id: *parent_id,
            root_id: if *parent_id == 0 { id } else { *parent_id },
            duration_ns: *duration_ns,
            busy_ns: None,
            self_ns: *duration_ns,
            status: if duration_ns.is_some() { Status::Ok } else { Status::Unfinished },
            ..run.span(id, work, (id - 1) as i64 * 10 * MS, 0)
        });
    }
    run.leave();
    (folder, path)
}

/// The trace that is shown.
fn shown(path: &Path, words: &[&str]) -> Option<u64> {
    json(path, &[&["tree"], words].concat())["trace_id"].as_u64()
}

#[test]
fn the_slowest_trace_is_that_of_the_slowest_root() {
    // A short root that has left a long task behind, two others, and one that has not ended.
    let spans =
        [(0, Some(MS)), (1, Some(900 * MS)), (0, Some(50 * MS)), (0, Some(5 * MS)), (0, None)];
    let (_folder, path) = profile(&spans);
    assert_eq!(shown(&path, &[]), Some(3), "the slowest root");
    assert_eq!(shown(&path, &["--since", "+25ms"]), Some(4), "of those that began in the window");
    assert_eq!(shown(&path, &["-w", "dur>0s"]), Some(1), "that of the slowest span of a filter");
    assert_eq!(shown(&path, &["-w", "is:root"]), Some(3));
    assert_eq!(shown(&path, &["--between", "+5ms..+15ms"]), Some(1), "no root began there");
    assert_eq!(shown(&path, &["--since", "+35ms"]), None, "nothing has ended that began there");
}

/// The page for people, by lines.
fn page(path: &Path, words: &[&str]) -> Vec<String> {
    text(path, &[&["tree"], words].concat()).lines().map(str::to_owned).collect()
}

#[test]
fn the_span_that_was_asked_for_is_shown_and_marked() {
    // Children that get shorter, so that the last ones are not among the longest.
    let mut spans = vec![(0, Some(60_000 * MS))];
    spans.extend((0..4_000).map(|at| (1, Some((5_000 - at) * MS / 100))));
    let (_folder, path) = profile(&spans);
    for words in [
        &["s3900"][..],
        &["s3900", "--depth", "0"],
        &["s3900", "--min-dur", "1h"],
        &["s3900", "--children", "1"],
        &["s3900", "--children", "0"],
        &["s3900", "--children", "0", "-n", "5"],
        &["-w", "dur<10.2ms dur>10.1ms"],
    ] {
        let lines = page(&path, words);
        let marked: Vec<&String> = lines.iter().filter(|line| line.contains("◄ s")).collect();
        let expected = if words[0] == "s3900" { "◄ s3900" } else { "◄ s3" };
        assert!(
            !marked.is_empty() && marked.iter().all(|line| line.contains(expected)),
            "{words:?}: {lines:#?}"
        );
        let root = lines.iter().position(|line| line.contains("├"));
        let first = lines.iter().position(|line| line.contains("◄ s"));
        assert!(root.is_some() && root < first, "its root is there, too: {lines:#?}");
    }
    let rows = rows(&path, &["tree", "s3900", "-n", "0"]);
    let matched = rows.iter().filter(|row| row["matched"] == true);
    let matched: Vec<u64> = matched.map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!((rows.len(), matched), (4_001, vec![3_900]));
}

#[test]
fn what_is_cut_off_is_counted_and_timed() {
    let mut spans = vec![(0, Some(60_000 * MS))];
    spans.extend((0..4_000).map(|_| (1, Some(2 * MS))));
    let (_folder, path) = profile(&spans);
    let all = ["--children", "0"];
    // The root and 1,999 of its children are 2,000 lines.
    let lines = page(&path, &all);
    let more: Vec<&String> = lines.iter().filter(|line| line.contains("more span")).collect();
    assert_eq!(more, ["  … 2,001 more spans, 4.00 s total; -n 0 shows all"]);
    // The span that was asked for stands between two that are left out.
    let lines = page(&path, &["s3001", "--children", "0", "-n", "1001"]);
    let more: Vec<&String> = lines.iter().filter(|line| line.contains("more span")).collect();
    assert_eq!(
        more,
        [
            "  … 2,000 more spans, 4.00 s total; -n 0 shows all",
            "  … 1,000 more spans, 2.00 s total; -n 0 shows all",
        ]
    );
    assert!(page(&path, &["--children", "0", "-n", "0"]).iter().all(|line| !line.contains("more")));
}

#[test]
fn a_span_that_outlives_the_root_is_drawn_to_its_end_or_says_that_it_goes_on() {
    // The root is over at half of the axis.
    let (_folder, path) = profile(&[(0, Some(100 * MS)), (1, Some(190 * MS))]);
    let lines = page(&path, &[]);
    let bar = |line: &str| line.chars().filter(|c| "├─┤░▒".contains(*c)).count();
    let (root, child) = (bar(&lines[2]), bar(&lines[3]));
    assert!(child > root * 3 / 2, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains('►')), "{lines:#?}");
    // The root would hardly be seen.
    let (_folder, path) = profile(&[(0, Some(100 * MS)), (1, Some(90_000 * MS))]);
    let lines = page(&path, &[]);
    assert!(lines[3].contains('►') && lines[4].contains("► goes on"), "{lines:#?}");
    let ascii = text(&path, &["tree", "--ascii"]);
    assert!(ascii.is_ascii() && ascii.contains('>'), "{ascii}");
}

#[test]
fn the_work_of_a_span_is_told_from_what_kept_it_open() {
    let (_folder, path) = new_path();
    let mut recording = Recording::begin(&path, &info(1));
    let [request, audit] = ["request", "audit"].map(|name| recording.name(name));
    let row = |id, parent_id, callsite_id, duration_ns, last_exit_ns| SpanRow {
        parent_id,
        root_id: if parent_id == 0 { id } else { parent_id },
        busy_ns: Some(5 * MS),
        self_ns: Some(MS),
        entries: 40,
        first_entry_ns: Some(0),
        longest_entry_ns: Some(MS),
        last_exit_ns,
        ..recording.span(id, callsite_id, 0, duration_ns)
    };
    let once = SpanRow { entries: 1, last_exit_ns: None, ..row(4, 0, request, 99 * MS, None) };
    let spans = vec![
        row(1, 0, request, 402 * MS, Some(21 * MS)),
        row(2, 1, audit, 402 * MS, Some(402 * MS)),
        // Hardly longer than its work; and one that was entered once, of which columns are spared.
        row(3, 0, request, 100 * MS, Some(98 * MS)),
        SpanRow { first_entry_ns: Some(2 * MS), busy_ns: Some(97 * MS), ..once },
        // It has not been measured.
        row(5, 0, request, 900 * MS, None),
    ];
    recording.batch.spans = spans;
    recording.end(1_000 * MS);
    let said = page(&path, &["t1"]).join("\n");
    let words = "s1 request: work ended after 21.00 ms, kept open to 402.00 ms by `audit`";
    assert!(said.contains(words), "{said}");
    for other in ["t3", "t4", "t5"] {
        assert!(!page(&path, &[other]).join("").contains("work ended"));
    }
    let out = text(&path, &["explain", "request"]);
    let note = format!("1 of 4 spans were open long after their work: {words}");
    assert!(out.contains(&note), "{out}");
    let ranked = |words: &[&str]| -> Vec<u64> {
        let rows = rows(&path, &[&["slow", "request"], words].concat());
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
    };
    for part in [&[][..], &["-w", "dur>1ms"], &["--since", "+0s"]] {
        assert_eq!(ranked(part), [5, 1, 3, 4], "{part:?}");
        assert_eq!(ranked(&[part, &["--by", "work"]].concat()), [4, 3, 1], "{part:?}");
    }
    let out = text(&path, &["slow", "--by", "work", "-n", "1"]);
    assert!(out.contains("work") && out.contains("402.00 ms"), "{out}");
}

/// The symptom: self 48 of 52 µs, and 100 % of the path.
#[test]
fn what_kept_a_trace_open_is_not_the_work_of_the_root_on_its_path() {
    const US: i64 = 1_000;
    let (_folder, path) = new_path();
    let mut recording = Recording::begin(&path, &info(1));
    let [request, audit] = ["request", "audit"].map(|name| recording.name(name));
    let row = |id, root_id, callsite_id, worked_ns, self_ns| SpanRow {
        parent_id: if id == root_id { 0 } else { root_id },
        root_id,
        busy_ns: Some(worked_ns),
        self_ns: Some(self_ns),
        entries: if worked_ns > 0 { 1 } else { 0 },
        first_entry_ns: Some(0).filter(|_| worked_ns > 0),
        ..recording.span(id, callsite_id, 0, 52 * US)
    };
    let spans = vec![
        // Kept open by a handle; and by a child that works on, and by one that nobody enters.
        row(1, 1, request, 39 * US, 39 * US),
        row(3, 3, request, 13 * US, 13 * US),
        SpanRow {
            start_ns: 26 * US,
            duration_ns: Some(26 * US),
            ..row(4, 3, audit, 13 * US, 13 * US)
        },
        row(5, 3, audit, 0, 0),
    ];
    recording.batch.spans = spans;
    recording.leave();
    let said = page(&path, &["t1"]).join("\n");
    assert!(said.contains("critical path ◆ self 75.0%  kept open 25.0% "), "{said}");
    let said = page(&path, &["t3"]).join("\n");
    assert!(said.contains("critical path ◆ audit 25.0%  self 25.0%  kept open 50.0% "), "{said}");
    let document = json(&path, &["tree", "t3"]);
    assert_eq!(document["kept_open_ns"], 26 * US);
    let rows = document["rows"].as_array().unwrap().iter();
    let rows: Vec<_> = rows
        .map(|row| {
            let is_on_it = row["on_critical_path"].as_bool().unwrap();
            (row["id"].as_u64().unwrap(), row["critical_ns"].as_i64().unwrap() / US, is_on_it)
        })
        .collect();
    assert_eq!(rows, [(3, 13, true), (5, 0, false), (4, 13, true)]);
}
