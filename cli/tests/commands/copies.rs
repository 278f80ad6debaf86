//! Copies of a profile whose recording was killed: with the log, and without it.

use std::fs;
use std::path::Path;

use spandrel_storage::{RunInfo, Store, StoreOptions};

use super::fixture::{self, bare, run};

/// What a recorder has left that was killed before it could merge its log.
fn killed(folder: &Path) {
    let live = folder.join("live.db");
    let mut store = Store::open(&live, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { pid: i32::MAX as u32, ..fixture::info(1) }).unwrap();
    store.checkpoint(false).unwrap();
    let mut batch = spandrel_storage::Batch::default();
    let callsite_id = fixture::callsite(&mut store, "work", spandrel_storage::CallsiteKind::Span);
    let thread_id = store.intern_thread(1, 1, None);
    batch.spans.push(spandrel_storage::SpanRow {
        id: 10,
        parent_id: 0,
        root_id: 10,
        callsite_id,
        thread_id,
        start_ns: 1,
        duration_ns: Some(2),
        busy_ns: Some(2),
        self_ns: Some(2),
        entries: 1,
        status: spandrel_storage::Status::Ok,
        fields: 0..0,
        ..spandrel_storage::SpanRow::default()
    });
    store.append(&mut batch).unwrap();
    for name in ["whole.db", "alone.db"] {
        fs::copy(&live, folder.join(name)).unwrap();
    }
    fs::copy(folder.join("live.db-wal"), folder.join("whole.db-wal")).unwrap();
    store.close().unwrap();
}

#[test]
fn a_copy_without_its_log_says_that_commits_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path());
    let info = |name: &str| {
        let (out, err, code) = run(bare(&["info"]).arg("--db").arg(folder.path().join(name)));
        assert_eq!(code, 0, "{out}{err}");
        out
    };
    let missing = "no log beside it: if the profile was copied without its -wal";
    let alone = info("alone.db");
    assert!(alone.contains(missing), "{alone}");
    let whole = info("whole.db");
    assert!(!whole.contains(missing) && whole.contains("+ wal "), "{whole}");
    // Once the log is merged nothing is missing, whoever asks.
    let merged = folder.path().join("whole.db");
    assert_eq!(run(bare(&["merge"]).arg("--db").arg(&merged)).2, 0);
    let whole = info("whole.db");
    assert!(!whole.contains("no log beside it") && !whole.contains("+ wal "), "{whole}");
    assert!(!info("live.db").contains("no log beside it"));
}
