//! How long the write-ahead log is, is known without copying it into the file, whatever SQLite is linked.

use std::path::Path;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{Location, Store, StoreOptions};

use crate::common;

fn bytes(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[test]
fn a_commit_copies_nothing_into_the_file_before_a_checkpoint_is_due() {
    let (_folder, path) = common::place();
    let log = common::sidecar(&path, "-wal");
    let mut store = common::store(&path, &StoreOptions::default());
    let before = bytes(&path);
    let mut log_bytes = 0;
    for _ in 0..20 {
        let mut batch = common::batch(&mut store, 500);
        let appended = store.append(&mut batch).unwrap();
        assert_eq!(
            (appended.checkpoint_ns, bytes(&path)),
            (0, before),
            "it grows when it is copied"
        );
        assert!(appended.wal_bytes > log_bytes && appended.wal_bytes <= bytes(&log));
        log_bytes = appended.wal_bytes;
    }
    store.close().unwrap();
}

#[test]
fn a_log_that_was_copied_is_short_again_after_the_next_commit() {
    let (_folder, path) = common::place();
    let options = StoreOptions { checkpoint_bytes: 512 << 10, ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    let (mut checkpoints, mut was_copied) = (0, false);
    for _ in 0..200 {
        let mut batch = common::batch(&mut store, 200);
        let appended = store.append(&mut batch).unwrap();
        assert!(appended.checkpoint_error.is_none(), "{:?}", appended.checkpoint_error);
        if was_copied {
            assert!(appended.wal_bytes < options.checkpoint_bytes / 2, "{}", appended.wal_bytes);
        }
        was_copied = appended.checkpoint_ns > 0;
        checkpoints += u32::from(was_copied);
    }
    assert!(checkpoints > 1, "{checkpoints}");
    store.close().unwrap();
}

#[test]
fn a_log_that_somebody_else_has_merged_and_cut_costs_nothing() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let append = |store: &mut Store| {
        common::record(store, 500);
    };
    append(&mut store);
    let other = Connection::open(&path).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert_eq!(bytes(&common::sidecar(&path, "-wal")), 0);
    assert_eq!(store.location().unwrap(), Location::InPlace);
    append(&mut store);
    assert_eq!(store.location().unwrap(), Location::InPlace);
    drop(other);
    store.close().unwrap();
    common::assert_counted(&path, 1);
    assert_eq!(Reader::open(&path).unwrap().run(1).unwrap().unwrap().spans, 1_000);
}
