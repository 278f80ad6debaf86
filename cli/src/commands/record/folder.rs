//! The folder of ring files that `spandrel record --collect` makes for one program, and removes.
//!
//! It is locked as long as the command runs, and has the command's process in its name: so another `spandrel collect` knows
//! that what is recorded there has a collector, and a profile that somebody has asked for.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::SystemTime;

use spandrel::collect::FOLDER_OF_COMMAND;
use tempfile::TempDir;

use crate::failure::Failure;

/// One that this command has made.
pub(super) struct Folder {
    pub(super) dir: TempDir,
    /// When it was made, by the clock of its file system: whoever puts anything there, or takes it out, changes that.
    untouched: Option<SystemTime>,
    /// Ends with this, however that ends. None where the file system knows no such locks.
    _lock: Option<File>,
}

impl Folder {
    /// In memory, if there is a place.
    pub(super) fn make() -> Result<Self, Failure> {
        let prefix = format!("{FOLDER_OF_COMMAND}{}-", std::process::id());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let of_user = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
        let places = of_user.as_deref().into_iter().chain([OsStr::new("/dev/shm")]);
        let made = places.map(Path::new).find_map(|place| builder.tempdir_in(place).ok());
        let dir = made.map_or_else(|| builder.tempdir(), Ok).map_err(|source| {
            Failure::cannot_write(&std::env::temp_dir(), &source)
                .hint("ring files need a folder in memory: set XDG_RUNTIME_DIR, or TMPDIR")
        })?;
        let lock = File::open(dir.path()).ok().filter(|folder| folder.try_lock().is_ok());
        Ok(Self { untouched: changed(dir.path()), dir, _lock: lock })
    }

    /// Whether anything was ever put there, as far as the file system tells.
    pub(super) fn was_used(&self) -> bool {
        self.untouched.is_some() && changed(self.dir.path()) != self.untouched
    }
}

fn changed(folder: &Path) -> Option<SystemTime> {
    folder.metadata().and_then(|found| found.modified()).ok()
}

/// That it is no folder of a command that runs, which collects from it itself.
pub(in crate::commands) fn check_folder(folder: &Path) -> Result<(), Failure> {
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some(rest) = name.strip_prefix(FOLDER_OF_COMMAND) else { return Ok(()) };
    let is_locked = File::open(folder)
        .is_ok_and(|folder| matches!(folder.try_lock_shared(), Err(TryLockError::WouldBlock)));
    if !is_locked {
        return Ok(());
    }
    let pid = rest.split('-').next().unwrap_or_default();
    let message = format!(
        "{}: `spandrel record --collect`, process {pid}, collects from it",
        folder.display()
    );
    Err(Failure::cannot_read(message)
        .hint("what is recorded there comes into the profile of that command"))
}
