//! Whether the path still names the file that is being written.
//!
//! SQLite goes on writing into a file that was deleted or renamed, without an error. In
//! write-ahead mode it never looks; so the writer asks here from time to time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

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
    /// At its path, with its write-ahead log, but without the index of that (`-shm`), which was removed
    /// or replaced; see [`Store::recover`](crate::Store::recover).
    IndexLost,
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

/// The present name of a file that was opened at `full`, if it can be found: where the system tells
/// (Linux), or in the same folder. The name may change at any moment.
pub(crate) fn find(file: &File, id: &FileId, full: &Path) -> Option<PathBuf> {
    let told = told_name(file).filter(|path| is_named(path, id));
    let found = told.or_else(|| find_in_folder(id, full))?;
    // NFS clients give such a name to an open file that was deleted.
    let name = found.file_name()?.to_string_lossy();
    (!name.starts_with(".nfs")).then_some(found)
}

fn find_in_folder(id: &FileId, full: &Path) -> Option<PathBuf> {
    let names = full.parent()?.read_dir().ok()?;
    names.take(NAMES_MAX).flatten().map(|entry| entry.path()).find(|path| is_named(path, id))
}

fn is_named(path: &Path, id: &FileId) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file() && file_id(path, &found) == *id)
}

/// Folders with more files are not searched.
const NAMES_MAX: usize = 10_000;

/// The system's name for an open file.
#[cfg(unix)]
fn told_name(file: &File) -> Option<PathBuf> {
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(file);
    std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()
}

#[cfg(not(unix))]
fn told_name(_file: &File) -> Option<PathBuf> {
    None
}

#[cfg(unix)]
fn links(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink())
}

/// On Windows an open file cannot be deleted; other systems do not tell.
#[cfg(not(unix))]
fn links(_file: &File) -> io::Result<u64> {
    Ok(1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Even where the system does not tell: it is found in the folder.
    #[test]
    fn a_file_that_was_renamed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new, second, nfs] =
            ["old", "new", "second", ".nfs0000000000000001"].map(|name| folder.path().join(name));
        std::fs::write(&old, "a file").unwrap();
        let file = File::open(&old).unwrap();
        let id = file_id(&old, &file.metadata().unwrap());
        assert_eq!(find(&file, &id, &old), Some(old.clone()));
        std::fs::hard_link(&old, &second).unwrap();
        std::fs::rename(&old, &new).unwrap();
        std::fs::write(&old, "another one").unwrap();
        let named = |path: Option<PathBuf>| path.is_some_and(|path| path == new || path == second);
        assert!(named(find(&file, &id, &old)));
        assert!(named(find_in_folder(&id, &old)));
        std::fs::remove_file(&new).unwrap();
        assert_eq!(find(&file, &id, &old), Some(second.clone()), "by the name that is left");
        std::fs::rename(&second, &nfs).unwrap();
        assert_eq!(find(&file, &id, &old), None, "a file that was deleted");
        std::fs::remove_file(&nfs).unwrap();
        assert_eq!((find(&file, &id, &old), find_in_folder(&id, &old)), (None, None));
    }
}
