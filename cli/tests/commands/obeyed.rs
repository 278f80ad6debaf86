//! What a profile says is obeyed by nobody: no terminal, no reader of Markdown or XML.

use spandrel_storage::RunInfo;

#[cfg(unix)]
use super::fixture::on_terminal;
use super::fixture::{NASTY, Recording, bare, info, new_path, run};

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
        let shown = on_terminal(words, 80);
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
    let (folder, db) = new_path();
    let mut recording = Recording::begin(&db, &RunInfo { label: Some(NAMES[0].into()), ..info(1) });
    for name in NAMES {
        let callsite_id = recording.name(name);
        let first = recording.store.next_id() + recording.batch.spans.len() as u64;
        for id in first..first + 10 {
            let row = recording.span(id, callsite_id, id as i64 * 1_000, 1_000);
            recording.batch.spans.push(row);
        }
    }
    recording.end(1_000_000_000);
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
