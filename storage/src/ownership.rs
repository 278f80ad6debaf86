//! Whose a file is: nothing is recorded into one that somebody else owns or may write to.
//!
//! Whoever makes a file beforehand, in a folder that others can write to, reads all that is recorded
//! into it; whoever can write to it, or to what SQLite has beside it, can put in what they like. So the
//! profile is looked at through the descriptor that is locked, and its sidecars before SQLite opens
//! them and again when it has.
//!
//! A file that others may only read is recorded into: that is its owner's choice, as after a restore
//! from a backup. Profiles are made with mode 0600.
//!
//! Some file systems keep neither owners nor modes, such as those of other systems. What a new file
//! gets there is what an old one may have, too.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, ErrorKind};

/// What SQLite may have beside a database, and read or roll back when it is opened.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Refuses a profile that is not ours alone to write.
pub(crate) fn check(path: &Path, full: &Path, metadata: &Metadata) -> Result<(), Error> {
    system::check(path, full, metadata)
}

/// Refuses sidecars that are not ours alone to write, or no plain files.
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

    /// Whether a user is the one that this process acts for: under `sudo` the one who called it, too.
    fn is_us(owner: u32) -> bool {
        let us = nix::unistd::geteuid();
        let caller = || std::env::var("SUDO_UID").ok()?.parse::<u32>().ok();
        owner == us.as_raw() || us.is_root() && caller() == Some(owner)
    }

    /// What becomes of a file that is made here for us alone.
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
