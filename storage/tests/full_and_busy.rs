//! A full disk, a held lock and a log at its cap: the batch stays as it was, and the same batch goes
//! in as soon as it can.

use std::time::Duration;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{Batch, ErrorKind, StoreOptions};

use crate::common;

#[test]
fn a_full_disk_keeps_the_batch_for_the_next_try() {
    let (_folder, path) = common::place();
    let options = StoreOptions { max_page_count: Some(40), ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    let mut stored = 0;
    let mut batch = loop {
        let mut batch = common::batch(&mut store, 2_000);
        // New names each time: what was interned must survive the failure as well.
        let callsite_id = store.intern_callsite(&common::callsite(&format!("work {stored}")));
        batch.spans.iter_mut().for_each(|span| span.callsite_id = callsite_id);
        match store.append(&mut batch) {
            Ok(_) => stored += 2_000,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert!(error.to_string().contains("free some space"), "{error}");
                break batch;
            }
        }
    };
    assert!(stored > 0);
    assert_eq!(batch.spans.len(), 2_000);
    let next_id = store.next_id();
    assert_eq!(store.append(&mut batch).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(next_id, store.next_id());
    store.set_max_page_count(None).unwrap();
    store.append(&mut batch).unwrap();
    stored += 2_000;
    store.close().unwrap();
    common::assert_counted(&path, 1);
    let conn = Connection::open(&path).unwrap();
    assert_eq!(common::stored(&conn, 1), common::recomputed(&conn, 1));
    let reader = Reader::open(&path).unwrap();
    let spans = common::spans(&reader, 1);
    assert_eq!(spans.len(), stored);
    assert!(spans.iter().all(|span| span.callsite.name.starts_with("work ")));
}

#[test]
fn a_lock_of_another_connection_keeps_the_batch_for_the_next_try() {
    let (_folder, path) = common::place();
    let options =
        StoreOptions { busy_timeout: Duration::from_millis(10), ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut batch = common::batch(&mut store, 100);
    let mut steps = 0;
    for _ in 0..3 {
        let error = store.append_beside(&mut batch, &mut || steps += 1).unwrap_err();
        assert_eq!(steps, 0, "nothing else is done before it is certain that the file is ours");
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("try again"), "{error}");
        assert_eq!(batch.spans.len(), 100);
    }
    assert_eq!(store.end_run(1, "{}").unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(store.prune().unwrap(), Default::default(), "nothing to do takes no lock");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    store.append_beside(&mut batch, &mut || steps += 1).unwrap();
    assert!(steps > 3, "{steps}");
    store.end_run(1, "{}").unwrap();
    store.close().unwrap();
    common::assert_counted(&path, 1);
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 100);
}

#[test]
fn a_reader_that_stays_stops_at_the_cap_of_the_log() {
    let (_folder, path) = common::place();
    let options = StoreOptions {
        wal_bytes_max: 6 << 20,
        checkpoint_bytes: 1 << 20,
        ..StoreOptions::default()
    };
    let mut store = common::store(&path, &options);
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM span").unwrap();
    let (mut stored, mut warned) = (0, false);
    let mut batch = loop {
        let mut batch = common::batch(&mut store, 5_000);
        match store.append(&mut batch) {
            Ok(appended) => {
                warned |= appended.checkpoint_error.is_some();
                assert!(appended.wal_bytes < 7 << 20);
                stored += 5_000;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WalFull, "{error}");
                assert!(error.to_string().contains("a reader has held"), "{error}");
                break batch;
            }
        }
    };
    assert!(warned, "the appends before said that a checkpoint was held back");
    reader.execute_batch("COMMIT").unwrap();
    store.append(&mut batch).unwrap();
    let appended = store.append(&mut Batch::default()).unwrap();
    assert!(appended.wal_bytes < 2 << 20 && appended.checkpoint_error.is_none());
    let log = common::sidecar(&path, "-wal").metadata().unwrap().len();
    assert!(log <= 3 << 20, "the file is cut, too: {log}");
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, stored + 5_000);
}

#[test]
fn a_batch_that_the_schema_refuses_says_so_and_leaves_the_store_usable() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut store, 10);
    store.append(&mut batch).unwrap();
    let error = store.append(&mut batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidBatch, "{error}");
    let mut batch = common::batch(&mut store, 10);
    batch.text = "\u{e9}".to_owned();
    batch.spans[3].fields = 0..1;
    let error = store.append(&mut batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidBatch, "{error}");
    batch.spans[3].fields = 0..2;
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    common::assert_counted(&path, 1);
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 20);
}

#[test]
fn nothing_is_stored_without_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::default();
    let mut store = spandrel_storage::Store::open(folder.path().join("p.db"), &options).unwrap();
    assert_eq!(store.append(&mut Batch::default()).unwrap_err().kind(), ErrorKind::NoRun);
    assert_eq!(store.end_run(0, "{}").unwrap_err().kind(), ErrorKind::NoRun);
}
