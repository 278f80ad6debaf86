//! The pages of the file itself: a table can be read from them faster than by statements.
//!
//! A transaction sees the main file and the newer pages in the log. If the log is empty, it sees the file
//! alone, and the file does not change until the transaction ends:
//!
//! * in write-ahead mode a reader that finds the log empty takes the lock on the main file as a whole
//!   (`WAL_READ_LOCK(0)`), and a process that merges the log needs that lock exclusively. The length of the
//!   log is looked up after the transaction has begun to read: if the log is empty *then*, it was empty when the
//!   transaction began, because a log that has readers is not cut;
//! * in the other mode a reader has a lock that a writer needs exclusively;
//! * a file that is read as immutable is in use by nobody else: [`ReadOnly::begin`] makes sure of that.
//!
//! The descriptor is one of those that the process keeps for as long as it has a connection to the file
//! (`lock.rs`).

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Transaction;

use super::ReadOnly;
use super::mode::Mode;
use crate::checkpoint::wal_path;
use crate::lock::start_of;

/// The pages of the file, if they are all that a transaction sees.
#[derive(Debug)]
pub struct Pages<'a> {
    file: &'a File,
    page_size: usize,
    usable_size: usize,
}

impl ReadOnly {
    /// The pages of the file, if they are all that this transaction of this reader sees; it must have
    /// read something. Nothing changes them before it ends. They are also valid for the next transaction,
    /// if this function returns pages for that, too, nothing was committed between the two
    /// (`PRAGMA data_version`), and the pages were not read in between.
    #[doc(hidden)]
    pub fn pages(&self, _tx: &Transaction<'_>) -> Option<Pages<'_>> {
        if self.covered.get() {
            return None;
        }
        let file: &File = self.file.get_or_init(|| self.mark.file(&self.full)).as_deref()?;
        let header = start_of(file).ok()?;
        let is_in_log_mode = match header.get(18..20)? {
            [1, 1] => false,
            [2, 2] => true,
            _ => return None,
        };
        let is_all = match &self.mode {
            Mode::Immutable(_) => true,
            Mode::Alone(_) => false,
            Mode::Shared => !is_in_log_mode || is_log_empty(&self.full),
        };
        let is_utf8 = header.get(56..60)? == [0, 0, 0, 1];
        if !is_all || !is_utf8 {
            return None;
        }
        let page_size = match u16::from_be_bytes([*header.get(16)?, *header.get(17)?]) {
            1 => 65_536,
            size => usize::from(size),
        };
        let usable_size = page_size.checked_sub(usize::from(*header.get(20)?))?;
        let is_possible = page_size.is_power_of_two() && page_size >= 512 && usable_size >= 480;
        is_possible.then_some(Pages { file, page_size, usable_size })
    }
}

impl Pages<'_> {
    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// How many of them SQLite uses.
    pub fn usable_size(&self) -> usize {
        self.usable_size
    }

    /// Reads pages from number `first` on, where the first page of the file is 1, and returns how many were
    /// read completely.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self, first: u32, into: &mut [u8]) -> io::Result<usize> {
        let at = u64::from(first).saturating_sub(1).saturating_mul(self.page_size as u64);
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read_at(self.file, rest, at.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled / self.page_size)
    }
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, at)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, at)
}

#[cfg(not(any(unix, windows)))]
fn read_at(_file: &File, _into: &mut [u8], _at: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the log exists and is empty. A log that was removed does not count as empty: connections that
/// have it open still see its contents.
fn is_log_empty(full: &Path) -> bool {
    wal_path(full).metadata().is_ok_and(|metadata| metadata.len() == 0)
}
