//! Retention keeps the file within its bounds and counts what it deletes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spandrel_query::Reader;
use spandrel_storage::{EntryRow, EventRow, LinkRow, RunInfo, Store, StoreOptions, WriterStatRow};

use crate::common;

fn append(store: &mut Store, count: u64) {
    let mut batch = common::batch(store, count);
    let (callsite_id, thread_id) = (batch.spans[0].callsite_id, batch.spans[0].thread_id);
    batch.text = "{\"some\":\"fields of some length\"}".to_owned();
    for span in &mut batch.spans {
        span.fields = 0..batch.text.len();
    }
    for span in batch.spans.iter().step_by(4) {
        batch.events.push(EventRow {
            id: span.id,
            span_id: span.id,
            callsite_id,
            thread_id,
            at_ns: span.start_ns,
            message: 0..batch.text.len(),
            fields: 0..0,
        });
        batch.links.push(LinkRow { span_id: span.id, follows_id: span.id - 1 });
    }
    let last = batch.spans.last().unwrap();
    batch.entries.push(EntryRow {
        id: last.id,
        span_id: last.id,
        callsite_id,
        thread_id,
        start_ns: last.start_ns,
        duration_ns: 5,
        around_id: 0,
        self_ns: Some(5),
        earlier_entries: 0,
        earlier_ns: 0,
    });
    let at_ns = last.start_ns;
    batch.writer_stat = Some(WriterStatRow {
        at_ns,
        dropped: "{}".to_owned(),
        events_dropped: "{}".to_owned(),
        entries_dropped: "{}".to_owned(),
        ..WriterStatRow::default()
    });
    store.append(&mut batch).unwrap();
}

fn prune(store: &mut Store) -> bool {
    let mut any = false;
    loop {
        let pruned = store.prune().unwrap();
        any |= pruned.spans + pruned.events > 0;
        assert!(pruned.entries <= 8_192);
        assert!(pruned.spans <= 8_192 && pruned.events <= 8_192, "small steps");
        if !pruned.more {
            return any;
        }
    }
}

#[test]
fn by_size_keeps_the_file_bounded_over_runs() {
    const MAX: u64 = 2 << 20;
    let (_folder, path) = common::place();
    let options = StoreOptions {
        max_bytes: Some(MAX),
        checkpoint_bytes: 256 << 10,
        ..StoreOptions::default()
    };
    let mut written = 0;
    for run_id in 1..=3 {
        let mut store = common::store(&path, &options);
        for _ in 0..60 {
            append(&mut store, 1_000);
            written += 1_000;
            prune(&mut store);
            let bytes = path.metadata().unwrap().len();
            assert!(bytes <= MAX + MAX / 16, "{bytes}");
        }
        store.end_run(1_700_000_001_000_000_000, "{}").unwrap();
        store.close().unwrap();
        assert!(path.metadata().unwrap().len() <= MAX);
        common::assert_counted(&path, run_id);
        let run = Reader::open(&path).unwrap().run(run_id).unwrap().unwrap();
        assert!(run.pruned_spans > 0, "the test writes enough to need it");
    }
    let reader = Reader::open(&path).unwrap();
    let runs = reader.runs().unwrap();
    assert_eq!(runs.iter().map(|run| run.spans).sum::<u64>(), written);
    assert_eq!((runs[0].pruned_spans, runs[0].pruned_events), (60_000, 15_000), "oldest first");
    assert_eq!(reader.counts(1).unwrap().links, 0);
    assert!(reader.top(1, 10).unwrap().is_empty());
    assert!(reader.writer_stats(1).unwrap().is_empty());
    let last = common::spans(&reader, 3);
    assert_eq!(last.last().unwrap().id, written, "the newest stay");
    // Events are pruned in steps of their own, and may reach a little further back than spans.
    let conn = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT min(at_ns) FROM event WHERE run_id = 3";
    let oldest_event_ns: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let oldest_ns = last[0].start_ns.min(oldest_event_ns);
    assert_eq!(reader.counts(3).unwrap().links as usize, last.len() / 4);
    assert!(reader.writer_stats(3).unwrap().iter().all(|stat| stat.at_ns >= oldest_ns));
    // A rollup stays while its interval reaches into what is left: of spans or of events, which are
    // pruned 8,192 at a time and not in step.
    assert!(reader.top(3, 1).unwrap()[0].calls >= last.len() as u64);
    assert!(reader.top(3, 1).unwrap()[0].calls < last.len() as u64 + 8_192 + 1_001);
}

#[test]
fn a_lower_limit_shortens_a_file_that_is_too_large() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    for _ in 0..40 {
        append(&mut store, 1_000);
    }
    store.close().unwrap();
    let before = path.metadata().unwrap().len();
    let options = StoreOptions { max_bytes: Some(before / 4), ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    assert!(prune(&mut store));
    store.close().unwrap();
    assert!(path.metadata().unwrap().len() <= before / 4);
    common::assert_counted(&path, 1);
}

#[test]
fn by_age_deletes_what_began_too_long_ago() {
    let (_folder, path) = common::place();
    let options =
        StoreOptions { max_age: Some(Duration::from_secs(60)), ..StoreOptions::default() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
    let mut store = Store::open(&path, &options).unwrap();
    // Spans of id n start at n ms, so those before 20,000 are too old, and more while the test goes on.
    let started_unix_ns = now - 80_000_000_000;
    let began = std::time::Instant::now();
    store.begin_run(&RunInfo { started_unix_ns, ..common::run_info() }).unwrap();
    for _ in 0..60 {
        append(&mut store, 1_000);
    }
    prune(&mut store);
    store.close().unwrap();
    common::assert_counted(&path, 1);
    let reader = Reader::open(&path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    let meanwhile = began.elapsed().as_millis() as u64;
    assert!((20_000..28_000 + meanwhile).contains(&run.pruned_spans), "{run:?}");
    assert_eq!(common::spans(&reader, 1)[0].id, run.pruned_spans + 1);
    assert!(!reader.run(1).unwrap().unwrap().is_complete());
}

#[test]
fn ids_are_not_used_again() {
    let (_folder, path) = common::place();
    let options = StoreOptions { max_age: Some(Duration::ZERO), ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    append(&mut store, 1_000);
    prune(&mut store);
    store.close().unwrap();
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 0);
    let store = common::store(&path, &options);
    assert_eq!(store.next_id(), 1_001);
}
