//! Copies of a profile whose recording was killed: with the log, and without it.

use std::fs;
use std::path::Path;

use spandrel_storage::RunInfo;

use super::fixture::{Recording, bare, info, run, text};

/// What a recorder has left that was killed before it could merge its log.
fn killed(folder: &Path) {
    let live = folder.join("live.db");
    let mut run = Recording::begin(&live, &RunInfo { pid: i32::MAX as u32, ..info(1) });
    run.store.checkpoint(false).unwrap();
    let work = run.name("work");
    let row = run.span(10, work, 1, 2);
    run.batch.spans.push(row);
    run.store.append(&mut run.batch).unwrap();
    for name in ["whole.db", "alone.db"] {
        fs::copy(&live, folder.join(name)).unwrap();
    }
    fs::copy(folder.join("live.db-wal"), folder.join("whole.db-wal")).unwrap();
    run.store.close().unwrap();
}

#[test]
fn a_copy_without_its_log_says_that_commits_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path());
    let info = |name: &str| text(&folder.path().join(name), &["info"]);
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
