//! Whether the path still names the file that is being written.
//!
//! SQLite goes on writing into a file that was deleted or renamed, without an error. In
//! write-ahead mode it never looks; so the writer asks here from time to time.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::lock::{FileId, file_id};

/// Where the file of a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// At its path.
    InPlace,
    /// Nowhere: it was deleted, and what is written is lost when it is closed.
    Removed,
    /// At another path, or it cannot be seen from here.
    Renamed,
    /// At its path, but cut short or overwritten: what was in it is lost.
    Spoiled,
    /// At its path, but without its write-ahead log, which was removed, replaced or cut short; see
    /// [`Store::recover`](crate::Store::recover).
    LogLost,
}

pub(crate) fn locate(file: &File, id: &FileId, full: &Path) -> io::Result<Location> {
    if links(file)? == 0 {
        return Ok(Location::Removed);
    }
    match full.symlink_metadata() {
        Ok(metadata) if !metadata.is_symlink() && file_id(full, &metadata) == *id => {
            Ok(Location::InPlace)
        }
        Ok(_) => Ok(Location::Renamed),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Location::Renamed),
        Err(source) => Err(source),
    }
}

#[cfg(unix)]
fn links(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink())
}

/// A file that is open cannot be deleted on Windows; other systems do not tell.
#[cfg(not(unix))]
fn links(_file: &File) -> io::Result<u64> {
    Ok(1)
}
