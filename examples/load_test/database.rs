//! Room for a new profile database, and the size of the finished one.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use spandrel::StoreOptions;
use spandrel_storage::{Reader, Run, Store};

/// How the labels of all our runs begin; what tells our files from others.
pub const LABEL: &str = "load_test";

/// Removes the database of an earlier load test, so that the size of the new one is that of one
/// run; true if there was one. Refuses to remove anything else.
pub fn make_room(path: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    if !path.try_exists()? {
        return Ok(false);
    }
    // The reader writes nothing, and refuses what is not a profile.
    let runs = Reader::open(path)?.runs()?;
    let ours = |run: &Run| run.info.label.as_ref().is_some_and(|label| label.starts_with(LABEL));
    if let Some(other) = runs.iter().find(|run| !ours(run)) {
        let (path, id) = (path.display(), other.id);
        return Err(format!(
            "{path}: run {id} in it was not made by load_test, so it is not replaced; choose \
             another path with --database"
        )
        .into());
    }
    // The store refuses a file that is being recorded.
    Store::open(path, &StoreOptions::default())?.close()?;
    // Sidecars are gone after an orderly close; if one is left it must not meet the new file.
    for suffix in ["-wal", "-shm", ""] {
        match fs::remove_file(with_suffix(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(true)
}

/// For reading.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Bytes of the main file, into which everything is merged in the end.
pub fn bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
