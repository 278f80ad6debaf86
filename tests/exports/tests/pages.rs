//! What the pages show of other programs is what these do: each block is run, and prints what the page
//! says.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use spandrel_storage::StoreOptions;
use spandrel_tests_exports::Desk;
use spandrel_tests_exports::blocks::{Block, blocks, fits};
use spandrel_tests_exports::shop::Live;

/// Has pages written instead of compared, as in the tests of the book.
const WRITE: &str = "SPANDREL_WRITE_BOOK";

/// Pages beside those of `use-from/` with something that another program reads.
const OTHERS: [&str; 4] =
    ["howto/sql.md", "howto/follow.md", "howto/files.md", "reference/schema.md"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src").canonicalize().unwrap()
}

fn pages() -> Vec<(PathBuf, String)> {
    let folder = fs::read_dir(source().join("use-from")).unwrap();
    let of_tools = folder.map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = of_tools.chain(OTHERS.map(|page| source().join(page))).collect();
    pages.sort();
    pages.into_iter().map(|page| (page.clone(), fs::read_to_string(page).unwrap())).collect()
}

fn found(page: &Path, text: &str) -> Vec<Block> {
    let mut found = blocks(text).unwrap_or_else(|fault| panic!("{}: {fault}", page.display()));
    if page.ends_with("reference/schema.md") {
        // That page is made, of a file that knows nothing of this.
        found.iter_mut().for_each(|block| block.info = "sql,schema".into());
    }
    found
}

#[test]
fn no_block_escapes() {
    let count: usize = pages().iter().map(|(page, text)| found(page, text).len()).sum();
    assert!(count > 40, "{count} blocks");
}

/// What a block printed.
struct Printed {
    text: String,
    fails: bool,
}

/// Runs blocks, one after the other; `None` where something is not installed.
fn run(desk: &Desk, blocks: &[Block]) -> Vec<Option<Printed>> {
    let given: Vec<_> = blocks
        .iter()
        .map(|block| serde_json::json!({ "info": block.info, "body": block.body }))
        .collect();
    let mut child = desk
        .command(&desk.python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages.py"))
        .arg(desk.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = serde_json::Value::from(given).to_string();
    child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), blocks.len());
    let printed = answers.iter().zip(blocks).map(|(answer, block)| {
        if let Some(missing) = answer["missing"].as_str() {
            eprintln!("SKIPPED: {missing}: {}", block.body.lines().next().unwrap());
            return None;
        }
        let text = answer["printed"].as_str().unwrap().to_owned();
        Some(Printed { text, fails: answer["fails"].as_bool().unwrap() })
    });
    printed.collect()
}

/// A page that was run.
struct Played {
    /// It, with what is printed now.
    text: String,
    /// What is wrong.
    faults: Vec<String>,
    /// Whether nothing was missing that a block needs.
    is_whole: bool,
}

fn play(page: &Path, text: &str) -> Option<Played> {
    let desk = Desk::new()?;
    let mut live = Live::begin(desk.folder.path(), &StoreOptions::default());
    live.commit(100).unwrap();
    live.commit(40).unwrap();
    let blocks = found(page, text);
    let printed = run(&desk, &blocks);
    let mut lines: Vec<&str> = text.lines().collect();
    let mut faults = Vec::new();
    // From the end, so that places before stay what they are.
    for (block, printed) in blocks.iter().zip(&printed).rev() {
        let Some(printed) = printed else { continue };
        let prints: Vec<_> = printed.text.lines().map(str::trim_end).collect();
        let says = block.says.clone().unwrap_or_default();
        let said: Vec<_> = lines[says.clone()].iter().map(|line| line.trim_end()).collect();
        if !printed.fails && fits(&said, &prints) {
            continue;
        }
        let (place, said) = (format!("{}:{}", page.display(), block.line), said.join("\n"));
        let fault = format!("{place}\n{}prints\n{}and not\n{said}", block.body, printed.text);
        // What fails shall not stand in a page, and what is not shown cannot be renewed.
        if !printed.fails && block.says.is_some() && std::env::var_os(WRITE).is_some() {
            lines.splice(says, prints);
        } else {
            faults.push(fault);
        }
    }
    let is_whole = printed.iter().all(Option::is_some);
    Some(Played { text: lines.join("\n") + "\n", faults, is_whole })
}

#[test]
fn each_block_prints_what_the_page_says() {
    let mut faults = Vec::new();
    for (page, text) in pages() {
        let Some(played) = play(&page, &text) else { return };
        faults.extend(played.faults);
        if played.text != text {
            fs::write(&page, played.text).unwrap();
        }
    }
    assert!(faults.is_empty(), "{}\nrenew what they print with {WRITE}=1", faults.join("\n\n"));
}

#[test]
fn a_page_that_says_otherwise_is_noticed() {
    for (wrong, faults) in [
        ("```python\nprint(1)\nprint(2)\n```\n\n```text\n1\n2\n```\n", 0),
        ("```python\nprint(1)\nprint(2)\n```\n\n```text\n1\n3\n```\n", 1),
        ("```python\nprint(1)\n```\n", 1),
        ("```python\n1 / 0\n```\n", 1),
        ("```sh\nfalse\n```\n", 1),
        ("```sql\nSELECT * FROM spams\n```\n", 1),
    ] {
        if let Some(played) = play(Path::new("page.md"), wrong).filter(|_| !is_writing()) {
            assert_eq!(played.faults.len(), faults, "{wrong}{:?}", played.faults);
        }
    }
}

/// What somebody would write who does not heed a page: the page, what it has, that instead, and what comes
/// of it. Where a page shows both ways, the right one stands here in place of the wrong one.
const TRAPS: [[&str; 4]; 19] = [
    // Views of an attached database.
    ["clickhouse", "FROM system.tables WHERE database = 'shop'", "FROM shop.slow", "UNKNOWN_TABLE"],
    [
        "clickhouse",
        "quantileExact(0.95)(duration_ms) AS p95",
        "quantile(0.95)(duration_ms) AS p95",
        "11.41",
    ],
    [
        "clickhouse",
        "intDiv(started_unix_ns + start_ns, 1000000000)",
        "((started_unix_ns + start_ns) / 1000000000)",
        "must be integer",
    ],
    ["datasette", "for option in '' -i; do", "for option in '' ''; do", "[20140]\n[20140]\n"],
    ["datasette", "--setting max_returned_rows 50000 ", "", "1000 True\n1000 True\n"],
    [
        "duckdb",
        "quantile_disc(duration_ms, 0.95) AS p95",
        "quantile_cont(duration_ms, 0.95) AS p95",
        "11.41",
    ],
    ["duckdb", "start_ns // 1000000000)", "start_ns / 1000000000)", "20000 │   20000"],
    // Milliseconds, an argument with a parenthesis, and milliseconds for nanoseconds.
    [
        "grafana",
        "$__from / 1000 AND second < $__to / 1000 AND name IN",
        "$__from AND second < $__to AND name IN",
        "time  name  calls\nand",
    ],
    [
        "grafana",
        "(second, 5) AS time, name,\n",
        "(abs(second), 5) AS time, name,\n",
        "no such macro",
    ],
    [
        "grafana",
        "s.start_ns < $__to * 1000000 -",
        "s.start_ns < $__to -",
        "started  name  duration_ms  status\nand",
    ],
    ["litestream", "chmod 600 restored.db", "stat -c %a restored.db", "644 restored.db\n644\n"],
    // A BLOB, where text is expected.
    [
        "pandas",
        "SELECT name, duration_ms, status FROM slow LIMIT 3",
        "SELECT histogram FROM rollup",
        "Error",
    ],
    ["pandas", "0.95, interpolation=\"higher\")", "0.95)", "11.41"],
    ["pandas", "live, dtype_backend=\"numpy_nullable\")[", "live)[", "3968\n1760000016755923968\n"],
    ["polars", "quantile(0.95, \"higher\")", "quantile(0.95, \"linear\")", "11.41"],
    ["polars", "(read(sql)", "(pl.read_database(sql, conn)", "ComputeError"],
    [
        "sqlite",
        "\"mode=ro\", \"immutable=1\"",
        "\"mode=ro\", \"mode=ro\"",
        "mode=ro 20140 spans\nmode=ro 20140",
    ],
    [
        "sqlite",
        "mode=ro\", uri=True, isolation",
        "immutable=1\", uri=True, isolation",
        "0 spans up to commit 5",
    ],
    [
        "sqlite",
        "sqlite3 dumped.db \"PRAGMA application_id =",
        "sqlite3 :memory: \"PRAGMA application_id =",
        "another program",
    ],
];

#[test]
fn who_does_what_a_page_warns_of_gets_something_else() {
    if is_writing() {
        return;
    }
    for (page, text) in pages() {
        let name = page.file_stem().unwrap().to_str().unwrap();
        let traps: Vec<_> = TRAPS.iter().filter(|trap| trap[0] == name).collect();
        if traps.is_empty() {
            assert!(!page.parent().unwrap().ends_with("use-from"), "{name} warns of nothing");
            continue;
        }
        let wrong = traps.iter().fold(text, |text, [_, right, wrong, _]| {
            assert_eq!(text.matches(right).count(), 1, "{name}: {right}");
            text.replace(right, wrong)
        });
        let Some(Played { faults, is_whole, .. }) = play(&page, &wrong) else { return };
        if !is_whole {
            continue;
        }
        for [_, right, wrong, comes_of_it] in traps {
            let is_it = |fault: &String| fault.contains(wrong) && fault.contains(comes_of_it);
            let all = faults.join("\n\n");
            assert!(faults.iter().any(is_it), "{name}: {right} -> {wrong}, {comes_of_it}\n{all}");
        }
    }
}

fn is_writing() -> bool {
    std::env::var_os(WRITE).is_some()
}

/// Commands of SQLite's shell in the text of a page.
fn inline_commands(text: &str) -> Vec<&str> {
    let prose = text.lines().filter(|line| !line.starts_with("```"));
    let code = prose.flat_map(|line| line.split('`').skip(1).step_by(2));
    code.filter(|code| code.starts_with("sqlite3 ") && code.contains(".db")).collect()
}

#[test]
fn a_copy_of_a_live_profile_has_all_that_was_committed() {
    let commands: Vec<_> = pages()
        .iter()
        .flat_map(|(_, text)| {
            inline_commands(text).into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(commands, ["sqlite3 shop.db '.backup copy.db'"], "others are not run by a test");
    let Some(desk) = Desk::new() else { return };
    if Command::new("sqlite3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: sqlite3 is not installed");
        return;
    }
    let mut live = Live::begin(desk.folder.path(), &StoreOptions::default());
    live.commit(140).unwrap();
    let command = commands[0].replace("shop.db", "live.db");
    let done = desk.command("bash").args(["-c", &command]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let conn = rusqlite::Connection::open(desk.folder.path().join("copy.db")).unwrap();
    let spans: i64 = conn.query_row("SELECT count(*) FROM span", [], |row| row.get(0)).unwrap();
    assert_eq!(spans, 20_140);
}
