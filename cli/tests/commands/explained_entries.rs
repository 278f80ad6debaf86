//! `spandrel explain` of spans that live long: their entries are what is explained.

use serde_json::Value;

use super::fixture::{json, text};
use super::frames::{FRAMES, VISITS, profile};

fn document(words: &[&str]) -> Value {
    json(profile(), &[&["explain"], words].concat())
}

fn difference(document: &Value, kind: &str, value: &str) -> Option<i64> {
    let rows = document["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["kind"] == kind && row["value"] == value)?;
    Some((row["difference"].as_f64().unwrap() * 100.0).round() as i64)
}

#[test]
fn the_slow_entries_of_a_system_are_told_from_the_others() {
    let found = document(&["system", "--sel", "8ms.."]);
    let all = 5 * FRAMES - FRAMES + VISITS as u64;
    assert_eq!(found["selected"], FRAMES, "{found:#}");
    assert_eq!(found["rest"], all - FRAMES);
    assert_eq!(found["by"], "entries");
    assert_eq!(difference(&found, "field", "physics"), Some(100), "{found:#}");
    // What began or was entered inside.
    assert_eq!(difference(&found, "child_time", "solve"), Some(44), "{found:#}");
    assert_eq!(difference(&found, "child_time", "system"), Some(22), "{found:#}");
    let out = text(profile(), &["explain", "system", "--sel", "8ms.."]);
    assert!(out.contains("200 of 920 entries ⟳ (dur >= 8.00 ms)"), "{out}");
    let found = document(&["system", "--sel", "8ms..", "--by", "thread"]);
    let parts = found["values"].as_array().unwrap();
    let of_main = parts.iter().find(|part| part["value"] == "main").unwrap();
    assert_eq!((&of_main["selected"], &of_main["by"]), (&FRAMES.into(), &"entries".into()));
}
