//! A batch that is copied from an image, and the same batch inserted through statements, leave the
//! same file.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;
use rusqlite::types::Value;
use spandrel_query::Reader;
use spandrel_storage::{
    Batch, EntryRow, ErrorKind, EventRow, SpanRow, Status, Store, StoreOptions, Text,
};

use crate::common;

/// Texts of all lengths that matter: none, around the bounds of serial types, longer than a page of
/// the file (16 KiB) and than a page of an image (64 KiB).
const TEXTS: [usize; 14] =
    [0, 1, 2, 17, 57, 58, 59, 200, 8_185, 8_186, 16_300, 17_000, 65_500, 140_000];

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        // Every width, and the numbers on both sides of each bound.
        (0_u32..64, -2_i64..=2, any::<bool>()).prop_map(|(bit, beside, negative)| {
            let bound = (1_i64 << bit.min(62)).wrapping_add(beside);
            if negative { bound.wrapping_neg() } else { bound }
        }),
        select(vec![0, 1, -1, i64::MIN, i64::MAX]),
        any::<i64>(),
    ]
}

/// Up to the largest one that leaves an id for the next run.
fn id() -> impl Strategy<Value = u64> {
    integer().prop_map(|id| id.unsigned_abs().min(i64::MAX as u64 - 1))
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        6 => Just(0..0),
        6 => (0_usize..40, 0_usize..90).prop_map(|(start, length)| start..start + length),
        1 => select(TEXTS.to_vec()).prop_map(|length| 0..length),
    ]
}

prop_compose! {
    fn span()(
        ids in (id(), id(), id()),
        numbers in [integer(), integer(), integer(), integer()],
        busy_ns in proptest::option::of(integer()),
        duration_ns in proptest::option::of(integer()),
        self_ns in proptest::option::of(integer()),
        status in select(vec![
            Status::Ok, Status::Error, Status::Panicked, Status::Unfinished, Status::Crashed,
        ]),
        fields in text(),
        moments in proptest::array::uniform4(proptest::option::of(integer())),
        longest_thread_id in prop_oneof![Just(0), integer()],
    ) -> SpanRow {
        let [first_entry_ns, longest_entry_ns, last_exit_ns, self_busy_ns] = moments;
        let [callsite_id, thread_id, start_ns, entries] = numbers;
        SpanRow {
            id: ids.0, parent_id: ids.1, root_id: ids.2, callsite_id, thread_id, start_ns,
            duration_ns, busy_ns, self_ns, entries: entries as u64, status, fields,
            first_entry_ns, longest_entry_ns, last_exit_ns, longest_thread_id, self_busy_ns,
        }
    }
}

prop_compose! {
    fn event()(
        ids in (id(), id()),
        numbers in [integer(), integer(), integer()],
        message in text(),
        fields in text(),
    ) -> EventRow {
        let [callsite_id, thread_id, at_ns] = numbers;
        EventRow { id: ids.0, span_id: ids.1, callsite_id, thread_id, at_ns, message, fields }
    }
}

prop_compose! {
    fn entry()(
        ids in (id(), id(), id()),
        numbers in [integer(), integer(), integer(), integer()],
        self_ns in proptest::option::of(integer()),
        earlier_entries in prop_oneof![Just(0), integer()],
        earlier_ns in integer(),
    ) -> EntryRow {
        let (id, span_id, around_id) = ids;
        let [callsite_id, thread_id, start_ns, duration_ns] = numbers;
        EntryRow {
            id, span_id, callsite_id, thread_id, start_ns, duration_ns, around_id, self_ns,
            earlier_entries: earlier_entries as u64, earlier_ns,
        }
    }
}

/// Mostly small ids in a crowd, so that batches interleave, repeat ids and fill pages.
fn batch() -> impl Strategy<Value = Batch> {
    let rows = (vec(span(), 0..20), vec(event(), 0..20), vec(entry(), 0..20));
    let crowd = (1_u64..5_000, 1_u64..400, rows);
    (crowd, 0_u64..1_500).prop_map(|((first, step, rows), more)| {
        let (mut spans, mut events, mut entries) = rows;
        let text = "{\"é\":12345678}".repeat(10_000);
        let whole = |range: &mut Text| {
            while !text.is_char_boundary(range.start) {
                range.start -= 1;
            }
            while !text.is_char_boundary(range.end) {
                range.end += 1;
            }
        };
        for n in 0..more {
            let id = first + n * step % 5_000;
            spans.push(SpanRow { fields: 0..(n as usize % 90), ..common::span(id, 1, 1) });
            if n % 2 == 0 {
                entries.push(some_entry(id, n));
            }
            if n % 3 == 0 {
                let (message, fields) = (0..(n as usize % 50), 0..(n as usize % 70));
                let (callsite_id, thread_id, at_ns) = (2, 1, n as i64);
                events.push(EventRow {
                    id,
                    span_id: id,
                    callsite_id,
                    thread_id,
                    at_ns,
                    message,
                    fields,
                });
            }
        }
        spans.iter_mut().for_each(|span| whole(&mut span.fields));
        for event in &mut events {
            whole(&mut event.message);
            whole(&mut event.fields);
        }
        Batch { spans, events, entries, text, ..Batch::default() }
    })
}

fn some_entry(id: u64, n: u64) -> EntryRow {
    EntryRow {
        id,
        span_id: id,
        callsite_id: 1 + n as i64 % 3,
        thread_id: 1,
        start_ns: n as i64 * 1_000_000,
        duration_ns: n as i64 * 7,
        around_id: n % 5,
        self_ns: (!n.is_multiple_of(4)).then_some(n as i64),
        earlier_entries: n % 7,
        earlier_ns: n as i64,
    }
}

fn copy_of(batch: &Batch) -> Batch {
    Batch {
        spans: batch.spans.clone(),
        events: batch.events.clone(),
        entries: batch.entries.clone(),
        text: batch.text.clone(),
        ..Batch::default()
    }
}

fn store(path: &Path, transfer_rows_min: usize) -> Store {
    common::store(path, &StoreOptions { transfer_rows_min, ..StoreOptions::default() })
}

/// Every value of a table with its type, and the bytes that the rows take.
fn content(conn: &Connection, table: &str) -> (Vec<Vec<Value>>, i64) {
    let mut query = conn.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).unwrap();
    let columns = query.column_count();
    let rows = query
        .query_map([], |row| (0..columns).map(|at| row.get(at)).collect())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let sql = "SELECT sum(payload) FROM dbstat WHERE name = ?1";
    (rows, conn.query_row(sql, [table], |row| row.get(0)).unwrap())
}

fn assert_same(copied: &Path, inserted: &Path) {
    let [copied, inserted] = [copied, inserted].map(|path| Connection::open(path).unwrap());
    for conn in [&copied, &inserted] {
        common::assert_sound(conn);
    }
    for table in ["span", "event", "entry", "rollup", "entry_rollup", "batch_range", "run"] {
        let (copied, inserted) = (content(&copied, table), content(&inserted, table));
        assert_eq!((copied.0.len(), copied.1), (inserted.0.len(), inserted.1), "{table}");
        for (copied, inserted) in copied.0.iter().zip(&inserted.0) {
            assert_eq!(copied, inserted, "{table}");
        }
    }
}

/// What is stored in one way and the other is the same.
fn in_both_ways(write: impl Fn(&Path, Store)) {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("copied.db"), folder.path().join("inserted.db")];
    for (path, rows_min) in paths.iter().zip([0, usize::MAX]) {
        write(path, store(path, rows_min));
    }
    assert_same(&paths[0], &paths[1]);
}

/// PROPTEST_CASES sets another number of cases.
fn config() -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return config;
    }
    ProptestConfig { cases: 24, ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_ways_store_the_same(batches in vec((batch(), any::<bool>()), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("copied.db"), folder.path().join("inserted.db")];
        let mut stores = [store(&paths[0], 0), store(&paths[1], usize::MAX)];
        for (batch, new_run) in &batches {
            let results = stores.each_mut().map(|store| {
                let mut batch = copy_of(batch);
                store.append(&mut batch).map(|_| store.next_id()).map_err(|error| error.kind())
            });
            // An id that is there already: refused by both, as a whole.
            assert_eq!(results[0], results[1]);
            assert!(matches!(results[0], Ok(_) | Err(ErrorKind::InvalidBatch)));
            if *new_run {
                for (store, path) in stores.iter_mut().zip(&paths) {
                    store.end_run(1, "{}").unwrap();
                    store.begin_run(&common::run_info()).unwrap();
                    store.checkpoint(true).unwrap();
                    assert!(path.exists());
                }
            }
        }
        stores.into_iter().for_each(|store| store.close().unwrap());
        assert_same(&paths[0], &paths[1]);
    }
}

#[test]
fn a_large_batch_with_every_row_out_of_order_is_stored_as_if_it_were_in_order() {
    in_both_ways(|path, mut store| {
        for round in 0..3 {
            let mut batch = common::batch(&mut store, 0);
            // Each round puts its rows between those of the rounds before.
            batch.spans = (0..40_000_u64)
                .map(|n| common::span((n * 7_919 % 40_000) * 3 + round + 1, 1, 1))
                .collect();
            batch.entries = (0..40_000_u64)
                .map(|n| some_entry((n * 7_919 % 40_000) * 3 + round + 1, n))
                .collect();
            store.append(&mut batch).unwrap();
        }
        store.close().unwrap();
        common::assert_counted(path, 1);
    });
}

#[test]
fn entries_alone_make_an_image_and_go_into_the_file_by_pages() {
    in_both_ways(|path, mut store| {
        for round in 0..4 {
            let entries = (0..5_000).map(|n| some_entry(1 + round * 5_000 + n, n)).collect();
            let mut batch = Batch { entries, ..common::batch(&mut store, 0) };
            store.append(&mut batch).unwrap();
        }
        store.close().unwrap();
        common::assert_counted(path, 1);
        assert_eq!(Reader::open(path).unwrap().counts(1).unwrap().entries, 20_000);
    });
}

#[test]
fn an_entry_id_twice_in_a_batch_is_refused_and_nothing_of_the_batch_is_stored() {
    let (_folder, path) = common::place();
    let mut store = store(&path, 0);
    let mut batch = common::batch(&mut store, 10);
    batch.entries = (0..3_000).map(|n| some_entry(1 + n, n)).collect();
    batch.entries.push(batch.entries[1_500]);
    assert_eq!(store.append(&mut batch).unwrap_err().kind(), ErrorKind::InvalidBatch);
    let mended = store.mend(&mut batch, &mut |above| Some(above + 1)).unwrap();
    assert_eq!((mended.entries, mended.spans), (1, 0), "{mended:?}");
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    let counts = Reader::open(&path).unwrap().counts(1).unwrap();
    assert_eq!((counts.spans, counts.entries), (10, 3_000));
}

#[test]
fn a_batch_of_one_row_can_be_copied() {
    in_both_ways(|_, mut store| {
        for _ in 0..5 {
            common::record(&mut store, 1);
            store.append(&mut Batch::default()).unwrap();
        }
        store.close().unwrap();
    });
}

#[test]
fn an_id_twice_in_a_batch_is_refused_and_nothing_of_the_batch_is_stored() {
    let (_folder, path) = common::place();
    let mut store = store(&path, 0);
    let mut batch = common::batch(&mut store, 3_000);
    batch.spans.push(batch.spans[1_500].clone());
    assert_eq!(store.append(&mut batch).unwrap_err().kind(), ErrorKind::InvalidBatch);
    batch.spans.sort_by_key(|span| span.id);
    batch.spans.dedup_by_key(|span| span.id);
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 3_000);
}

#[test]
fn an_index_that_somebody_adds_while_we_record_is_kept_up() {
    let (_folder, path) = common::place();
    let mut store = store(&path, 0);
    let append = |store: &mut Store| common::record(store, 1_000);
    append(&mut store);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE INDEX theirs ON span (start_ns)").unwrap();
    append(&mut store);
    other.execute_batch("ALTER TABLE span ADD COLUMN theirs TEXT").unwrap();
    // The columns do not match any more: the first try says so, the next one names the columns.
    let mut batch = common::batch(&mut store, 1_000);
    if let Err(error) = store.append(&mut batch) {
        assert_eq!(error.kind(), ErrorKind::Sqlite, "{error}");
        store.append(&mut batch).unwrap();
    }
    append(&mut store);
    drop(other);
    store.close().unwrap();
    let conn = Connection::open(&path).unwrap();
    common::assert_sound(&conn);
    common::assert_counted(&path, 1);
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 4_000);
}
