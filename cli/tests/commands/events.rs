//! What an event says is shown wherever it is: its name, its message, or its fields alone.

use spandrel_storage::{CallsiteKind, EventRow, SpanRow, Status};

use super::fixture::{Recording, bare, callsite, info, new_path, run, spandrel};

#[test]
fn an_event_of_fields_alone_and_a_named_one_say_something_everywhere() {
    let (folder, db) = new_path();
    let mut recording = Recording::begin(&db, &info(1));
    let span = recording.name("request");
    let [err, named] = ["event src/main.rs:9", "cart.emptied"]
        .map(|name| callsite(&mut recording.store, name, CallsiteKind::Event));
    let id = recording.store.next_id();
    let row = recording.span(id, span, 0, 1_000_000);
    recording.batch.spans.push(SpanRow { busy_ns: None, status: Status::Error, ..row });
    // As `#[instrument(err)]` makes it: no message, one field.
    let fields = recording.text(r#"{"error":"no route to host"}"#);
    for (at, callsite_id, fields) in [(1, named, 0..0), (2, err, fields)] {
        recording.batch.events.push(EventRow {
            id: id + at,
            span_id: id,
            callsite_id,
            thread_id: recording.thread_id,
            at_ns: at as i64 * 1_000,
            message: 0..0,
            fields,
        });
    }
    recording.end(1_000_000_000);
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
