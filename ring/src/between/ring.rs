//! The handle of a ring: how it is made and opened, who joins, and what is known of it.

use std::path::Path;
use std::time::Duration;

use super::error::{JoinError, OpenError};
use super::layout::{self, GROUPS, Sizes};
use super::patience::{Limits, Pause, deadline, is_past};
use super::reader::Reader;
use super::role::Role;
use super::shared::Shared;
use super::start::Start;
use super::worker::Worker;
use super::writer::Writer;
use crate::file::CreateError;
use crate::sync::Arc;

/// How a ring is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub(super) slot_bytes: usize,
    pub(super) slots: usize,
    pub(super) participants: usize,
    pub(super) in_place: bool,
    pub(super) kind: u64,
    pub(super) has_signal_handler: bool,
}

impl Options {
    /// So many slots of so many bytes; the number of slots is a power of two, 2 or more.
    #[must_use]
    pub fn new(slot_bytes: usize, slots: usize) -> Self {
        Self {
            slot_bytes,
            slots,
            participants: 64,
            in_place: false,
            kind: 0,
            has_signal_handler: true,
        }
    }

    /// Slots for values of a type.
    #[must_use]
    pub fn of<T: crate::broadcast::Plain>(slots: usize) -> Self {
        Self::new(size_of::<T>(), slots)
    }

    /// How many writers and readers there may be at the same time, 1 to 4,096; 64 if nothing is said. Each takes 128 bytes.
    #[must_use]
    pub fn participants(self, participants: usize) -> Self {
        Self { participants, ..self }
    }

    /// Slots are borrowed where they lie: [`Claim::as_mut_slice`](super::Claim::as_mut_slice). So all readers hold
    /// writers back, and none is overtaken.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// A number that says what is in the slots. Whoever asks for another one is refused.
    #[must_use]
    pub fn kind(self, kind: u64) -> Self {
        Self { kind, ..self }
    }

    /// Without a handler of SIGBUS, which lets this process live when somebody cuts the file short: see [`crate::file`].
    #[must_use]
    pub fn without_signal_handler(self) -> Self {
        Self { has_signal_handler: false, ..self }
    }

    /// Makes the ring, reserves all its memory and touches it.
    ///
    /// The file is the caller's alone (0600). Its folder is made if it is not there (0700), and has to be his alone. It
    /// must be on a file system that keeps what it has promised, and stays until somebody removes it.
    ///
    /// # Errors
    ///
    /// [`OpenError::BadOptions`]; [`OpenError::Create`] with any [`CreateError`], and nothing of the file is left then; and as
    /// [`Ring::open`].
    ///
    /// # Blocking
    ///
    /// While the system reserves the memory.
    pub fn create(&self, path: &Path) -> Result<Ring, OpenError> {
        if !self.slots.is_power_of_two() || self.slots < 2 {
            return Err(OpenError::BadOptions(
                "a ring has 2, 4, 8, 16 or more slots: take a power of two",
            ));
        }
        if self.slot_bytes == 0 {
            return Err(OpenError::BadOptions("a slot of this ring has no bytes: take 1 or more"));
        }
        if self.participants == 0 || self.participants > super::state::OWNERS {
            return Err(OpenError::BadOptions("a ring has places for 1 to 4,096 participants"));
        }
        let sizes = Sizes {
            page: super::open::page_bytes(),
            slot_bytes: self.slot_bytes,
            slots: self.slots,
            participants: self.participants,
            in_place: self.in_place,
        };
        super::open::create(path, sizes, self.kind, self.has_signal_handler)?;
        self.open(path)
    }

    /// Opens a ring that somebody has made with the same options, but for the number of participants.
    ///
    /// # Errors
    ///
    /// As [`Ring::open`], and [`OpenError::OtherOptions`].
    pub fn open(&self, path: &Path) -> Result<Ring, OpenError> {
        self.open_made(path)?.ok_or(OpenError::NoRing)
    }

    /// The same; none of a file that is being made, or whose maker has died.
    fn open_made(&self, path: &Path) -> Result<Option<Ring>, OpenError> {
        let Some((shared, kind)) = super::open::open(path, self.has_signal_handler)? else {
            return Ok(None);
        };
        let sizes = shared.layout.sizes;
        for (what, asked, found) in [
            ("kind", self.kind, kind),
            ("size of a slot", self.slot_bytes as u64, sizes.slot_bytes as u64),
            ("number of slots", self.slots as u64, sizes.slots as u64),
            ("way to have slots in place", u64::from(self.in_place), u64::from(sizes.in_place)),
        ] {
            if asked != found {
                return Err(OpenError::OtherOptions { what, asked, found });
            }
        }
        Ok(Some(Ring::over(shared, Limits::default())))
    }

    /// Opens the ring, or makes it if there is none: for processes of which nobody knows which is the first one. What
    /// somebody has left who died while he made it is removed.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create) and [`open`](Self::open).
    ///
    /// # Blocking
    ///
    /// While somebody makes it, and so long at most.
    pub fn open_or_create(&self, path: &Path, timeout: Duration) -> Result<Ring, OpenError> {
        let deadline = deadline(timeout);
        let mut pause = Pause::default();
        loop {
            match self.open_made(path) {
                Ok(Some(ring)) => return Ok(ring),
                Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    match self.create(path) {
                        Err(OpenError::Create(CreateError::Exists(_))) => {}
                        done => return done,
                    }
                }
                // Somebody makes it, or died over that.
                Ok(None) if !is_past(deadline) => {
                    // What cannot be removed is somebody's who lives, or is gone by now.
                    let _removed = crate::file::remove_unmade(path);
                }
                Ok(None) => return Err(OpenError::NoRing),
                Err(error) => return Err(error),
            }
            if is_past(deadline) {
                return self.open(path);
            }
            pause.wait(deadline);
        }
    }
}

/// A ring in a file that this process has mapped. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Ring {
    pub(super) shared: Arc<Shared>,
    pub(super) limits: Limits,
}

/// What was counted in a ring since it was made, by all processes. Whoever is killed in between leaves out one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Claims that were skipped as their writer was dead.
    pub dead_claims: u64,
    /// Sequences without a value, as a slot was still being written by somebody who did not go on.
    pub passed_over: u64,
    /// Participants that were found dead.
    pub dead_participants: u64,
    /// Writers that have joined.
    pub writers: u64,
}

/// As what somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum As {
    /// A writer.
    Writer,
    /// A reader that may be overtaken.
    Reader,
    /// A reader that holds writers back, and how many sequences it has not given back.
    HoldingReader {
        /// How many.
        lag: u64,
    },
    /// A worker of a group.
    Worker {
        /// Which group.
        group: usize,
        /// Whether it holds writers back.
        holds: bool,
    },
}

/// Somebody who has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// The process, in its own namespace.
    pub pid: u64,
    /// As what.
    pub is: As,
    /// Whether it is dead for certain.
    pub is_dead: bool,
}

impl Ring {
    pub(super) fn over(shared: Shared, limits: Limits) -> Self {
        Self { shared: Arc::new(shared), limits }
    }

    /// Opens a ring that somebody has made, whatever its options.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let Some((shared, _)) = super::open::open(path, true)? else {
            return Err(OpenError::NoRing);
        };
        Ok(Self::over(shared, Limits::default()))
    }

    fn no_place(&self) -> JoinError {
        JoinError::NoPlace { places: self.shared.layout.sizes.participants }
    }

    fn is_in_place(&self) -> bool {
        self.shared.layout.sizes.in_place
    }

    /// Joins as a writer.
    ///
    /// # Errors
    ///
    /// [`JoinError::NoPlace`].
    pub fn writer(&self) -> Result<Writer, JoinError> {
        Writer::join(&self.shared, self.limits).ok_or_else(|| self.no_place())
    }

    /// Joins as a reader that holds nobody back: it may be overtaken, and is told what it has missed.
    ///
    /// # Errors
    ///
    /// [`JoinError::NoPlace`], and [`JoinError::InPlace`].
    pub fn reader(&self, start: Start) -> Result<Reader, JoinError> {
        if self.is_in_place() {
            return Err(JoinError::InPlace);
        }
        Reader::join(&self.shared, self.limits, start, false).ok_or_else(|| self.no_place())
    }

    /// Joins as a reader that holds writers back: it sees each value that is published from now on. When its process is dead it
    /// holds nobody any more.
    ///
    /// # Errors
    ///
    /// [`JoinError::NoPlace`].
    pub fn holding_reader(&self) -> Result<Reader, JoinError> {
        Reader::join(&self.shared, self.limits, Start::Next, true).ok_or_else(|| self.no_place())
    }

    /// Joins a group, 0 to 7, of which one worker reads each value. Where the first one begins is said by `start`; the
    /// group stays where it is when all have left.
    ///
    /// # Errors
    ///
    /// Any [`JoinError`].
    pub fn worker(&self, group: usize, start: Start) -> Result<Worker, JoinError> {
        self.join_group(group, start, false)
    }

    /// The same, and where the group is holds writers back while there is such a worker.
    ///
    /// # Errors
    ///
    /// Any [`JoinError`].
    pub fn holding_worker(&self, group: usize, start: Start) -> Result<Worker, JoinError> {
        self.join_group(group, start, true)
    }

    fn join_group(&self, group: usize, start: Start, holds: bool) -> Result<Worker, JoinError> {
        if group >= GROUPS {
            return Err(JoinError::NoGroup { groups: GROUPS });
        }
        // Two workers may copy the same slot, and one of them while it is claimed again.
        if self.is_in_place() {
            return Err(JoinError::InPlace);
        }
        Worker::join(&self.shared, self.limits, group, start, holds).ok_or_else(|| self.no_place())
    }

    /// Bytes of a slot.
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        self.shared.layout.sizes.slot_bytes
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.shared.layout.sizes.slots
    }

    /// How many sequences were claimed since it was made.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.shared.tail().unwrap_or(0)
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            dead_claims: self.shared.counted(layout::DEAD_CLAIMS),
            passed_over: self.shared.counted(layout::PASSED),
            dead_participants: self.shared.counted(layout::DEAD_PARTICIPANTS),
            writers: self.shared.counted(layout::WRITERS_EVER),
        }
    }

    /// Who is there, and who is dead; asks the system for each.
    #[must_use]
    pub fn participants(&self) -> Vec<Participant> {
        let shared = &*self.shared;
        let tail = self.claimed();
        let of = |index| {
            let life = shared.life(index);
            let is = match life.role() {
                Role::Writer => As::Writer,
                Role::Reader => As::Reader,
                Role::Holding => {
                    // Relaxed: where it is just now.
                    let gate = shared.gate(index).load(crate::sync::Ordering::Relaxed);
                    As::HoldingReader { lag: tail.saturating_sub(gate) }
                }
                Role::Worker(group) => As::Worker { group, holds: false },
                Role::HoldingWorker(group) => As::Worker { group, holds: true },
                _ => return None,
            };
            let who = shared.who(index, life)?;
            Some(Participant { pid: who.pid, is, is_dead: shared.is_dead(index) })
        };
        shared.places().filter_map(of).collect()
    }

    /// Whether somebody has been found to have cut the file.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.shared.was_cut()
    }
}
