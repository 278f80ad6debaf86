//! Moves a file aside in which the recording does not go on, so that its path is free for a new one.
//!
//! Connections that have it open go on with it, whatever its name is: SQLite notices that it was moved,
//! and then does not delete sidecars by their names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use crate::error::{Context, Error, ErrorKind};
use crate::location::{self, Location};
use crate::shield::{self, Gate};

impl Store {
    /// Leaves a file that was cut short or overwritten: nothing is written to it any more, and if there
    /// is anything in it, it is renamed, its log with it. Returns the new path. An empty file that
    /// somebody still uses is removed.
    ///
    /// # Errors
    ///
    /// When it cannot be renamed, or removed.
    pub fn set_aside(mut self) -> Result<Option<PathBuf>, Error> {
        self.detach()?;
        let doing = "put the spoiled file aside";
        self.check_path(doing)?;
        if self.file_bytes() == 0 {
            self.watch.remove_sidecars();
            // Then no tables can be made in it.
            if shield::is_main_in_use(self.lock.file().context(&self.path, doing)?) {
                fs::remove_file(&self.full).context(&self.path, doing)?;
            }
            return Ok(None);
        }
        let aside = unused_path(&self.full, "spoiled").context(&self.path, doing)?;
        // What is not a file stays; opening the new file will report it.
        let others = self.watch.others_to_move().unwrap_or_default();
        self.rename(&aside, &others).context(&self.path, doing)?;
        self.watch.move_log(&aside).context(&self.path, doing)?;
        Ok(Some(aside))
    }

    /// Gives a file that cannot be [got right](Self::recover), because somebody reads it, another name; he
    /// goes on with it. Sidecars of others at its path go with it. [`leave`](Self::leave) it then, which
    /// brings its log.
    ///
    /// # Errors
    ///
    /// When it is not at its path, or cannot be renamed; everything is as it was then.
    pub fn step_aside(&mut self) -> Result<(), Error> {
        let doing = "put the file aside, which is still read";
        self.check_path(doing)?;
        let others = self.watch.others_to_move().context(&self.path, doing)?;
        let aside = unused_path(&self.full, "aside").context(&self.path, doing)?;
        let file = self.lock.shared_file().context(&self.path, doing)?;
        // So that nobody opens one file by the name of the other.
        let _gate = Gate::shut(file);
        self.rename(&aside, &others).context(&self.path, doing)
    }

    /// Renames the file and these sidecars, which are not ours; all of them or none.
    fn rename(&self, aside: &Path, others: &[&str]) -> io::Result<()> {
        fs::rename(&self.full, aside)?;
        others.iter().try_for_each(|suffix| {
            let [from, to] = [&self.full, aside].map(|path| with_suffix(path, suffix));
            fs::rename(&from, &to).inspect_err(|_| {
                // It must not be combined with the next file at this path.
                let _ = fs::rename(aside, &self.full);
            })
        })
    }

    /// Returns an error unless our file is at its path.
    fn check_path(&self, doing: &str) -> Result<(), Error> {
        let file = self.lock.file().context(&self.path, doing)?;
        let at = location::locate(file, self.lock.id(), &self.full).context(&self.path, doing)?;
        if at == Location::InPlace {
            return Ok(());
        }
        let message = format!("{doing}: it is not at its path any more");
        Err(Error::new(ErrorKind::Moved, &self.path, message))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A name beside the file that is free, also for sidecars.
fn unused_path(full: &Path, what: &str) -> io::Result<PathBuf> {
    for number in 1..1_000 {
        let path = with_suffix(full, &format!("-{what}-{number}"));
        let names = ["", "-wal", "-shm", "-journal"].map(|suffix| with_suffix(&path, suffix));
        let mut is_taken = false;
        for name in names {
            match name.symlink_metadata() {
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(source),
                Ok(_) => is_taken = true,
            }
        }
        if !is_taken {
            return Ok(path);
        }
    }
    Err(io::Error::other(format!("there are a thousand {what} files already; remove some")))
}
