//! Somebody has put thousands of requests into the file: who asks behind them does not wait for all of them,
//! the recording goes on, and each of them is carried out or refused.

use rusqlite::Connection;
use serde_json::Value;
use spandrel_tests::asking::{LONG, sidecar};
use spandrel_tests::prelude::*;

const MANY: i64 = 4_000;

#[test]
fn a_mark_behind_thousands_of_requests_is_among_the_first() {
    let (scratch, profiler) = recording_for(200);
    let other = Connection::open(sidecar(scratch.db())).unwrap();
    other.busy_timeout(LONG).unwrap();
    let ask = "INSERT INTO request (at_unix_ns, by, command, arguments, state) VALUES
        (CAST(unixepoch('subsec') * 1e9 AS INTEGER), 'a test', 'mark', '{\"label\":\"many\"}', 'asked')";
    // At once, so that the recorder sees the last one with the first.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut insert = other.prepare(ask).unwrap();
    (0..=MANY).for_each(|_| assert_eq!(insert.execute([]).unwrap(), 1));
    drop(insert);
    let last = other.last_insert_rowid();
    other.execute_batch("COMMIT").unwrap();
    let number = |sql: &str| other.query_row(sql, [last], |row| row.get::<_, i64>(0)).unwrap();
    let mut recorded = 0;
    let mut record = || {
        within(&dispatch(&profiler), || (0..10).for_each(|n| drop(info_span!("work", n))));
        profiler.flush(Duration::from_secs(60)).unwrap();
        recorded += 10;
    };
    while number("SELECT count(*) FROM request WHERE id = ?1 AND state = 'done'") == 0 {
        record();
    }
    let answer = "SELECT result FROM request WHERE id = ?1";
    let answer: String = other.query_row(answer, [last], |row| row.get(0)).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    // Marks are numbered in the order in which they are taken.
    assert!(answer["id"].as_i64().unwrap() <= 16, "{answer}");
    // In time they all get an answer.
    while number("SELECT count(*) FROM request WHERE id <= ?1 AND state IN ('asked', 'taken')") > 0
    {
        record();
    }
    let carried_out = number("SELECT count(*) FROM request WHERE id <= ?1 AND state = 'done'");
    drop(other);
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (carried_out as u64, 0));
    assert_eq!((report.recorded, &report.control_error), (recorded, &None));
    ledger::check_complete(scratch.db(), &report);
}
