//! The profile of `said/open_trace.md`.

use std::path::Path;

use spandrel_storage::{OpenSpanRow, RunInfo, SpanRow, Status, Store};

use super::fixture::Recording;

const MS: i64 = 1_000_000;

/// A recording that goes on: a connection, a request in it, and an older span of another trace.
pub fn write(folder: &Path) -> Store {
    let mut run = Recording::begin(
        &folder.join("p.db"),
        &RunInfo { args: "[]".into(), ..RunInfo::default() },
    );
    for (id, name, parent_id, start_ms) in
        [(1, "idle", 0, 50), (2, "conn", 0, 10), (3, "request", 2, 30)]
    {
        let callsite_id = run.name_of(name, "shop");
        let span = SpanRow {
            parent_id,
            root_id: if parent_id == 0 { id } else { parent_id },
            duration_ns: None,
            busy_ns: Some(30 * MS),
            self_ns: None,
            entries: 3,
            first_entry_ns: Some(0),
            longest_entry_ns: Some(20 * MS),
            last_exit_ns: Some(31 * MS),
            status: Status::Unfinished,
            ..run.span(id, callsite_id, start_ms * MS, 0)
        };
        run.batch.open_spans.get_or_insert_default().push(OpenSpanRow { span, seen_ns: 900 * MS });
    }
    run.store.append(&mut run.batch).unwrap();
    run.store
}
