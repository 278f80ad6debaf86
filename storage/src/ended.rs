//! A profile that no process records into, locked in order to be changed as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Context, Error, ErrorKind};
use crate::lock::{self, StoreLock};
use crate::open;
use crate::options::StoreOptions;

/// A profile, under the lock that keeps recorders away.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The path as it was given, for messages.
    path: &'a Path,
    pub(crate) full: PathBuf,
    pub(crate) lock: StoreLock,
    /// Bytes of the file, without its log.
    pub bytes_before: u64,
}

impl<'a> Ended<'a> {
    /// Finds the file, and takes the lock; an empty one is none.
    ///
    /// # Errors
    ///
    /// When there is no such profile, or somebody records into it.
    pub fn lock(path: &'a Path) -> Result<Self, Error> {
        let found = fs::symlink_metadata(path)
            .map_err(|source| cannot_find(path, "look at the file", source))?;
        lock::check_type(path, &found)?;
        let full =
            path.canonicalize().map_err(|source| cannot_find(path, "resolve the path", source))?;
        let bytes_before = bytes(path, &full)?;
        if bytes_before == 0 {
            let message = "not a profile: it is empty; choose another path";
            return Err(Error::new(ErrorKind::NotADatabase, path, message));
        }
        let lock = StoreLock::acquire(path, &full)?;
        Ok(Self { path, full, lock, bytes_before })
    }

    /// Opens it; what an earlier version has made is brought up to this one.
    ///
    /// # Errors
    ///
    /// As for [`Store::open`](crate::Store::open).
    pub fn connect(&self, options: &StoreOptions) -> Result<Connection, Error> {
        open::connect(self.path, &self.full, &self.lock, options)
    }

    /// Closes the connection, gives the lock up, and says what came of it all: how many bytes the file has
    /// then, if nothing went wrong.
    ///
    /// # Errors
    ///
    /// What went wrong with `done`, or with closing it.
    pub fn close<T>(self, conn: Connection, done: Result<T, Error>) -> Result<(T, u64), Error> {
        let Self { path, full, lock, .. } = self;
        let closed = conn.close().map_err(|(_, source)| Error::sqlite(path, "close", source));
        drop(lock);
        let done = done?;
        closed?;
        Ok((done, bytes(path, &full)?))
    }
}

fn bytes(path: &Path, full: &Path) -> Result<u64, Error> {
    Ok(fs::metadata(full).context(path, "look at the file")?.len())
}

/// The error for a path that should name a profile.
pub(crate) fn cannot_find(path: &Path, doing: &str, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::NotFound {
        let message = "there is no such file; check the path, or record something first";
        return Error::new(ErrorKind::NotFound, path, message);
    }
    Error::io(path, doing, source)
}
