//! A file that a store has made, and into which nothing has come, does not stay. What anybody else may need does.

use std::path::Path;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{Store, StoreOptions};

use crate::common;

fn files(folder: &Path) -> Vec<String> {
    let all = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = all.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_was_made_for_nothing_goes_with_its_log() {
    for live_readers in [true, false] {
        let (folder, path) = common::place();
        let options = StoreOptions { live_readers, ..StoreOptions::default() };
        let store = Store::open(&path, &options).unwrap();
        assert!(store.close_or_remove().unwrap());
        assert_eq!(files(folder.path()), [] as [&str; 0], "live readers: {live_readers}");
        // The path is free for the next one.
        common::store(&path, &options).close().unwrap();
        assert_eq!(files(folder.path()), ["p.db"]);
    }
}

#[test]
fn a_file_that_is_read_meanwhile_goes_and_its_reader_sees_what_it_saw() {
    let (folder, path) = common::place();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.runs().unwrap().len(), 0);
    assert!(store.close_or_remove().unwrap());
    assert_eq!(files(folder.path()), [] as [&str; 0]);
    assert!(reader.runs().is_ok_and(|runs| runs.is_empty()) || reader.runs().is_err());
}

#[test]
fn a_file_that_has_a_run_or_was_there_or_has_what_others_have_written_stays() {
    let (folder, path) = common::place();
    // What is not the store's is no reason to remove it, be it as empty as it likes.
    std::fs::write(&path, "").unwrap();
    assert!(!Store::open(&path, &StoreOptions::default()).unwrap().close_or_remove().unwrap());
    assert_eq!(files(folder.path()), ["p.db"]);
    assert!(!Store::open(&path, &StoreOptions::default()).unwrap().close_or_remove().unwrap());
    assert_eq!(files(folder.path()), ["p.db"]);

    let (folder, path) = common::place();
    assert!(!common::store(&path, &StoreOptions::default()).close_or_remove().unwrap());
    assert_eq!(Reader::open(&path).unwrap().runs().unwrap().len(), 1);
    assert_eq!(files(folder.path()), ["p.db"]);

    let (folder, path) = common::place();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE note (text); INSERT INTO note VALUES ('mine')").unwrap();
    assert!(!store.close_or_remove().unwrap());
    drop(other);
    assert_eq!(files(folder.path()), ["p.db"]);
    let other = Connection::open(&path).unwrap();
    let note: String = other.query_row("SELECT text FROM note", [], |row| row.get(0)).unwrap();
    assert_eq!(note, "mine");
}

#[test]
fn a_file_that_was_renamed_stays_where_it_is_and_so_does_what_took_its_place() {
    let (folder, path) = common::place();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    std::fs::rename(&path, folder.path().join("q.db")).unwrap();
    std::fs::write(&path, "another file").unwrap();
    // It may complain.
    assert!(!store.close_or_remove().unwrap_or(false));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another file");
    assert!(folder.path().join("q.db").exists());
}
