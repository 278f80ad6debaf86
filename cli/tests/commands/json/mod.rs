//! JSON is what `docs/src/json.md` says: no member is missing, has another type, or is not documented,
//! in documents, in rows and in what is in them; of every command.

mod odd;
mod page;

use std::path::Path;

use serde_json::{Map, Value};
use spandrel::Profiler;
use tracing_subscriber::prelude::*;

use self::page::Page;
use crate::fixture::{bare, new_path, profile, run, spandrel, text};
use crate::{frames, waiting};

/// What a document is of, beside what each one has.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Run,
    /// The file, or nothing.
    File,
}

/// Commands that print no JSON of their own: their output is a page, a script, or that of a program.
const WITHOUT: [&str; 7] = ["collect", "completions", "guide", "man", "record", "report", "help"];

fn document(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Holds the document and the lines of a command against the chapters of the page.
fn check(page: &mut Page, chapters: &[&str], of: Of, db: &Path, words: &[&str]) {
    let command = |format| {
        let mut command = bare(words);
        command.args(["--db", db.to_str().unwrap(), "-f", format]);
        run(&mut command)
    };
    let (out, err, code) = command("json");
    assert!(code < 2, "{words:?} ends with {code}: {err}");
    let object = document(&out);
    check_document(page, chapters, of, &object);
    // Lines are the rows, unless each run of the command does something else, or they are an export.
    let is_done_once = ["load", "optimize", "mark", "export"].contains(&words[0])
        || words[0] == "prune" && !words.contains(&"--dry-run");
    if !is_done_once {
        let lines = command("ndjson").0;
        let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(Value::Array(lines) == object["rows"], "the lines of {words:?} are not its rows");
    }
}

fn check_document(page: &mut Page, chapters: &[&str], of: Of, object: &Map<String, Value>) {
    let mut tables = vec![("Every document", "")];
    if of == Of::Run {
        tables.push(("Documents of a run", ""));
    }
    tables.extend(chapters.iter().map(|chapter| (*chapter, "document")));
    page.check(object, &tables);
    assert_eq!(object["schema_version"], 1);
    for row in object["rows"].as_array().unwrap() {
        let tables: Vec<_> = chapters.iter().map(|chapter| (*chapter, "rows")).collect();
        page.check(row.as_object().unwrap(), &tables);
    }
}

/// The commands that only read, each in the ways in which it prints different members.
const READING: &[(&[&str], Of, &str)] = &[
    (&["top"], Of::Run, "top"),
    (&["top", "--exact", "--sort", "p99"], Of::Run, "top"),
    (&["slow"], Of::Run, "slow"),
    (&["slow", "job", "--by", "self", "-w", "has:fields"], Of::Run, "slow"),
    (&["stalls"], Of::Run, "stalls"),
    (&["stalls", "--blocking", "1us", "--all-threads"], Of::Run, "stalls"),
    (&["tree", "--events"], Of::Run, "tree"),
    (&["tree", "t1", "-n", "3"], Of::Run, "tree"),
    (&["tree", "-w", "name=no.such"], Of::Run, "tree"),
    (&["diff", "latest", "latest"], Of::File, "diff"),
    (&["diff", "*", "latest", "-w", "is:root"], Of::File, "diff"),
    (&["explain", "http.request", "--sel", "p90.."], Of::Run, "explain"),
    (&["explain", "http.request", "--sel", "..p50", "--against", "all"], Of::Run, "explain"),
    (&["explain", "http.request", "--sel", "start>=+5s"], Of::Run, "explain"),
    (&["explain", "job", "--sel", "p50.."], Of::Run, "explain"),
    (&["explain", "no.such"], Of::Run, "explain"),
    (&["flame"], Of::Run, "flame"),
    (&["flame", "--weight", "calls", "--root", "db.query"], Of::Run, "flame"),
    (&["hist", "http.request"], Of::Run, "hist"),
    (&["hist", "no.such"], Of::Run, "hist"),
    (&["gauges"], Of::Run, "gauges"),
    (&["export"], Of::File, "export"),
    (&["runs"], Of::File, "runs"),
    (&["sql", "--recipes"], Of::File, "sql --recipes"),
    (&["info"], Of::Run, "info"),
    (&["doctor"], Of::Run, "doctor"),
    (&["check"], Of::File, "check"),
    (&["check", "--baseline", "latest"], Of::File, "check"),
    (&["prune", "--runs", "1", "--dry-run"], Of::File, "prune"),
    (&["top", "--columns", "help"], Of::File, "--columns help"),
];

const GROUPINGS: [(&str, &str); 5] = [
    ("target", "top --by target"),
    ("level", "top --by level"),
    ("thread", "top --by thread"),
    ("callsite", "top --by callsite"),
    ("field.shard", "top --by field.NAME"),
];

#[test]
fn the_page_is_what_the_commands_print_and_no_more() {
    let mut page = Page::read();
    for db in [profile(), odd::profile()] {
        for (words, of, chapter) in READING {
            check(&mut page, &[chapter], *of, db, words);
            if *of == Of::Run && !["info", "doctor"].contains(&words[0]) {
                let words = [words, &["--since", "+1ms"][..]].concat();
                check(&mut page, &[chapter], *of, db, &words);
            }
        }
    }
    let first = ["doctor", "info", "top", "slow", "stalls"];
    for command in first {
        check(&mut page, &[command], Of::Run, profile(), &[command, "--run", "1"]);
    }
    let (_folder, waiting) = waiting::profile("connection", 1, "long-lived");
    for command in ["top", "info"] {
        check(&mut page, &[command], Of::Run, &waiting, &[command]);
    }
    check(&mut page, &["tree"], Of::Run, profile(), &["tree", "t97", "--events"]);
    check(&mut page, &["tree"], Of::Run, frames::profile(), &["tree", "t110"]);
    check(&mut page, &["check"], Of::File, profile(), &["check", "--run", "2", "--baseline", "1"]);
    check(&mut page, &["diff"], Of::File, profile(), &["diff", "1", "2"]);
    groupings(&mut page);
    of_values(&mut page);
    with_rules(&mut page);
    queries(&mut page);
    tails(&mut page);
    exports(&mut page);
    writing(&mut page);
    loads(&mut page);
    let unvisited = page.unvisited();
    assert!(unvisited.is_empty(), "nothing was printed that these tables are about: {unvisited:?}");
}

/// The key stands in place of name and target.
fn groupings(page: &mut Page) {
    for (by, chapter) in GROUPINGS {
        check_keyed(page, ("top", Of::Run), chapter, &["top", "--by", by]);
    }
}

/// Holds rows whose key is of another chapter than the rest of them.
fn check_keyed(page: &mut Page, (command, of): (&str, Of), chapter: &str, words: &[&str]) {
    let mut object = document(&text(profile(), &[words, &["-f", "json"]].concat()));
    let rows = object.insert("rows".into(), Value::Array(Vec::new())).unwrap();
    check_document(page, &[command], of, &object);
    assert!(!rows.as_array().unwrap().is_empty(), "{words:?}");
    for row in rows.as_array().unwrap() {
        let mut row = row.as_object().unwrap().clone();
        let key = ["target", "level", "thread", "name", "place", "value"];
        let key: Map<String, Value> = key.iter().filter_map(|key| row.remove_entry(*key)).collect();
        page.check(&key, &[(chapter, "rows")]);
        row.insert("name".into(), "".into());
        row.insert("target".into(), "".into());
        page.check(&row, &[(command, "rows")]);
    }
}

/// What `--by` adds to rows, or puts in place of name and target.
fn of_values(page: &mut Page) {
    let slow: [(&str, &[&str]); 6] = [
        ("name", &["slow", "slow --by name"]),
        ("target", &["slow", "slow --by name"]),
        ("thread", &["slow", "slow --by name"]),
        ("level", &["slow", "slow --by name", "slow --by level"]),
        ("callsite", &["slow", "slow --by name", "slow --by callsite"]),
        ("field.shard", &["slow", "slow --by name", "slow --by field.NAME"]),
    ];
    for (by, chapters) in slow {
        check(page, chapters, Of::Run, profile(), &["slow", "--by", by]);
    }
    let within = ["explain", "http.request", "--sel", "p50..", "--by", "field.shard"];
    for db in [profile(), odd::profile()] {
        check_rows(page, db, &within, &["explain --by"], &["explain", "explain --by"]);
    }
    for (by, chapter) in [("callsite", "top --by callsite"), ("field.shard", "top --by field.NAME")]
    {
        for words in [&["hist"][..], &["hist", "http.request"], &["hist", "no.such"]] {
            let words = [words, &["--by", by]].concat();
            check_rows(page, profile(), &words, &["hist --by"], &["hist --by", chapter]);
        }
    }
    for words in [&["hist"][..], &["explain"]] {
        // Name and target are what a place has besides.
        let (out, _, _) = run(&mut spandrel(&[words, &["-f", "json"]].concat()));
        let mut object = document(&out);
        for row in object["rows"].as_array_mut().unwrap() {
            row.as_object_mut().unwrap().insert("place".into(), Value::Null);
        }
        let rows = object["rows"].as_array().unwrap().clone();
        object.insert("rows".into(), Value::Array(Vec::new()));
        check_document(page, &["hist --by"], Of::Run, &object);
        let tables = [("hist --by", "rows"), ("top --by callsite", "rows")];
        rows.iter().for_each(|row| page.check(row.as_object().unwrap(), &tables));
    }
    for (by, chapter) in [
        ("target", "diff --by target"),
        ("level", "diff --by level"),
        ("thread", "diff --by thread"),
        ("field.shard", "diff --by field.NAME"),
    ] {
        check_keyed(page, ("diff", Of::File), chapter, &["diff", "1", "2", "--by", by]);
    }
}

/// A document whose rows are of other chapters than it is.
fn check_rows(page: &mut Page, db: &Path, words: &[&str], whole: &[&str], rows: &[&str]) {
    let mut command = bare(words);
    let (out, err, code) = run(command.args(["-f", "json", "--db"]).arg(db));
    assert!(code < 2, "{words:?}: {err}");
    let mut object = document(&out);
    let Some(Value::Array(found)) = object.insert("rows".into(), Value::Array(Vec::new())) else {
        panic!("{out}")
    };
    check_document(page, whole, Of::Run, &object);
    for row in found {
        let tables: Vec<_> = rows.iter().map(|chapter| (*chapter, "rows")).collect();
        page.check(row.as_object().unwrap(), &tables);
    }
}

/// Rules of every kind, so that each member of a verdict has a value in one of them.
fn with_rules(page: &mut Page) {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    let text = r#"
        [defaults]
        samples = 10
        [[rule]]
        span = "http.*"
        metric = ["p50", "max", "longest"]
        max = "1ms"
        [[rule]]
        span = "*"
        metric = ["p50", "mean", "calls"]
        percent = 1
        absolute = 0
        [[rule]]
        span = "http.request"
        metric = "error_rate"
        max = 0.01
        [[rule]]
        span = "http.request"
        metric = "calls"
        min = 10
        [[rule]]
        metric = ["dropped", "unfinished"]
        max = 0
    "#;
    std::fs::write(&rules, text).unwrap();
    let words = ["check", "--run", "2", "--baseline", "1", "--rules", rules.to_str().unwrap()];
    check(page, &["check"], Of::File, profile(), &words);
    let (out, _, _) = run(&mut spandrel(&[&words[..], &["-f", "json"]].concat()));
    let object = document(&out);
    for member in ["value_ns", "baseline_ns", "low_ns", "value", "baseline", "change_low"] {
        let rows = object["rows"].as_array().unwrap();
        assert!(rows.iter().any(|row| !row[member].is_null()), "no rule has {member}: {out}");
    }
}

/// Rows have the columns of the query.
fn queries(page: &mut Page) {
    let (out, _, _) = run(&mut spandrel(&["sql", "select 1 as a, x'00' as a", "-f", "json"]));
    let mut object = document(&out);
    assert_eq!(object["rows"], serde_json::json!([{"a": 1, "a_2": "00"}]));
    object.insert("rows".into(), Value::Array(Vec::new()));
    check_document(page, &["sql"], Of::File, &object);
}

/// Spans that were there before come at once, so that an ended run is enough.
fn tails(page: &mut Page) {
    let words = ["tail", "-n", "0", "-q", "-f", "ndjson"];
    for db in [profile(), odd::profile()] {
        let more = ["-n", "2100", "--db", db.to_str().unwrap()];
        let (out, err, code) = run(bare(&words[..1]).args(more).args(&words[3..]));
        assert_eq!(code, 0, "{err}");
        assert!(out.lines().count() > 100, "{err}");
        out.lines().for_each(|line| page.check(&document(line), &[("tail", "rows")]));
    }
    // Events come as they are recorded.
    let (_folder, path) = new_path();
    let lines = crate::live::followed(&path, &["-f", "ndjson", "--events"], || {
        let _span = tracing::info_span!("around", n = 1).entered();
        tracing::info!(n = 2, "said");
    });
    let (spans, events): (Vec<_>, Vec<_>) =
        lines.iter().map(|line| document(line)).partition(|row| row["kind"] == "span");
    assert_eq!((spans.len(), events.len()), (1, 1), "{lines:?}");
    page.check(&spans[0], &[("tail", "rows")]);
    page.check(&events[0], &[("tail --events", "rows")]);
}

fn exports(page: &mut Page) {
    for db in [profile(), odd::profile()] {
        let (out, err, code) = run(bare(&["export", "ndjson", "--db"])
            .arg(db)
            .args(["-w", "dur>0s or is:unfinished"]));
        assert_eq!(code, 0, "{err}");
        assert!(out.lines().count() > 100, "{err}");
        out.lines().for_each(|line| page.check(&document(line), &[("export ndjson", "rows")]));
    }
    let (_folder, db) = new_path();
    let profiler = Profiler::builder().database(&db).entries(spandrel::Entries::All).build();
    let profiler = profiler.unwrap();
    let layer = tracing_subscriber::registry().with(profiler.layer());
    tracing::subscriber::with_default(layer, || {
        let around = tracing::info_span!("around");
        (0..3).for_each(|_| around.in_scope(|| tracing::info_span!("inside").in_scope(|| {})));
    });
    profiler.close().unwrap();
    let (out, err, code) =
        run(bare(&["export", "ndjson", "--entries", "--db"]).arg(&db).args(["-w", "name!=none"]));
    assert_eq!((code, out.lines().count()), (0, 6), "{err}");
    let chapter = [("export ndjson --entries", "rows")];
    out.lines().for_each(|line| page.check(&document(line), &chapter));
}

/// What changes a file has one of its own.
fn writing(page: &mut Page) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(profile(), &copy).unwrap();
    for more in [&["--drop"][..], &[], &["--drop"]] {
        let words = [&["optimize"][..], more].concat();
        check(page, &["optimize"], Of::File, &copy, &words);
    }
    check(page, &["merge"], Of::File, &copy, &["merge"]);
    check(page, &["recover"], Of::File, &copy, &["recover"]);
    check(page, &["open"], Of::File, super::open::profile(), &["open", "--run", "1"]);
    #[cfg(all(target_os = "linux", feature = "collected"))]
    {
        let folder = super::open::folder_with_programs();
        let words = ["open", folder.path(), "-f", "json"];
        let (out, err, code) = run(&mut bare(&words));
        assert_eq!(code, 0, "{err}");
        check_document(page, &["open"], Of::File, &document(&out));
    }
    check(page, &["prune"], Of::File, &copy, &["prune", "--runs", "1"]);
    let live = folder.path().join("live.db");
    let profiler = Profiler::builder().database(&live).build().unwrap();
    for more in [&["x"][..], &["y", "--begin", "--field", "a=1"], &["y", "--end"]] {
        let words = [&["mark"][..], more].concat();
        check(page, &["mark"], Of::File, &live, &words);
    }
    // A run that has no end yet.
    for command in ["top", "info"] {
        check(page, &[command], Of::Run, &live, &[command]);
    }
    profiler.close().unwrap();
}

fn loads(page: &mut Page) {
    let folder = tempfile::tempdir().unwrap();
    let words = ["load", "--rate", "500", "--for", "100ms", "--threads", "1"];
    check(page, &["load"], Of::Run, &folder.path().join("load.db"), &words);
}

#[test]
fn names_say_units() {
    let page = Page::read();
    for (place, name, types, unit) in page.members() {
        let place = format!("{place:?}: {name}");
        let is_integer = ["integer", "integer or null"].contains(&types);
        assert_eq!(name.ends_with("_ns"), unit == "ns", "{place}");
        assert!(unit != "ns" || is_integer, "{place} is {types}");
        let is_size = name.split('_').any(|word| word == "bytes");
        assert_eq!(is_size, unit == "bytes", "{place}");
        if name == "share" || name.ends_with("_share") {
            assert_eq!(unit, "share", "{place}");
        }
    }
}

#[test]
fn every_command_has_a_chapter_or_prints_no_json() {
    let page = Page::read();
    let chapters = page.chapters();
    let (help, _, _) = run(&mut bare(&["--help"]));
    let commands = help.split_once("Commands:\n").unwrap().1;
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    assert!(names.len() > 20, "{help}");
    for name in names {
        let has_chapter = chapters.contains(name);
        assert_ne!(has_chapter, WITHOUT.contains(&name), "{name}");
    }
}

#[test]
fn lines_alone_say_what_is_missing_beside_them() {
    for format in ["ndjson", "csv", "tsv"] {
        let (_, err, _) = run(&mut spandrel(&["slow", "--run", "1", "-f", format, "-n", "3"]));
        assert!(err.contains("3 of 200 shown; -n 0 shows all."), "{format}: {err}");
        assert!(err.contains("! run 1: dropped 13 ("), "{format}: {err}");
        let (_, err, _) =
            run(&mut spandrel(&["slow", "--run", "1", "-f", format, "-n", "3", "-q"]));
        assert_eq!(err, "");
        let (_, err, _) = run(&mut spandrel(&["slow", "-f", format, "-n", "0"]));
        assert_eq!(err, "", "nothing is missing");
    }
    let (_, err, _) = run(&mut spandrel(&["slow", "--run", "1", "-f", "json", "-n", "3"]));
    assert_eq!(err, "", "the document says it");
}
