//! A profile with what the shop has none of: an unfinished span, a thread without a name, a parent that
//! is not there, a link, fields of more values than can be told apart, and fields that are no object.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use spandrel_storage::{
    Batch, CallsiteKind, EventRow, LinkRow, SpanRow, Status, Store, StoreOptions,
};
use tempfile::TempDir;

use crate::fixture::{callsite, info, push};

/// Spans of the name with many values; more than `explain` tells apart.
const JOBS: u64 = 2_000;

/// The profile, which no test may change.
pub fn profile() -> &'static Path {
    static PROFILE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &PROFILE
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("odd.db");
            write(&path);
            (folder, path)
        })
        .1
}

fn write(path: &Path) {
    let mut store = Store::open(path, &StoreOptions::default()).unwrap();
    store.begin_run(&info(3)).unwrap();
    let [root, job] = ["root", "job"].map(|name| callsite(&mut store, name, CallsiteKind::Span));
    let event = callsite(&mut store, "event src/main.rs:9", CallsiteKind::Event);
    let thread_id = store.intern_thread(1, 77, None);
    let first = store.next_id();
    let mut batch = Batch::default();
    let row = |id, parent_id, callsite_id| SpanRow {
        id,
        parent_id,
        root_id: first,
        callsite_id,
        thread_id,
        start_ns: (id - first) as i64 * 1_000,
        duration_ns: Some(1_000),
        busy_ns: None,
        self_ns: Some(1_000),
        entries: 1,
        status: Status::Ok,
        fields: 0..0,
        ..SpanRow::default()
    };
    batch.spans.push(SpanRow { duration_ns: Some(9_000_000), ..row(first, 0, root) });
    for id in first + 1..=first + JOBS {
        // The last one has no parent in the file.
        let parent_id = if id == first + JOBS { id + 500 } else { first };
        let fields = match id - first {
            7 => push(&mut batch.text, "7"),
            n => push(&mut batch.text, &format!(r#"{{"request":"r{}"}}"#, n * 7_919 % JOBS)),
        };
        let ns = 1_000 + (id * 31 % 97) as i64;
        batch.spans.push(SpanRow { fields, duration_ns: Some(ns), ..row(id, parent_id, job) });
    }
    let id = first + JOBS + 1;
    let open = SpanRow { duration_ns: None, self_ns: None, ..row(id, first, job) };
    batch.spans.push(SpanRow { status: Status::Unfinished, ..open });
    batch.links.push(LinkRow { span_id: first + 2, follows_id: first + 1 });
    let fields = push(&mut batch.text, r#"{"n":1}"#);
    batch.events.push(EventRow {
        id: id + 1,
        span_id: first + 1,
        callsite_id: event,
        thread_id,
        at_ns: 1_500,
        message: 0..0,
        fields,
    });
    store.append(&mut batch).unwrap();
    store.end_run(info(3).started_unix_ns + 10_000_000, "{}").unwrap();
    store.close().unwrap();
}
