//! Where a ring file may be, and how it is made there.
//!
//! A store into a page that the file system cannot have is a signal that ends the process. So the memory is reserved
//! before it is mapped, and only where a file system keeps what it has reserved: tmpfs, ext4 and xfs do; btrfs copies a
//! page when it was written back, and then needs room again; of others nobody knows.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::mapping::Mapping;
use super::system::{self, FileSystem};
use super::{CreateError, guard, liveness};
use crate::fork;
use crate::size::TooLarge;

/// How often a file is made anew that others have taken for one of a dead process.
const MAKING_MAX: u32 = 1_000;

/// A file that is made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) mapping: Mapping,
    /// Whether its first byte is locked.
    pub(crate) is_locked: bool,
}

/// A file that is being made: gone, with all that was reserved for it, unless it is finished.
struct Unfinished<'a> {
    path: &'a Path,
    file: &'a File,
    is_made: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_made {
            fork::keep_in_child(self.file.as_raw_fd());
            // First cut short: a reservation that failed keeps all free space of ext4 until then. There is nobody to
            // tell if that fails, and the error that is being returned is the one that counts.
            let _cut = self.file.set_len(0);
            let _removed = std::fs::remove_file(self.path);
        }
    }
}

/// Whether a file system keeps what it has reserved, and how it is called.
pub(crate) fn judge(found: &FileSystem) -> Result<(), String> {
    const KNOWN: [(u64, &str, bool); 12] = [
        (0x0102_1994, "tmpfs", true),
        (0xEF53, "ext4", true),
        (0x5846_5342, "xfs", true),
        (0x9123_683E, "btrfs", false),
        (0x794C_7630, "overlayfs", false),
        (0x6969, "NFS", false),
        (0xFF53_4D42, "CIFS", false),
        (0xFE53_4D42, "SMB", false),
        (0x0102_1997, "9p", false),
        (0x6573_5546, "FUSE", false),
        (0x2FC1_2FC1, "ZFS", false),
        (0xF2F5_2010, "F2FS", false),
    ];
    match found {
        FileSystem::Number(number) => match KNOWN.iter().find(|(known, ..)| known == number) {
            Some((_, _, true)) => Ok(()),
            Some((_, name, false)) => Err((*name).to_owned()),
            None => Err(format!("a file system of the number 0x{number:x}")),
        },
        FileSystem::Name(name) if name == "apfs" || name == "hfs" => Ok(()),
        FileSystem::Name(name) => Err(name.clone()),
    }
}

/// Makes a file of so many bytes, all of them zero and there, and maps it. Some pages of it are the process's own.
pub(crate) fn make(
    path: &Path,
    bytes: usize,
    own: impl Iterator<Item = usize>,
    page: usize,
    is_guarded: bool,
) -> Result<Made, CreateError> {
    if bytes as u64 > guard::FILE_BYTES_MAX {
        return Err(TooLarge { bytes: Some(bytes) }.into());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |step| move |source| CreateError::Io { path: path.to_owned(), step, source };
    make_folder(folder)?;
    check_folder(folder)?;
    let found = system::file_system(folder).map_err(failed("ask for its file system"))?;
    let refused = |name| CreateError::FileSystem { folder: folder.to_owned(), name };
    judge(&found).map_err(refused)?;
    let (file, is_locked) = make_locked(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CreateError::Exists(path.to_owned()),
        _ => failed("make it")(error),
    })?;
    let mut unfinished = Unfinished { path, file: &file, is_made: false };
    let full = || CreateError::Full { folder: folder.to_owned(), bytes: bytes as u64 };
    if bytes as u64 > system::file_size_limit() {
        return Err(full());
    }
    system::reserve(&file, bytes as u64).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => full(),
        _ => failed("reserve its memory")(error),
    })?;
    let mut mapping = Mapping::new(&file, bytes).map_err(failed("map it"))?;
    if is_guarded {
        mapping.guard(page);
    }
    own.into_iter()
        .try_for_each(|at| mapping.take_over(at, page))
        .map_err(failed("have pages of its own"))?;
    mapping.touch();
    unfinished.is_made = true;
    drop(unfinished);
    Ok(Made { mapping: mapping.keeping(file), is_locked })
}

/// Makes a folder for its user alone, if it is not there; and none above it: those are no place that somebody has chosen.
fn make_folder(folder: &Path) -> Result<(), CreateError> {
    DirBuilder::new().mode(0o700).create(folder).or_else(|source| {
        let step = match source.kind() {
            io::ErrorKind::AlreadyExists => return Ok(()),
            io::ErrorKind::NotFound => {
                "make this folder, as the one that it would be in is not there; make that first"
            }
            _ => "make this folder",
        };
        Err(CreateError::Io { path: folder.to_owned(), step, source })
    })
}

/// Makes a file and locks its first byte. Says whether it is locked: some file systems have no locks, and then a reader in
/// another container cannot know whether we live.
///
/// Between the two it looks like what somebody has left who has died: whoever [removes that](remove_unmade) has the
/// lock, or had it, and the file is made anew.
fn make_locked(path: &Path) -> io::Result<(File, bool)> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    let mut attempts = 0;
    loop {
        let made = options.open(path);
        let is_there = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        let is_being_removed = attempts > 0 && made.as_ref().is_err_and(is_there);
        if !is_being_removed {
            let file = made?;
            // Before it has a lock, which a child would keep.
            fork::close_in_child(file.as_raw_fd());
            let is_ours = match system::lock(&file, liveness::OWNER_BYTE) {
                Ok(is_locked) => is_still(path, &file).map(|is_still| is_locked && is_still),
                Err(_no_locks) => return Ok((file, false)),
            };
            if is_ours.as_ref().is_ok_and(|is_ours| *is_ours) {
                return Ok((file, true));
            }
            fork::keep_in_child(file.as_raw_fd());
            is_ours?;
        }
        attempts += 1;
        if attempts == MAKING_MAX {
            return Err(io::Error::other("others remove it again and again"));
        }
        std::thread::yield_now();
    }
}

/// Whether the path names this file.
fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let id = |found: std::fs::Metadata| (found.dev(), found.ino());
    match path.symlink_metadata() {
        Ok(found) => Ok(id(found) == id(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file that is no ring file yet, if whoever was about to make one of it is dead: his lock is gone. Says whether it
/// has.
pub(crate) fn remove_unmade(path: &Path) -> io::Result<bool> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    if guard::check_owner(&file).is_err() {
        return Ok(false);
    }
    // Released when this returns. First: whoever has the lock goes on making it.
    if !system::lock(&file, liveness::OWNER_BYTE)? {
        return Ok(false);
    }
    let mut first = [0; 8];
    let read = std::os::unix::fs::FileExt::read_at(&file, &mut first, 0)?;
    if read == first.len() && first != [0; 8] {
        return Ok(false);
    }
    // As long as it is locked here nobody else removes it: another one would be in its place.
    if !is_still(path, &file)? {
        return Ok(false);
    }
    std::fs::remove_file(path)?;
    Ok(true)
}

/// A folder that somebody else may write to is no place for what a process relies on.
pub(crate) fn check_folder(folder: &Path) -> Result<(), CreateError> {
    let shared = |why| CreateError::Shared { folder: PathBuf::from(folder), why };
    // Without a slash at its end, behind which the system follows a link.
    let itself: PathBuf = folder.components().collect();
    let found = std::fs::symlink_metadata(itself).map_err(|source| CreateError::Io {
        path: folder.to_owned(),
        step: "look at it",
        source,
    })?;
    if found.is_symlink() {
        Err(shared("is a link, which may lead anywhere"))
    } else if !found.is_dir() {
        Err(shared("is no folder"))
    } else if found.uid() != system::user() {
        Err(shared("is somebody else's"))
    } else if found.mode() & 0o077 != 0 {
        Err(shared("can be entered by others"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_that_keep_what_they_have_reserved_are_taken_and_no_others() {
        for number in [0x0102_1994, 0xEF53, 0x5846_5342] {
            assert_eq!(judge(&FileSystem::Number(number)), Ok(()));
        }
        let refused = |number| judge(&FileSystem::Number(number)).unwrap_err();
        assert_eq!(
            (refused(0x9123_683E), refused(0x794C_7630)),
            ("btrfs".into(), "overlayfs".into())
        );
        assert_eq!(refused(0x1234), "a file system of the number 0x1234");
        assert_eq!(judge(&FileSystem::Name("apfs".into())), Ok(()));
        assert_eq!(judge(&FileSystem::Name("smbfs".into())), Err("smbfs".into()));
        let error = CreateError::FileSystem { folder: "/data".into(), name: refused(0x9123_683E) };
        let says = "/data is on btrfs, which may refuse memory that it has promised; put the ring file on tmpfs";
        assert!(error.to_string().starts_with(says), "{error}");
    }
}
