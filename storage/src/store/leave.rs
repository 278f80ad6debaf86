//! Closes a file whatever has become of it, and finds out how much of the run the next one to open it
//! will find.
//!
//! What was committed is in the main file and its log together. If the log cannot be merged, because
//! somebody reads, it has to be where the next one to open the main file looks for it. If that is not
//! possible, what is only in the log is lost, and has to be reported. Then the main file is read by
//! itself: a checkpoint that copies a part of the log ends with a whole transaction.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::recover::{keep_log, recovered, run_totals};
use super::{Recovered, Store};
use crate::checkpoint;
use crate::error::{Context, Error, ErrorKind};
use crate::location::{self, Location};
use crate::open;
use crate::watch::Found;

/// What a store has [left](Store::leave) behind.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Left {
    /// How much of the run the next one to open the file will find; `None` if that is everything that
    /// was appended.
    pub found: Option<Recovered>,
    /// Where the file is, if it was renamed and can be found.
    pub renamed_to: Option<PathBuf>,
    /// Whether a part is only in a write-ahead log beside the file, because somebody reads that; the
    /// next one to open both merges them.
    pub has_log: bool,
    /// What went wrong.
    pub error: Option<Error>,
}

impl Left {
    /// As far as is known, everything that was appended is there.
    fn all(error: Option<Error>) -> Self {
        Self { error, ..Self::default() }
    }

    fn only(found: Recovered, error: Option<Error>) -> Self {
        Self { found: Some(found), error, ..Self::default() }
    }
}

impl Store {
    /// Closes the file. When no other connection has it open, the write-ahead log is merged, the
    /// sidecars vanish, and what is left is one plain file that can be copied by its name.
    ///
    /// If the file was deleted, cut short or overwritten, nothing is merged: the file in its place is left
    /// as it is.
    ///
    /// # Errors
    ///
    /// When the log could not be merged; every commit is in the log then, and the next one to open
    /// the file merges it. Readers that have the file open are no error. When the file or its log is
    /// not what was written.
    pub fn close(self) -> Result<(), Error> {
        self.leave().error.map_or(Ok(()), Err)
    }

    /// As [`close`](Self::close). If the file was renamed, or its log removed, while it was written, also
    /// tells how much of the appended data the next one to open the file will find.
    ///
    /// # Blocking
    ///
    /// As for `close`; a file that was renamed waits for no reader.
    pub fn leave(mut self) -> Left {
        let mut left = match self.look() {
            Ok(Found::Away(Location::Removed) | Found::Spoiled) => {
                let lost = self.check_files().err();
                let detached = self.detach().err();
                self.watch.remove_sidecars();
                Left::only(Recovered::default(), lost.or(detached))
            }
            Ok(Found::LogSpoiled) => {
                let renamed_to = self.renamed_to();
                let lost = self.check_files().err().filter(|_| renamed_to.is_none());
                let main = renamed_to.clone().unwrap_or_else(|| self.full.clone());
                let found = self.main_alone(&main);
                self.watch.remove_sidecars();
                let renamed_to = renamed_to.filter(|to| !to.as_os_str().is_empty());
                Left { renamed_to, ..Left::only(found, lost) }
            }
            Ok(Found::Away(_)) => self.leave_renamed(),
            Ok(Found::LogAway | Found::IndexAway) => self.leave_without_sidecar(),
            Ok(Found::Whole) => {
                self.shield.release();
                Left::all(checkpoint::finish(&self.conn, &self.path).err())
            }
            Err(error) => Left::all(self.keep_log().err().or(Some(error))),
        };
        left.error = left.error.or(self.disconnect().err());
        left
    }

    /// The log or its index is not at its path.
    fn leave_without_sidecar(&mut self) -> Left {
        let full = self.full.clone();
        let placed = match self.merge_if(self.watch.may_merge()) {
            // SQLite deletes sidecars by their names, even those of others.
            Ok(()) if self.watch.others_at_path() => return Left::all(self.keep_log().err()),
            Ok(()) => {
                self.shield.release();
                return Left::all(checkpoint::finish(&self.conn, &self.path).err());
            }
            Err(error) if error.kind() == ErrorKind::Moved => Err(error),
            // A reader prevents it, or the disk is full: the next one finds the log at its path.
            Err(_) => {
                let doing = "put the write-ahead log back, which was removed and is still read";
                self.watch.place(&self.lock, &full).context(&self.path, doing)
            }
        };
        match placed {
            Ok(()) => Left { has_log: true, ..Left::all(self.keep_log().err()) },
            Err(error) => Left::only(self.main_alone(&full), Some(error)),
        }
    }

    /// The file has another name now. The log is moved there, and merged by a connection that has opened
    /// that name. If a reader prevents that, nothing is lost.
    fn leave_renamed(&mut self) -> Left {
        let name = self.name_now();
        let foreign = name.as_ref().map_or(Ok(false), |name| self.watch.has_foreign_log(name));
        let left = match self.place_beside(name) {
            Ok(name) => {
                let detached = self.detach().err();
                if !self.watch.is_index_at(&name) {
                    // It is not known who reads the file: a checkpoint would change what they see.
                    self.watch.remove_sidecars();
                    let renamed_to = Some(name);
                    return Left { has_log: true, renamed_to, ..Left::all(detached) };
                }
                match settle(&name) {
                    Ok(merged) => Left { has_log: !merged, ..Left::all(detached) },
                    Err(error) => Left { has_log: true, ..Left::all(detached.or(Some(error))) },
                }
            }
            Err(error) => match self.merge_if(foreign.map(|foreign| !foreign)) {
                // The log is not needed any more.
                Ok(()) => Left::all(self.detach().err()),
                Err(_) => {
                    let main = self.name_now().unwrap_or_default();
                    Left::only(self.main_alone(&main), Some(error))
                }
            },
        };
        // They must not be combined with the next file at this path.
        self.watch.remove_sidecars();
        Left { renamed_to: self.name_now(), ..left }
    }

    /// Copies all of the log into the main file, if that is safe.
    fn merge_if(&self, is_sound: io::Result<bool>) -> Result<(), Error> {
        if is_sound.context(&self.path, "look at the write-ahead log")? {
            return self.merge();
        }
        let message =
            "somebody has written a write-ahead log of his own, so that ours cannot be merged";
        Err(Error::new(ErrorKind::Moved, &self.path, message))
    }

    /// Moves the log beside a file that was renamed, and returns where the file is.
    fn place_beside(&self, mut name: Option<PathBuf>) -> Result<PathBuf, Error> {
        const TRIES: usize = 3;
        let doing = "move the write-ahead log, which is still read, to the new name of the file";
        for _ in 0..TRIES {
            let Some(to) = name else { break };
            self.watch.place(&self.lock, &to).context(&self.path, doing)?;
            // The file may have been renamed again.
            name = self.name_now();
            if name.as_ref() == Some(&to) {
                return Ok(to);
            }
        }
        let message = format!("{doing}: that cannot be found");
        Err(Error::new(ErrorKind::Moved, &self.path, message))
    }

    /// Where the file is, if not at its path; an empty path if it cannot be found.
    fn renamed_to(&self) -> Option<PathBuf> {
        let file = self.lock.file().ok()?;
        match location::locate(file, self.lock.id(), &self.full) {
            Ok(Location::Renamed) => Some(self.name_now().unwrap_or_default()),
            _ => None,
        }
    }

    fn name_now(&self) -> Option<PathBuf> {
        location::find(self.lock.file().ok()?, self.lock.id(), &self.full)
    }

    /// How much of the run the main file has without its log; nothing if it cannot be read. The
    /// connection is closed first.
    fn main_alone(&mut self, main: &Path) -> Recovered {
        let run_id = self.run_id().unwrap_or(0);
        let detached = self.detach();
        let (is_torn, bytes) = (self.is_torn, self.file_bytes());
        let read = |conn: Connection| -> rusqlite::Result<Option<_>> {
            open::harden(&conn)?;
            open::run_nothing(&conn)?;
            if is_torn && (bytes > TORN_BYTES_MAX || !is_sound(&conn)?) {
                return Ok(None);
            }
            run_totals(&conn, run_id, is_torn).map(Some)
        };
        let found = detached.ok().and_then(|()| open_alone(main).and_then(read).ok().flatten());
        found.map(recovered).unwrap_or_default()
    }

    fn keep_log(&self) -> Result<(), Error> {
        keep_log(&self.conn).context(&self.path, "close")
    }

    /// Closes the connection without further ado, and then releases the lock.
    fn disconnect(self) -> Result<(), Error> {
        let Self { shield, conn, lock, path, .. } = self;
        drop(shield);
        let closed = conn.close().map_err(|(conn, source)| {
            // This cannot happen, as statements never outlive a call; but the lock must not be released
            // first.
            drop(conn);
            Error::sqlite(&path, "close", source)
        });
        drop(lock);
        closed
    }
}

/// If a part of the log is missing, a larger file is not looked through: that would take 1 ms a MiB, in
/// which nothing is recorded. It counts as lost.
const TORN_BYTES_MAX: u64 = 1 << 30;

fn is_sound(conn: &Connection) -> rusqlite::Result<bool> {
    let verdict = conn.query_row("PRAGMA main.quick_check(1)", [], |row| row.get::<_, String>(0));
    verdict.map(|verdict| verdict == "ok")
}

/// Makes one plain file of a profile under its new name, unless somebody has it open. Waits for nobody,
/// as the recording goes on in another file. Only a connection that has opened the new name can do this.
/// Returns whether the file alone has everything.
fn settle(name: &Path) -> Result<bool, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(name, flags).context(name, "open")?;
    open::harden(&conn).and_then(|()| open::run_nothing(&conn)).context(name, "open")?;
    conn.busy_timeout(Duration::ZERO).context(name, "open")?;
    let merged = match checkpoint::run(&conn, name, false) {
        Ok(()) => checkpoint::finish(&conn, name).map(|()| true),
        Err(error) if error.kind() == ErrorKind::Busy => Ok(false),
        Err(error) => Err(error),
    };
    let closed = conn.close().map_err(|(_, source)| Error::sqlite(name, "close", source));
    merged.and_then(|merged| closed.map(|()| merged))
}

/// Opens a main file without its log and without locks: nobody writes to it, or it would not have been
/// left.
fn open_alone(main: &Path) -> rusqlite::Result<Connection> {
    let mut uri = OsString::from("file:");
    for byte in main.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte).to_string()),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte).to_string()),
            byte => uri.push(format!("%{byte:02X}")),
        }
    }
    uri.push("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Connection::open_with_flags(uri, flags)
}
