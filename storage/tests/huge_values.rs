//! A file with texts without end, or with runs by the hundred thousand, is refused by length: neither who
//! reads it nor who records into it takes memory for it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{CallsiteInfo, Error, ErrorKind, Store, StoreOptions};

use crate::common;

fn changed(folder: &Path, change: &str) -> PathBuf {
    let path = folder.join("p.db");
    let _ = std::fs::remove_file(&path);
    let mut store = common::store(&path, &StoreOptions::default());
    common::record(&mut store, 100);
    store.close().unwrap();
    Connection::open(&path).unwrap().execute_batch(change).unwrap();
    path
}

fn read_all(path: &Path) -> Result<(), Error> {
    let reader = Reader::open(path)?;
    for run in reader.runs()? {
        reader.spans(run.id, drop)?;
        reader.top(run.id, 10)?;
        reader.marks(run.id)?;
        reader.losses(run.id)?;
    }
    Ok(())
}

#[test]
fn what_is_longer_than_any_recording_makes_it_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let long = "CAST(zeroblob(2000000) AS TEXT)";
    let name = "CAST(zeroblob(20000) AS TEXT)";
    for change in [
        format!("UPDATE callsite SET name = {long}"),
        format!("UPDATE callsite SET name = {name}"),
        format!("UPDATE callsite SET file = {name}"),
        format!("UPDATE thread SET name = {name}"),
        format!("UPDATE run SET settings = {long}"),
        format!("UPDATE run SET report = {long}"),
        format!("UPDATE span SET fields = {long} WHERE id = (SELECT max(id) FROM span)"),
        "UPDATE rollup SET histogram = zeroblob(2000000)".to_owned(),
        format!("INSERT INTO mark VALUES (9, 1, 0, NULL, {long}, NULL)"),
        format!("INSERT INTO loss VALUES (9, 1, {long}, 0, 1, 1, 1, NULL, 0)"),
    ] {
        let path = changed(folder.path(), &change);
        let error = read_all(&path).expect_err_of(&change);
        assert_eq!(error.kind(), ErrorKind::TooLong, "{change}: {error}");
    }
}

trait ExpectErrOf {
    fn expect_err_of(self, change: &str) -> Error;
}

impl ExpectErrOf for Result<(), Error> {
    fn expect_err_of(self, change: &str) -> Error {
        match self {
            Ok(()) => panic!("{change}: was read"),
            Err(error) => error,
        }
    }
}

#[test]
fn more_runs_than_anybody_records_are_not_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let columns =
        "uuid, label, started_unix_ns, pid, program, args, host, os, cpus, clock, settings,
        first_id, last_id, last_ns, spans, unfinished, events, links, dropped_spans,
        dropped_events, pruned_spans, pruned_events";
    let change = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
         INSERT INTO run ({columns}) SELECT {columns} FROM run, n WHERE id = 1"
    );
    let path = changed(folder.path(), &change);
    let reader = Reader::open(&path).unwrap();
    let error = reader.runs().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong, "{error}");
    assert_eq!(reader.latest_run().unwrap().unwrap().id, 250_001, "one is as good as ever");
}

#[test]
fn a_recorder_takes_no_memory_for_names_without_end_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let change = "UPDATE callsite SET name = CAST(zeroblob(20000) AS TEXT)";
    let path = changed(folder.path(), change);
    let mut store = common::store(&path, &StoreOptions::default());
    let long = CallsiteInfo { name: "ä".repeat(50_000), ..common::callsite("x") };
    let id = store.intern_callsite(&long);
    assert_eq!(store.intern_callsite(&long), id, "the same place");
    store.intern_thread(1, 7, Some(&"b".repeat(50_000)));
    common::record(&mut store, 100);
    store.close().unwrap();
    let conn = Connection::open(&path).unwrap();
    let longest = |table: &str| -> i64 {
        let sql = format!(
            "SELECT max(length(CAST(name AS BLOB))) FROM {table}
             WHERE length(CAST(name AS BLOB)) <> 20000"
        );
        conn.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((longest("callsite"), longest("thread")), (8_192, 8_192));

    let change = "UPDATE callsite SET name = CAST(zeroblob(2000000) AS TEXT)";
    let path = changed(folder.path(), change);
    let Err(error) = Store::open(&path, &StoreOptions::default()) else { panic!("was opened") };
    assert_eq!(error.kind(), ErrorKind::TooLong, "{error}");
}
