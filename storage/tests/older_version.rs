//! A file of an older version is read as it is, and brought up when it is recorded into.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
mod common;

use rusqlite::Connection;
use spandrel_storage::{Reader, StoreOptions};

/// The tables whose busy time must not be NULL, as version 1 had it.
fn busy_time_required(conn: &Connection) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
               WHERE t.type = 'table' AND c.name = 'busy_ns' AND c.\"notnull\"";
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_file_of_version_1_loses_its_index_when_it_is_recorded_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let mut first = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut first, 500);
    first.append(&mut batch).unwrap();
    first.close().unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "CREATE INDEX span_root ON span (run_id, start_ns) WHERE parent_id IS NULL;
         PRAGMA user_version = 1;
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'busy_ns INTEGER', 'busy_ns INTEGER NOT NULL');
         PRAGMA writable_schema = RESET",
    )
    .unwrap();
    assert_eq!(busy_time_required(&conn), 3);
    drop(conn);
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 500, "read as it is");
    let mut again = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut again, 500);
    batch.spans.iter_mut().for_each(|span| span.busy_ns = None);
    again.append(&mut batch).unwrap();
    again.close().unwrap();
    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'span_root'";
    assert_eq!(conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_eq!(busy_time_required(&conn), 0);
    let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let roots = "SELECT count(*) FROM roots";
    assert_eq!(conn.query_row(roots, [], |row| row.get::<_, i64>(0)).unwrap(), 1_000);
}

#[test]
fn tables_of_version_1_are_ours_before_and_after_they_are_brought_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let conn = Connection::open(&path).unwrap();
    let version_1 =
        spandrel_storage::schema().replace("busy_ns INTEGER, ", "busy_ns INTEGER NOT NULL, ");
    conn.execute_batch(&version_1).unwrap();
    conn.execute_batch(
        "CREATE INDEX span_root ON span (run_id, start_ns) WHERE parent_id IS NULL;
         PRAGMA user_version = 1",
    )
    .unwrap();
    conn.pragma_update(None, "application_id", spandrel_storage::APPLICATION_ID).unwrap();
    let required =
        "SELECT count(*) FROM pragma_table_info('span') WHERE name = 'busy_ns' AND [notnull]";
    let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(required), 1);
    Reader::open(&path).unwrap();
    for _ in 0..2 {
        let mut store = common::store(&path, &StoreOptions::default());
        let mut batch = common::batch(&mut store, 500);
        store.append(&mut batch).unwrap();
        store.close().unwrap();
        Reader::open(&path).unwrap();
    }
    assert_eq!(count(required), 0);
}
