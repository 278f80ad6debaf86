//! The file means the same to every tool: types and values of each table and view, as programs have
//! them that nobody here wrote.

use std::process::Command;

use rusqlite::Connection;
use spandrel_query::optimize;
use spandrel_tests_exports::profile::{id, names, threads};
use spandrel_tests_exports::{Given, Made, SpanSpec};

/// Python with those programs, named by this variable; `scripts/exports.sh` installs them.
const PYTHON: &str = "SPANDREL_TEST_PYTHON";

/// Rows that are easily read as something else: NULL in the first ones, whole numbers of milliseconds,
/// numbers that no double holds, names that are missing.
fn given() -> Given {
    let span = |at: usize| SpanSpec {
        parent: (!at.is_multiple_of(3)).then(|| at - 1),
        orphan: at == 17,
        start_ns: [0, 1_000_000, 86_399_999_999_999, 5_097_600_000_000_000][at % 4] + at as i64,
        duration_ns: match at {
            0..4 => None,
            30 => Some((1 << 53) + 1),
            _ if at.is_multiple_of(2) => Some(at as i64 * 33_100_000),
            _ => Some(at as i64 * 997),
        },
        // NUL ends a text in some programs.
        name: [0, 1, 2, 3, 5, 7][at % 6],
        thread: at % 3,
        fields: (at % 2 == 1).then(|| r#"{"n":18446744073709551615,"text":"ü\n"}"#.to_owned()),
    };
    Given {
        spans: (0..40).map(span).collect(),
        events: (0..9).map(|at| (Some(at), at as i64, format!("event {at}"))).collect(),
        links: vec![(5, 4), (6, 4)],
        marks: vec![(5, None, "deploy".into()), (7, Some(20), "section".into())],
        losses: vec![(3, 9, 12), (5, 11, 1)],
        entries: Vec::new(),
        names: names(),
        threads: threads(),
    }
}

/// What a recording of this moment leaves, and one that was killed before 1970 began.
fn add_what_is_not_given(made: &Made) {
    let conn = Connection::open(&made.path).unwrap();
    conn.execute_batch(&format!(
        "INSERT INTO gauge VALUES (1, 1, 'queue', 5, NULL, 1, 1), (2, 1, 'queue', 9, 0.1, 2, 1);
         INSERT INTO run SELECT id + 1, uuid, NULL, -3661000000001, NULL, pid, program, args, host, os,
           cpus, clock, settings, NULL, last_id + 1, last_id + 9, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM run;
         INSERT INTO span SELECT 9000000, 2, NULL, 9000000, callsite_id, thread_id, 1500000000, 7, NULL,
           7, 1, 'ok', NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM span WHERE id = {first};
         INSERT INTO open_span SELECT id + 9000000, 2, parent_id, root_id, callsite_id, thread_id,
           start_ns, busy_ns, entries, fields, start_ns + 1500000,
           first_entry_ns, longest_entry_ns, last_exit_ns, longest_thread_id FROM span WHERE id >= {first};
         INSERT INTO mark (run_id, at_ns, label, fields) VALUES (1, 5, 'a', '{{}}')",
        first = id(0),
    ))
    .unwrap();
}

fn check(made: &Made) {
    let Some(python) = std::env::var_os(PYTHON) else {
        eprintln!("SKIPPED: no readers; scripts/exports.sh installs them, and sets {PYTHON}");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/readers.py");
    let output = Command::new(python).arg(script).arg(&made.path).output().unwrap();
    let (said, faults) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{said}{faults}");
    for reader in ["sqlite3", "duckdb", "clickhouse", "pandas", "polars", "older_sqlite"] {
        let has_read = said.lines().any(|line| line.starts_with(reader));
        assert!(has_read || faults.contains(&format!("SKIPPED: {reader}")), "{said}{faults}");
    }
    eprint!("{said}{faults}");
}

#[test]
fn every_program_reads_the_same_types_and_values() {
    let made = given().make();
    add_what_is_not_given(&made);
    check(&made);
    // And the tables that are made for quick answers.
    let conn = Connection::open(&made.path).unwrap();
    conn.execute("UPDATE run SET ended_unix_ns = 5 WHERE ended_unix_ns IS NULL", []).unwrap();
    drop(conn);
    optimize(&made.path, |_| {}).unwrap();
    check(&made);
}

#[test]
fn wall_clock_times_are_right_on_every_day_that_can_be_stored() {
    let made = given().make();
    let conn = Connection::open(&made.path).unwrap();
    const DAY: i64 = 86_400_000_000_000;
    let days = -106_751..=106_750_i64;
    let tx = conn.unchecked_transaction().unwrap();
    for day in days.clone() {
        let at = day * DAY + (day * 8_641_234_567) % DAY;
        tx.execute(
            "INSERT INTO event (id, run_id, callsite_id, thread_id, at_ns) VALUES (?1, 7, 1, 1, ?2)",
            [10_000_000 + day, at],
        )
        .unwrap();
    }
    tx.execute_batch(
        "INSERT INTO run SELECT 7, uuid, NULL, 0, NULL, pid, program, args, host, os, cpus, clock,
           settings, NULL, 1, 1, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM run",
    )
    .unwrap();
    tx.commit().unwrap();
    // SQLite's own idea of it; `strftime` takes seconds, which are rounded down here.
    let sql = "SELECT count(*), sum(at = strftime('%Y-%m-%dT%H:%M:%S',
                 (at_ns - (at_ns % 1000000000 + 1000000000) % 1000000000) / 1000000000, 'unixepoch')
               || printf('.%03dZ', (at_ns % 1000000000 + 1000000000) % 1000000000 / 1000000))
               FROM events WHERE run_id = 7";
    let found: (i64, i64) = conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(found, (days.clone().count() as i64, days.count() as i64));
}
