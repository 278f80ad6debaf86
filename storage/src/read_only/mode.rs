//! How a profile is opened for reading: whether others may use it, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags};

use crate::checkpoint::wal_path;
use crate::error::{Error, ErrorKind};
use crate::lock::ReaderMark;

/// How SQLite is told to read.
#[derive(Debug)]
pub(super) enum Mode {
    /// With locks, and the index that all connections share.
    Shared,
    /// Without locks; the log, if there is one, is empty.
    Immutable(Sidecars),
    /// Without locks, and with an index of the log in the memory of this connection: SQLite makes one
    /// there in [exclusive locking mode], and nobody else uses the file.
    ///
    /// [exclusive locking mode]: https://sqlite.org/wal.html#use_of_wal_without_shared_memory
    Alone(Sidecars),
}

impl Mode {
    pub(super) fn immutable(full: &Path) -> Self {
        Self::Immutable(Sidecars::look(full))
    }

    /// For a file whose index cannot be made, as `error` says.
    ///
    /// # Errors
    ///
    /// When somebody uses the file, or when that cannot be known.
    pub(super) fn alone(
        path: &Path,
        full: &Path,
        mark: &ReaderMark,
        error: Error,
    ) -> Result<Self, Error> {
        let sidecars = Sidecars::look(full);
        // If the index exists, SQLite's error says all there is to say.
        if sidecars.index.is_some() || !cfg!(unix) {
            return Err(error);
        }
        if mark.is_file_in_use(full) {
            let message = "its write-ahead log cannot be read here, as the folder is read-only and another \
                           program has the profile open; read it there, or copy it together with its -wal \
                           once that program has ended";
            return Err(Error::new(ErrorKind::PermissionDenied, path, message));
        }
        Ok(Self::Alone(sidecars))
    }

    pub(super) fn connect(&self, full: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let uri_flags = flags | OpenFlags::SQLITE_OPEN_URI;
        match self {
            Self::Shared => Connection::open_with_flags(full, flags),
            Self::Immutable(_) => Connection::open_with_flags(uri(full, "immutable=1"), uri_flags),
            Self::Alone(_) => {
                let conn = Connection::open_with_flags(uri(full, "vfs=unix-none"), uri_flags)?;
                conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
                Ok(conn)
            }
        }
    }

    /// Whether there should be a log, and is none.
    pub(super) fn lacks_log(&self) -> bool {
        matches!(self, Self::Immutable(sidecars) if sidecars.log.is_none())
    }

    /// Whether still nobody uses a file that nobody used.
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Shared => true,
            Self::Immutable(seen) | Self::Alone(seen) => seen.are_as_they_were(),
        }
    }
}

/// The log and its index: length and last change, if they are there.
#[derive(Debug)]
pub(super) struct Sidecars {
    paths: [PathBuf; 2],
    log: Option<(u64, SystemTime)>,
    index: Option<(u64, SystemTime)>,
}

impl Sidecars {
    fn look(full: &Path) -> Self {
        let mut index = full.as_os_str().to_owned();
        index.push("-shm");
        let paths = [wal_path(full), PathBuf::from(index)];
        let [log, index] = [look_at(&paths[0]), look_at(&paths[1])];
        Self { paths, log, index }
    }

    fn are_as_they_were(&self) -> bool {
        let [log, index] = &self.paths;
        (look_at(log), look_at(index)) == (self.log, self.index)
    }
}

fn look_at(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
}

/// The path as a URI with a parameter: <https://sqlite.org/uri.html>.
fn uri(full: &Path, parameter: &str) -> PathBuf {
    let mut uri = String::from("file:");
    for byte in full.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            byte => {
                uri.push('%');
                uri.extend(
                    [byte >> 4, byte & 15]
                        .iter()
                        .filter_map(|digit| char::from_digit(u32::from(*digit), 16)),
                );
            }
        }
    }
    uri.push('?');
    uri.push_str(parameter);
    PathBuf::from(uri)
}
