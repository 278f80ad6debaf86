//! Readers work on a live file, on a closed one, on a copy and in a read-only folder, and leave
//! nothing behind.

#[cfg(target_os = "linux")]
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_query::Reader;
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, ErrorKind, EventRow, LinkRow, LossRow, OpenSpanRow, SpanRow,
    Status, StoreOptions, WriterStatRow,
};

use crate::common;
use crate::rights;

/// One of everything.
fn record(path: &Path) -> spandrel_storage::Store {
    let mut store = common::store(path, &StoreOptions::default());
    let thread_id = store.intern_thread(1, u64::MAX, Some("main"));
    let request = store.intern_callsite(&common::callsite("request"));
    let query = store.intern_callsite(&common::callsite("query"));
    let info = CallsiteInfo { kind: CallsiteKind::Event, level: "WARN", ..common::callsite("e") };
    let event = store.intern_callsite(&info);
    let mut batch = Batch { text: "{\"n\":1}slow".to_owned(), ..Batch::default() };
    batch.spans.push(SpanRow {
        duration_ns: Some(9_000_000),
        fields: 0..7,
        ..common::span(1, request, thread_id)
    });
    for id in [2, 3] {
        let span = common::span(id, query, thread_id);
        batch.spans.push(SpanRow { parent_id: 1, root_id: 1, status: Status::Error, ..span });
    }
    let open = SpanRow {
        duration_ns: None,
        self_ns: None,
        status: Status::Unfinished,
        ..common::span(9, request, thread_id)
    };
    batch.spans.push(SpanRow { id: 4, root_id: 4, ..open.clone() });
    batch.events.push(EventRow {
        id: 5,
        span_id: 2,
        callsite_id: event,
        thread_id,
        at_ns: 2_500_000,
        message: 7..11,
        fields: 0..7,
    });
    batch.links.push(LinkRow { span_id: 3, follows_id: 2 });
    batch.links.push(LinkRow { span_id: 3, follows_id: 2 });
    batch.losses.push(LossRow {
        reason: "ring_full",
        from_ns: 1,
        to_ns: 2,
        spans: 3,
        events: 4,
        entries: 0,
        thread_id: Some(thread_id),
    });
    batch.writer_stat = Some(WriterStatRow {
        at_ns: 7,
        recorded: u64::MAX,
        dropped: "{}".to_owned(),
        events_dropped: "{}".to_owned(),
        entries_recorded: 9,
        entries_stored: 5,
        entries_dropped: r#"{"ring_full":4}"#.to_owned(),
        ..WriterStatRow::default()
    });
    batch.open_spans = Some(vec![OpenSpanRow { span: open, seen_ns: 99_000_000 }]);
    store.append(&mut batch).unwrap();
    store
}

fn check(reader: &Reader) {
    let run = reader.latest_run().unwrap().unwrap();
    assert_eq!(reader.run(run.id).unwrap().unwrap(), run);
    assert_eq!(reader.run(99).unwrap(), None);
    assert_eq!(run.info, common::run_info());
    assert_eq!((run.first_id, run.last_id, run.last_ns), (1, 9, 99_000_000));
    assert_eq!((run.dropped_spans, run.dropped_events, run.links), (3, 4, 2));
    let counts = reader.counts(run.id).unwrap();
    assert_eq!((counts.spans, counts.events, counts.links, counts.unfinished), (4, 1, 2, 1));

    let spans = common::spans(reader, run.id);
    let names: Vec<_> = spans.iter().map(|span| span.callsite.name.as_str()).collect();
    assert_eq!(names, ["request", "query", "query", "request"]);
    assert_eq!(spans[0].fields.as_deref(), Some("{\"n\":1}"));
    assert_eq!(spans[0].parent_id, None);
    assert_eq!((spans[1].parent_id, spans[1].fields.as_deref()), (Some(1), None));
    assert_eq!((spans[3].status, spans[3].duration_ns), (Status::Unfinished, None));
    assert_eq!((spans[0].thread.os_id, spans[0].thread.name.as_deref()), (u64::MAX, Some("main")));
    assert_eq!(reader.tree(1).unwrap(), spans[..3]);
    assert_eq!(reader.tree(77).unwrap(), []);
    assert_eq!(reader.slow(run.id, None, 1).unwrap(), spans[..1]);
    assert_eq!(reader.slow(run.id, Some("query"), 9).unwrap(), spans[1..3]);

    let mut events = Vec::new();
    reader.events(run.id, |event| events.push(event)).unwrap();
    assert_eq!(events[0].message.as_deref(), Some("slow"));
    assert_eq!((events[0].span_id, &*events[0].callsite.level), (Some(2), "WARN"));
    let links = reader.links(run.id).unwrap();
    assert_eq!((links.len(), links[0].span_id, links[0].follows_id), (2, 3, 2));
    let top = reader.top(run.id, 9).unwrap();
    assert_eq!((top[0].callsite.name.as_str(), top[0].calls, top[0].errors), ("request", 1, 0));
    assert_eq!((top[1].calls, top[1].errors, top[1].max_ns), (2, 2, 1_000_000));
    assert!(top[1].percentile_ns(0.99).unwrap().abs_diff(1_000_000) <= 10_000);
    assert_eq!(reader.top(run.id, 1).unwrap().len(), 1);
    assert_eq!(reader.losses(run.id).unwrap()[0].reason, "ring_full");
    assert_eq!(reader.writer_stats(run.id).unwrap()[0].recorded, u64::MAX);
}

#[test]
fn live_closed_and_copied() {
    let (folder, path) = common::place();
    let mut store = record(&path);
    let reader = Reader::open(&path).unwrap();
    check(&reader);
    let open = reader.open_spans(1).unwrap();
    assert_eq!((open[0].span.id, open[0].seen_ns), (9, 99_000_000));

    store.checkpoint(true).unwrap();
    let copy = folder.path().join("copy #1%.db");
    fs::copy(&path, &copy).unwrap();
    check(&Reader::open(&copy).unwrap());
    assert!(!common::sidecar(&copy, "-wal").exists(), "a reader makes no file");

    store.end_run(1_700_000_010_000_000_000, "{\"a\":1}").unwrap();
    check(&reader);
    drop(reader);
    store.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    check(&reader);
    assert_eq!(reader.open_spans(1).unwrap(), []);
    assert_eq!(reader.run(1).unwrap().unwrap().report.as_deref(), Some("{\"a\":1}"));
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 2, "two databases without sidecars");
}

#[test]
fn what_has_been_stored_since_the_look_is_no_open_span() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut store, 2);
    let [first, second] = [batch.spans[0].clone(), batch.spans[1].clone()];
    let open = |span: &SpanRow| {
        let span = SpanRow { duration_ns: None, self_ns: None, ..span.clone() };
        OpenSpanRow { span, seen_ns: 99_000_000 }
    };
    batch.open_spans = Some(vec![open(&first), open(&second)]);
    batch.spans.clear();
    store.append(&mut batch).unwrap();
    let reader = Reader::open(&path).unwrap();
    let ids = || reader.open_spans(1).unwrap().iter().map(|open| open.span.id).collect::<Vec<_>>();
    assert_eq!(ids(), [first.id, second.id]);
    batch.spans.push(first);
    store.append(&mut batch).unwrap();
    assert_eq!(ids(), [second.id], "until the next look");
}

#[test]
fn a_copy_that_is_then_recorded_into_is_not_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("p.db"), folder.path().join("copy.db"));
    let mut store = record(&path);
    store.checkpoint(true).unwrap();
    fs::copy(&path, &copy).unwrap();
    let reader = Reader::open(&copy).unwrap();
    check(&reader);
    let recording = common::store(&copy, &StoreOptions::default());
    assert_eq!(reader.runs().unwrap_err().kind(), ErrorKind::Busy);
    recording.close().unwrap();
}

#[test]
fn a_reader_sees_whole_batches_while_the_store_writes() {
    let (_folder, path) = common::place();
    let options = StoreOptions { checkpoint_bytes: 1 << 20, ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let reader = Reader::open(&path).unwrap();
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                let run = reader.latest_run().unwrap().unwrap();
                let counts = reader.counts(1).unwrap();
                assert_eq!((run.spans % 500, counts.spans % 500), (0, 0));
                assert!(run.spans >= seen && counts.spans >= run.spans);
                seen = counts.spans;
                let calls = reader.top(1, 1).unwrap().first().map_or(0, |top| top.calls);
                assert!(calls >= seen && calls.is_multiple_of(500));
                assert!(common::spans(&reader, 1).len() as u64 >= seen);
            }
            reader.counts(1).unwrap().spans
        });
        for _ in 0..60 {
            common::record(&mut store, 500);
        }
        done.store(true, Ordering::Release);
        assert_eq!(reading.join().unwrap(), 30_000);
    });
    store.close().unwrap();
}

/// Longer than a piece, with other runs before and after.
#[test]
fn long_runs_are_read_in_pieces() {
    let (_folder, path) = common::place();
    for count in [10, 45_000, 10] {
        let mut store = common::store(&path, &StoreOptions::default());
        common::record(&mut store, count);
        store.close().unwrap();
    }
    let reader = Reader::open(&path).unwrap();
    let ids: Vec<u64> = common::spans(&reader, 2).iter().map(|span| span.id).collect();
    assert_eq!(ids, (11..45_011).collect::<Vec<_>>());
    assert_eq!(common::spans(&reader, 3).len(), 10);
    assert_eq!(common::spans(&reader, 4).len(), 0);
}

/// Root may write anywhere: see `rights::be_nobody`.
#[cfg(target_os = "linux")]
#[test]
fn in_a_read_only_folder() {
    use std::os::unix::fs::PermissionsExt;
    const VARIABLE: &str = "SPANDREL_TEST_READ_ONLY";
    if let Some(folder) = std::env::var_os(VARIABLE) {
        rights::be_nobody();
        let open = |name: &str| Reader::open(Path::new(&folder).join(name));
        let killed = open("killed.db").unwrap();
        // Two at once, as `diff` may have them.
        for name in ["closed.db", "copy.db", "empty-log.db", "killed.db"] {
            check(&open(name).unwrap());
        }
        check(&killed);
        assert_eq!(open("alone.db").unwrap_err().kind(), ErrorKind::Busy);
        let error = open("live.db").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("another program has the profile open"), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut store = record(&at("closed.db"));
    // What a recording that is killed leaves, copied without the index of its log.
    for suffix in ["", "-wal"] {
        let name = |of: &str| at(&format!("{of}.db{suffix}"));
        fs::copy(name("closed"), name("killed")).unwrap();
    }
    assert!(fs::metadata(at("killed.db-wal")).unwrap().len() > 0);
    store.checkpoint(true).unwrap();
    for copy in ["copy.db", "empty-log.db"] {
        fs::copy(at("closed.db"), at(copy)).unwrap();
    }
    fs::write(at("empty-log.db-wal"), "").unwrap();
    store.close().unwrap();
    // Recorded into from elsewhere: with an index in the memory of the recorder, and with one that
    // somebody has removed.
    let live: Vec<_> = [("alone.db", false), ("live.db", true)]
        .into_iter()
        .map(|(name, live_readers)| {
            let options = StoreOptions { live_readers, ..StoreOptions::default() };
            let mut live = common::store(&at(name), &options);
            let mut batch = common::batch(&mut live, 10);
            live.append(&mut batch).unwrap();
            live
        })
        .collect();
    fs::remove_file(at("live.db-shm")).unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &common::this_test()]).env(VARIABLE, folder.path());
    let status = command.status().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    drop(live);
    assert!(status.success());
}

#[test]
fn the_views_for_people() {
    let (_folder, path) = common::place();
    let mut store = record(&path);
    store.end_run(1_700_000_010_123_456_789, "{}").unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("SELECT started FROM spans WHERE id = 1"), "2023-11-14T22:13:20.124Z");
    assert_eq!(text("SELECT name || ' ' || thread FROM spans WHERE id = 2"), "query main");
    assert_eq!(text("SELECT group_concat(id) FROM slow"), "1,2,3");
    assert_eq!(text("SELECT group_concat(id) FROM roots"), "1,4");
    assert_eq!(text("SELECT name || ' ' || calls || ' ' || total_ms FROM top"), "request 1 9.0");
    assert_eq!(text("SELECT message || ' ' || level || ' ' || at FROM events"), {
        "slow WARN 2023-11-14T22:13:20.125Z"
    });
    assert_eq!(text("SELECT reason || ' ' || spans || ' ' || events FROM losses"), "ring_full 3 4");
    assert_eq!(
        text(
            "SELECT label || ' ' || seconds || ' ' || spans || ' ' || dropped || ' ' || complete
              FROM runs"
        ),
        "a test 10.0 4 7 no"
    );
}

#[test]
fn hostile_names_are_data() {
    let (_folder, path) = common::place();
    let names = [
        "'); DROP TABLE span;--",
        "%",
        "_",
        "nul \0 inside",
        "\u{1b}[31mred\u{1b}[0m",
        "\"quoted\" `name` [x]",
        "\u{202e}right to left",
        "",
    ];
    let mut store = common::store(&path, &StoreOptions::default());
    let first = store.next_id();
    let mut batch = Batch::default();
    for ((name, id), number) in names.iter().zip(first..).zip(1..) {
        let callsite_id = store.intern_callsite(&common::callsite(name));
        let thread_id = store.intern_thread(number, id, Some(name));
        let start = batch.text.len();
        batch.text.push_str(name);
        let fields = start..batch.text.len();
        batch.spans.push(SpanRow { fields, ..common::span(id, callsite_id, thread_id) });
    }
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    let spans = common::spans(&reader, 1);
    for (span, name) in spans.iter().zip(names) {
        assert_eq!(span.callsite.name, name);
        assert_eq!(span.thread.name.as_deref(), Some(name));
        assert_eq!(span.fields.as_deref(), (!name.is_empty()).then_some(name));
        assert_eq!(
            reader.slow(1, Some(name), 99).unwrap(),
            std::slice::from_ref(span),
            "an exact match"
        );
    }
    // And a store that opens the file again knows them.
    let mut store = common::store(&path, &StoreOptions::default());
    for (span, name) in spans.iter().zip(names) {
        assert_eq!(store.intern_callsite(&common::callsite(name)), span.callsite.id);
    }
}
