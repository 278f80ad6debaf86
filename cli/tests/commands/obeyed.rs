//! What a profile says is obeyed by nobody: no terminal, no reader of Markdown or XML.

use spandrel_storage::{Batch, CallsiteKind, SpanRow, Status, Store, StoreOptions};

#[cfg(unix)]
use super::fixture::profile;
use super::fixture::{NASTY, bare, callsite, info, run};

/// What a command shows on a terminal.
#[cfg(unix)]
fn on_terminal(words: &[&str]) -> String {
    use std::io::Read;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_spandrel"));
    command.args(words);
    command.env("SPANDREL_DB", profile());
    command.env("TERM", "xterm");
    command.env("LC_ALL", "C.UTF-8");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
    // The end of the other side is an error on some systems.
    while let Ok(read @ 1..) = reader.read(&mut bytes) {
        said.extend_from_slice(&bytes[..read]);
    }
    assert!(child.wait().unwrap().success(), "{words:?}");
    String::from_utf8(said).unwrap()
}

#[cfg(unix)]
#[test]
fn no_format_lets_a_terminal_obey() {
    let select = "select name from callsite";
    for words in [
        &["sql", "-f", "csv", select][..],
        &["sql", "-f", "tsv", select],
        &["sql", "-f", "ndjson", select],
        &["sql", "-f", "json", select],
        &["sql", select],
        &["top", "-f", "csv", "-n", "0"],
        &["top", "-f", "ndjson", "-n", "0"],
        &["top", "-f", "md", "-n", "0", "--color", "never"],
        &["tail", "-n", "500", "-f", "csv"],
        &["tail", "-n", "500", "-f", "ndjson"],
        &["export", "csv"],
        &["export", "ndjson"],
        &["export", "folded"],
        &["export", "chrome"],
        &["export", "speedscope"],
        &["report", "-o", "-"],
        &["flame", "--svg", "-"],
    ] {
        let shown = on_terminal(words);
        assert!(shown.contains("DROP TABLE span"), "{words:?} does not show the name: {shown}");
        let obeyed = shown.find(['\u{1b}', '\u{202e}', '\u{9b}']);
        assert_eq!(obeyed, None, "{words:?}: {shown:?}");
    }
}

const NAMES: [&str; 5] = [
    "![a](http://x/y.png) <img src=x> `c` **b** | _e_",
    "```\n# heading",
    "a\u{ffff}b\u{fffe}",
    NASTY,
    "~~gone~~ [link](javascript:x)",
];

#[test]
fn markdown_and_junit_hold_only_text() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("names.db");
    let mut store = Store::open(&db, &StoreOptions::default()).unwrap();
    let mut run_info = info(1);
    run_info.label = Some(NAMES[0].into());
    store.begin_run(&run_info).unwrap();
    let thread_id = store.intern_thread(1, 77, Some("worker"));
    let mut batch = Batch::default();
    for name in NAMES {
        let callsite_id = callsite(&mut store, name, CallsiteKind::Span);
        let first = store.next_id() + batch.spans.len() as u64;
        for id in first..first + 10 {
            batch.spans.push(SpanRow {
                id,
                parent_id: 0,
                root_id: id,
                callsite_id,
                thread_id,
                start_ns: id as i64 * 1_000,
                duration_ns: Some(1_000),
                busy_ns: Some(1_000),
                self_ns: Some(1_000),
                entries: 1,
                status: Status::Ok,
                fields: 0..0,
                ..SpanRow::default()
            });
        }
    }
    store.append(&mut batch).unwrap();
    store.end_run(run_info.started_unix_ns + 1_000_000_000, "{}").unwrap();
    store.close().unwrap();
    let rules = folder.path().join("rules.toml");
    let rule = |name: &str| {
        let name = serde_json::to_string(name).unwrap().replace("\\u001b", "\\u001B");
        format!("[[rule]]\nspan = {name}\nmetric = \"calls\"\nmax = 1\n")
    };
    std::fs::write(&rules, NAMES.map(rule).join("\n")).unwrap();

    for words in [&["top"][..], &["slow"], &["tree"], &["flame"], &["hist"], &["info"], &["runs"]] {
        let (page, err, _) = run(bare(words).args(["-f", "md", "--db"]).arg(&db));
        let mut fence: Option<String> = None;
        for line in page.lines() {
            let marks = line.chars().take_while(|mark| *mark == '`').count();
            match &fence {
                None if marks >= 3 => fence = Some("`".repeat(marks)),
                Some(open) if marks >= open.len() => fence = None,
                Some(_) => {}
                None => {
                    for bad in ["![a](", "<img", " `c`", "**b**", " _e_", "~~gone~~", "[link]("] {
                        assert!(!line.contains(bad), "{words:?}: {bad} in {line:?}");
                    }
                    assert!(!line.starts_with("# "), "{words:?}: {line:?}");
                }
            }
        }
        assert_eq!(fence, None, "{words:?}: {page}{err}");
    }

    let (report, err, code) =
        run(bare(&["check", "-f", "junit", "--rules"]).arg(&rules).arg("--db").arg(&db));
    assert_eq!(code, 1, "{report}{err}");
    let is_of_xml = |c: char| matches!(c, '\n' | '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert_eq!(report.find(|c| !is_of_xml(c)), None, "{report:?}");
    assert!(report.contains("a\u{fffd}b\u{fffd}"), "{report}");
}
