//! On a terminal of eighty columns no figure is cut, however long the names and the figures are.

use std::path::{Path, PathBuf};

use spandrel_storage::{Batch, CallsiteInfo, CallsiteKind, SpanRow, Status, Store, StoreOptions};
use tempfile::TempDir;

use super::fixture::info;

const NAME: &str = "checkout::handlers::place_order_and_notify_the_warehouse";
const TARGETS: [&str; 2] = ["storefront::inventory::cache", "storefront::inventory::disk"];
const LABEL: &str = "nightly run of the branch that makes the cache twice as large as it was";

/// Two runs: in each, a name of two targets. In the second run that of `cache` takes some 13 times as long, and
/// that of `disk` half a million times.
fn profile() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    // 4.5 s and 1 min; 0.12 ms and 1 min.
    let before = [4_500_000_000_i64, 120_000];
    for (number, durations) in [(1, before), (2, [60_052_500_000, 60_120_000_000])] {
        let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
        let mut run = info(number);
        run.label = Some(LABEL.into());
        store.begin_run(&run).unwrap();
        let sites = TARGETS.map(|target| {
            store.intern_callsite(&CallsiteInfo {
                kind: CallsiteKind::Span,
                name: NAME.into(),
                target: target.into(),
                level: "INFO",
                module: None,
                file: None,
                line: None,
            })
        });
        let thread_id = store.intern_thread(1, 1, Some("worker"));
        let mut batch = Batch::default();
        let first = store.next_id();
        for at in 0..600_u64 {
            let which = (at % 2) as usize;
            let duration_ns = durations[which] + at as i64 * 1_000;
            batch.spans.push(SpanRow {
                id: first + at,
                parent_id: 0,
                root_id: first + at,
                callsite_id: sites[which],
                thread_id,
                start_ns: at as i64 * 20_000_000,
                duration_ns: Some(duration_ns),
                busy_ns: Some(duration_ns / 2),
                self_ns: Some(duration_ns),
                entries: 1,
                status: Status::Ok,
                fields: 0..0,
                ..SpanRow::default()
            });
        }
        store.append(&mut batch).unwrap();
        store.end_run(1_760_100_000_000_000_000, "{}").unwrap();
        store.close().unwrap();
    }
    (folder, path)
}

/// What a terminal shows, line by line.
fn shown(db: &Path, words: &[&str], cols: u16) -> Vec<String> {
    use std::io::Read;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    let size = PtySize { rows: 60, cols, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_spandrel"));
    command.args(words);
    command.args(["--no-pager", "--db"]);
    command.arg(db);
    for (name, value) in [("TERM", "xterm"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")] {
        command.env(name, value);
    }
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
    // The end of the other side is an error on some systems.
    while let Ok(read @ 1..) = reader.read(&mut bytes) {
        said.extend_from_slice(&bytes[..read]);
    }
    assert!(child.wait().unwrap().success(), "{words:?}");
    let mut screen = vt100::Parser::new(60, cols, 0);
    screen.process(&said);
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
