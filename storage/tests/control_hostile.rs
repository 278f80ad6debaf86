//! Whatever somebody puts into the file for requests: neither side runs it, reads it all, or hangs.

use std::time::Duration;

use rusqlite::Connection;
use spandrel_storage::{AnswerState, Control, ControlClient, ErrorKind, Store, StoreOptions};

use crate::common;

const ASKED: &str = "INSERT INTO request (at_unix_ns, by, command, arguments, state) VALUES
    (CAST(unixepoch('subsec') * 1e9 AS INTEGER), 'a test', 'mark', '{}', 'asked');";

/// So many requests, all asked by one statement and 9 s from now, which is as good as now: so that none is too old
/// when its turn comes on a slow machine.
fn asked_at_once(many: i64) -> String {
    let of_many = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {many}) INSERT"
    );
    ASKED
        .replace("INSERT", &of_many)
        .replace("VALUES\n    (", "SELECT ")
        .replace("unixepoch('subsec')", "(unixepoch('subsec') + 9)")
        .replace("'asked');", "'asked' FROM n;")
}

fn recording(folder: &std::path::Path) -> (Store, Control, Connection) {
    let path = folder.join("p.db");
    let store = common::store(&path, &StoreOptions::default());
    let control = Control::create(&store).unwrap();
    let raw = Connection::open(common::sidecar(&path, "-ctl")).unwrap();
    (store, control, raw)
}

#[test]
fn a_trigger_a_view_or_the_like_is_noticed_by_both_sides_and_does_not_run() {
    for change in [
        "CREATE TABLE ran (x); CREATE TRIGGER t AFTER INSERT ON request BEGIN INSERT INTO ran VALUES (1); END",
        "CREATE TABLE ran (x); CREATE TRIGGER t AFTER UPDATE ON request BEGIN INSERT INTO ran VALUES (1); END",
        "ALTER TABLE request RENAME TO other; CREATE VIEW request AS SELECT * FROM other",
        "CREATE INDEX theirs ON request (length(arguments))",
        "ALTER TABLE request ADD COLUMN size INTEGER AS (length(arguments))",
        "CREATE TABLE theirs (x)",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_store, mut control, raw) = recording(folder.path());
        raw.execute_batch(change).unwrap();
        let mut client = ControlClient::open(folder.path().join("p.db")).unwrap();
        let error = client.ask("mark", "{}", Duration::from_secs(20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignSchema, "{change}: {error}");
        if !change.contains("VIEW") {
            raw.execute_batch(ASKED).unwrap();
            raw.execute_batch("DELETE FROM ran").ok();
        }
        let error = control.poll().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignSchema, "{change}: {error}");
        if change.contains("ran") {
            let ran: i64 = raw.query_row("SELECT count(*) FROM ran", [], |row| row.get(0)).unwrap();
            assert_eq!(ran, 0, "{change}");
        }
    }
}

#[test]
fn a_file_with_one_enormous_request_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, mut control, raw) = recording(folder.path());
    let enormous = ASKED.replace("'{}'", "CAST(zeroblob(40000000) AS TEXT)");
    raw.execute_batch(&enormous).unwrap();
    let error = control.poll().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong, "{error}");
    assert!(error.to_string().contains("bytes"), "{error}");
    let error = ControlClient::open(folder.path().join("p.db")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong, "{error}");
}

#[test]
fn many_requests_are_looked_at_a_bounded_number_at_a_time_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, mut control, raw) = recording(folder.path());
    raw.execute_batch(&asked_at_once(1_000)).unwrap();
    raw.execute_batch(&ASKED.replace("'{}'", "CAST(zeroblob(40000) AS TEXT)")).unwrap();
    raw.execute_batch(ASKED).unwrap();
    let mut ids = Vec::new();
    loop {
        let requests = control.poll().unwrap();
        assert!(requests.len() <= 64, "{}", requests.len());
        if requests.is_empty() {
            break;
        }
        ids.extend(requests.iter().map(|request| request.id));
    }
    let expected: Vec<i64> = (1..=1_000).chain([1_002]).collect();
    ids.sort_unstable();
    assert_eq!(ids, expected);
    let why: String =
        raw.query_row("SELECT result FROM request WHERE id = 1001", [], |row| row.get(0)).unwrap();
    assert_eq!(why, "longer than a request may be");
}

#[test]
fn who_asks_behind_thousands_of_requests_is_heard_at_the_next_look() {
    const MANY: i64 = 5_000; // which all have their turn before they are too old, also in an emulator
    let folder = tempfile::tempdir().unwrap();
    let (_store, mut control, raw) = recording(folder.path());
    raw.execute_batch(&asked_at_once(MANY)).unwrap();
    let mut ids = Vec::new();
    for round in 1..=10 {
        raw.execute_batch(ASKED).unwrap();
        let requests = control.poll().unwrap();
        assert!(control.has_more() && requests.len() <= 64);
        ids.extend(requests.iter().map(|request| request.id));
        assert!(ids.contains(&(MANY + round)), "round {round}: {ids:?}");
        assert!(ids.contains(&(48 * round)), "the oldest get their turn, too: {ids:?}");
    }
    while control.has_more() {
        ids.extend(control.poll().unwrap().iter().map(|request| request.id));
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=MANY + 10).collect::<Vec<_>>(), "each of them once");
    let answers = ids.iter().map(|id| (*id, AnswerState::Done, "{}"));
    answers.collect::<Vec<_>>().chunks(256).for_each(|some| {
        control.answer_all(some.iter().copied()).unwrap();
    });
    let left = "SELECT count(*) FROM request WHERE state <> 'done'";
    assert_eq!(raw.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_request_that_leaves_no_number_for_others_does_not_end_all_asking() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, mut control, raw) = recording(folder.path());
    let last = ASKED
        .replace("(at_unix_ns", "(id, at_unix_ns")
        .replace("(CAST", "(9223372036854775807, CAST");
    raw.execute_batch(&last).unwrap();
    assert_eq!(control.poll().unwrap_err().kind(), ErrorKind::ForeignSchema);
}

#[test]
fn a_time_limit_beyond_the_clock_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (store, control, _raw) = recording(folder.path());
    let mut client = ControlClient::open(folder.path().join("p.db")).unwrap();
    drop((control, store));
    let error = client.ask("mark", "{}", Duration::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnswering, "{error}");
}
