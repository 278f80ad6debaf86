//! SQLite reads the statistics of ANALYZE with the definitions of a file, before its first statement, and
//! asks nobody. What somebody else has made of them is not computed: here it would take more memory than
//! there is, which is why this is a program of its own.
#![allow(clippy::unwrap_used, clippy::panic)]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{Control, ControlClient, Error, ErrorKind, Store, StoreOptions};

/// Bytes that SQLite may have; a computed row takes some more.
const MEMORY: i64 = 20 << 20;

/// From now on; the tests take turns, as the limit is one for all of them.
fn limit_memory() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let conn = Connection::open_in_memory().unwrap();
    conn.pragma_update_and_check(None, "hard_heap_limit", MEMORY, |_| Ok(())).unwrap();
    turn
}

/// Statistics of one row, which is stored before one of its columns is defined as computed.
fn add_statistics(path: &Path) {
    let long: Vec<_> = (0..45).map(|n| format!("hex(zeroblob(400000+idx+{n}))")).collect();
    let columns = format!("(tbl AS (max({})), idx, stat)", long.join(", "));
    let conn = Connection::open(path).unwrap();
    let change = format!(
        "CREATE TABLE statistics (idx, stat);
         INSERT INTO statistics VALUES (1, 1);
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET name = 'sqlite_stat1', tbl_name = 'sqlite_stat1',
           sql = 'CREATE TABLE sqlite_stat1 {columns}' WHERE name = 'statistics'"
    );
    conn.execute_batch(&change).unwrap();
    drop(conn);
    let conn = Connection::open(path).unwrap();
    let computed = conn.prepare("SELECT 1 FROM sqlite_schema");
    let told = computed.map(drop).unwrap_err().to_string();
    assert!(told.contains("out of memory"), "whoever does not look computes it: {told}");
}

fn profile(folder: &Path) -> PathBuf {
    let path = folder.join("p.db");
    let mut store = common::store(&path, &StoreOptions::default());
    common::record(&mut store, 10);
    store.close().unwrap();
    path
}

fn is_refused(error: &Error, names: &str) {
    assert_eq!(error.kind(), ErrorKind::ForeignSchema, "{error}");
    assert!(error.to_string().contains(names), "{error}");
}

#[test]
fn statistics_of_a_profile_are_not_computed_by_who_records_reads_or_merges() {
    let _turn = limit_memory();
    let folder = tempfile::tempdir().unwrap();
    let path = profile(folder.path());
    add_statistics(&path);
    let before = fs::read(&path).unwrap();
    let names = "the table sqlite_stat1 is not as spandrel makes it";
    is_refused(&Store::open(&path, &StoreOptions::default()).map(drop).unwrap_err(), names);
    is_refused(&Reader::open(&path).unwrap_err(), names);
    // There is a log to merge.
    fs::write(common::sidecar(&path, "-wal"), []).unwrap();
    is_refused(&spandrel_storage::merge(&path).unwrap_err(), names);
    assert!(before == fs::read(&path).unwrap(), "written to");
}

#[test]
fn statistics_of_the_file_for_requests_are_not_computed_by_who_asks_or_answers() {
    let _turn = limit_memory();
    let (_folder, path) = common::place();
    let store = common::store(&path, &StoreOptions::default());
    let mut control = Control::create(&store).unwrap();
    add_statistics(&common::sidecar(&path, "-ctl"));
    let names = "such as a trigger or a view";
    is_refused(&control.poll().unwrap_err(), names);
    let mut client = ControlClient::open(&path).unwrap();
    is_refused(&client.ask("mark", "{}", Duration::from_secs(20)).unwrap_err(), names);
}
