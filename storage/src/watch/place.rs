//! Where to put a log that cannot be merged, so that the next one to open the main file finds it.
//!
//! SQLite looks for it beside the main file, under its name. Connections that are open already go on
//! with the log and the index that they have, wherever these are; so the index is moved with the log,
//! and later connections share it. If somebody has opened the file without the log in the meantime,
//! there is an empty log, and an index that does not know ours: as long as that connection exists, our
//! log would not be read, and would be overwritten by the next transaction. Then it is not moved.

use std::fs;
use std::io::{self, Seek};
use std::path::Path;

use super::{AtPath, Watch, index_path, open};
use crate::checkpoint::wal_path;
use crate::lock::{self, StoreLock};
use crate::shield::{self, Gate};

impl Watch {
    /// Puts the log beside the main file, which is at `main` now: either where the log was until it was
    /// removed, or at the new name of the main file.
    pub(crate) fn place(&self, lock: &StoreLock, main: &Path) -> io::Result<()> {
        let _gate = Gate::shut(lock.shared_file()?);
        let (log_path, index_path) = (wal_path(main), index_path(main));
        let index_at = match &self.index {
            Some(index) => index.at(&index_path)?,
            None => AtPath::Nothing,
        };
        match index_at {
            AtPath::Ours | AtPath::Nothing => {}
            AtPath::NoFile => return Err(no_file(&index_path)),
            AtPath::Other(_) if is_in_use(lock, &index_path)? => return Err(somebody_is_there()),
            // It belonged to a connection that is gone: SQLite makes another one, from the log.
            AtPath::Other(_) => fs::remove_file(&index_path)?,
        }
        match self.log.at(&log_path)? {
            AtPath::Ours => {}
            AtPath::Nothing => self.bring_log(&log_path)?,
            AtPath::NoFile => return Err(no_file(&log_path)),
            // Those who share the index have this file open, and need our log in it.
            AtPath::Other(0) if index_at == AtPath::Ours => {
                let theirs = open(&log_path, true)?;
                // Part of a log is worse than none.
                let emptied = |_: &io::Error| drop(theirs.set_len(0));
                self.copy_log(&theirs).inspect_err(emptied)?;
            }
            AtPath::Other(0) => {
                fs::remove_file(&log_path)?;
                self.bring_log(&log_path)?;
            }
            AtPath::Other(_) => return Err(somebody_is_there()),
        }
        // Without it SQLite makes another one, from the log.
        let _ = self.bring_index(&index_path);
        Ok(())
    }

    /// Whether somebody else has written a log beside the main file, which is at `main` now.
    pub(crate) fn has_foreign_log(&self, main: &Path) -> io::Result<bool> {
        Ok(matches!(self.log.at(&wal_path(main))?, AtPath::Other(bytes) if bytes > 0))
    }

    /// Whether the next one to open the main file, at `main` now, shares the index with those who have
    /// it open already, and so knows what they read.
    pub(crate) fn is_index_at(&self, main: &Path) -> bool {
        let Some(index) = &self.index else { return true };
        matches!(index.at(&index_path(main)), Ok(AtPath::Ours))
    }

    fn bring_log(&self, to: &Path) -> io::Result<()> {
        if self.log.at_path()? == AtPath::Ours {
            return fs::rename(&self.log.path, to);
        }
        let made = lock::create(to, to).map_err(|error| io::Error::other(error.to_string()));
        self.copy_log(&made?).inspect_err(|_| {
            let _ = fs::remove_file(to);
        })
    }

    fn copy_log(&self, mut to: &fs::File) -> io::Result<()> {
        let mut log = &**self.log.file;
        log.seek(io::SeekFrom::Start(0))?;
        io::copy(&mut log, &mut to).map(drop)
    }

    /// Readers go on with it. A file that was removed cannot get a name again.
    fn bring_index(&self, to: &Path) -> io::Result<()> {
        match &self.index {
            Some(index) if index.path != to && index.at_path()? == AtPath::Ours => {
                fs::rename(&index.path, to)
            }
            _ => Ok(()),
        }
    }
}

fn is_in_use(lock: &StoreLock, path: &Path) -> io::Result<bool> {
    let id = lock::file_id(path, &path.symlink_metadata()?);
    // The descriptor stays open as long as there are locks on it.
    let index = lock.index(&id, || open(path, true))?;
    Ok(shield::is_index_in_use(&index))
}

fn somebody_is_there() -> io::Error {
    io::Error::other("somebody has opened the file without its log, and uses it")
}

pub(super) fn no_file(path: &Path) -> io::Error {
    io::Error::other(format!("{} is no plain file; move it away", path.display()))
}
