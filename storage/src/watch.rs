//! Whether the files of a store are still those that it has open, and as long as it left them.
//!
//! SQLite goes on without an error in a file that was deleted, with a log that somebody has removed, and
//! in files that were cut short under it (`: > profile.db`, a log rotation that copies and truncates).
//! So the store checks them before it writes, afterwards, and once a second. A check is some eight
//! system calls.
//!
//! What can be known:
//!
//! * the main file and the log keep their identity (device and inode), and so does the index;
//! * the main file has at least the pages that its header says, and its header changes only as expected;
//! * the log has at least the frames that the store has committed since it last started from the
//!   beginning.
//!
//! An index that was cut short is made long again: SQLite reads the log again if it finds zeros in the
//! index. Only if this happens while SQLite is at work, nothing can be done: the system kills the
//! process with SIGBUS.

mod index;
mod place;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::wal_path;
use crate::held::Held;
use crate::location::{self, Location};
use crate::lock::{FileId, StoreLock, file_id, read_at_start};

/// The state of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Whole,
    /// The main file is not at its path.
    Away(Location),
    /// The main file was cut short, or overwritten.
    Spoiled,
    /// The log was cut short, or overwritten: what is only in it cannot be read any more.
    LogSpoiled,
    /// The log is not at its path, but open, and whole.
    LogAway,
    /// The log is at its path, but its index is not.
    IndexAway,
}

/// What is at the path of a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtPath {
    Ours,
    Nothing,
    /// Another file, with so many bytes.
    Other(u64),
    /// A symbolic link, a folder or the like, which SQLite does not open.
    NoFile,
}

#[derive(Debug)]
struct Sidecar {
    path: PathBuf,
    file: Arc<Held>,
    id: FileId,
}

/// The files that a store has open.
#[derive(Debug)]
pub(crate) struct Watch {
    log: Sidecar,
    /// `None` if nobody else may read the file: then the index is in memory.
    index: Option<Sidecar>,
    main_bytes: u64,
    /// The change counter in the header of the main file.
    changes: u32,
    /// How many bytes of the log are in use.
    log_bytes: u64,
    index_bytes: u64,
}

impl Watch {
    /// Has to be called after SQLite has made the sidecars.
    pub(crate) fn new(lock: &StoreLock, full: &Path, live_readers: bool) -> io::Result<Self> {
        // SQLite does not lock the log, so descriptors of it can be closed. It locks the index.
        let log = Sidecar::new(wal_path(full), |path, _| {
            open(path, false).map(|file| Arc::new(Held::new(file)))
        })?;
        let index = |path: &Path, id: &FileId| lock.index(id, || open(path, true));
        let index = live_readers.then(|| Sidecar::new(index_path(full), index)).transpose()?;
        let mut watch =
            Self { log, index, main_bytes: 0, changes: 0, log_bytes: 0, index_bytes: 0 };
        if watch.look(lock, full)? != Found::Whole {
            return Err(io::Error::other("the files were replaced while they were being opened"));
        }
        Ok(watch)
    }

    /// The descriptor of the index.
    pub(crate) fn index(&self) -> Option<Arc<Held>> {
        self.index.as_ref().map(|index| Arc::clone(&index.file))
    }

    /// Sets how many bytes of the log are in use.
    pub(crate) fn set_log_bytes(&mut self, bytes: u64) {
        self.log_bytes = bytes;
    }

    pub(crate) fn look(&mut self, lock: &StoreLock, full: &Path) -> io::Result<Found> {
        let main = lock.file()?;
        let location = location::locate(main, lock.id(), full)?;
        if location != Location::InPlace {
            return Ok(Found::Away(location));
        }
        // Another process may just be copying the log; what is seen between two of its steps is
        // temporary.
        if (0..3).all(|_| self.is_main_spoiled(main)) {
            return Ok(Found::Spoiled);
        }
        self.lengthen_index()?;
        if self.is_log_spoiled()? {
            return Ok(Found::LogSpoiled);
        }
        let ours = |sidecar: &Sidecar| Ok::<_, io::Error>(sidecar.at_path()? == AtPath::Ours);
        let index_in_place = self.index.as_ref().map_or(Ok(true), ours)?;
        Ok(match (ours(&self.log)?, index_in_place) {
            (true, true) => Found::Whole,
            (true, false) => Found::IndexAway,
            (false, _) => Found::LogAway,
        })
    }

    /// <https://sqlite.org/fileformat2.html#the_database_header>
    fn is_main_spoiled(&mut self, main: &File) -> bool {
        let mut header = [0; 100];
        let Ok(read) = read_at_start(main, &mut header) else { return false };
        let Ok(bytes) = main.metadata().map(|metadata| metadata.len()) else { return false };
        let number = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        let changes = number(24);
        if read < header.len() || !header.starts_with(b"SQLite format 3\0") {
            return true;
        }
        if changes < self.changes && self.changes - changes < 1 << 31 {
            return true;
        }
        let page_bytes = match u64::from(number(16) >> 16) {
            1 => 65_536,
            bytes => bytes,
        };
        // The file grows page by page during a checkpoint; only then may it be shorter than its header
        // says.
        if bytes < self.main_bytes && bytes < u64::from(number(28)) * page_bytes {
            return true;
        }
        (self.main_bytes, self.changes) = (bytes, changes);
        false
    }

    /// <https://sqlite.org/fileformat2.html#the_write_ahead_log>
    fn is_log_spoiled(&self) -> io::Result<bool> {
        if self.log_bytes == 0 {
            return Ok(false);
        }
        let mut magic = [0; 4];
        read_at_start(&self.log.file, &mut magic)?;
        let is_log = u32::from_be_bytes(magic) & !1 == 0x377F_0682;
        Ok(!is_log || self.log.file.metadata()?.len() < self.log_bytes)
    }

    /// All that SQLite has mapped has to exist.
    fn lengthen_index(&mut self) -> io::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let bytes = index.file.metadata()?.len();
        if bytes < self.index_bytes {
            index.file.set_len(self.index_bytes)?;
        }
        self.index_bytes = self.index_bytes.max(bytes);
        Ok(())
    }

    /// Whether the log may be copied into the main file through the connection that has it open: nobody
    /// else has written a log since, and no other connection knows only a part of ours.
    pub(crate) fn may_merge(&self) -> io::Result<bool> {
        let log = self.log.at_path()?;
        let index = self.index.as_ref().map_or(Ok(AtPath::Nothing), Sidecar::at_path)?;
        Ok(match (log, index) {
            (AtPath::Other(bytes), _) => bytes == 0,
            (AtPath::Ours, AtPath::Other(_)) => false,
            _ => true,
        })
    }

    /// Removes those sidecars that are still ours: they must not be combined with another main file, or
    /// another log.
    pub(crate) fn remove_sidecars(&self) {
        for sidecar in self.sidecars() {
            if matches!(sidecar.at_path(), Ok(AtPath::Ours)) {
                // Best effort: what is left adds nothing.
                let _ = std::fs::remove_file(&sidecar.path);
            }
        }
    }

    /// Moves the log beside a main file that was moved aside, and removes the index.
    pub(crate) fn move_log(&self, main: &Path) -> io::Result<()> {
        if self.log.at_path()? == AtPath::Ours {
            std::fs::rename(&self.log.path, wal_path(main))?;
        }
        self.remove_sidecars();
        Ok(())
    }

    /// Whether there are sidecars of others at our paths: SQLite would delete them, as it goes by names.
    pub(crate) fn others_at_path(&self) -> bool {
        self.sidecars()
            .any(|sidecar| !matches!(sidecar.at_path(), Ok(AtPath::Ours | AtPath::Nothing)))
    }

    /// The suffixes of sidecars of others at our paths, if they can be moved. If one is not a file,
    /// somebody has to decide.
    pub(crate) fn others_to_move(&self) -> io::Result<Vec<&'static str>> {
        let mut others = Vec::new();
        for (sidecar, suffix) in self.sidecars().zip(["-wal", "-shm"]) {
            match sidecar.at_path()? {
                AtPath::Ours | AtPath::Nothing => {}
                AtPath::Other(_) => others.push(suffix),
                AtPath::NoFile => return Err(place::no_file(&sidecar.path)),
            }
        }
        Ok(others)
    }

    fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        std::iter::once(&self.log).chain(&self.index)
    }
}

impl Sidecar {
    fn new(
        path: PathBuf,
        open: impl FnOnce(&Path, &FileId) -> io::Result<Arc<Held>>,
    ) -> io::Result<Self> {
        let id = file_id(&path, &path.symlink_metadata()?);
        let file = open(&path, &id)?;
        if file_id(&path, &file.metadata()?) != id {
            return Err(io::Error::other("the file was replaced while it was being opened"));
        }
        Ok(Self { path, file, id })
    }

    fn at_path(&self) -> io::Result<AtPath> {
        self.at(&self.path)
    }

    /// What is at a path to which the sidecar may have been moved.
    fn at(&self, path: &Path) -> io::Result<AtPath> {
        match path.symlink_metadata() {
            Ok(found) if !found.is_file() => Ok(AtPath::NoFile),
            Ok(found) if file_id(path, &found) == self.id => Ok(AtPath::Ours),
            Ok(found) => Ok(AtPath::Other(found.len())),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(AtPath::Nothing),
            Err(source) => Err(source),
        }
    }
}

fn open(path: &Path, writable: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(writable);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        nix::fcntl::OFlag::O_NOFOLLOW.bits(),
    );
    options.open(path)
}

/// Whether there is anything with the name of the index.
pub(crate) fn has_index(database: &Path) -> bool {
    index_path(database).symlink_metadata().is_ok()
}

fn index_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-shm");
    PathBuf::from(path)
}
