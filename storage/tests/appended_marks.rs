//! Marks go in with their batch, wholly or not at all, and a section gets its end later.

use std::path::Path;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{Batch, ErrorKind, MARK_LABEL_BYTES_MAX, MarkRow, StoreOptions};

use crate::common;

fn mark(id: u64, at_ns: i64, until_ns: Option<i64>, label: &str) -> MarkRow {
    MarkRow { id, at_ns, until_ns, label: label.to_owned(), fields: None }
}

type Row = (i64, i64, i64, Option<i64>, String, Option<String>);

fn rows(path: &Path) -> Vec<Row> {
    let db = Connection::open(path).unwrap();
    let mut query = db
        .prepare("SELECT id, run_id, at_ns, until_ns, label, fields FROM mark ORDER BY id")
        .unwrap();
    let rows = query.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn marks_are_stored_with_their_batch() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    assert_eq!(store.next_mark_id().unwrap(), 1);
    let mut batch = common::batch(&mut store, 3);
    let fields = Some(r#"{"version":42}"#.to_owned());
    let hostile = "\u{1b}[2J\n\0; DROP TABLE mark";
    batch.marks = vec![
        MarkRow { fields: fields.clone(), ..mark(1, 5, None, hostile) },
        mark(2, 6, Some(9_000_000_000), &"\u{e9}".repeat(200)),
    ];
    store.append(&mut batch).unwrap();
    assert_eq!(store.next_mark_id().unwrap(), 3);
    store.close().unwrap();
    let cut = "\u{e9}".repeat(MARK_LABEL_BYTES_MAX / 2);
    let expected =
        [(1, 1, 5, None, hostile.to_owned(), fields), (2, 1, 6, Some(9_000_000_000), cut, None)];
    assert_eq!(rows(&path), expected);
    let run = Reader::open(&path).unwrap().latest_run().unwrap().unwrap();
    assert_eq!((run.spans, run.events, run.last_ns), (3, 0, 9_000_000_000));
}

#[test]
fn a_batch_of_marks_alone_is_no_empty_one() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = Batch::default();
    assert!(batch.is_empty());
    batch.marks.push(mark(1, 5, None, "alone"));
    assert!(!batch.is_empty());
    store.append(&mut batch).unwrap();
    batch.clear();
    assert!(batch.is_empty());
    assert_eq!(rows(&path).len(), 1);
}

#[test]
fn a_section_gets_its_end_and_keeps_it() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let append = |store: &mut spandrel_storage::Store, marks| {
        store.append(&mut Batch { marks, ..Batch::default() }).unwrap();
    };
    append(&mut store, vec![mark(1, 5, None, "section")]);
    assert_eq!(rows(&path)[0].3, None, "it lasts");
    append(&mut store, vec![mark(1, 5, Some(7), "section")]);
    // Both in one batch, and an end whose beginning is not in the file.
    let both =
        vec![mark(2, 5, None, "short"), mark(2, 5, Some(6), "short"), mark(3, 1, Some(2), "x")];
    append(&mut store, both);
    append(&mut store, vec![mark(1, 5, None, "section")]);
    let found: Vec<_> = rows(&path).into_iter().map(|row| (row.0, row.2, row.3)).collect();
    assert_eq!(found, [(1, 5, Some(7)), (2, 5, Some(6)), (3, 1, Some(2))]);
    store.close().unwrap();
    // The mark of an earlier run is never changed.
    let mut store = common::store(&path, &StoreOptions::default());
    let marks = vec![mark(1, 50, Some(70), "other")];
    let mut batch = Batch { marks, ..Batch::default() };
    assert_eq!(store.append(&mut batch).unwrap_err().kind(), ErrorKind::InvalidBatch);
    assert_eq!(store.mend(&mut batch, &mut |_| None).unwrap().renumbered, 1);
    store.append(&mut batch).unwrap();
    assert_eq!((rows(&path)[0].1, rows(&path)[0].3), (1, Some(7)));
    assert_eq!(rows(&path).last().map(|row| row.3), Some(Some(70)));
}

#[test]
fn marks_of_a_refused_batch_are_not_stored() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut store, 1);
    batch.marks.push(mark(1, 5, None, "with a span that is there twice"));
    batch.spans.push(batch.spans[0].clone());
    assert_eq!(store.append(&mut batch).unwrap_err().kind(), ErrorKind::InvalidBatch);
    assert_eq!(rows(&path), []);
    batch.spans.pop();
    store.append(&mut batch).unwrap();
    assert_eq!(rows(&path).len(), 1);
}
