//! The limit on open files.
//!
//! When SQLite cannot open a file, it does not say why. So it is tried whether any more files can be
//! opened.

use std::fs::File;
use std::io;
use std::path::Path;

/// SQLite opens so many files for a database: the file, its log, the log's index.
const FILES: usize = 3;

/// What to do about it.
pub(crate) const REMEDY: &str = "; raise the limit on open files (ulimit -n), or close some";

/// Whether the error is that too many files are open, in this process or in the system.
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

/// The system's error, if no more files can be opened. This opens only the folder: opening and closing
/// the database would drop the locks of this process on it.
pub(crate) fn exhausted(database: &Path) -> Option<io::Error> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let tried: io::Result<Vec<File>> = (0..FILES).map(|_| File::open(folder)).collect();
    tried.err().filter(is_limit)
}
