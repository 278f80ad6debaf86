//! Locks that survive when this process opens and closes the profile in another way.
//!
//! POSIX drops all record locks of a process on a file when it closes *any* descriptor of it, and a
//! program that reads or copies its own profile (`std::fs::read`, an upload) does just that. Then
//! SQLite's locks are gone, without its knowledge. The next process that opens the profile and closes it
//! again takes itself for the last one, merges the write-ahead log, and deletes it under the recorder,
//! which goes on writing into a file that nobody can find. And a process that opens the index takes
//! itself for the first one, and cuts it, which is SIGBUS for the recorder.
//!
//! Locks of an open file description (`F_OFD_SETLK`, Linux) are dropped with that description only.
//! So a store holds some, on descriptors of its own, beside those that SQLite holds:
//!
//! | on | what | keeps others from |
//! |---|---|---|
//! | the main file | SQLite's SHARED range, for reading | an EXCLUSIVE lock, and so from deleting the log |
//! | the index (`-shm`) | its dead-man's switch, for reading | cutting it as if nobody used it |
//! | the main file, if nobody else may read it | the PENDING byte, for writing | any lock at all |
//!
//! They are in the way of SQLite's own locks, too, although it is the same process: they have to go
//! before the store closes the file, or changes the journal mode. Where there are none, the store
//! [watches](crate::watch) the files, which finds out later what these locks prevent.

use std::fs::File;
use std::sync::Arc;

use crate::held::Held;

/// A range of bytes that SQLite locks; the numbers are part of its file format and of `os_unix.c`.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    expect(dead_code, reason = "no such locks")
)]
#[derive(Debug, Clone, Copy)]
struct Range {
    first: i64,
    length: i64,
}

const PENDING: Range = Range { first: 0x4000_0000, length: 1 };
const SHARED: Range = Range { first: 0x4000_0002, length: 510 };
const DEAD_MANS_SWITCH: Range = Range { first: 128, length: 1 };
/// Locks in the index begin at 120: for writing, checkpoints and recovery, and then one for each mark.
const FIRST_MARK: i64 = 123;

/// The locks of one store. It has to be dropped before the connection.
#[derive(Debug)]
pub(crate) struct Shield {
    held: Vec<(Arc<Held>, Range)>,
}

impl Shield {
    /// Takes the locks; without `index` nobody else may read the file. If the file system or the
    /// platform has no such locks, nothing is prevented, as said above.
    pub(crate) fn new(main: Arc<Held>, index: Option<Arc<Held>>) -> Self {
        let mut shield = Self { held: Vec::new() };
        match index {
            Some(index) => {
                shield.hold(main, SHARED, false);
                shield.hold(index, DEAD_MANS_SWITCH, false);
            }
            None => shield.hold(main, PENDING, true),
        }
        shield
    }

    fn hold(&mut self, file: Arc<Held>, range: Range, alone: bool) {
        if lock(&file, range, alone) {
            self.held.push((file, range));
        }
    }

    /// Releases the locks, so that SQLite can take its own.
    pub(crate) fn release(&mut self) {
        for (file, range) in self.held.drain(..) {
            unlock(&file, range);
        }
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        self.release();
    }
}

/// While it exists, nobody can begin to use the database, in this process or in another; those who use
/// it already go on. Needed while the log is moved.
#[derive(Debug)]
pub(crate) struct Gate(Option<Arc<Held>>);

impl Gate {
    /// Waits a moment for those who are just beginning. If there are no such locks, it stays open.
    pub(crate) fn shut(main: Arc<Held>) -> Self {
        const TRIES: u32 = 20;
        let shut = (0..TRIES).any(|try_| {
            if try_ > 0 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            lock(&main, PENDING, true)
        });
        Self(shut.then_some(main))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(main) = &self.0 {
            unlock(main, PENDING);
        }
    }
}

/// Whether SQLite, in this process or another, uses this file as a database. For callers that have not
/// locked it themselves. `true` if it cannot be known.
pub(crate) fn is_main_in_use(main: &File) -> bool {
    is_locked(main, SHARED)
}

/// Whether SQLite, in this process or another, uses this file as an index. `true` if it cannot be known.
pub(crate) fn is_index_in_use(index: &File) -> bool {
    is_locked(index, DEAD_MANS_SWITCH)
}

/// Whether somebody, in this process or another, reads with this mark of the index. `true` if it cannot
/// be known.
pub(crate) fn is_mark_in_use(index: &File, mark: usize) -> bool {
    let first = FIRST_MARK + i64::try_from(mark).unwrap_or(0);
    is_locked(index, Range { first, length: 1 })
}

// On architectures with further, private fields in `flock` there are no such locks.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(target_arch = "sparc64")))]
mod system {
    use std::fs::File;

    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    use super::Range;

    fn flock(range: Range, kind: libc::c_int) -> libc::flock {
        libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: range.first,
            l_len: range.length,
            l_pid: 0, // these locks require it
        }
    }

    pub(super) fn lock(file: &File, range: Range, alone: bool) -> bool {
        let kind = if alone { libc::F_WRLCK } else { libc::F_RDLCK };
        fcntl(file, FcntlArg::F_OFD_SETLK(&flock(range, kind))).is_ok()
    }

    pub(super) fn unlock(file: &File, range: Range) {
        // If it fails, nothing can be done; the lock goes with the descriptor.
        let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&flock(range, libc::F_UNLCK)));
    }

    pub(super) fn is_locked(file: &File, range: Range) -> bool {
        let mut found = flock(range, libc::F_WRLCK);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)).is_err()
            || i32::from(found.l_type) != libc::F_UNLCK
    }
}

#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(target_arch = "sparc64"))))]
mod system {
    use std::fs::File;

    use super::Range;

    pub(super) fn lock(_file: &File, _range: Range, _alone: bool) -> bool {
        false
    }

    pub(super) fn unlock(_file: &File, _range: Range) {}

    pub(super) fn is_locked(_file: &File, _range: Range) -> bool {
        true
    }
}

use system::{is_locked, lock, unlock};
