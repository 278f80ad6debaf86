//! Screens say what is there: of the file, not of this build, and of the spans that went wrong.

use rusqlite::Connection;

use super::fixture::{bare, run, spandrel, write};

#[test]
fn info_says_the_version_of_the_file_not_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    write(&path);
    let db = path.to_str().unwrap();
    let said = |words: &[&str]| run(bare(&["info", "--db", db]).args(words)).0;
    let now = spandrel_storage::SCHEMA_VERSION;
    assert!(said(&[]).contains(&format!("   schema {now}   ")));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", now - 1).unwrap();
    let old = said(&[]);
    assert!(old.contains(&format!("   schema {}   ", now - 1)), "{old}");
    let json: serde_json::Value = serde_json::from_str(&said(&["-f", "json"])).unwrap();
    assert_eq!(json["schema"], now - 1);
}

#[test]
fn slow_says_which_spans_have_failed() {
    let said = |words: &[&str]| run(spandrel(&["slow", "-n", "0"]).args(words)).0;
    let failed = said(&["http.request"]);
    let header = failed.lines().find(|line| line.contains("dur ")).unwrap();
    assert!(header.contains(" status"), "{failed}");
    let rows: Vec<_> = failed.lines().filter(|line| line.contains(" ms ")).collect();
    assert_eq!(rows.iter().filter(|row| row.contains(" error ")).count(), 4, "{failed}");
    // Where all went well the column would say nothing.
    let well = said(&["db.query"]);
    assert!(well.contains("dur ") && !well.contains("status"), "{well}");
}
