//! The same figure is the same in every command, and is of what is there.

use std::path::Path;

use serde_json::Value;

use super::check::write_runs;
use super::fixture::{json, new_path, text};
use super::said::at;

fn row<'a>(document: &'a Value, name: &str) -> &'a Value {
    let mut rows = document["rows"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == name).unwrap()
}

/// The profiles of `said/figures.md`.
pub fn write(folder: &Path) {
    super::fixture::write(&at(folder, "shop"));
    write_runs(&at(folder, "few"), &[3]);
    write_runs(&at(folder, "four"), &[60, 60, 60, 120]);
    for calls in [2, 3, 5, 20] {
        write_runs(&at(folder, &format!("calls_{calls}")), &[calls]);
    }
}

#[test]
fn after_pruning_counts_are_of_what_is_there() {
    let (_folder, db) = new_path();
    write_runs(&db, &[900]);
    // Half of a second: rollups are of whole ones.
    text(&db, &["sql", "select 1"]);
    let before = json(&db, &["prune", "--runs", "1", "--dry-run"]);
    assert_eq!(before["rows"][0]["spans"], 0);
    let mut store =
        spandrel_storage::Store::open(&db, &spandrel_storage::StoreOptions::default()).unwrap();
    let started = super::fixture::info(1).started_unix_ns;
    while store.prune_before(started + 450_000_000).unwrap().more {}
    store.close().unwrap();
    let left = json(&db, &["sql", "select count(*) as n from span where duration_ns is not null"]);
    let left = &left["rows"][0]["n"];
    assert!(left.as_u64().is_some_and(|left| left > 0 && left < 900), "{left}");
    let slow = json(&db, &["slow", "work", "-n", "5"]);
    assert_eq!(&slow["total"], left, "slow");
    assert_eq!(&json(&db, &["slow", "-n", "5"])["total"], left);
    assert_eq!(&row(&json(&db, &["top"]), "work")["calls"], left, "top");
    assert_eq!(&json(&db, &["hist", "work"])["calls"], left, "hist");
    let explain = json(&db, &["explain", "work"]);
    let all = explain["selected"].as_u64().unwrap() + explain["rest"].as_u64().unwrap();
    assert_eq!(Some(all), left.as_u64(), "explain");
}
