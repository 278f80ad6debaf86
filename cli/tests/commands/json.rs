//! The JSON documents are what `docs/src/json.md` says: no member is missing, has another type, or is not
//! documented.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::fixture::{run, spandrel};

/// Members of a chapter: name and types.
type Members = BTreeMap<String, String>;

/// The tables of the page by the words in back quotes of their headings.
fn chapters() -> BTreeMap<String, Members> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/json.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut chapters: BTreeMap<String, Members> = BTreeMap::new();
    let mut chapter = String::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            chapter = heading.replace('`', "");
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", member, types, ..] = cells.as_slice()
            && let Some(member) = member.strip_prefix('`').and_then(|m| m.strip_suffix('`'))
        {
            chapters.entry(chapter.clone()).or_default().insert(member.into(), (*types).into());
        }
    }
    chapters
}

fn is_of_type(value: &Value, types: &str) -> bool {
    types.split(" or ").any(|name| match name {
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "any" => true,
        other => panic!("{other:?} is no type"),
    })
}

fn check(what: &str, object: &Map<String, Value>, documented: &[&Members]) {
    for members in documented {
        for (member, types) in *members {
            let value = object.get(member).unwrap_or_else(|| panic!("{what}: no {member}"));
            assert!(is_of_type(value, types), "{what}: {member} is {value}, and not {types}");
        }
    }
    for member in object.keys() {
        let is_documented = documented.iter().any(|members| members.contains_key(member));
        assert!(is_documented, "{what}: {member} is not documented");
    }
}

#[test]
fn documents_are_as_documented() {
    let chapters = chapters();
    let chapter = |name: &str| chapters.get(name).unwrap_or_else(|| panic!("no chapter {name}"));
    for (command, words, of_a_run) in [
        ("top", &["top"][..], true),
        ("runs", &["runs"], false),
        ("doctor", &["doctor", "--run", "1"], true),
        ("sql --recipes", &["sql", "--recipes"], false),
        ("prune", &["prune", "--runs", "1", "--dry-run"], false),
    ] {
        for more in [&[][..], &["-w", "name=http.request"]] {
            let words = [words, more, &["-f", "json"]].concat();
            let (out, err, code) = run(&mut spandrel(&words));
            assert_eq!(code, 0, "{words:?}: {err}");
            let document: Map<String, Value> = serde_json::from_str(&out).unwrap();
            let mut documented = vec![chapter("Every document")];
            if of_a_run {
                documented.push(chapter("Documents of a run"));
                let of_run = document["run"].as_object().unwrap();
                check(&format!("{command}: run"), of_run, &[chapter("run")]);
                for loss in document["losses"].as_array().unwrap() {
                    check(
                        &format!("{command}: losses"),
                        loss.as_object().unwrap(),
                        &[chapter("losses")],
                    );
                }
            }
            documented.extend(chapters.get(&format!("{command}, document")));
            check(command, &document, &documented);
            assert_eq!(document["schema_version"], 1);
            let rows = document["rows"].as_array().unwrap();
            assert!(!rows.is_empty(), "{out}");
            for row in rows {
                check(&format!("{command}: rows"), row.as_object().unwrap(), &[chapter(command)]);
            }
        }
    }
}

#[test]
fn lines_of_ndjson_are_rows() {
    let chapters = chapters();
    for (command, words) in [("top", &["top"][..]), ("tail", &["tail", "-n", "3", "-q"])] {
        let (out, _, _) = run(&mut spandrel(&[words, &["-f", "ndjson"]].concat()));
        assert!(out.lines().count() > 1);
        for line in out.lines() {
            let row: Map<String, Value> = serde_json::from_str(line).unwrap();
            check(command, &row, &[&chapters[command]]);
        }
    }
}
