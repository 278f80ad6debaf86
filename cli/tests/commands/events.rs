//! The profiles of `said/events.md`.

use std::path::Path;

use spandrel_storage::{CallsiteKind, EventRow, SpanRow, Status};

use super::fixture::{Recording, callsite, info};
use super::said::at;

/// An event of fields alone, and a named one, beside the shop.
pub fn write(folder: &Path) {
    super::fixture::write(&at(folder, "shop"));
    let mut recording = Recording::begin(&at(folder, "events"), &info(1));
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
}
