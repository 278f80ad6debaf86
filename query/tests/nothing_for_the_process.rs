//! What a library call sets is its connection's: the host may use SQLite, too, and for other things.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_query::sql::{Sql, SqlLimits, SqlRows, SqlValue, limit_process_memory};
use spandrel_storage::{Store, StoreOptions};

fn limits() -> [i64; 2] {
    let conn = Connection::open_in_memory().unwrap();
    ["hard_heap_limit", "soft_heap_limit"]
        .map(|pragma| conn.pragma_query_value(None, pragma, |row| row.get(0)).unwrap())
}

struct Ignored;

impl SqlRows for Ignored {
    fn columns(&mut self, _: &[String]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn row(&mut self, _: &[SqlValue<'_>]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

#[test]
fn a_query_leaves_the_memory_limit_of_the_process_alone() {
    let before = limits();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.db");
    Store::open(&path, &StoreOptions::default()).unwrap().close().unwrap();
    Reader::open(&path).unwrap();
    let mut sql = Sql::open(&path, SqlLimits::default()).unwrap();
    sql.run("SELECT count(*) FROM span", None, &mut Ignored).unwrap();
    assert_eq!(limits(), before, "set for the whole process");
    // For a program that asks for it.
    limit_process_memory(1 << 30).unwrap();
    assert_eq!(limits()[0], 1 << 30);
}
