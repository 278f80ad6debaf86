//! Runs that are recorded at the same time: the rows of all but the last come between others. They are stored as any others.
#![allow(clippy::unwrap_used)]
use rusqlite::Connection;
use rusqlite::types::Value;
use spandrel_storage::{Batch, EventRow, RunAside, SpanRow, Store, StoreOptions};

use super::common::{callsite, place, run_info, span};

const RUNS: u64 = 4;
const ROUNDS: u64 = 8;
const ROWS: u64 = 4_000;
const ROOM: u64 = 1 << 37;

/// Spans and events of one commit of a run, some with long texts. `order` says how ids are mixed.
fn batch(run: u64, round: u64, order: u64, callsite_id: i64) -> Batch {
    let text = "{\"a\":1}".repeat(10_000);
    let id = |row: u64| 1 + run * ROOM + 2 * (round * ROWS + (row ^ order));
    let length = |row: u64| match row % 1_000 {
        // Longer than a page of the file, and than one of an image.
        7 => 20_000,
        8 => 60_000,
        _ => row as usize % 4 * 7,
    };
    let spans = (0..ROWS).filter(|row| row % 4 != 3).map(|row| SpanRow {
        // A span that was open for long: it is above what was stored by then, and below all the rest.
        id: if row == 500 && round > 0 { id(row) - 2 * ROWS + 1 } else { id(row) },
        fields: 0..length(row),
        ..span(id(row), callsite_id, 1)
    });
    let events = (0..ROWS).filter(|row| row % 4 == 3).map(|row| EventRow {
        id: id(row),
        span_id: id(row - 1),
        callsite_id,
        thread_id: 1,
        at_ns: row as i64,
        message: 0..length(row + 1),
        fields: 0..length(row),
    });
    Batch { spans: spans.collect(), events: events.collect(), text, ..Batch::default() }
}

/// Stores the same rows, in turns or one run after the other.
fn record(path: &std::path::Path, options: &StoreOptions, in_turns: bool) {
    let mut store = Store::open(path, options).unwrap();
    let mut runs: Vec<Option<RunAside>> = Vec::new();
    for run in 0..RUNS {
        let info = spandrel_storage::RunInfo { uuid: format!("{run:032}"), ..run_info() };
        store.begin_run_at(&info, 1 + run * ROOM, run as i64 * 1_000).unwrap();
        runs.push(store.set_run_aside());
    }
    let site = store.intern_callsite(&callsite("a"));
    let turns = (0..RUNS * ROUNDS).map(|turn| match in_turns {
        true => (turn % RUNS, turn / RUNS),
        false => (turn / ROUNDS, turn % ROUNDS),
    });
    for (run, round) in turns {
        let aside = &mut runs[run as usize];
        store.take_run_up(aside.take().unwrap());
        // As they are, and mixed.
        let mut batch = batch(run, round, round % 2 * 31, site);
        store.append(&mut batch).unwrap();
        *aside = store.set_run_aside();
    }
    store.close().unwrap();
}

fn rows(path: &std::path::Path, table: &str) -> Vec<Vec<Value>> {
    let conn = Connection::open(path).unwrap();
    let mut select = conn.prepare(&format!("SELECT * FROM {table} ORDER BY id")).unwrap();
    // The last column is the commit, which is another one in another order.
    let columns = select.column_count() - 1;
    let rows = select.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

/// The largest id of each run, as its row says it, which is that of its own rows.
fn largest_ids(path: &std::path::Path) -> Vec<i64> {
    let conn = Connection::open(path).unwrap();
    let sql = "SELECT last_id, max((SELECT max(id) FROM span WHERE run_id = r.id),
                 (SELECT max(id) FROM event WHERE run_id = r.id)) FROM run AS r ORDER BY id";
    let mut select = conn.prepare(sql).unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(i64, i64)> = rows.unwrap().collect::<rusqlite::Result<_>>().unwrap();
    assert!(rows.iter().all(|(said, largest)| said == largest), "{rows:?}");
    rows.into_iter().map(|(said, _)| said).collect()
}

#[test]
fn runs_in_turns_are_stored_as_one_after_the_other() {
    for page_size in [4_096, 16_384] {
        let options = StoreOptions { page_size, ..StoreOptions::default() };
        let (_folder, in_turns) = place();
        let (_other, in_a_row) = place();
        record(&in_turns, &options, true);
        record(&in_a_row, &options, false);
        let conn = Connection::open(&in_turns).unwrap();
        let verdict: String =
            conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
        for table in ["span", "event"] {
            let stored = rows(&in_turns, table);
            assert!(stored == rows(&in_a_row, table), "{table} with pages of {page_size}");
        }
        assert_eq!(largest_ids(&in_turns), largest_ids(&in_a_row));
    }
}

#[test]
fn rows_are_the_same_as_through_statements() {
    let by_statements = StoreOptions { transfer_rows_min: usize::MAX, ..StoreOptions::default() };
    let (_folder, copied) = place();
    let (_other, inserted) = place();
    record(&copied, &StoreOptions::default(), true);
    record(&inserted, &by_statements, true);
    for table in ["span", "event"] {
        assert!(rows(&copied, table) == rows(&inserted, table), "{table}");
    }
}
