//! The profiles of `said/nothing_recorded.md`.

use std::path::Path;

use spandrel_storage::WriterStatRow;

use super::fixture::{Recording, info};
use super::said::at;

pub fn write(folder: &Path) {
    super::fixture::write(&at(folder, "shop"));
    let mut recording = Recording::begin(&at(folder, "nothing"), &info(1));
    let stat = WriterStatRow { at_ns: 1_000, batches: 1, wal_bytes: 8_192, ..Default::default() };
    recording.batch.writer_stat = Some(stat);
    recording.end(1_000_000);
}
