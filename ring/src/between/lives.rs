//! Who of the participants lives.
//!
//! Each has a byte of the file locked while it is there: the lock is its open file description's, and the system releases it with
//! the process, however that ends. Who has no lock, and was not seen to leave, is asked for as the owner of a
//! [ring file](crate::file) is: by its number, when it began, its boot, and whether it has the file mapped still.

use std::fmt;

use crate::file::OwnerId;

/// Says who lives. Nothing here waits.
pub(super) trait Lives: fmt::Debug + Send + Sync {
    /// Locks a place. `false` if somebody has it.
    fn take(&self, place: usize) -> bool;

    /// Gives back what was taken.
    fn give_back(&self, place: usize);

    /// Whether a participant is dead for certain. None is known who has only just begun to join: then the lock tells.
    fn is_dead(&self, place: usize, who: Option<&OwnerId>) -> bool;

    /// Whoever asks, as others know him.
    fn me(&self) -> OwnerId;
}

#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
pub(super) use self::locks::Locks;

#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
mod locks {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    // Not that of `sync`: who has what in this process is no part of any model.
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::Lives;
    use crate::file::OwnerId;
    use crate::file::liveness::{Here, judge};
    use crate::file::{process, system};
    use crate::fork;

    /// The first byte that is locked, behind the end of any file.
    const FIRST: u64 = 1 << 40;
    /// Who has his lock is believed to live that often, before the rest is asked for, too: a child that was made without
    /// handlers keeps the lock of a dead parent. The lock is one system call, and the rest is ten.
    const BELIEVED: u32 = 32;

    /// Locks of an open file description of this process's own.
    #[derive(Debug)]
    pub(crate) struct Locks {
        file: File,
        /// What this description has locked: it is not told of its own locks.
        own: Box<[AtomicBool]>,
        /// How often each was asked for.
        asked: Box<[AtomicU32]>,
        here: Here,
        me: OwnerId,
    }

    impl Locks {
        /// Of a file that nobody else in this process has opened, of which a forked child has no descriptor.
        pub(crate) fn new(file: File, places: usize) -> Self {
            Self {
                file,
                own: (0..places).map(|_| AtomicBool::new(false)).collect(),
                asked: (0..places).map(|_| AtomicU32::new(0)).collect(),
                here: Here { boot: process::boot(), pid_namespace: process::pid_namespace() },
                me: OwnerId { is_locked: true, ..process::this() },
            }
        }
    }

    impl Lives for Locks {
        fn take(&self, place: usize) -> bool {
            // Acquire, Release: whoever has it next comes after whoever had it.
            let Some(own) = self.own.get(place) else { return false };
            if own.swap(true, Ordering::Acquire) {
                return false;
            }
            let is_taken = system::lock(&self.file, FIRST + place as u64).unwrap_or(false);
            if !is_taken {
                own.store(false, Ordering::Release);
            }
            is_taken
        }

        fn give_back(&self, place: usize) {
            // If the system refuses, it is given back with the file.
            let _given = system::unlock(&self.file, FIRST + place as u64);
            if let Some(own) = self.own.get(place) {
                own.store(false, Ordering::Release);
            }
        }

        fn is_dead(&self, place: usize, who: Option<&OwnerId>) -> bool {
            let Some(own) = self.own.get(place) else { return true };
            if own.load(Ordering::Acquire) {
                return false;
            }
            let is_locked = system::is_locked(&self.file, FIRST + place as u64).ok();
            // Relaxed: a count.
            let asked =
                self.asked.get(place).map_or(0, |asked| asked.fetch_add(1, Ordering::Relaxed));
            if is_locked == Some(true) && !asked.is_multiple_of(BELIEVED) {
                return false;
            }
            let Some((who, pid)) = who.and_then(|who| Some((who, u32::try_from(who.pid).ok()?)))
            else {
                return is_locked == Some(false);
            };
            let lives = || system::lives(pid, who.started);
            let is_mapped = || system::is_mapped(&self.file, pid);
            judge(who, self.here, lives, || is_locked, is_mapped).is_dead()
        }

        fn me(&self) -> OwnerId {
            self.me
        }
    }

    impl Drop for Locks {
        fn drop(&mut self) {
            fork::keep_in_child(self.file.as_raw_fd());
        }
    }
}

/// Participants that live until a test says otherwise.
#[cfg(test)]
pub(super) mod pretended {
    use super::{Lives, OwnerId};
    use crate::sync::{AtomicU64, Ordering};

    /// A bit of each place that is locked. AcqRel: as with the system's locks, who finds one free comes after who had it.
    #[derive(Debug, Clone)]
    pub(crate) struct Pretended(std::sync::Arc<AtomicU64>);

    impl Default for Pretended {
        fn default() -> Self {
            Self(std::sync::Arc::new(AtomicU64::new(0)))
        }
    }

    impl Pretended {
        /// Whoever has this place dies, and with it its lock.
        pub(crate) fn kill(&self, place: usize) {
            self.0.fetch_and(!(1 << place), Ordering::AcqRel);
        }
    }

    impl Lives for Pretended {
        fn take(&self, place: usize) -> bool {
            self.0.fetch_or(1 << place, Ordering::AcqRel) & 1 << place == 0
        }

        fn give_back(&self, place: usize) {
            self.kill(place);
        }

        fn is_dead(&self, place: usize, _who: Option<&OwnerId>) -> bool {
            self.0.load(Ordering::Acquire) & 1 << place == 0
        }

        fn me(&self) -> OwnerId {
            OwnerId { boot: [1, 2], pid: 7, started: 9, pid_namespace: 5, is_locked: true }
        }
    }
}
