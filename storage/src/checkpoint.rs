//! The write-ahead log: its size, its cap, and merging it into the main file.
//!
//! SQLite starts the log again from its beginning at the first commit after all of it was copied. The
//! log file keeps its length up to [`file_bytes_max`], because cutting it and extending it again costs a
//! tenth of a commit; if it has become longer, as after a reader that stayed, it is cut. So the size in
//! use is not the length of the file but the number of frames, which SQLite tells.
//!
//! SQLite before 3.51 tells that only with a checkpoint. There the file is cut whenever the log starts
//! again, so that its length is the size in use.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row};

use crate::append::{Appended, elapsed_ns};
use crate::error::{Context, Error, ErrorKind};
use crate::options::StoreOptions;
use crate::sqlite::SqliteVersion;

/// A log starts with this many bytes, and each page has so many of its own before it:
/// <https://sqlite.org/fileformat2.html#the_write_ahead_log>.
const HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// After a checkpoint the next one waits at least for so many times what the last one took ... With ten,
/// the log would reach its limit at a million rows a second: each checkpoint would take longer than the
/// one before.
const PAUSE: u32 = 3;
/// ... unless the log has grown to so many times the size at which one is due.
const CHECKPOINTS_AT_ONCE: u64 = 8;

/// Whether SQLite tells the size of a log without copying it. Older versions do not know the mode, and
/// take it for PASSIVE.
pub(crate) fn counts_frames() -> bool {
    SqliteVersion::linked() >= SqliteVersion::TELLS_FRAMES
}

#[derive(Debug)]
pub(crate) struct Wal {
    path: PathBuf,
    counts_frames: bool,
    frame_bytes: u64,
    /// Size at the last checkpoint that could not copy everything: it is not tried again with each
    /// commit.
    held_back: u64,
    last: Option<Last>,
}

/// The checkpoint before.
#[derive(Debug)]
struct Last {
    ended: Instant,
    took: Duration,
}

/// Frames in the log, and how many of them are in the main file.
struct Frames {
    all: i64,
    copied: i64,
}

impl Frames {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { all: row.get(1)?, copied: row.get(2)? })
    }
}

impl Wal {
    pub(crate) fn new(conn: &Connection, database: &Path) -> rusqlite::Result<Self> {
        let page_bytes: u32 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let frame_bytes = FRAME_HEADER_BYTES + u64::from(page_bytes);
        let counts_frames = counts_frames();
        Ok(Self { path: wal_path(database), counts_frames, frame_bytes, held_back: 0, last: None })
    }

    /// The length of its file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The size in use: all of it until the first commit after a complete checkpoint.
    fn bytes(&self, frames: &Frames) -> u64 {
        let frames = u64::try_from(frames.all).unwrap_or(0);
        if frames == 0 { 0 } else { HEADER_BYTES + frames * self.frame_bytes }
    }

    /// Bytes of the log that are in use and not yet in the main file, even if others have started the
    /// log again. `None` if SQLite does not tell.
    pub(crate) fn needed_bytes(&self, conn: &Connection) -> rusqlite::Result<Option<u64>> {
        // Nothing can be copied from an empty file.
        if !self.counts_frames && self.file_bytes() > 0 {
            return Ok(None);
        }
        let frames = look(conn)?;
        Ok(Some(if frames.copied == frames.all { 0 } else { self.bytes(&frames) }))
    }

    /// The length of the log file after a commit, if it is cut when the log starts again.
    pub(crate) fn bytes_after_cut(&self) -> Option<u64> {
        (!self.counts_frames).then(|| self.file_bytes())
    }

    /// Bytes of the log that are in use.
    fn used_bytes(&self, conn: &Connection) -> rusqlite::Result<u64> {
        Ok(if self.counts_frames { self.bytes(&look(conn)?) } else { self.file_bytes() })
    }

    /// Frames in the log, and how many of them are in the main file as well.
    pub(crate) fn frames(conn: &Connection) -> rusqlite::Result<(u32, u32)> {
        let Frames { all, copied } = look(conn)?;
        let number = |frames| u32::try_from(frames).unwrap_or(0);
        Ok((number(all), number(copied)))
    }

    /// Returns an error if the log is at its cap and cannot be emptied.
    pub(crate) fn make_room(
        &mut self,
        conn: &Connection,
        path: &Path,
        bytes_max: u64,
    ) -> Result<(), Error> {
        // Never less than the size in use, and known without a lock.
        if self.file_bytes() < bytes_max {
            return Ok(());
        }
        let frames = passive(conn).context(path, "checkpoint")?;
        let bytes = self.bytes(&frames);
        if frames.copied == frames.all || bytes < bytes_max {
            return Ok(());
        }
        let message = format!(
            "the write-ahead log has {bytes} bytes and its cap is {bytes_max}: a reader has held \
             a transaction open too long; end it, or raise the cap"
        );
        Err(Error::new(ErrorKind::WalFull, path, message))
    }

    /// Makes a checkpoint when the log has grown to `checkpoint_bytes`; later if the last checkpoint
    /// took long.
    pub(crate) fn after_commit(
        &mut self,
        conn: &Connection,
        path: &Path,
        options: &StoreOptions,
        appended: &mut Appended,
    ) {
        let bytes = match self.used_bytes(conn).context(path, "look at the write-ahead log") {
            Ok(bytes) => bytes,
            Err(error) => {
                appended.checkpoint_error = Some(error);
                self.file_bytes()
            }
        };
        appended.wal_bytes = bytes;
        if bytes < self.held_back {
            self.held_back = 0;
        }
        if bytes < options.checkpoint_bytes.max(self.held_back) {
            return;
        }
        // Most of a checkpoint is waiting for the disk, twice, however much there is to write. If that
        // takes long, fewer and larger checkpoints leave more time for everything else.
        let rested = |last: &Last| last.ended.elapsed() >= last.took.saturating_mul(PAUSE);
        if bytes < file_bytes_max(options) && !self.last.as_ref().is_none_or(rested) {
            return;
        }
        let started = Instant::now();
        match passive(conn).context(path, "checkpoint") {
            Ok(frames) if frames.copied == frames.all => self.held_back = 0,
            Ok(frames) => {
                self.held_back = bytes + options.checkpoint_bytes / 4;
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
        self.last = Some(Last { ended: Instant::now(), took: started.elapsed() });
    }
}

pub(crate) fn wal_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    PathBuf::from(path)
}

/// The size at which a checkpoint is made if no reader prevents it; the log file keeps this length.
pub(crate) fn file_bytes_max(options: &StoreOptions) -> u64 {
    let many = options.checkpoint_bytes.saturating_mul(CHECKPOINTS_AT_ONCE);
    many.min(options.wal_bytes_max / 2).max(options.checkpoint_bytes)
}

/// The length that the log file keeps when the log starts again.
pub(crate) fn file_bytes_kept(options: &StoreOptions, counts_frames: bool) -> u64 {
    if counts_frames { file_bytes_max(options) } else { 0 }
}

fn passive(conn: &Connection) -> rusqlite::Result<Frames> {
    // This never waits: in this mode the busy handler is not called.
    conn.query_row("PRAGMA main.wal_checkpoint(PASSIVE)", [], Frames::read)
}

/// The frames, without a checkpoint.
fn look(conn: &Connection) -> rusqlite::Result<Frames> {
    conn.query_row("PRAGMA main.wal_checkpoint(NOOP)", [], Frames::read)
}

/// Merges the log into the file, and empties it if `truncate`.
///
/// # Errors
///
/// `Busy` if a reader keeps a part of it.
pub fn run(conn: &Connection, path: &Path, truncate: bool) -> Result<(), Error> {
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
///
/// # Errors
///
/// What SQLite says.
pub fn finish(conn: &Connection, path: &Path) -> Result<(), Error> {
    match run(conn, path, true) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Busy => return Ok(()),
        Err(error) => return Err(error),
    }
    conn.busy_timeout(std::time::Duration::ZERO).context(path, "close")?;
    let left = conn.query_row("PRAGMA main.journal_mode = DELETE", [], |_| Ok(()));
    match left.context(path, "leave write-ahead mode") {
        Err(error) if error.kind() != ErrorKind::Busy => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As with SQLite before 3.51: a database of three commits, whose log file is cut when the log
    /// starts again.
    fn old(folder: &Path) -> (Connection, Wal) {
        let path = folder.join("p.db");
        let conn = Connection::open(&path).unwrap();
        let set = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                   PRAGMA journal_size_limit = 0; CREATE TABLE t (x);";
        conn.execute_batch(set).unwrap();
        let wal = Wal { counts_frames: false, ..Wal::new(&conn, &path).unwrap() };
        assert_eq!(file_bytes_kept(&StoreOptions::default(), false), 0);
        (conn, wal)
    }

    fn insert(conn: &Connection, bytes: u32) {
        conn.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes]).unwrap();
    }

    #[test]
    fn without_counting_frames_the_length_of_the_file_is_what_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let (conn, mut wal) = old(folder.path());
        let options = StoreOptions { checkpoint_bytes: 100_000, ..StoreOptions::default() };
        let mut appended = Appended::default();
        insert(&conn, 50_000);
        wal.after_commit(&conn, folder.path(), &options, &mut appended);
        // SQLite itself says so where it can.
        if counts_frames() {
            let frames = look(&conn).unwrap();
            assert_eq!((appended.wal_bytes, frames.copied), (wal.bytes(&frames), 0));
        }
        insert(&conn, 100_000);
        wal.after_commit(&conn, folder.path(), &options, &mut appended);
        assert!(appended.wal_bytes > 150_000 && appended.checkpoint_error.is_none());
        assert!(appended.checkpoint_ns > 0, "one was due");
        insert(&conn, 10);
        wal.after_commit(&conn, folder.path(), &options, &mut appended);
        assert!(appended.wal_bytes < 50_000, "{}", appended.wal_bytes);
    }

    #[test]
    fn a_log_that_may_be_spoiled_is_not_copied_to_find_out_how_long_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (conn, wal) = old(folder.path());
        let path = folder.path().join("p.db");
        let before = std::fs::metadata(&path).unwrap().len();
        insert(&conn, 50_000);
        assert_eq!(wal.needed_bytes(&conn).unwrap(), None);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
    }
}
