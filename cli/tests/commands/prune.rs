//! `spandrel prune`: what goes, what stays, and who is in the way.

use std::path::Path;

use spandrel_query::Reader;
use spandrel_storage::{Store, StoreOptions};

use super::fixture::{bare, info, json, new_path, run, text, write};
use super::long_lived::{self, End};

fn prune(path: &Path, words: &[&str]) -> (String, String, i32) {
    run(bare(&["prune"]).args(words).arg("--db").arg(path))
}

fn spans(path: &Path) -> Vec<u64> {
    let reader = Reader::open(path).unwrap();
    let runs = reader.runs().unwrap();
    runs.iter().map(|run| reader.counts(run.id).unwrap().spans).collect()
}

/// The profiles of `said/prune.md`.
pub fn write_all(folder: &Path) {
    write(&super::said::at(folder, "shop"));
    write(&super::said::at(folder, "kept"));
    let path = super::said::at(folder, "game");
    long_lived::write(&path, End::Closed, 20_000);
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.begin_run(&info(2)).unwrap();
    store.end_run(info(2).started_unix_ns + 1, "{}").unwrap();
    store.close().unwrap();
}

#[test]
fn a_recording_is_in_the_way() {
    let (_folder, path) = new_path();
    write(&path);
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let (_, err, code) = prune(&path, &["--keep", "1s"]);
    assert_eq!(code, 3);
    assert!(err.contains("hint: end the recording"), "{err}");
    store.close().unwrap();
    assert_eq!(spans(&path), [200, 200]);
}

/// The game of `long_lived`, and a run after it in which nothing happened but one span.
fn game(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("game.db");
    long_lived::write(&path, End::Closed, 20_000);
    path
}

fn number(path: &Path, sql: &str) -> u64 {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

#[test]
fn what_is_left_of_what_lives_long_is_what_top_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = game(folder.path());
    let (all, length_ns) = (
        number(&path, "SELECT count(*) FROM entry"),
        number(&path, "SELECT max(start_ns + duration_ns) FROM entry"),
    );
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    // In the middle of a second, so that sums by second say something else.
    let half = info(1).started_unix_ns + length_ns as i64 / 2 + 123_456_789;
    while store.prune_before(half).unwrap().more {}
    store.close().unwrap();
    let left = number(&path, "SELECT count(*) FROM entry");
    let own = number(&path, "SELECT sum(self_ns) FROM entry");
    assert!((1..all).contains(&left), "{left} of {all}");
    let top = json(&path, &["top"]);
    let of_entries = |row: &&serde_json::Value| row["by"] == "entries";
    let row = top["rows"].as_array().unwrap().iter().find(of_entries).unwrap();
    // Those before the first row are no call any more, either: that row is gone.
    assert_eq!((&row["calls"], &row["self_ns"]), (&left.into(), &own.into()));
    let spans = number(&path, "SELECT count(*) FROM span");
    let [stored_spans, stored] =
        ["spans", "entries"].map(|column| number(&path, &format!("SELECT {column} FROM run")));
    assert_eq!(stored, all, "those that were deleted are counted, too");
    let pruned = stored_spans - spans + all - left;
    assert_eq!((&top["pruned"], &top["complete"]), (&pruned.into(), &false.into()));
    let page = text(&path, &["top"]);
    assert!(page.lines().next().unwrap().contains("   pruned "), "{page}");
}
