//! How other systems know spans: rows that come before and after those of their spans, and go with them.

use std::path::Path;

use rusqlite::Connection;
use spandrel_storage::{
    Batch, OpenSpanRow, OtelSpanId, Store, StoreOptions, TraceContext, TraceContextRow, TraceId,
};

use crate::common;

fn context(span_id: u64, root_id: u64, trace: u128) -> TraceContextRow {
    let trace_id = TraceId::new(trace).unwrap();
    let context = TraceContext { trace_id, span_id: OtelSpanId::new(span_id), parent_id: None };
    TraceContextRow { span_id, root_id, context }
}

/// Root, span, the last digit of the trace, commit.
fn rows(path: &Path) -> Vec<(i64, i64, i64, i64)> {
    let conn = Connection::open(path).unwrap();
    let sql = "SELECT root_id, span_id, substr(trace_id, 32), batch_id FROM trace_context";
    let mut query = conn.prepare(sql).unwrap();
    let rows = query.query_map([], |row| {
        let digit: String = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, digit.parse().unwrap(), row.get(3)?))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn traces(path: &Path) -> Vec<(u64, Option<u128>)> {
    let reader = spandrel_query::Reader::open(path).unwrap();
    let spans = common::spans(&reader, 1).into_iter();
    spans.map(|span| (span.id, span.context.map(|context| context.trace_id.get()))).collect()
}

/// A store with spans 1 to 4, of which 2 and 4 are in 1 and 3.
fn store(path: &Path) -> Store {
    let mut store = common::store(path, &StoreOptions::default());
    let mut batch = common::batch(&mut store, 4);
    for at in [1, 3] {
        let root = batch.spans[at].id - 1;
        (batch.spans[at].parent_id, batch.spans[at].root_id) = (root, root);
    }
    batch.contexts = vec![context(1, 1, 1), context(4, 3, 2)];
    store.append(&mut batch).unwrap();
    store
}

#[test]
fn a_row_takes_the_place_of_an_earlier_one_only_if_it_says_something_else() {
    let (_folder, path) = common::place();
    let mut store = store(&path);
    assert_eq!(rows(&path), [(1, 1, 1, 1), (3, 4, 2, 1)]);
    assert_eq!(traces(&path), [(1, Some(1)), (2, Some(1)), (3, None), (4, Some(2))]);
    let contexts = vec![context(1, 1, 1), context(4, 3, 3)];
    store.append(&mut Batch { contexts, ..Batch::default() }).unwrap();
    assert_eq!(rows(&path), [(1, 1, 1, 1), (3, 4, 3, 2)], "the first one is as it was");
    store.close().unwrap();
}

#[test]
fn a_row_of_another_run_is_left_alone() {
    let (_folder, path) = common::place();
    let mut store = store(&path);
    let sql = "UPDATE trace_context SET run_id = 9 WHERE span_id = 1";
    Connection::open(&path).unwrap().execute(sql, []).unwrap();
    store.append(&mut Batch { contexts: vec![context(1, 1, 7)], ..Batch::default() }).unwrap();
    assert_eq!(rows(&path)[0], (1, 1, 1, 1));
    store.close().unwrap();
}

#[test]
fn rows_go_with_their_spans_but_not_those_of_open_ones() {
    let (_folder, path) = common::place();
    let mut store = store(&path);
    // A span that is open for long, and has a child that is stored and stays.
    let mut batch = common::batch(&mut store, 2);
    let open = batch.spans.remove(0);
    (batch.spans[0].parent_id, batch.spans[0].root_id) = (open.id, open.id);
    batch.spans[0].start_ns = i64::MAX / 2;
    batch.contexts = vec![context(open.id, open.id, 5)];
    let open_id = open.id as i64;
    batch.open_spans = Some(vec![OpenSpanRow {
        span: spandrel_storage::SpanRow { duration_ns: None, self_ns: None, ..open },
        seen_ns: 9,
    }]);
    store.append(&mut batch).unwrap();
    // All spans before, by age.
    let before = 1_700_000_000_123_456_789 + 1_000_000_000;
    while store.prune_before(before).unwrap().more {}
    store.close().unwrap();
    let left: Vec<_> = rows(&path).into_iter().map(|(root, span, ..)| (root, span)).collect();
    assert_eq!(left, [(open_id, open_id)]);
    assert_eq!(traces(&path), [(open_id as u64 + 1, Some(5))]);
}

#[test]
fn a_span_that_gets_another_id_is_still_known() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    // It was open when its ids were stored; meanwhile somebody has put a row of another run there.
    let contexts = vec![context(1, 1, 1), context(2, 1, 1)];
    store.append(&mut Batch { contexts, ..Batch::default() }).unwrap();
    let sql =
        "INSERT INTO span (id, run_id, root_id, callsite_id, thread_id, start_ns, entries, status)
               VALUES (1, 9, 1, 1, 1, 0, 0, 'ok')";
    Connection::open(&path).unwrap().execute(sql, []).unwrap();
    let mut batch = common::batch(&mut store, 0);
    let callsite_id = store.intern_callsite(&common::callsite("work"));
    let mut spans = [1, 2].map(|id| common::span(id, callsite_id, 1));
    (spans[1].parent_id, spans[1].root_id) = (1, 1);
    batch.spans = spans.to_vec();
    batch.contexts = vec![context(2, 1, 1)];
    store.append(&mut batch).unwrap_err();
    let mended = store.mend(&mut batch, &mut |above| Some(above + 1_000)).unwrap();
    assert!(mended.renumbered >= 1, "{mended:?}");
    store.append(&mut batch).unwrap();
    store.end_run(1_700_000_009_000_000_000, "{}").unwrap();
    store.close().unwrap();
    let found = traces(&path);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(_, trace)| *trace == Some(1)), "{found:?}");
}
