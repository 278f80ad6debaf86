//! A database that is deleted, renamed or replaced while it is written is noticed.

#![cfg(unix)]

use std::fs;

use spandrel_storage::{Location, StoreOptions};

use crate::common;

#[test]
fn removed_renamed_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("p.db"), folder.path().join("q.db"));
    let mut store = common::store(&path, &StoreOptions::default());
    assert_eq!(store.location().unwrap(), Location::InPlace);
    fs::rename(&path, &other).unwrap();
    assert_eq!(store.location().unwrap(), Location::Renamed);
    fs::write(&path, "another file").unwrap();
    assert_eq!(store.location().unwrap(), Location::Renamed);
    fs::rename(&other, &path).unwrap();
    assert_eq!(store.location().unwrap(), Location::InPlace);
    fs::remove_file(&path).unwrap();
    assert_eq!(store.location().unwrap(), Location::Removed);
    // SQLite goes on into the file that nobody can reach; so does the store, until it is told.
    common::record(&mut store, 10);
    drop(store);
    common::store(&path, &StoreOptions::default()).close().unwrap();
}
