//! What an event says is shown wherever it is: its name, its message, or its fields alone.

use spandrel_storage::{Batch, CallsiteKind, EventRow, SpanRow, Status, Store, StoreOptions};

use super::fixture::{bare, callsite, info, push, run, spandrel};

#[test]
fn an_event_of_fields_alone_and_a_named_one_say_something_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("p.db");
    let mut store = Store::open(&db, &StoreOptions::default()).unwrap();
    store.begin_run(&info(1)).unwrap();
    let span = callsite(&mut store, "request", CallsiteKind::Span);
    let err = callsite(&mut store, "event src/main.rs:9", CallsiteKind::Event);
    let named = callsite(&mut store, "cart.emptied", CallsiteKind::Event);
    let thread_id = store.intern_thread(1, 1, None);
    let id = store.next_id();
    let mut batch = Batch::default();
    batch.spans.push(SpanRow {
        id,
        parent_id: 0,
        root_id: id,
        callsite_id: span,
        thread_id,
        start_ns: 0,
        duration_ns: Some(1_000_000),
        busy_ns: None,
        self_ns: Some(1_000_000),
        entries: 1,
        status: Status::Error,
        fields: 0..0,
        ..SpanRow::default()
    });
    // As `#[instrument(err)]` makes it: no message, one field.
    let fields = push(&mut batch.text, r#"{"error":"no route to host"}"#);
    for (at, callsite_id, fields) in [(1, named, 0..0), (2, err, fields)] {
        batch.events.push(EventRow {
            id: id + at,
            span_id: id,
            callsite_id,
            thread_id,
            at_ns: at as i64 * 1_000,
            message: 0..0,
            fields,
        });
    }
    store.append(&mut batch).unwrap();
    store.end_run(info(1).started_unix_ns + 1_000_000_000, "{}").unwrap();
    store.close().unwrap();
    let page = folder.path().join("page.html");
    for words in [
        &["tree", "--events"][..],
        &["tree", "--events", "-f", "json"],
        &["sql", "--recipe", "events"],
        &["report", "-o", page.to_str().unwrap()],
        &["export", "chrome"],
        &["export", "otlp-json"],
        &["export", "firefox"],
    ] {
        let (mut out, err, code) = run(bare(words).arg("--db").arg(&db));
        assert_eq!(code, 0, "{err}");
        if words[0] == "report" {
            out = std::fs::read_to_string(&page).unwrap();
        }
        assert!(out.contains("no route to host"), "{words:?}: {out}");
        assert!(out.contains("cart.emptied"), "{words:?}: {out}");
    }
    let (out, ..) = run(bare(&["sql", "--recipe", "errors", "--db"]).arg(&db));
    assert!(out.contains("no route to host"), "{out}");
}

#[test]
fn each_time_has_its_zone() {
    for command in ["runs", "info"] {
        let (out, ..) = run(&mut spandrel(&[command]));
        assert!(out.contains("2025-10-09 10:53:20 UTC"), "{out}");
        let (out, ..) = run(spandrel(&[command]).env("TZ", "America/New_York"));
        assert!(out.contains("2025-10-09 06:53:20 -04:00"), "{out}");
    }
}
