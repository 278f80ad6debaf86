//! The profile of `said/lost_entries.md`.

use std::path::Path;

use spandrel_storage::LossRow;

use super::fixture::{Recording, info};

/// A recording that has lost but entries.
pub fn write(folder: &Path) {
    let mut run = Recording::begin(&folder.join("p.db"), &info(1));
    let loss = LossRow {
        reason: "ring_full",
        from_ns: 1_000,
        to_ns: 2_000,
        spans: 0,
        events: 0,
        entries: 777,
        thread_id: None,
    };
    run.batch.losses.push(loss);
    run.end(1_000_000_000);
}
