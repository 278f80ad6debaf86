//! A batch with rows that the schema refuses: those are counted, one by one, and the others stored.

use rusqlite::Connection;
use spandrel_storage::{
    Batch, ErrorKind, EventRow, LinkRow, LossRow, MarkRow, Mended, OpenSpanRow, Store, StoreOptions,
};

use crate::common;

/// Ids as the recorder of a program gives them.
fn no_ids(_: u64) -> Option<u64> {
    None
}

fn event(id: u64, span: &spandrel_storage::SpanRow) -> EventRow {
    EventRow {
        id,
        span_id: span.id,
        callsite_id: span.callsite_id,
        thread_id: span.thread_id,
        at_ns: span.start_ns,
        message: 0..0,
        fields: 0..0,
    }
}

fn count(path: &std::path::Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Appends it; if it is refused, what is left of it. Returns what was taken out.
fn append(store: &mut Store, batch: &mut Batch) -> Mended {
    match store.append(batch) {
        Ok(_) => Mended::default(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidBatch, "{error}");
            let mended = store.mend(batch, &mut no_ids).unwrap();
            store.append(batch).unwrap();
            mended
        }
    }
}

#[test]
fn a_duplicate_id_costs_one_row_and_not_its_batch() {
    // Through the image of the batch, and through statements.
    for transfer_rows_min in [1, usize::MAX] {
        let (_folder, path) = common::place();
        let options = StoreOptions { transfer_rows_min, ..StoreOptions::default() };
        let mut store = common::store(&path, &options);
        let mut batch = common::batch(&mut store, 1_000);
        assert_eq!(append(&mut store, &mut batch), Mended::default());
        let stored = batch.spans[7].clone();
        let mut batch = common::batch(&mut store, 1_000);
        // One that is in the file, and two of one id in the batch.
        batch.spans[500].id = stored.id;
        batch.spans[600].id = batch.spans[601].id;
        batch.events = batch.spans.iter().map(|span| event(span.id, span)).collect();
        batch.events[3].id = batch.events[4].id;
        let mended = append(&mut store, &mut batch);
        assert_eq!((mended.spans, mended.unfinished), (2, 0), "{mended:?}");
        // The events of the spans with one id have one id, too.
        assert_eq!((mended.events, mended.renumbered), (2, 0), "{mended:?}");
        common::record(&mut store, 10);
        store.end_run(1, "{}").unwrap();
        store.close().unwrap();
        common::assert_counted(&path, 1);
        assert_eq!(count(&path, "SELECT count(*) FROM span"), 2_008);
        assert_eq!(count(&path, "SELECT spans FROM run"), 2_008);
        assert_eq!(count(&path, "SELECT events FROM run"), 998);
        let conn = Connection::open(&path).unwrap();
        assert_eq!(common::stored(&conn, 1), common::recomputed(&conn, 1), "the rollups");
    }
}

#[test]
fn rows_of_each_table_are_refused_one_by_one() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut store, 20);
    let spans = batch.spans.clone();
    append(&mut store, &mut batch);
    // Somebody has rules of their own for each table.
    let other = Connection::open(&path).unwrap();
    for column in ["link (follows_id)", "mark (label)", "loss (spans)", "open_span (entries)"] {
        let name = column.split(' ').next().unwrap();
        other.execute_batch(&format!("CREATE UNIQUE INDEX one_{name} ON {column}")).unwrap();
    }
    let mut batch = common::batch(&mut store, 5);
    batch.links = [12, 13, 13].map(|follows_id| LinkRow { span_id: 1, follows_id }).to_vec();
    let mark = |id, label: &str| MarkRow {
        id,
        at_ns: 1,
        until_ns: None,
        label: label.into(),
        fields: None,
    };
    batch.marks = vec![mark(1, "twelve"), mark(2, "thirteen"), mark(3, "thirteen")];
    let loss = |spans| LossRow {
        reason: "ring_full",
        from_ns: 0,
        to_ns: 1,
        spans,
        events: 0,
        entries: 0,
        thread_id: None,
    };
    batch.losses = [12, 13, 13].map(loss).to_vec();
    let open = |(id, entries)| {
        let span = spandrel_storage::SpanRow { entries, duration_ns: None, ..spans[0].clone() };
        OpenSpanRow { span: spandrel_storage::SpanRow { id, ..span }, seen_ns: 2 }
    };
    batch.open_spans = Some([(112, 12), (113, 13), (114, 13)].map(open).to_vec());
    let mended = append(&mut store, &mut batch);
    assert_eq!((mended.links, mended.marks, mended.others), (1, 1, 2), "{mended:?}");
    assert_eq!((mended.spans, mended.events), (0, 0), "{mended:?}");
    for (table, rows) in [("link", 2), ("mark", 2), ("loss", 2), ("open_span", 2), ("span", 25)] {
        assert_eq!(count(&path, &format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
    assert_eq!(count(&path, "SELECT links FROM run"), 2);
    assert_eq!(count(&path, "SELECT dropped_spans FROM run"), 25);
}

#[test]
fn a_row_whose_id_another_run_has_gets_another_one_and_so_do_those_that_refer_to_it() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    // A child is stored, of a parent to come.
    let mut batch = common::batch(&mut store, 2);
    let (parent, child) = (batch.spans[0].id, batch.spans[1].id);
    batch.spans.remove(0);
    batch.spans[0].parent_id = parent;
    batch.spans[0].root_id = parent;
    let (callsite_id, thread_id) = (batch.spans[0].callsite_id, batch.spans[0].thread_id);
    append(&mut store, &mut batch);
    // Somebody puts rows of a run of theirs where this one goes on.
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(&format!(
            "INSERT INTO span SELECT {parent}, 77, NULL, {parent}, 900, 900, start_ns, duration_ns,
               busy_ns, self_ns, entries, status, 'theirs', 1, NULL, NULL, NULL, NULL, NULL FROM span LIMIT 1;
             INSERT INTO mark VALUES (5, 77, 1, NULL, 'theirs', NULL);
             INSERT INTO callsite VALUES (2, 'span', 'theirs', '', 'INFO', NULL, NULL, NULL);
             INSERT INTO thread VALUES ({}, 77, 5, 'theirs')",
            thread_id + 1
        ))
        .unwrap();
    let mut batch = common::batch(&mut store, 1);
    let ours = store.intern_callsite(&common::callsite("ours"));
    assert_eq!(ours, 2);
    batch.spans[0] = common::span(parent, ours, batch.spans[0].thread_id);
    batch.spans.push(common::span(child + 1, callsite_id, thread_id));
    batch.spans[1].parent_id = parent;
    batch.spans[1].root_id = parent;
    let mark = MarkRow { id: 5, at_ns: 1, until_ns: None, label: "ours".into(), fields: None };
    batch.marks.push(mark.clone());
    assert_eq!(store.append(&mut batch).unwrap_err().kind(), ErrorKind::InvalidBatch);
    let mut next = 1_000;
    let mended = store
        .mend(&mut batch, &mut |above| {
            assert!(above >= child);
            next += 1;
            Some(next)
        })
        .unwrap();
    assert_eq!(mended.renumbered, 4, "span, mark, callsite and thread: {mended:?}");
    assert_eq!((mended.spans, mended.marks), (0, 0), "{mended:?}");
    store.append(&mut batch).unwrap();
    // The section ends, and a later child comes.
    let mut batch =
        Batch { marks: vec![MarkRow { until_ns: Some(9), ..mark }], ..Batch::default() };
    batch.spans.push(common::span(child + 2, callsite_id, thread_id));
    batch.spans[0].parent_id = parent;
    append(&mut store, &mut batch);
    assert_eq!(store.stored_spans([parent, child]).unwrap(), [parent, child]);
    assert_eq!(store.intern_callsite(&common::callsite("ours")), 901);
    store.end_run(1, "{}").unwrap();
    store.close().unwrap();
    let kin = "SELECT count(*) FROM span WHERE run_id = 1 AND parent_id = 1001";
    assert_eq!(count(&path, kin), 3);
    assert_eq!(count(&path, "SELECT root_id FROM span WHERE id = 1001"), 1001);
    let named = "SELECT count(*) FROM spans WHERE id = 1001 AND name = 'ours' AND thread = 'main'";
    assert_eq!(count(&path, named), 1);
    assert_eq!(count(&path, "SELECT count(*) FROM span WHERE fields = 'theirs'"), 1);
    assert_eq!(count(&path, "SELECT until_ns FROM mark WHERE label = 'ours'"), 9);
    assert_eq!(count(&path, "SELECT count(*) FROM mark WHERE label = 'theirs'"), 1);
    common::assert_counted(&path, 1);
}
