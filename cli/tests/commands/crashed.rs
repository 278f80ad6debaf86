//! The profile of `said/crashed.md`.

use std::path::Path;

use spandrel_storage::{LossRow, RunInfo, SpanRow, Status};

use super::fixture::Recording;

const MS: i64 = 1_000_000;

/// A run whose process died in the middle of a request, as it is when it has been recovered.
pub fn write(folder: &Path) {
    let info = RunInfo { args: "[]".into(), ..RunInfo::default() };
    let mut run = Recording::begin(&folder.join("p.db"), &info);
    let fields = run.text(r#"{"order":4711}"#);
    for (id, name, parent_id, start_ms, length_ms) in [
        (1, "request", 0, 0, Some(40)),
        (2, "query", 1, 5, Some(20)),
        (3, "request", 0, 50, None),
        (4, "charge", 3, 60, None),
        (5, "query", 4, 61, Some(9)),
    ] {
        let callsite_id = run.name_of(name, "shop");
        let length_ns = length_ms.map(|ms: i64| ms * MS);
        let span = run.span(id, callsite_id, start_ms * MS, length_ns.unwrap_or(0));
        let open = SpanRow { self_ns: None, status: Status::Crashed, ..span.clone() };
        run.batch.spans.push(SpanRow {
            parent_id,
            root_id: if id < 3 { 1 } else { 3 },
            duration_ns: length_ns,
            fields: if id == 4 { fields.clone() } else { 0..0 },
            ..if length_ms.is_some() { span } else { open }
        });
    }
    run.batch.losses.push(LossRow {
        reason: "abandoned",
        from_ns: 0,
        to_ns: 71 * MS,
        spans: 1,
        events: 0,
        entries: 0,
        thread_id: None,
    });
    run.batch.report = Some(r#"{"crashed":true}"#.into());
    run.leave();
}
