//! On a terminal of eighty columns no figure is cut, however long the names and the figures are.

use std::path::{Path, PathBuf};

use spandrel_storage::{RunInfo, SpanRow};
use tempfile::TempDir;

use super::fixture::{Recording, info, new_path, on_terminal};

const NAME: &str = "checkout::handlers::place_order_and_notify_the_warehouse";
const TARGETS: [&str; 2] = ["storefront::inventory::cache", "storefront::inventory::disk"];
const LABEL: &str = "nightly run of the branch that makes the cache twice as large as it was";

/// Two runs: in each, a name of two targets. In the second run that of `cache` takes some 13 times as long, and
/// that of `disk` half a million times.
fn profile() -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    // 4.5 s and 1 min; 0.12 ms and 1 min.
    let before = [4_500_000_000_i64, 120_000];
    for (number, durations) in [(1, before), (2, [60_052_500_000, 60_120_000_000])] {
        let info = RunInfo { label: Some(LABEL.into()), ..info(number) };
        let mut run = Recording::begin(&path, &info);
        let sites = TARGETS.map(|target| run.name_of(NAME, target));
        let first = run.store.next_id();
        for at in 0..600_u64 {
            let which = (at % 2) as usize;
            let duration_ns = durations[which] + at as i64 * 1_000;
            let row = run.span(first + at, sites[which], at as i64 * 20_000_000, duration_ns);
            run.batch.spans.push(SpanRow { busy_ns: Some(duration_ns / 2), ..row });
        }
        run.end(1_760_100_000_000_000_000 - info.started_unix_ns);
    }
    (folder, path)
}

/// What a terminal shows, line by line.
fn shown(db: &Path, words: &[&str], cols: u16) -> Vec<String> {
    let said = on_terminal(&[words, &["--no-pager", "--db", db.to_str().unwrap()]].concat(), cols);
    let mut screen = vt100::Parser::new(60, cols, 0);
    screen.process(said.as_bytes());
    let rows: Vec<String> = screen.screen().rows(0, cols).collect();
    rows.iter().map(|row| row.trim_end().to_owned()).collect()
}

/// What follows that text in its line.
fn behind<'l>(lines: &'l [String], text: &str) -> &'l str {
    let row = lines.iter().find_map(|line| line.split_once(text));
    row.unwrap_or_else(|| panic!("no {text:?} in\n{}", lines.join("\n"))).1.trim()
}

#[test]
fn diff_keeps_p50_and_tells_equal_names_apart_however_long_they_are() {
    let (_folder, db) = profile();
    let lines = shown(&db, &["diff", "1", "2"], 80);
    let text = lines.join("\n");
    let heading = lines.iter().find(|line| line.starts_with("span")).expect(&text);
    let titles: Vec<&str> = heading.split_whitespace().collect();
    assert_eq!(titles, ["span", "target", "p50", "p99"], "{text}");
    let cache = "4.50 → 59.86 s ▲1221%       4.50 → 59.86 s ▲1218%";
    assert_eq!(behind(&lines, "check…house  store…cache"), cache, "{text}");
    let disk = "419.84 µs → 59.86 s ▲ 14M%  716.80 µs → 59.86 s ▲  8M%";
    assert_eq!(behind(&lines, "check…house  store…:disk"), disk, "{text}");
    // With more room, more is said, and still no figure is cut.
    for cols in [80, 90, 100, 120, 140, 170, 200] {
        let lines = shown(&db, &["diff", "1", "2"], cols);
        let heading = lines.iter().position(|line| line.starts_with("span")).unwrap();
        for line in &lines[heading..heading + 3] {
            assert!(!line.ends_with('…'), "{cols}\n{}", lines.join("\n"));
        }
    }
}

#[test]
fn long_names_leave_room_for_the_figures_behind_them() {
    let (_folder, db) = profile();
    for (words, behind) in [
        (&["runs"][..], ["2025-10-09 10:53:20 UTC", "600", "0", "yes"]),
        (&["info"], ["2025-10-09 10:53:20 UTC", "600", "0", "ended"]),
        (
            &[
                "sql",
                "SELECT name AS a, name AS b, 1234567 AS c, 600 AS d, 0 AS e, 7 AS f FROM callsite",
            ],
            ["1234567", "600", "0", "7"],
        ),
    ] {
        let lines = shown(&db, words, 80);
        let row = lines.iter().find(|line| line.contains("600")).expect("a row");
        let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        let from =
            cells.iter().position(|cell| *cell == behind[0]).unwrap_or_else(|| panic!("{row}"));
        assert_eq!(cells[from..from + 4], behind, "{}", lines.join("\n"));
    }
}

#[test]
fn equal_names_are_told_apart_by_target_however_long_they_are() {
    let (_folder, db) = profile();
    for command in ["top", "hist", "explain"] {
        let lines = shown(&db, &[command], 80);
        for target in TARGETS {
            let count = lines.iter().filter(|line| line.contains(target)).count();
            assert_eq!(count, 1, "{command} {target}\n{}", lines.join("\n"));
        }
    }
}
