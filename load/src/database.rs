//! Room for a new profile database, and the size of the finished one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use spandrel::StoreOptions;
use spandrel_query::{Reader, Run};
use spandrel_storage::Store;

use crate::error::{Error, ErrorKind};

/// How the labels of all our runs begin; what tells our files from others.
pub(crate) const LABEL: &str = "load_test";

/// Removes a profile whose runs all have labels that begin with `label`, so that a new one takes its
/// place; true if there was one. Refuses to remove anything else.
///
/// # Errors
///
/// `NotOurs` if the file has another run; `Database` if it is no profile, cannot be removed, or is being
/// recorded.
pub fn make_room(path: &Path, label: &str) -> Result<bool, Error> {
    if !path.try_exists().map_err(|error| refused(path, error))? {
        return Ok(false);
    }
    // The reader writes nothing, and refuses what is not a profile.
    let runs = Reader::open(path).and_then(|reader| reader.runs()).map_err(Error::store)?;
    let ours = |run: &Run| run.info.label.as_ref().is_some_and(|found| found.starts_with(label));
    if let Some(other) = runs.iter().find(|run| !ours(run)) {
        let (path, id) = (path.display(), other.id);
        let message = format!(
            "{path}: run {id} in it has no label that begins with \"{label}\", so the file is not \
             replaced; choose another path"
        );
        return Err(Error::new(ErrorKind::NotOurs, message));
    }
    // The store refuses a file that is being recorded.
    Store::open(path, &StoreOptions::default()).and_then(Store::close).map_err(Error::store)?;
    // Sidecars are gone after an orderly close; if one is left it must not meet the new file.
    for suffix in ["-wal", "-shm", ""] {
        match fs::remove_file(with_suffix(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused(path, error));
            }
            _ => {}
        }
    }
    Ok(true)
}

/// For reading.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Bytes of the main file, into which everything is merged in the end.
pub(crate) fn bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn refused(path: &Path, source: io::Error) -> Error {
    let message = format!("{}: {source}; choose another path, or mend this one", path.display());
    Error::caused(ErrorKind::Database, message, source)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
