//! A limited file passes its limit by one batch at most, however much each batch brings: counted after
//! every batch, not by time.

use std::time::Duration;

use rusqlite::Connection;
use spandrel_storage::{EventRow, LinkRow, RunInfo, Store, StoreOptions};

use crate::common;

const PAGE: u64 = 16_384;

fn count(path: &std::path::Path, sql: &str) -> u64 {
    let conn = Connection::open(path).unwrap();
    let number: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    number as u64
}

/// Appends spans with fields of so many bytes, and an event and a link for each tenth.
fn append(store: &mut Store, spans: u64, field_bytes: usize) {
    let mut batch = common::batch(store, spans);
    let (callsite_id, thread_id) = (batch.spans[0].callsite_id, batch.spans[0].thread_id);
    batch.text = format!("{{\"text\":\"{}\"}}", "x".repeat(field_bytes));
    for span in &mut batch.spans {
        span.fields = 0..batch.text.len();
    }
    for span in batch.spans.iter().step_by(10) {
        let (id, at_ns) = (span.id, span.start_ns);
        let (message, fields) = (0..0, 0..batch.text.len());
        batch.events.push(EventRow {
            id,
            span_id: id,
            callsite_id,
            thread_id,
            at_ns,
            message,
            fields,
        });
        batch.links.push(LinkRow { span_id: id, follows_id: id - 1 });
    }
    let appended = store.append(&mut batch).unwrap();
    assert!(appended.prune_error.is_none(), "{appended:?}");
}

/// How many bytes a batch takes in a file without a limit, measured as it is done.
fn batch_bytes(spans: u64, field_bytes: usize) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let mut store = common::store(&folder.path().join("p.db"), &StoreOptions::default());
    let before = store.bytes().unwrap();
    append(&mut store, spans, field_bytes);
    store.bytes().unwrap() - before
}

#[test]
fn a_size_limit_is_kept_after_each_batch_at_any_rate() {
    const MAX: u64 = 4 << 20;
    // As many rows in a batch as the writer commits of a backlog, and as large as a tenth of the
    // limit; then rows that are ten times as long as those that have to make room for them.
    for (first, second) in [((32_768, 0), (32_768, 0)), ((8_192, 0), (2_000, 400))] {
        let (_folder, path) = common::place();
        let options = StoreOptions { max_bytes: Some(MAX), ..StoreOptions::default() };
        let mut store = common::store(&path, &options);
        let mut appended = 0;
        for (spans, field_bytes) in [first, second] {
            let largest = batch_bytes(first.0, first.1).max(batch_bytes(spans, field_bytes));
            for n in 0..40 {
                append(&mut store, spans, field_bytes);
                appended += spans;
                let bytes = store.bytes().unwrap();
                assert!(bytes <= MAX + largest + PAGE, "{bytes} bytes after batch {n}");
            }
            // In the long run there is room for the next one beforehand.
            assert!(store.bytes().unwrap() <= MAX + PAGE, "{}", store.bytes().unwrap());
        }
        store.end_run(1_700_000_001_000_000_000, "{}").unwrap();
        store.close().unwrap();
        assert!(path.metadata().unwrap().len() <= MAX + PAGE);
        common::assert_counted(&path, 1);
        let kept = count(&path, "SELECT count(*) FROM span");
        assert!(kept * 4 > appended / 80, "hardly anything is left: {kept} of {appended}");
        let newest = count(&path, "SELECT max(id) FROM span");
        assert_eq!(newest, appended, "the oldest go");
        let strays = "SELECT count(*) FROM link WHERE span_id NOT IN (SELECT id FROM span)";
        assert_eq!(count(&path, strays), 0);
    }
}

/// Long rows under a small limit: a few hundred of both kinds fit.
#[test]
fn spans_and_events_of_the_same_age_go_together_though_only_few_fit() {
    const MAX: u64 = 1 << 20;
    let (_folder, path) = common::place();
    let options = StoreOptions { max_bytes: Some(MAX), ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    let largest = batch_bytes(100, 2_000);
    for n in 1..=60 {
        append(&mut store, 100, 2_000);
        assert!(store.bytes().unwrap() <= MAX + largest + PAGE);
        let [span, event] = ["span", "event"]
            .map(|table| count(&path, &format!("SELECT coalesce(min(id), 0) FROM {table}")));
        assert!(span > 0 && event > 0, "one kind is gone after batch {n}");
        // Each tenth span has an event, of the same id.
        assert!(span.abs_diff(event) <= 10, "spans from {span} and events from {event} are left");
        let kept = count(&path, "SELECT count(*) FROM span");
        assert!(kept > 100 || n == 1, "no more than a batch is left: {kept}");
    }
    let pruned = "SELECT pruned_spans > 4000 AND pruned_events > 400 FROM run";
    assert_eq!(count(&path, pruned), 1, "the test writes enough to need it");
    // What goes with them has gone up to the same moment.
    let sql = "SELECT count(*) FROM rollup WHERE at_ns + interval_ns <=
                 (SELECT min(start_ns) FROM span)";
    assert_eq!(count(&path, sql), 0);
    store.close().unwrap();
    common::assert_counted(&path, 1);
}

#[test]
fn a_file_that_is_too_large_from_the_beginning_gets_smaller_with_each_batch() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    for _ in 0..40 {
        append(&mut store, 8_192, 20);
    }
    store.close().unwrap();
    let before = path.metadata().unwrap().len();
    let options = StoreOptions { max_bytes: Some(before / 4), ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    let mut batches = 0;
    while store.bytes().unwrap() > before / 4 {
        let last = store.bytes().unwrap();
        append(&mut store, 8_192, 20);
        batches += 1;
        assert!(store.bytes().unwrap() <= last, "it grows: {last} {}", store.bytes().unwrap());
        assert!(batches < 60, "{last} of {before} bytes after {batches} batches");
    }
    assert!(batches > 4, "a batch waits for its own share only");
    store.close().unwrap();
    common::assert_counted(&path, 1);
    common::assert_counted(&path, 2);
}

#[test]
fn an_age_limit_is_kept_after_each_batch_at_any_rate() {
    let (_folder, path) = common::place();
    let options =
        StoreOptions { max_age: Some(Duration::from_secs(60)), ..StoreOptions::default() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut store = Store::open(&path, &options).unwrap();
    // All of it began an hour ago: each batch is due with the next one.
    let started_unix_ns = now.as_nanos() as i64 - 3_600_000_000_000;
    store.begin_run(&RunInfo { started_unix_ns, ..common::run_info() }).unwrap();
    for _ in 0..20 {
        append(&mut store, 32_768, 0);
        assert!(count(&path, "SELECT count(*) FROM span") <= 32_768);
    }
    store.close().unwrap();
    common::assert_counted(&path, 1);
}

#[test]
fn what_could_not_be_deleted_for_a_lock_is_deleted_before_the_next_batch() {
    const MAX: u64 = 1 << 20;
    let (_folder, path) = common::place();
    let options = StoreOptions {
        max_bytes: Some(MAX),
        busy_timeout: Duration::ZERO,
        ..StoreOptions::default()
    };
    let mut store = common::store(&path, &options);
    let largest = batch_bytes(8_192, 0);
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    for n in 0..30 {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut batch = common::batch(&mut store, 8_192);
        assert!(store.append(&mut batch).is_err(), "it is locked");
        other.execute_batch("ROLLBACK").unwrap();
        store.append(&mut batch).unwrap();
        let bytes = store.bytes().unwrap();
        assert!(bytes <= MAX + largest + PAGE, "{bytes} bytes after batch {n}");
    }
}
