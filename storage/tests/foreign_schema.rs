//! SQL of a file that somebody else made does not run in whoever records into the file or reads it.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{Error, ErrorKind, Store, StoreOptions};

use crate::common;

/// A profile with a run in it, changed by somebody else.
fn changed(folder: &Path, change: &str) -> PathBuf {
    let path = folder.join("p.db");
    let _ = fs::remove_file(&path);
    let mut store = common::store(&path, &StoreOptions::default());
    common::record(&mut store, 100);
    store.close().unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(change).unwrap_or_else(|error| panic!("{change}: {error}"));
    drop(conn);
    path
}

/// The definition of a table, rewritten in place.
fn rewritten(table: &str, from: &str, to: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}') WHERE name = '{table}';
         PRAGMA writable_schema = RESET"
    )
}

/// Who records is refused, and the file stays as it was.
fn refused(path: &Path, change: &str) -> Error {
    let before = fs::read(path).unwrap();
    let Err(error) = Store::open(path, &StoreOptions::default()) else {
        panic!("{change}: was not refused")
    };
    assert_eq!(error.kind(), ErrorKind::ForeignSchema, "{change}: {error}");
    assert!(error.to_string().contains("record to a new file"), "{error}");
    assert!(fs::read(path).unwrap() == before, "{change}: written to");
    error
}

#[test]
fn what_would_run_with_each_row_is_refused_by_whoever_records_and_does_no_harm_to_readers() {
    let folder = tempfile::tempdir().unwrap();
    for (change, names) in [
        (
            "CREATE TRIGGER audit AFTER INSERT ON span BEGIN DELETE FROM loss; END",
            ["trigger audit", "table span"],
        ),
        (
            "CREATE TRIGGER theirs BEFORE DELETE ON event BEGIN SELECT raise(IGNORE); END",
            ["trigger theirs", "table event"],
        ),
        ("CREATE INDEX by_length ON span (length(fields))", ["index by_length", "table span"]),
        (
            "CREATE INDEX failed ON event (at_ns) WHERE message LIKE '%failed%'",
            ["index failed", "table event"],
        ),
        ("CREATE UNIQUE INDEX once ON mark (label)", ["index once", "table mark"]),
        ("CREATE INDEX by_name ON thread (name COLLATE NOCASE)", ["index by_name", "table thread"]),
        ("CREATE VIRTUAL TABLE words USING dbstat", ["virtual table", "words"]),
    ] {
        let path = changed(folder.path(), change);
        let error = refused(&path, change).to_string();
        assert!(names.iter().all(|name| error.contains(name)), "{change}: {error}");
        assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 100, "{change}");
    }
}

#[test]
fn a_table_that_would_run_something_is_neither_written_nor_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = "label TEXT,";
    for (table, change) in [
        ("run", rewritten("run", text, "label TEXT CHECK (length(label) < 9),")),
        ("run", rewritten("run", text, "label TEXT AS (hex(id)),")),
        ("run", rewritten("run", text, "label TEXT DEFAULT (hex(1)),")),
        ("run", rewritten("run", text, "label TEXT REFERENCES thread (id) ON DELETE CASCADE,")),
        ("run", rewritten("run", text, "label TEXT COLLATE NOCASE,")),
        ("run", rewritten("run", text, "label TEXT UNIQUE ON CONFLICT IGNORE,")),
        ("loss", rewritten("loss", "DEFAULT 0 ", "DEFAULT 0, CHECK (spans = 0) ")),
        ("loss", "ALTER TABLE loss ADD COLUMN size INTEGER AS (length(reason))".to_owned()),
        ("gauge", "ALTER TABLE gauge ADD COLUMN unit TEXT DEFAULT 'ms'".to_owned()),
    ] {
        let path = changed(folder.path(), &change);
        let error = refused(&path, &change).to_string();
        assert!(error.contains(&format!("the table {table} is not as spandrel")), "{error}");
        let read = Reader::open(&path).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::ForeignSchema, "{change}: {read}");
    }
}

#[test]
fn a_file_with_far_too_many_definitions_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let many = "PRAGMA writable_schema = ON;
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO sqlite_schema
        SELECT 'view', 'v' || i, 'v' || i, 0, 'CREATE VIEW v' || i || ' AS SELECT 1' FROM n";
    let path = changed(folder.path(), many);
    let error = refused(&path, "20,000 views").to_string();
    assert!(error.contains("far more tables and views"), "{error}");
    assert_eq!(Reader::open(&path).unwrap_err().kind(), ErrorKind::ForeignSchema);
}

#[test]
fn what_runs_nothing_may_stand_beside_ours() {
    let folder = tempfile::tempdir().unwrap();
    for change in [
        "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, span_id INTEGER UNIQUE,
           text TEXT CHECK (text <> ''), size AS (length(text)));
         CREATE INDEX long_notes ON notes (length(text));
         CREATE TRIGGER on_notes AFTER INSERT ON notes BEGIN SELECT 1; END;
         CREATE VIEW mine AS SELECT * FROM spans WHERE duration_ns > 1e9;
         INSERT INTO notes (text) VALUES ('slow')",
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
         CREATE TABLE _litestream_lock (id INTEGER)",
        "CREATE INDEX by_start ON span (start_ns, duration_ns DESC)",
        "ALTER TABLE span ADD COLUMN theirs TEXT; ALTER TABLE rollup ADD COLUMN \"by hand\" REAL",
        "DROP VIEW runs; CREATE VIEW runs AS SELECT 1",
        "CREATE INDEX i ON event (at_ns); ANALYZE",
        "VACUUM",
    ] {
        let path = changed(folder.path(), change);
        let mut store = common::store(&path, &StoreOptions::default());
        common::record(&mut store, 1_000);
        store.prune_before(i64::MAX / 2).unwrap();
        store.close().unwrap_or_else(|error| panic!("{change}: {error}"));
        Reader::open(&path).unwrap_or_else(|error| panic!("{change}: {error}"));
        let conn = Connection::open(&path).unwrap();
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "{change}");
    }
}

#[test]
fn a_trigger_or_view_that_comes_while_we_record_does_not_run() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER t AFTER INSERT ON loss BEGIN DELETE FROM loss; END;
             CREATE TRIGGER u AFTER INSERT ON span BEGIN DELETE FROM span; END",
        )
        .unwrap();
    let mut batch = common::batch(&mut store, 1_000);
    batch.losses.push(spandrel_storage::LossRow {
        reason: "ring_full",
        from_ns: 0,
        to_ns: 1,
        spans: 3,
        events: 0,
        entries: 0,
        thread_id: None,
    });
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        other.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("loss"), count("span")), (1, 1_000));
}
