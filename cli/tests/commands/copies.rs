//! The profiles of `said/copies.md`.

use std::fs;
use std::path::Path;

use spandrel_storage::RunInfo;

use super::fixture::{Recording, info};

/// What a recorder has left that was killed before it could merge its log.
pub fn write(folder: &Path) {
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
