//! A file that was made for nothing: no run has begun in it.

use std::fs;

use super::{Store, data_version};
use crate::drained;
use crate::error::{Context, Error};
use crate::watch::Found;

impl Store {
    /// As [`close`](Self::close); but a file that this store has made, and into which nobody has put anything, is removed.
    /// Says whether it was.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close), and when the file cannot be removed.
    pub fn close_or_remove(mut self) -> Result<bool, Error> {
        // One that cannot be looked at is left to whoever can.
        if !self.lock.created || !self.is_unused().unwrap_or(false) {
            return self.close().map(|()| false);
        }
        let doing = "remove the file, in which nothing is";
        self.detach()?;
        self.watch.remove_sidecars();
        // Nobody else can have begun to record into it: the lock is held until this returns.
        fs::remove_file(&self.full).context(&self.path, doing)?;
        Ok(true)
    }

    /// Whether the file is in its place, without runs, and nobody else has written to it.
    fn is_unused(&mut self) -> Result<bool, Error> {
        if !matches!(self.look()?, Found::Whole) {
            return Ok(false);
        }
        let doing = "look whether anything is in the file";
        let version = data_version(&self.conn).context(&self.path, doing)?;
        let has_runs = drained::has_runs(&self.conn).context(&self.path, doing)?;
        Ok(!has_runs && self.data_version == Some(version))
    }
}
