//! `spandrel tree`: which trace is shown when none is named.

use std::path::Path;

use spandrel_storage::{Batch, CallsiteKind, SpanRow, Status, Store, StoreOptions};

use super::fixture::{bare, callsite, info, run};

const MS: i64 = 1_000_000;

/// Parent and duration of each span; they begin 10 ms after each other.
fn write(path: &Path, spans: &[(u64, Option<i64>)]) {
    let mut store = Store::open(path, &StoreOptions::default()).unwrap();
    store.begin_run(&info(1)).unwrap();
    let callsite_id = callsite(&mut store, "work", CallsiteKind::Span);
    let thread_id = store.intern_thread(1, 7, None);
    let mut batch = Batch::default();
    for (at, (parent_id, duration_ns)) in spans.iter().enumerate() {
        let id = at as u64 + 1;
        batch.spans.push(SpanRow {
            id,
            parent_id: *parent_id,
            root_id: if *parent_id == 0 { id } else { *parent_id },
            callsite_id,
            thread_id,
            start_ns: at as i64 * 10 * MS,
            duration_ns: *duration_ns,
            busy_ns: None,
            self_ns: *duration_ns,
            polls: 1,
            status: if duration_ns.is_some() { Status::Ok } else { Status::Unfinished },
            fields: 0..0,
        });
    }
    store.append(&mut batch).unwrap();
    store.close().unwrap();
}

/// The trace that is shown.
fn shown(path: &Path, words: &[&str]) -> Option<u64> {
    let (out, err, code) = run(bare(&["tree", "-f", "json"]).args(words).arg("--db").arg(path));
    assert_eq!(code, 0, "{words:?}: {err}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap()["trace_id"].as_u64()
}

#[test]
fn the_slowest_trace_is_that_of_the_slowest_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    // A short root that has left a long task behind, two others, and one that has not ended.
    let spans =
        [(0, Some(MS)), (1, Some(900 * MS)), (0, Some(50 * MS)), (0, Some(5 * MS)), (0, None)];
    write(&path, &spans);
    assert_eq!(shown(&path, &[]), Some(3), "the slowest root");
    assert_eq!(shown(&path, &["--since", "+25ms"]), Some(4), "of those that began in the window");
    assert_eq!(shown(&path, &["-w", "dur>0s"]), Some(1), "that of the slowest span of a filter");
    assert_eq!(shown(&path, &["-w", "is:root"]), Some(3));
    assert_eq!(shown(&path, &["--between", "+5ms..+15ms"]), Some(1), "no root began there");
    assert_eq!(shown(&path, &["--since", "+35ms"]), None, "nothing has ended that began there");
}
