//! Whether the owner of a ring file lives.
//!
//! A process id alone says nothing: it may be another process's by now, or mean another one here. So in the same
//! namespace the process is asked for, by its number and when it began; one that has ended and that its parent has not
//! asked for is dead. Elsewhere, and where processes cannot be seen, the lock tells, which the system releases when
//! the process ends, however it does. A boot id that is another one says that the owner is dead, unless it holds the
//! lock: then it is in a container that calls the same boot otherwise.
//!
//! A process that has become another program (`exec`) is the same one by number and beginning, and has neither the lock
//! nor the mapping any more. One that has closed descriptors which are not its own has the mapping still, and records. So
//! where the lock is free that such a process had, it is asked for its mappings.

use super::OwnerId;

/// The byte that the owner locks while it lives.
pub(crate) const OWNER_BYTE: u64 = 0;
/// The byte that whoever drains locks while he does.
pub(crate) const DRAINER_BYTE: u64 = 1;

/// Whether the owner of a ring file lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It does, and may publish more.
    Alive,
    /// It does not, for certain.
    Dead,
    /// It cannot be asked: it is in another container, and the file system has no locks.
    Unknown,
}

impl Liveness {
    /// Whether it is dead for certain.
    #[must_use]
    pub fn is_dead(self) -> bool {
        self == Self::Dead
    }
}

/// From where somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Here {
    pub(crate) boot: [u64; 2],
    pub(crate) pid_namespace: u64,
}

/// What is known of the owner. `lives` asks for the process, `is_locked` whether somebody holds the lock, `is_mapped`
/// whether that process has the file mapped; each says `None` where it cannot know.
pub(crate) fn judge(
    owner: &OwnerId,
    here: Here,
    lives: impl FnOnce() -> Option<bool>,
    is_locked: impl FnOnce() -> Option<bool>,
    is_mapped: impl FnOnce() -> Option<bool>,
) -> Liveness {
    let is_known = owner.boot != [0; 2] && here.boot != [0; 2];
    if is_known && owner.boot != here.boot {
        // No lock outlives its boot. Some containers have boot ids of their own, and the lock says that both are on one
        // machine.
        return match owner.is_locked && is_locked() == Some(true) {
            true => Liveness::Alive,
            false => Liveness::Dead,
        };
    }
    let is_same = is_known && owner.started != 0 && owner.pid_namespace == here.pid_namespace;
    let is_locked = || if owner.is_locked { is_locked() } else { None };
    let seen = if is_same { lives() } else { None };
    let lives = match seen {
        Some(false) => seen,
        _ => match (seen, is_locked()) {
            // The header says that there is a lock once there is one, so it is not about to come.
            (Some(_), Some(false)) => Some(is_mapped() == Some(true)),
            (Some(_), _) => seen,
            (None, is_locked) => is_locked,
        },
    };
    match lives {
        Some(true) => Liveness::Alive,
        Some(false) => Liveness::Dead,
        None => Liveness::Unknown,
    }
}

#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
mod asking {
    use std::fs::File;
    use std::io;

    use super::super::{Reader, process, system};
    use super::{DRAINER_BYTE, Here, Liveness, OWNER_BYTE, judge};

    impl Reader<File> {
        /// Whether the owner lives.
        ///
        /// # Errors
        ///
        /// None at present; what cannot be known is [`Liveness::Unknown`].
        pub fn liveness(&self) -> io::Result<Liveness> {
            let owner = self.owner();
            let here = Here { boot: process::boot(), pid_namespace: process::pid_namespace() };
            let lives = || system::lives(u32::try_from(owner.pid).ok()?, owner.started);
            let is_locked = || system::is_locked(&self.source, OWNER_BYTE).ok();
            let is_mapped = || system::is_mapped(&self.source, u32::try_from(owner.pid).ok()?);
            Ok(judge(&owner, here, lives, is_locked, is_mapped))
        }

        /// Takes the right to drain, which one reader has at a time and which ends with it, or with its process.
        /// `false` if another one has it. Nobody who records waits for it.
        ///
        /// # Errors
        ///
        /// Where there are no locks, or the file is not [open for it](Reader::open_to_drain).
        pub fn lock_to_drain(&self) -> io::Result<bool> {
            system::lock(&self.source, DRAINER_BYTE)
        }

        /// Whether somebody else has that right now: a process that lives, if only stopped.
        ///
        /// # Errors
        ///
        /// Where there are no locks.
        pub fn is_drained(&self) -> io::Result<bool> {
            system::is_locked(&self.source, DRAINER_BYTE)
        }

        /// The process that has it, if this one may know. Costs some milliseconds.
        #[must_use]
        pub fn drained_by(&self) -> Option<u32> {
            system::lock_holder(&self.source, DRAINER_BYTE)
        }
    }
}

#[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
mod asking {
    use std::fs::File;
    use std::io;

    use super::super::{Reader, process};
    use super::{Here, Liveness, judge};

    impl Reader<File> {
        /// Whether the owner lives: this system cannot say.
        ///
        /// # Errors
        ///
        /// None.
        pub fn liveness(&self) -> io::Result<Liveness> {
            let here = Here { boot: process::boot(), pid_namespace: process::pid_namespace() };
            Ok(judge(&self.owner(), here, || process::started(0).map(|_| true), || None, || None))
        }

        /// Takes the right to drain: this system has no such locks.
        ///
        /// # Errors
        ///
        /// Always.
        pub fn lock_to_drain(&self) -> io::Result<bool> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Whether somebody else has that right now: this system has no such locks.
        ///
        /// # Errors
        ///
        /// Always.
        pub fn is_drained(&self) -> io::Result<bool> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// The process that has it: not known here.
        #[must_use]
        pub fn drained_by(&self) -> Option<u32> {
            None
        }
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    const OWNER: OwnerId =
        OwnerId { boot: [1, 2], pid: 7, started: 9, pid_namespace: 5, is_locked: true };
    const HERE: Here = Here { boot: [1, 2], pid_namespace: 5 };

    fn asked(owner: OwnerId, here: Here, lives: Option<bool>, lock: Option<bool>) -> Liveness {
        judge(&owner, here, || lives, || lock, || unreachable!("the others tell"))
    }

    #[test]
    fn who_is_seen_to_be_gone_is_whoever_has_the_lock() {
        assert_eq!(asked(OWNER, HERE, Some(true), Some(true)), Liveness::Alive);
        assert_eq!(asked(OWNER, HERE, Some(true), None), Liveness::Alive);
        // A child that was made without handlers has the lock still.
        assert_eq!(asked(OWNER, HERE, Some(false), Some(true)), Liveness::Dead);
        assert_eq!(asked(OWNER, HERE, None, Some(true)), Liveness::Alive);
        assert_eq!(asked(OWNER, HERE, None, Some(false)), Liveness::Dead);
        assert_eq!(asked(OWNER, HERE, None, None), Liveness::Unknown);
    }

    #[test]
    fn who_is_seen_and_has_lost_the_lock_has_the_mapping_or_is_another_program() {
        let asked = |owner, mapped| judge(&owner, HERE, || Some(true), || Some(false), || mapped);
        assert_eq!(asked(OWNER, Some(true)), Liveness::Alive);
        assert_eq!(asked(OWNER, Some(false)), Liveness::Dead);
        // A program of another user, say, which nobody else may look into.
        assert_eq!(asked(OWNER, None), Liveness::Dead);
        // It never had one.
        let unlocked = OwnerId { is_locked: false, ..OWNER };
        assert_eq!(asked(unlocked, Some(false)), Liveness::Alive);
    }

    #[test]
    fn a_number_of_another_namespace_means_nothing() {
        let elsewhere = Here { pid_namespace: 6, ..HERE };
        assert_eq!(asked(OWNER, elsewhere, Some(false), Some(true)), Liveness::Alive);
        assert_eq!(asked(OWNER, elsewhere, Some(true), Some(false)), Liveness::Dead);
        let unlocked = OwnerId { is_locked: false, ..OWNER };
        assert_eq!(asked(unlocked, elsewhere, Some(true), Some(false)), Liveness::Unknown);
    }

    #[test]
    fn nobody_lives_through_a_boot() {
        let later = Here { boot: [1, 3], ..HERE };
        assert_eq!(asked(OWNER, later, Some(true), Some(false)), Liveness::Dead);
        assert_eq!(asked(OWNER, later, Some(true), None), Liveness::Dead);
        let unlocked = OwnerId { is_locked: false, ..OWNER };
        assert_eq!(asked(unlocked, later, Some(true), Some(true)), Liveness::Dead);
        let unknown = Here { boot: [0; 2], ..HERE };
        assert_eq!(asked(OWNER, unknown, Some(false), Some(true)), Liveness::Alive);
        assert_eq!(asked(OWNER, unknown, Some(false), None), Liveness::Unknown);
    }

    #[test]
    fn a_lock_that_is_held_is_held_by_somebody_who_lives_whatever_the_boot_is_called() {
        let elsewhere = Here { boot: [7, 7], pid_namespace: 6 };
        assert_eq!(asked(OWNER, elsewhere, Some(false), Some(true)), Liveness::Alive);
        assert_eq!(asked(OWNER, elsewhere, Some(false), Some(false)), Liveness::Dead);
    }
}
