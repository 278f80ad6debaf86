//! Whether all of a ring file is there. What is left of one that somebody has cut short may be anything: its owner has zeros
//! behind the cut, of which it may have made records.

use std::fs::{File, Metadata};

use spandrel_ring::file::Reader;

/// Why one is refused of which parts are gone.
pub(in crate::writer) const NOT_WHOLE: &str = "parts of it are not there: somebody has cut it short, or has copied it without \
    its zeros (cp --sparse=never copies them). What is left of one that was cut may be anything, and nothing of it is stored; \
    remove it";

/// Whether all of a file is there: it has its end, and no part of it is gone.
pub(in crate::writer) fn is_whole(reader: &mut Reader<File>, bytes: u64) -> bool {
    // What cannot be read is not there.
    reader.has_end().unwrap_or(false) && !was_cut(reader.source(), bytes)
}

/// The same of a file of which nobody knows how long it was before.
pub(super) fn is_whole_now(reader: &mut Reader<File>) -> bool {
    let bytes = reader.source().metadata().map_or(0, |found| found.len());
    is_whole(reader, bytes)
}

/// Whether parts of the file are gone: one that was cut and made longer again has holes. If it cannot be asked, it is whole.
fn was_cut(file: &File, bytes: u64) -> bool {
    use std::os::unix::fs::MetadataExt;
    let has_holes = |found: &Metadata| found.blocks().saturating_mul(512) < bytes;
    let is_short =
        |found: Metadata| found.len() < bytes || cfg!(target_os = "linux") && has_holes(&found);
    file.metadata().is_ok_and(is_short)
}
