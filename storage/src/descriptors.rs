//! Open files, of which a process may have only so many.
//!
//! SQLite says only that it cannot open a file, whatever the reason; so whether there are any left is tried.

use std::fs::File;
use std::io;
use std::path::Path;

/// SQLite opens so many files for a database: itself, its log, the log's index.
const FILES: usize = 3;

/// What to do about it.
pub(crate) const REMEDY: &str = "; raise the limit on open files (ulimit -n), or close some";

/// Whether the system refused for the number of open files, of this process or of all.
#[cfg(unix)]
pub(crate) fn is_limit(error: &io::Error) -> bool {
    use nix::errno::Errno;
    error
        .raw_os_error()
        .is_some_and(|code| [Errno::EMFILE, Errno::ENFILE].contains(&Errno::from_raw(code)))
}

#[cfg(not(unix))]
pub(crate) fn is_limit(_error: &io::Error) -> bool {
    false
}

/// The error of the system, if no more files can be opened. Only the folder is opened for it: closing a
/// database once more would drop the locks of this process on it.
pub(crate) fn exhausted(database: &Path) -> Option<io::Error> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let tried: io::Result<Vec<File>> = (0..FILES).map(|_| File::open(folder)).collect();
    tried.err().filter(is_limit)
}
