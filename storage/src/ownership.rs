//! Whose a file is: nothing is recorded into a file that another user owns or may write to.
//!
//! If somebody makes the file beforehand, in a folder that others can write to, they can read all that
//! is recorded into it; if they can write to it, or to what SQLite has beside it, they can put in what
//! they like. So the profile is checked through the locked descriptor; its sidecars are checked before
//! SQLite opens them and again afterwards.
//!
//! A file that others may only read is recorded into: this is its owner's choice, as after a restore
//! from a backup. Profiles are made with mode 0600.
//!
//! Some file systems keep neither owners nor modes, for example those of other operating systems. There
//! an existing file may have whatever a new file gets.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, ErrorKind};

/// Files that SQLite may have beside a database, and reads or rolls back when it is opened.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Refuses a profile that others may write to.
pub(crate) fn check(path: &Path, full: &Path, metadata: &Metadata) -> Result<(), Error> {
    system::check(path, full, metadata)
}

/// Refuses sidecars that others may write to, or that are not plain files.
pub(crate) fn check_sidecars(path: &Path, full: &Path) -> Result<(), Error> {
    for suffix in SIDECARS {
        let [path, full] = [path, full].map(|path| beside(path, suffix));
        match full.symlink_metadata() {
            Ok(metadata) => {
                check_type(&path, &metadata)?;
                check(&path, &full, &metadata)?;
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(source).context(&path, "look at the file"),
        }
    }
    Ok(())
}

fn check_type(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    if metadata.is_symlink() {
        let message = "a symbolic link, and SQLite opens no log or index through one; remove it, or put the \
                       file that it points to in its place";
        return Err(Error::new(ErrorKind::Symlink, path, message));
    }
    if metadata.is_dir() {
        let message = "a folder, where SQLite has a file of the profile; move it away";
        return Err(Error::new(ErrorKind::IsDirectory, path, message));
    }
    if !metadata.is_file() {
        let message =
            "a device, pipe or socket, where SQLite has a file of the profile; move it away";
        return Err(Error::new(ErrorKind::NotADatabase, path, message));
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(unix)]
mod system {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

    use super::{Context, Error, ErrorKind, Metadata, Path, beside, io};

    /// Group and others may write.
    const WRITABLE: u32 = 0o022;

    pub(super) fn check(path: &Path, full: &Path, metadata: &Metadata) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Untrusted, path, message));
        let (owner, writable) = (metadata.uid(), metadata.mode() & WRITABLE);
        if is_us(owner) && writable == 0 {
            return Ok(());
        }
        let usual = new_file(full).context(path, "look what a new file in the folder is like")?;
        if !is_us(owner) && owner != usual.uid() {
            return refuse(format!(
                "belongs to another user (uid {owner}), who could read what is recorded; choose \
                 another path, or make it yours with chown"
            ));
        }
        if writable & !usual.mode() != 0 {
            return refuse(format!(
                "can be written by other users (mode {:04o}); make it yours alone with chmod 600, \
                 or choose another path",
                metadata.mode() & 0o7777
            ));
        }
        Ok(())
    }

    /// Whether this process acts for a user: with `sudo`, also for the user who called it.
    fn is_us(owner: u32) -> bool {
        let us = nix::unistd::geteuid();
        let caller = || std::env::var("SUDO_UID").ok()?.parse::<u32>().ok();
        owner == us.as_raw() || us.is_root() && caller() == Some(owner)
    }

    /// The owner and mode that a new file gets here.
    fn new_file(full: &Path) -> io::Result<Metadata> {
        let probe = beside(full, &format!("-probe-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe)?;
        let metadata = file.metadata();
        fs::remove_file(&probe)?;
        metadata
    }
}

#[cfg(not(unix))]
mod system {
    use super::{Error, Metadata, Path};

    pub(super) fn check(_path: &Path, _full: &Path, _metadata: &Metadata) -> Result<(), Error> {
        Ok(())
    }
}
