//! The limit on file sizes (`ulimit -f`): the system enforces it by a signal that ends the process.
//!
//! With the signal blocked, a write beyond the limit is an error (`EFBIG`), which is treated like a full
//! disk: nothing is damaged, and recording goes on when the limit is raised. The signal goes to the
//! thread that writes; so blocking it there changes nothing for other threads, and a pending signal
//! disappears with the thread.

use std::path::{Path, PathBuf};

/// Makes writes beyond the limit on the length of files (`ulimit -f`) errors, in this thread, for as long
/// as it lives. Without that the system ends the process.
///
/// The profiler's threads call it. Whoever uses a [`Store`](crate::Store) without it should, too.
///
/// # Errors
///
/// When the system does not block the signal.
pub fn survive_file_size_limit() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGXFSZ);
        signals.thread_block()?;
    }
    Ok(())
}

/// The limit of this process, in bytes.
pub(crate) fn limit() -> Option<u64> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
        let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
        #[allow(clippy::unnecessary_cast)] // a signed number on some systems
        (limit != RLIM_INFINITY).then_some(limit as u64)
    }
    #[cfg(not(unix))]
    None
}

/// Whether an error of SQLite can be caused by the limit: something could not be written or extended. A
/// full disk has another error, and failures of reading or synchronising have other causes.
pub(crate) fn may_be_cause(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
    let codes = [SQLITE_IOERR_WRITE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_SHMSIZE];
    let code = error.sqlite_error().map(|error| error.extended_code);
    code.is_some_and(|code| codes.contains(&code))
}

/// The limit, if the database or a file beside it is so near to it that this must be why a write has
/// failed. SQLite does not say.
pub(crate) fn reached(database: &Path) -> Option<u64> {
    /// The size of the largest page.
    const NEAR: u64 = 64 << 10;
    let limit = limit()?;
    let beside = |suffix: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let is_near = |suffix: &&str| {
        let length = beside(suffix).metadata().map_or(0, |metadata| metadata.len());
        length.saturating_add(NEAR) >= limit
    };
    ["", "-wal", "-shm", "-journal"].iter().any(is_near).then_some(limit)
}

/// The message about it.
pub(crate) fn message(doing: &str, limit: u64) -> String {
    format!(
        "{doing}: a file has reached the limit on the length of files of this process, {limit} bytes \
         (ulimit -f), which is as a full disk; raise the limit, or keep the profile below it with \
         max_bytes"
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn only_what_cannot_be_written_is_put_down_to_the_limit() {
        let is_cause =
            |code| may_be_cause(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(is_cause(ffi::SQLITE_IOERR_WRITE) && is_cause(ffi::SQLITE_IOERR_SHMSIZE));
        let others = [
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_SHORT_READ,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_FULL,
            ffi::SQLITE_BUSY,
        ];
        assert_eq!(others.into_iter().find(|code| is_cause(*code)), None);
        assert!(!may_be_cause(&rusqlite::Error::QueryReturnedNoRows));
    }
}
