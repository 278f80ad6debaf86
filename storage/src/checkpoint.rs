//! The write-ahead log: its size, its cap, and its way into the main file.
//!
//! SQLite starts the log anew at the first commit after all of it was copied, and cuts it to what
//! that commit wrote (`journal_size_limit` is 0). So the length of the log is what is in use,
//! but for the time between a complete checkpoint and the next commit.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::Connection;

use crate::append::{Appended, elapsed_ns};
use crate::error::{Context, Error, ErrorKind};

#[derive(Debug)]
pub(crate) struct Wal {
    path: PathBuf,
    /// Length at the last checkpoint that could not copy all, so as not to try at each commit.
    held_back: u64,
}

/// Frames in the log, and how many of them are in the main file.
struct Frames {
    all: i64,
    copied: i64,
}

impl Wal {
    pub(crate) fn new(database: &Path) -> Self {
        Self { path: wal_path(database), held_back: 0 }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Refuses when the log is at its cap and cannot be emptied.
    pub(crate) fn make_room(
        &mut self,
        conn: &Connection,
        path: &Path,
        bytes_max: u64,
    ) -> Result<(), Error> {
        let bytes = self.bytes();
        if bytes < bytes_max {
            return Ok(());
        }
        let frames = passive(conn).context(path, "checkpoint")?;
        if frames.copied == frames.all {
            return Ok(());
        }
        let message = format!(
            "the write-ahead log has {bytes} bytes and its cap is {bytes_max}: a reader has held \
             a transaction open too long; end it, or raise the cap"
        );
        Err(Error::new(ErrorKind::WalFull, path, message))
    }

    /// Checkpoints when the log has grown to `checkpoint_bytes`.
    pub(crate) fn after_commit(
        &mut self,
        conn: &Connection,
        path: &Path,
        checkpoint_bytes: u64,
        appended: &mut Appended,
    ) {
        let bytes = self.bytes();
        appended.wal_bytes = bytes;
        if bytes < self.held_back {
            self.held_back = 0;
        }
        if bytes < checkpoint_bytes.max(self.held_back) {
            return;
        }
        let started = Instant::now();
        match passive(conn).context(path, "checkpoint") {
            Ok(frames) if frames.copied == frames.all => self.held_back = 0,
            Ok(frames) => {
                self.held_back = bytes + checkpoint_bytes / 4;
                let message = format!(
                    "a reader keeps {} of {} pages of the write-ahead log from the main file; end \
                     its transaction",
                    frames.all - frames.copied,
                    frames.all
                );
                appended.checkpoint_error = Some(Error::new(ErrorKind::Busy, path, message));
            }
            Err(error) => appended.checkpoint_error = Some(error),
        }
        appended.checkpoint_ns = elapsed_ns(started);
    }
}

pub(crate) fn wal_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    PathBuf::from(path)
}

fn passive(conn: &Connection) -> rusqlite::Result<Frames> {
    // Not allowed to wait: the busy handler is not called in this mode.
    conn.query_row("PRAGMA main.wal_checkpoint(PASSIVE)", [], |row| {
        Ok(Frames { all: row.get(1)?, copied: row.get(2)? })
    })
}

pub(crate) fn run(conn: &Connection, path: &Path, truncate: bool) -> Result<(), Error> {
    let complete = if truncate {
        conn.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |row| {
            row.get(0).map(|b: i64| b == 0)
        })
    } else {
        passive(conn).map(|frames| frames.copied == frames.all)
    };
    if complete.context(path, "checkpoint")? {
        return Ok(());
    }
    let message = "a reader keeps a part of the write-ahead log; end its transaction";
    Err(Error::new(ErrorKind::Busy, path, message))
}

/// Merges the log and leaves write-ahead mode, which takes the sidecars away; readers that have the
/// file open prevent it, and the next store to close it tries again.
pub(crate) fn finish(conn: &Connection, path: &Path) -> Result<(), Error> {
    match run(conn, path, true) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Busy => return Ok(()),
        Err(error) => return Err(error),
    }
    conn.busy_timeout(std::time::Duration::ZERO).context(path, "close")?;
    let left = conn.pragma_update_and_check(Some("main"), "journal_mode", "DELETE", |_| Ok(()));
    match left.context(path, "leave write-ahead mode") {
        Err(error) if error.kind() != ErrorKind::Busy => Err(error),
        _ => Ok(()),
    }
}
