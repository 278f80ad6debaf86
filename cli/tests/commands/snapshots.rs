//! What each command prints of the fixture. `SNAPSHOTS=overwrite cargo test` writes what is printed now.

use std::path::Path;

use super::fixture::{NASTY, bare, profile, run, spandrel};

/// What is said on both ways out, and the exit code.
fn said(words: &[&str]) -> String {
    // Help shows what the environment says.
    let mut command = if words.first() == Some(&"help") { bare(words) } else { spandrel(words) };
    let (out, err, code) = run(&mut command);
    let path = profile().to_str().unwrap();
    let [out, err] = [out, err].map(|text| text.replace(path, "shop.db"));
    for text in [&out, &err] {
        // What a profile says never reaches a terminal as it is; programs get it as it is.
        let is_for_programs = words.contains(&"tsv") || words.contains(&"json");
        assert!(
            is_for_programs || !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{words:?}: {text:?}"
        );
    }
    format!("$ spandrel {}\n{out}{err}exit {code}\n", words.join(" "))
}

/// With the file of that name; or writes it, where that is asked for.
fn compare(name: &str, said: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/snapshots");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("SNAPSHOTS").is_some_and(|wish| wish == "overwrite") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, said).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; SNAPSHOTS=overwrite makes it", path.display())
    });
    if said != expected {
        panic!("{name} says\n{said}\nand not\n{expected}\nSNAPSHOTS=overwrite accepts it");
    }
}

macro_rules! snapshots {
    ($($name:ident: $($word:literal)*;)*) => {$(
        #[test]
        fn $name() {
            compare(stringify!($name), &said(&[$($word),*]));
        }
    )*};
}

snapshots! {
    top: "top";
    top_md: "top" "-f" "md";
    top_json: "top" "-f" "json";
    top_ascii: "top" "--ascii";
    runs: "runs" "--utc";
    runs_json: "runs" "-f" "json";
    hist: "hist" "db.query";
    sql: "sql" "select name, calls, max_ms from top where run_id = :run";
    sql_json: "sql" "-f" "json" "select id, fields from span where id < 6";
    sql_tsv: "sql" "-f" "tsv" "select id, name from spans limit 3";
    sql_wrong: "sql" "select name,\n  nope\nfrom spans";
    sql_cut: "sql" "select id from span" "-n" "2";
    sql_recipes: "sql" "--recipes";
    doctor: "doctor" "--run" "1";
    doctor_strict: "doctor" "--run" "1" "--strict";
    doctor_json: "doctor" "-f" "json" "--run" "1";
    tail_of_an_ended_run: "tail" "--utc" "-n" "3" "-q";
    tail_csv: "tail" "-f" "csv" "-n" "2" "-q";
    tail_with_a_window: "tail" "--since" "30s";
    prune_dry_run: "prune" "--runs" "1" "--dry-run" "-f" "json";
    prune_without_a_limit: "prune";
    mark_without_a_recording: "mark" "deploy";
    guide: "guide";
    help_sql: "help" "sql";
    help_tail: "help" "tail";
    help_doctor: "help" "doctor";
    help_mark: "help" "mark";
    help_prune: "help" "prune";
}

#[test]
fn names_are_data() {
    let (out, _, code) = run(&mut spandrel(&["top", "-f", "json"]));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let names =
        document["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap());
    assert!(names.clone().any(|name| name == NASTY), "programs get it as it is: {out}");
    assert_eq!(code, 0);
}
