//! A copy of a profile as it is at one moment, even while somebody records into it.
//!
//! The pages are read in one read transaction of a separate connection. The recording goes on meanwhile;
//! but its log cannot start again from the beginning, so it grows by what is recorded until the copy is
//! made. That is bounded in time and in bytes. (`VACUUM INTO` would hold the same transaction for
//! longer, because it sorts all rows again; SQLite's backup without a transaction starts over with each
//! commit of another connection.)
//!
//! The copy is made beside its path and gets its name when it is complete. So there is never half a
//! copy, and another file is never replaced.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::checkpoint::{self, wal_path};
use crate::error::{Context, Error, ErrorKind};
use crate::lock;
use crate::open::{full_path, harden};
use crate::read_only::ReadOnly;

/// Pages that are copied between two checks of the time: about a MiB.
const PAGES: i32 = 64;

/// What a copy of a profile contains.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Where it is, without symbolic links among its folders.
    pub path: PathBuf,
    /// Spans of all runs in it.
    pub spans: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Copies the profile at `profile` to a new file, of mode 0600: everything that is committed at one
/// moment, in one file that needs no others. A run that goes on has not ended in the copy.
///
/// `log_bytes_max` is how long the write-ahead log may become meanwhile before the copy is given up, so
/// that it is not the recording that suffers.
///
/// # Errors
///
/// `Exists` if there is something at `to`; `TimedOut` after `timeout`; `WalFull` if the log has grown too
/// long; otherwise as for [`ReadOnly::open`], and what writing a file brings about. Nothing is left
/// behind then.
///
/// # Blocking
///
/// Reads and writes all of the file: some 2 s for a GB. A recording is not held up.
pub fn snapshot(
    profile: impl AsRef<Path>,
    to: impl AsRef<Path>,
    timeout: Duration,
    log_bytes_max: u64,
) -> Result<Snapshot, Error> {
    snapshot_of(profile.as_ref(), to.as_ref(), timeout, log_bytes_max)
}

fn snapshot_of(
    profile: &Path,
    to: &Path,
    timeout: Duration,
    log_bytes_max: u64,
) -> Result<Snapshot, Error> {
    let limit = Limit {
        // `None` if it is beyond what the clock can represent.
        deadline: Instant::now().checked_add(timeout),
        timeout,
        log: profile.canonicalize().map_or_else(|_| wal_path(profile), |full| wal_path(&full)),
        log_bytes_max,
    };
    let full = full_path(to)?;
    if full.symlink_metadata().is_ok() {
        return Err(exists(to));
    }
    let reader = ReadOnly::open(profile)?;
    let temporary = Temporary::create(to, &full)?;
    copy(&reader, to, &temporary.path, &limit)?;
    drop(reader);
    settle(to, &temporary.path)?;
    temporary.name(to, &full)?;
    let sql = "SELECT coalesce(sum(max(spans - pruned_spans, 0)), 0) FROM run";
    let spans = ReadOnly::open(&full)?
        .query("count the spans", |tx| tx.query_row(sql, [], |row| row.get::<_, i64>(0)))?
        as u64;
    let bytes = full.metadata().context(to, "look at the copy")?.len();
    Ok(Snapshot { path: full, spans, bytes })
}

struct Limit {
    deadline: Option<Instant>,
    timeout: Duration,
    log: PathBuf,
    log_bytes_max: u64,
}

impl Limit {
    fn check(&self, to: &Path) -> Result<(), Error> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let message =
                format!("the copy was not made within {:?}; allow it more time", self.timeout);
            return Err(Error::new(ErrorKind::TimedOut, to, message));
        }
        let log_bytes = self.log.metadata().map_or(0, |log| log.len());
        if log_bytes > self.log_bytes_max {
            let message = format!(
                "given up, as the write-ahead log grew to {log_bytes} bytes while the copy was made; \
                 take it when less is recorded, or raise wal_bytes_max"
            );
            return Err(Error::new(ErrorKind::WalFull, to, message));
        }
        Ok(())
    }
}

/// Copies all pages as of one moment.
fn copy(reader: &ReadOnly, to: &Path, temporary: &Path, limit: &Limit) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let doing = "copy the profile";
    let tx = reader.begin()?;
    // The transaction's moment is that of its first read.
    tx.query_row("SELECT count(*) FROM run", [], |row| row.get::<_, i64>(0))
        .context(reader.path(), "read")?;
    let mut conn = Connection::open_with_flags(temporary, flags).context(to, "open")?;
    // Half a copy is deleted, and a complete one is synced at the end.
    let set = conn
        .pragma_update(None, "synchronous", "OFF")
        .and_then(|()| conn.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(())));
    set.context(to, "open")?;
    let backup = Backup::new(&tx, &mut conn).context(to, doing)?;
    loop {
        limit.check(to)?;
        match backup.step(PAGES).context(to, doing)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Another connection has the lock for a moment.
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Leaves write-ahead mode, as a recording does at its end, and waits for the disk.
fn settle(to: &Path, temporary: &Path) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(temporary, flags).context(to, "open")?;
    harden(&conn).context(to, "open")?;
    checkpoint::finish(&conn, to)?;
    conn.close().map_err(|(_, source)| Error::sqlite(to, "close", source))?;
    // No connection has it open by now.
    File::open(temporary).and_then(|file| file.sync_all()).context(to, "write")
}

/// The copy while it has no name yet; removed when it is dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn create(to: &Path, full: &Path) -> Result<Self, Error> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only has to differ.
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let mut name = full.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{number}.part", std::process::id()));
        let path = full.with_file_name(name);
        drop(lock::create(to, &path)?);
        Ok(Self { path })
    }

    /// Gives it its name, unless something has it by now.
    fn name(self, to: &Path, full: &Path) -> Result<(), Error> {
        let named = match fs::hard_link(&self.path, full) {
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => return Err(exists(to)),
            // On a file system without links: an empty file takes the name first, and is replaced then.
            Err(_) => match lock::create(to, full) {
                Ok(file) => {
                    drop(file);
                    fs::rename(&self.path, full)
                }
                Err(_) if full.symlink_metadata().is_ok() => return Err(exists(to)),
                Err(error) => return Err(error),
            },
            Ok(()) => Ok(()),
        };
        named.context(to, "name the copy")?;
        #[cfg(unix)]
        if let Some(folder) = full.parent() {
            // Not all file systems can sync a folder. The copy exists anyway.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            // Most of them do not exist.
            let _ = fs::remove_file(name);
        }
    }
}

fn exists(to: &Path) -> Error {
    Error::new(ErrorKind::Exists, to, "there is something at this path already; choose another one")
}
