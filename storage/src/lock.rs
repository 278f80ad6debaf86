//! Which files this process has open, and the lock that makes a recording the only one.
//!
//! POSIX drops all record locks that a process holds on a file as soon as it closes *any*
//! descriptor of that file, and SQLite locks with record locks. So a descriptor of our own on a
//! database must never be closed while a connection of this process has the database open, be it
//! the store's or a reader's. Hence this table, by device and inode:
//!
//! * a second store in this process is refused before it opens a descriptor;
//! * a descriptor that is no longer needed stays in the table until the last connection of this
//!   crate to the same file has gone. (Connections that the application opens by itself are not
//!   known here.)
//!
//! Other processes are kept out by `flock` on a descriptor that is opened before SQLite opens the
//! file and closed after. The kernel releases it when the process dies, however it dies. On Linux
//! `flock` and record locks do not touch each other, so the database itself is locked and no lock
//! file is left behind. Elsewhere they exclude each other, and with them the readers, so a file
//! `<database>-lock` beside it is locked instead.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Context, Error, ErrorKind};
use crate::held::Held;
use crate::{ownership, shield};

/// The identity of a file, whatever its path: device and inode.
#[cfg(unix)]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileId(u64, u64);
/// Without inodes, the path has to do.
#[cfg(not(unix))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileId(std::path::PathBuf);

#[cfg(unix)]
pub(crate) fn file_id(_path: &Path, metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    FileId(metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
pub(crate) fn file_id(path: &Path, _metadata: &Metadata) -> FileId {
    FileId(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
}

#[derive(Default)]
struct Entry {
    readers: usize,
    recording: bool,
    /// Descriptors that stay open until the last connection has gone.
    files: Vec<Arc<Held>>,
    /// Descriptors of indexes (`-shm`), for the same reason.
    indexes: Vec<(FileId, Arc<Held>)>,
}

type Table = HashMap<FileId, Entry>;

fn table() -> MutexGuard<'static, Table> {
    static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();
    TABLE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops the entry, and with it the descriptors, once no connection is left.
fn release(table: &mut Table, id: &FileId) {
    if table.get(id).is_some_and(|entry| entry.readers == 0 && !entry.recording) {
        table.remove(id);
    }
}

/// The right to record into a file. Has to be dropped after the connection.
#[derive(Debug)]
pub(crate) struct StoreLock {
    id: FileId,
    /// `None` only while dropping.
    file: Option<Arc<Held>>,
    lock: Option<Arc<Held>>,
    /// Whether this call has made the file.
    pub(crate) created: bool,
}

impl StoreLock {
    /// Opens or makes the file at `full` and locks it; `path` is its name in messages.
    pub(crate) fn acquire(path: &Path, full: &Path) -> Result<Self, Error> {
        // Held all the time, so that no other thread comes between check and entry.
        let mut table = table();
        let (file, id, created) = match full.symlink_metadata() {
            Ok(metadata) => {
                check_type(path, &metadata)?;
                let id = file_id(full, &metadata);
                if table.get(&id).is_some_and(|entry| entry.recording) {
                    return Err(in_use(path, "this process"));
                }
                let kept = table.get(&id).and_then(|entry| entry.files.first().cloned());
                let file = match kept {
                    Some(file) => file,
                    None => open_existing(path, full, &id, &table)?,
                };
                (file, id, false)
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let file = Arc::new(Held::new(create(path, full)?));
                let id = file_id(full, &file.metadata().context(path, "look at the file")?);
                (file, id, true)
            }
            Err(source) => return Err(Error::io(path, "look at the file", source)),
        };
        let entry = table.entry(id.clone()).or_default();
        if entry.files.is_empty() {
            entry.files.push(file.clone());
        }
        let locked =
            check_owner(path, full, &file, created).and_then(|()| take_lock(path, full, &file));
        if let Ok(lock) = &locked {
            entry.recording = true;
            if !Arc::ptr_eq(lock, &file) && entry.files.len() < 2 {
                entry.files.push(lock.clone());
            }
        } else {
            drop(file);
            release(&mut table, &id);
            return Err(locked.err().unwrap_or_else(|| in_use(path, "another process")));
        }
        Ok(Self { id, file: Some(file), lock: locked.ok(), created })
    }

    /// The descriptor of the database, for further locks.
    pub(crate) fn shared_file(&self) -> io::Result<Arc<Held>> {
        self.file.clone().ok_or_else(|| io::Error::other("the file is closed"))
    }

    /// A descriptor of an index, which stays open as long as the database. If the index is known
    /// already, the same descriptor again.
    pub(crate) fn index(
        &self,
        id: &FileId,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<Held>> {
        let mut table = table();
        let indexes = &mut table.entry(self.id.clone()).or_default().indexes;
        if let Some((_, index)) = indexes.iter().find(|(known, _)| known == id) {
            return Ok(index.clone());
        }
        let index = Arc::new(Held::new(open()?));
        indexes.push((id.clone(), index.clone()));
        Ok(index)
    }

    /// How many readers' connections this process has to the file.
    pub(crate) fn readers(&self) -> usize {
        table().get(&self.id).map_or(0, |entry| entry.readers)
    }

    /// The descriptor of the database, to be read only.
    pub(crate) fn file(&self) -> io::Result<&File> {
        self.file
            .as_ref()
            .map(|file| &***file)
            .ok_or_else(|| io::Error::other("the file is closed"))
    }

    pub(crate) fn id(&self) -> &FileId {
        &self.id
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        let mut table = table();
        if let Some(lock) = self.lock.take() {
            // Unlocked explicitly, because the descriptor may have to stay open, and a forked child
            // shares it. If that fails, closing the descriptor releases the lock.
            let _ = lock.unlock();
        }
        self.file = None;
        if let Some(entry) = table.get_mut(&self.id) {
            entry.recording = false;
        }
        release(&mut table, &self.id);
    }
}

/// Keeps descriptors of the file open for as long as a reader's connection lives. Has to be dropped
/// after the connection.
#[derive(Debug)]
pub(crate) struct ReaderMark(FileId);

impl ReaderMark {
    /// Registers a reader, and reads the start of the file: only here this is possible without dropping
    /// the locks of another connection.
    pub(crate) fn new(id: FileId, full: &Path) -> io::Result<(Self, Vec<u8>)> {
        let mut table = table();
        let entry = table.entry(id.clone()).or_default();
        let kept = entry.files.first().cloned();
        let header = kept
            .map_or_else(|| File::open(full).map(|file| Arc::new(Held::new(file))), Ok)
            .and_then(|file| {
                let header = start_of(&file);
                if entry.files.is_empty() && entry.readers > 0 {
                    entry.files.push(file);
                }
                header
            });
        entry.readers += 1;
        drop(table);
        // First, so that it is undone after an error.
        let mark = Self(id);
        Ok((mark, header?))
    }

    /// A descriptor of the file, which stays open until the last connection has gone. `None` if the path
    /// names another file by now, or cannot be opened.
    pub(crate) fn file(&self, full: &Path) -> Option<Arc<Held>> {
        let mut table = table();
        if let Some(file) = table.get(&self.0).and_then(|entry| entry.files.first()) {
            return Some(file.clone());
        }
        let file = Arc::new(Held::new(File::open(full).ok()?));
        let opened = file.metadata().ok().map(|metadata| file_id(full, &metadata));
        if opened.as_ref() == Some(&self.0) {
            table.entry(self.0.clone()).or_default().files.push(file.clone());
            return Some(file);
        }
        if opened.is_none_or(|opened| table.contains_key(&opened)) {
            // Closing it would drop the locks of a connection to that file: better to leak it.
            std::mem::forget(file);
        }
        None
    }

    /// Whether somebody has locked the file as a database, in this process or in another. `true` if that
    /// cannot be known.
    pub(crate) fn is_file_in_use(&self, full: &Path) -> bool {
        let mut table = table();
        let entry = table.entry(self.0.clone()).or_default();
        let kept = entry.files.first().cloned();
        let file = kept.map_or_else(|| File::open(full).map(|file| Arc::new(Held::new(file))), Ok);
        let Ok(file) = file else { return true };
        if entry.files.is_empty() {
            entry.files.push(file.clone());
        }
        shield::is_main_in_use(&file)
    }
}

/// The first 108 bytes: the header of the database and of its first page.
pub(crate) fn start_of(file: &File) -> io::Result<Vec<u8>> {
    let mut header = vec![0; 108];
    let read = read_at_start(file, &mut header)?;
    header.truncate(read);
    Ok(header)
}

/// Does not use the position of the descriptor, which threads may share.
#[cfg(unix)]
pub(crate) fn read_at_start(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, 0)
}

#[cfg(not(unix))]
pub(crate) fn read_at_start(mut file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    use io::{Read, Seek};
    file.seek(io::SeekFrom::Start(0))?;
    file.read(bytes)
}

impl Drop for ReaderMark {
    fn drop(&mut self) {
        let mut table = table();
        if let Some(entry) = table.get_mut(&self.0) {
            entry.readers = entry.readers.saturating_sub(1);
        }
        release(&mut table, &self.0);
    }
}

pub(crate) fn in_use(path: &Path, by: &str) -> Error {
    Error::new(
        ErrorKind::InUse,
        path,
        format!("in use by {by} (it is recording); choose another path or stop it"),
    )
}

pub(crate) fn check_type(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    if metadata.is_symlink() {
        let message = "a symbolic link, which is not followed; name the file that it points to";
        return Err(Error::new(ErrorKind::Symlink, path, message));
    }
    if metadata.is_dir() {
        return Err(is_directory(path));
    }
    if !metadata.is_file() {
        let message = "not a database but a device, pipe or socket; choose another path";
        return Err(Error::new(ErrorKind::NotADatabase, path, message));
    }
    Ok(())
}

pub(crate) fn is_directory(path: &Path) -> Error {
    Error::new(ErrorKind::IsDirectory, path, "a folder; name a file in it")
}

fn open_existing(path: &Path, full: &Path, id: &FileId, table: &Table) -> Result<Arc<Held>, Error> {
    let file = OpenOptions::new().read(true).write(true).open(full).context(path, "open")?;
    let file = Arc::new(Held::new(file));
    let metadata = file.metadata().context(path, "look at the file")?;
    let opened = file_id(full, &metadata);
    if opened == *id {
        return Ok(file);
    }
    if table.contains_key(&opened) {
        // Closing it would drop the locks of a connection to that file: better to leak it.
        std::mem::forget(file);
    }
    let message = "the path was replaced while it was being opened; try again";
    Err(Error::new(ErrorKind::Moved, path, message))
}

/// Makes a new file of mode 0600.
pub(crate) fn create(path: &Path, full: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(full).context(path, "create")?;
    // SQLite gives its sidecars the mode of the database; with an unusual umask the mode would make them
    // unusable.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))
            .context(path, "set the mode of the file")?;
    }
    Ok(file)
}

fn check_owner(path: &Path, full: &Path, file: &File, created: bool) -> Result<(), Error> {
    if created {
        return Ok(());
    }
    ownership::check(path, full, &file.metadata().context(path, "look at the file")?)
}

fn take_lock(path: &Path, full: &Path, file: &Arc<Held>) -> Result<Arc<Held>, Error> {
    let lock = if cfg!(any(target_os = "linux", target_os = "android")) {
        file.clone()
    } else {
        let mut name = full.as_os_str().to_owned();
        name.push("-lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let open = options.open(&name);
        Arc::new(Held::new(open.context(path, "open the lock file")?))
    };
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(in_use(path, "another process")),
        Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => {
            // The file system has no locks: only other stores of this process are kept out.
            Ok(lock)
        }
        Err(TryLockError::Error(source)) => Err(Error::io(path, "lock", source)),
    }
}
