//! A profile with what the shop has none of: an unfinished span, a thread without a name, a parent that
//! is not there, a link, fields of more values than can be told apart, and fields that are no object.

use std::path::Path;

use spandrel_storage::{CallsiteKind, EventRow, LinkRow, SpanRow, Status};

use crate::fixture::{Recording, Shared, callsite, info, push};

/// Spans of the name with many values; more than `explain` tells apart.
const JOBS: u64 = 2_000;

/// The profile, which no test may change.
pub fn profile() -> &'static Path {
    static PROFILE: Shared = Shared::new();
    PROFILE.written_by(write)
}

fn write(path: &Path) {
    let mut run = Recording::begin(path, &info(3));
    run.thread_id = run.store.intern_thread(2, 77, None);
    let [root, job] = ["root", "job"].map(|name| run.name(name));
    let event = callsite(&mut run.store, "event src/main.rs:9", CallsiteKind::Event);
    let (first, thread_id) = (run.store.next_id(), run.thread_id);
    let one = run.span(first, root, 0, 1_000);
    let row = |id: u64, parent_id, callsite_id| SpanRow {
        id,
        parent_id,
        callsite_id,
        start_ns: (id - first) as i64 * 1_000,
        busy_ns: None,
        ..one.clone()
    };
    let batch = &mut run.batch;
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
    run.end(10_000_000);
}
