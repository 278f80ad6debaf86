//! Retention where one run has ids on both sides of another one's: what belongs to rows that are there stays with them.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;
use spandrel_storage::{
    Batch, EntryRow, EventRow, LinkRow, MarkRow, RunAside, RunInfo, Store, StoreOptions,
    WriterStatRow,
};

use super::common::{callsite, place, run_info, span};

const ROWS: u64 = 4_000;
const SECOND: i64 = 1_000_000_000;

/// Two runs of twenty seconds in two pieces each, in turns; each piece is a commit. The second began a second after the
/// first.
fn record(path: &std::path::Path) {
    let mut store = Store::open(path, &StoreOptions::default()).unwrap();
    let mut runs: Vec<Option<RunAside>> = Vec::new();
    for run in 0..2_i64 {
        let started_unix_ns = run_info().started_unix_ns + run * SECOND;
        let info = RunInfo { uuid: format!("{run:032}"), started_unix_ns, ..run_info() };
        store.begin_run_at(&info, 1 + run as u64 * ROWS, run * 1_000).unwrap();
        runs.push(store.set_run_aside());
    }
    let callsite_id = store.intern_callsite(&callsite("work"));
    for turn in 0..4_u64 {
        let (run, piece) = (turn % 2, turn / 2);
        store.take_run_up(runs[run as usize].take().unwrap());
        let thread_id = store.intern_thread(1, 1, Some("main"));
        let first = 1 + turn * ROWS;
        let mut batch =
            Batch { text: "{\"some\":\"fields of a length\"}".into(), ..Batch::default() };
        for at in 0..ROWS / 2 {
            let id = first + 2 * at;
            let start_ns = (piece * ROWS / 2 + at) as i64 * SECOND / 200;
            let fields = 0..batch.text.len();
            let row = span(id, callsite_id, thread_id);
            batch.spans.push(spandrel_storage::SpanRow { start_ns, fields, ..row });
            if at % 8 == 7 {
                batch.links.push(LinkRow { span_id: id, follows_id: id - 2 });
            }
        }
        // Of the first piece of a run there are spans only.
        let id = first + ROWS - 1;
        let at_ns = (piece as i64 * 10 + 9) * SECOND;
        if piece == 1 {
            let message = 0..4;
            let (thread_id, span_id) = (thread_id, first);
            let event =
                EventRow { id, span_id, callsite_id, thread_id, at_ns, message, fields: 0..0 };
            batch.events.push(event);
            batch.entries.push(EntryRow {
                id,
                span_id,
                callsite_id,
                thread_id,
                start_ns: at_ns,
                duration_ns: 5,
                around_id: 0,
                self_ns: None,
                earlier_entries: 0,
                earlier_ns: 0,
            });
        }
        // A link of a span that is open.
        batch.links.push(LinkRow { span_id: id, follows_id: first });
        let label = format!("{run}, {piece}");
        let id = run * 100 + piece;
        let mark = MarkRow { id, at_ns, until_ns: None, label, fields: None };
        batch.marks.push(mark);
        batch.writer_stat = Some(WriterStatRow {
            at_ns,
            dropped: "{}".into(),
            events_dropped: "{}".into(),
            entries_dropped: "{}".into(),
            ..WriterStatRow::default()
        });
        store.append(&mut batch).unwrap();
        runs[run as usize] = store.set_run_aside();
    }
    for run in runs {
        store.take_run_up(run.unwrap());
        store.end_run(run_info().started_unix_ns + 30 * SECOND, "{}").unwrap();
    }
    store.close().unwrap();
}

/// That nothing is missing that belongs to rows that are there, and nothing is left where there are none.
fn assert_whole(path: &std::path::Path, at: &str) -> Vec<(i64, i64)> {
    let conn = Connection::open(path).unwrap();
    let count = |sql: &str| -> i64 { conn.query_row(sql, [], |row| row.get(0)).unwrap() };
    let nameless = "SELECT count(*) FROM span WHERE thread_id NOT IN (SELECT id FROM thread)";
    assert_eq!(count(nameless), 0, "{at}: spans without a thread");
    let calls = "SELECT count(*) FROM (
        SELECT run_id, count(*) AS calls, min(start_ns) AS first FROM span GROUP BY run_id) AS s
        WHERE calls > (SELECT coalesce(sum(calls), 0) FROM rollup AS r WHERE r.run_id = s.run_id)";
    assert_eq!(count(calls), 0, "{at}: spans that no rollup counts");
    let linked = "SELECT count(*) FROM span AS s WHERE s.id % 16 = 15
        AND NOT EXISTS (SELECT 1 FROM link WHERE span_id = s.id)";
    assert_eq!(count(linked), 0, "{at}: links");
    for (table, at_ns) in [("mark", "at_ns"), ("writer_stat", "at_ns")] {
        let sql = format!(
            "SELECT count(*) FROM (SELECT run_id, max(start_ns) / {SECOND} AS last FROM span GROUP BY run_id) AS s
             WHERE last >= 10 AND NOT EXISTS (SELECT 1 FROM {table} AS m
               WHERE m.run_id = s.run_id AND m.{at_ns} = 19 * {SECOND})"
        );
        assert_eq!(count(&sql), 0, "{at}: {table}");
    }
    let mut select = conn
        .prepare("SELECT spans - pruned_spans, (SELECT count(*) FROM span WHERE run_id = run.id) FROM run")
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(i64, i64)> = rows.unwrap().collect::<rusqlite::Result<_>>().unwrap();
    assert!(rows.iter().all(|(said, are)| said == are), "{at}: {rows:?}");
    rows
}

#[test]
fn by_size_what_belongs_to_rows_that_are_there_stays() {
    let (_folder, path) = place();
    record(&path);
    let whole = std::fs::metadata(&path).unwrap().len();
    let mut left = Vec::new();
    for part in 1..14 {
        let max_bytes = Some(whole * (14 - part) / 14);
        let options = StoreOptions { max_bytes, ..StoreOptions::default() };
        let mut store = Store::open(&path, &options).unwrap();
        while store.prune().unwrap().more {}
        store.close().unwrap();
        left.push(assert_whole(&path, &format!("{part} of 14 gone")));
    }
    // It was seen with rows of the first run behind those of the second one.
    let half = ROWS as i64 / 2;
    assert!(left.iter().any(|rows| rows[0].1 == half && rows[1].1 < 2 * half), "{left:?}");
}

#[test]
fn all_rows_of_earlier_runs_go_and_none_of_those_that_stay() {
    let (_folder, path) = place();
    record(&path);
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    while store.prune_runs_before(2).unwrap().more {}
    store.close().unwrap();
    assert_eq!(assert_whole(&path, "the first run is gone"), [(0, 0), (ROWS as i64, ROWS as i64)]);
    let conn = Connection::open(&path).unwrap();
    for table in ["event", "entry", "mark", "writer_stat", "rollup", "thread"] {
        let sql = format!("SELECT count(*) FILTER (WHERE run_id = 1), count(*) FROM {table}");
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (first, all): (i64, i64) = conn.query_row(&sql, [], read).unwrap();
        assert!(first == 0 && all > 0, "{table}: {first} of {all}");
    }
}
