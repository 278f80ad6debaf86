//! Somebody throws rows away with SQL: what is recorded later gets numbers that nothing left refers to.

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{EventRow, LinkRow, OpenSpanRow, StoreOptions};

use crate::common;

fn count(path: &std::path::Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Records a run of 500 spans, with something in each table; the callsite has the name.
fn record(path: &std::path::Path, name: &str) -> i64 {
    let mut store = common::store(path, &StoreOptions::default());
    let callsite_id = store.intern_callsite(&common::callsite(name));
    let mut batch = common::batch(&mut store, 500);
    batch.spans.iter_mut().for_each(|span| span.callsite_id = callsite_id);
    let span = batch.spans[499].clone();
    batch.events.push(EventRow {
        id: span.id + 5,
        span_id: span.id + 6,
        callsite_id,
        thread_id: span.thread_id,
        at_ns: 7,
        message: 0..0,
        fields: 0..0,
    });
    batch.links.push(LinkRow { span_id: span.id, follows_id: span.id + 7 });
    let open = spandrel_storage::SpanRow { id: span.id + 8, duration_ns: None, ..span };
    batch.open_spans = Some(vec![OpenSpanRow { span: open, seen_ns: 2 }]);
    store.append(&mut batch).unwrap();
    let run = store.run_id().unwrap();
    store.close().unwrap();
    run
}

#[test]
fn a_deleted_run_row_does_not_cost_later_recordings_everything() {
    for tables in [&["run"][..], &["run", "callsite", "thread"], &["run", "span", "event"]] {
        let (_folder, path) = common::place();
        assert_eq!((record(&path, "first"), record(&path, "second")), (1, 2));
        let last_id = count(&path, "SELECT max(last_id) FROM run");
        let threads = count(&path, "SELECT max(thread_id) FROM span");
        let conn = Connection::open(&path).unwrap();
        for table in tables {
            let sql = match *table {
                "run" => "DELETE FROM run WHERE id = 2".to_owned(),
                "callsite" | "thread" => format!("DELETE FROM {table}"),
                _ => format!("DELETE FROM {table} WHERE run_id = 2 AND id % 2 = 0"),
            };
            conn.execute(&sql, []).unwrap();
        }
        drop(conn);
        assert_eq!(record(&path, "third"), 3, "{tables:?}: the number of a run is used once");
        let first = count(&path, "SELECT first_id FROM run WHERE id = 3");
        assert!(first > last_id, "{tables:?}: {first} {last_id}");
        assert_eq!(count(&path, "SELECT count(*) FROM span WHERE run_id = 3"), 500);
        let thread = count(&path, "SELECT min(thread_id) FROM span WHERE run_id = 3");
        assert!(thread > threads, "{tables:?}");
        let misnamed = "SELECT count(*) FROM spans WHERE run_id < 3 AND name = 'third'";
        assert_eq!(count(&path, misnamed), 0, "{tables:?}");
        common::assert_counted(&path, 3);
        let conn = Connection::open(&path).unwrap();
        assert_eq!(common::stored(&conn, 3), common::recomputed(&conn, 3));
    }
}

#[test]
fn the_row_of_the_run_that_is_recorded_comes_back() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    for round in 0..6 {
        common::record(&mut store, 300);
        if round % 2 == 0 {
            Connection::open(&path).unwrap().execute("DELETE FROM run", []).unwrap();
        }
    }
    Connection::open(&path).unwrap().execute("DELETE FROM run", []).unwrap();
    store.end_run(1_700_000_001_000_000_000, "{\"end\":1}").unwrap();
    store.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    assert_eq!((run.spans, run.info.clone()), (1_800, common::run_info()));
    assert_eq!(run.report.as_deref(), Some("{\"end\":1}"));
    assert_eq!(count(&path, "SELECT last_id FROM run"), 1_800);
    assert_eq!(count(&path, "SELECT last_ns FROM run"), 1_801_000_000);
    common::assert_counted(&path, 1);
}

#[test]
fn what_is_told_of_a_run_before_its_end_stands_in_its_row_and_gives_way_to_the_report() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let reader = Reader::open(&path).unwrap();
    let told = || reader.run(1).unwrap().unwrap().report;
    let tell = |store: &mut spandrel_storage::Store, report: Option<&str>| {
        let mut batch = common::batch(store, 10);
        batch.report = report.map(str::to_owned);
        store.append(&mut batch).unwrap();
    };
    assert_eq!(told(), None);
    tell(&mut store, Some("{\"a\":1}"));
    assert_eq!(told().as_deref(), Some("{\"a\":1}"));
    tell(&mut store, None);
    assert_eq!(told().as_deref(), Some("{\"a\":1}"), "until something else is said");
    Connection::open(&path).unwrap().execute("DELETE FROM run", []).unwrap();
    tell(&mut store, None);
    assert_eq!(told().as_deref(), Some("{\"a\":1}"), "it comes back with the row");
    tell(&mut store, Some("{}"));
    assert_eq!(told().as_deref(), Some("{}"));
    assert_eq!(reader.run(1).unwrap().unwrap().ended_unix_ns, None, "nothing of it is an end");
    store.end_run(1_700_000_001_000_000_000, "{\"end\":1}").unwrap();
    tell(&mut store, Some("{\"late\":1}"));
    assert_eq!(told().as_deref(), Some("{\"end\":1}"));
    store.close().unwrap();
}
