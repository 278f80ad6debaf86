//! Losses of entries, of those that are recorded one by one, are said wherever losses are.

use std::path::PathBuf;

use serde_json::Value;
use spandrel_storage::LossRow;
use tempfile::TempDir;

use super::fixture::{Recording, bare, info, json, new_path, report, run};

const ENTRIES: u64 = 777;

/// A recording that has lost but entries.
fn profile() -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    let mut run = Recording::begin(&path, &info(1));
    let loss = LossRow {
        reason: "ring_full",
        from_ns: 1_000,
        to_ns: 2_000,
        spans: 0,
        events: 0,
        entries: ENTRIES,
        thread_id: None,
    };
    run.batch.losses.push(loss);
    run.end(1_000_000_000);
    (folder, path)
}

fn exported(path: &PathBuf, format: &str) -> Vec<u8> {
    let out = bare(&["export", format, "-o", "-", "--db"]).arg(path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

#[test]
fn a_timeline_says_how_many_entries_were_lost() {
    let (_folder, path) = profile();
    let chrome: Value = serde_json::from_slice(&exported(&path, "chrome")).unwrap();
    let events = chrome["traceEvents"].as_array().unwrap();
    let is_said = |event: &Value| event["args"]["data"]["entries"] == ENTRIES;
    assert!(events.iter().any(is_said), "{chrome}");
    assert_eq!(chrome["otherData"]["dropped_entries"], ENTRIES.to_string(), "{chrome}");
    let firefox = exported(&path, "firefox");
    let text = String::from_utf8(firefox).unwrap();
    assert!(text.contains("lost: 0 spans, 0 events, 777 entries, ring_full"), "{text}");
    // The name of an annotation, and its value: field 3, 777 in seven bits a byte.
    let perfetto = exported(&path, "perfetto");
    let has = |bytes: &[u8]| perfetto.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(b"entries") && has(&[0x18, 0x89, 0x06]));
}

#[test]
fn whoever_exports_is_told_that_entries_are_missing() {
    let (folder, path) = profile();
    for format in ["chrome", "folded", "pprof"] {
        let out = folder.path().join(format);
        let (_, said, code) = run(bare(&["export", format, "-o"]).arg(out).arg("--db").arg(&path));
        assert!(code < 2, "{said}");
        let expected = "note: the run lost 777 entries, which are missing here";
        assert!(said.contains(expected), "{format}: {said}");
    }
}

#[test]
fn a_page_says_how_many_entries_were_lost() {
    let (_folder, path) = profile();
    let document = report(&path);
    assert_eq!(document["dropped"], ENTRIES);
    assert_eq!(document["losses"][0]["entries"], ENTRIES, "{document}");
}

#[test]
fn a_recipe_for_losses_has_those_of_entries() {
    let (_folder, path) = profile();
    let document = json(&path, &["sql", "--recipe", "losses"]);
    assert_eq!(document["rows"][0]["entries"], ENTRIES, "{document}");
}
