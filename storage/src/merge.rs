//! Merges the write-ahead log that a recording has left behind into its profile, and does nothing else.
//!
//! A log is left if the recorder was killed, or if somebody still read the file when it was closed.
//! Until it is merged the profile is two files, and the main one alone may hold no span.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::checkpoint::{self, wal_path};
use crate::compat;
use crate::ended::Ended;
use crate::error::{Context, Error, ErrorKind};
use crate::open::{check_header, check_version, harden};
use crate::options::StoreOptions;
use crate::schema::{self, Use};

/// What merging did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// Bytes of the log before; 0 if there was nothing to merge.
    pub log_bytes: u64,
    /// Bytes of the profile before, without its log.
    pub bytes_before: u64,
    /// Bytes of the profile afterwards.
    pub bytes_after: u64,
}

/// Merges the write-ahead log of a profile that nobody records into, so that it is one file again.
/// Without a log nothing is touched.
///
/// # Errors
///
/// `InUse` while somebody records into it; `Busy` while somebody reads what is only in the log;
/// `PermissionDenied` where the file or its folder cannot be written; otherwise as for
/// [`ReadOnly::open`](crate::ReadOnly::open).
///
/// # Blocking
///
/// Copies the log, some 3 ms a MiB, and waits for the disk.
pub fn merge(path: impl AsRef<Path>) -> Result<Merged, Error> {
    merge_at(path.as_ref())
}

fn merge_at(path: &Path) -> Result<Merged, Error> {
    let profile = Ended::lock(path)?;
    let bytes_before = profile.bytes_before;
    check_header(path, profile.lock.file().context(path, "look at the file")?)?;
    let log = wal_path(&profile.full);
    let log_bytes = log.metadata().map_or(0, |log| log.len());
    if !log.exists() {
        return Ok(Merged { log_bytes, bytes_before, bytes_after: bytes_before });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut conn = Connection::open_with_flags(&profile.full, flags).context(path, "open")?;
    let merged = merge_log(path, &mut conn);
    let ((), bytes_after) = profile.close(conn, merged)?;
    Ok(Merged { log_bytes, bytes_before, bytes_after })
}

fn merge_log(path: &Path, conn: &mut Connection) -> Result<(), Error> {
    conn.busy_timeout(StoreOptions::default().busy_timeout).context(path, "open")?;
    harden(conn).context(path, "open")?;
    if compat::is_read_only(conn).context(path, "open")? {
        let message = "cannot be written, so its log cannot be merged; copy both files to a folder of \
                       your own, and merge there";
        return Err(Error::new(ErrorKind::PermissionDenied, path, message));
    }
    check_version(path, conn)?;
    schema::inspect(path, conn, Use::Reading)?;
    match checkpoint::run(conn, path, true) {
        // If somebody has the file open without reading, only an empty log is left.
        Ok(()) => checkpoint::finish(conn, path),
        Err(error) if error.kind() == ErrorKind::Busy => {
            let message = "somebody reads what is only in the log, which was not merged; end that, and \
                           merge again";
            Err(Error::new(ErrorKind::Busy, path, message))
        }
        Err(error) => Err(error),
    }
}
