//! Which ring files of a profile there are, and whether they wait to be recovered.

use std::path::{Path, PathBuf};

use spandrel_ring::file::{Liveness, OpenError, Reader, State};
use spandrel_storage::{ReadOnly, RingId, drained_in, has_ended_in, run_number_in};

use super::scan;
use super::whose::{self, By};
use super::{Refused, about, has_nothing, is_over, told_of_unmade};
use crate::error::Error;
use crate::recorder::ring_file::dead_names::DeadRun;
use crate::recorder::ring_file::place;

/// What is known of the process whose ring a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingOwner {
    /// It records.
    Alive,
    /// It is gone, or has closed the recording and could not store all: its ring waits to be recovered.
    Dead,
    /// It is in another container, and cannot be asked.
    Unknown,
}

/// A ring file of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingRing {
    /// The file.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: RingOwner,
    /// The process.
    pub pid: u64,
    /// Whether it has closed the recording.
    pub was_closed: bool,
    /// The run's `uuid` in the profile.
    pub run: String,
    /// Why this program cannot recover it, if it cannot.
    pub refused: Option<String>,
}

/// A ring file of which everything is in the profile already: it was put back after it had been recovered, say, or its process
/// was killed before it could remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRing {
    /// The file. Nobody needs it.
    pub path: PathBuf,
    /// The process.
    pub pid: u64,
    /// The run that has it.
    pub run_id: i64,
}

/// What a file was found to be.
enum Looked {
    /// Another profile's, or nothing is in it.
    None,
    Waits(WaitingRing),
    Stored(StoredRing),
}

/// The ring files of this profile, those of living processes included, and without those of which nothing is needed
/// any more: the next recording removes them. Looks at their first pages only.
///
/// # Errors
///
/// If the profile is not there, or the system does not let us look.
pub fn waiting(database: &Path) -> Result<Vec<WaitingRing>, Error> {
    Ok(rings(database)?.0)
}

/// The same, and those of which nothing is needed, as the profile has all of it.
///
/// # Errors
///
/// As for [`waiting`].
pub fn rings(database: &Path) -> Result<(Vec<WaitingRing>, Vec<StoredRing>), Error> {
    let canonical = place::canonical(database).map_err(|error| about(database, &error))?;
    let (mut found, mut stored, mut profile) = (Vec::new(), Vec::new(), None);
    let files = place::files_of(&canonical);
    let refused = |path: PathBuf, why: String| WaitingRing {
        owner: RingOwner::Unknown,
        pid: place::pid_of(&path).map_or(0, u64::from),
        was_closed: false,
        run: place::run_of(&path).unwrap_or_default().to_owned(),
        refused: Some(why),
        path,
    };
    for (path, why) in files.refused {
        let why = about(&path, &why).to_string();
        found.push(refused(path, why));
    }
    for path in files.found {
        match look_at(&path, &canonical, &mut profile) {
            Ok(Looked::Waits(ring)) => found.push(ring),
            Ok(Looked::Stored(ring)) => stored.push(ring),
            Ok(Looked::None) => {}
            Err(OpenError::NoRing) => {
                // Whoever recovers removes it.
                let run = place::run_of(&path).unwrap_or_default();
                let has_run = has_begun(&mut profile, &canonical, run);
                let emptied = told_of_unmade(&path, Some(has_run));
                found.extend(emptied.map(|why| WaitingRing {
                    owner: RingOwner::Dead,
                    ..refused(path, why.to_string())
                }));
            }
            Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let why = about(&path, &error).to_string();
                found.push(refused(path, why));
            }
        }
    }
    Ok((found, stored))
}

fn look_at(
    path: &Path,
    database: &Path,
    profile: &mut Option<ReadOnly>,
) -> Result<Looked, OpenError> {
    let mut reader = Reader::open(path)?;
    let (liveness, state) = (reader.liveness()?, reader.state()?);
    let owner = match liveness {
        _ if is_over(liveness, state) => RingOwner::Dead,
        Liveness::Alive => RingOwner::Alive,
        Liveness::Dead => RingOwner::Dead,
        Liveness::Unknown => RingOwner::Unknown,
    };
    let pid = reader.owner().pid;
    let (run, refused) = match scan::names(&mut reader, owner == RingOwner::Dead) {
        Ok(names) => {
            let run = names.run.filter(|run| is_of(profile, database, run));
            let Some(run) = run else { return Ok(Looked::None) };
            let ring = reader.run();
            if owner == RingOwner::Dead && is_done_with(profile, database, state, &ring, &run.uuid)
            {
                let number = |profile: &ReadOnly| run_number_in(profile, &run.uuid).ok().flatten();
                let run_id = profile.as_ref().and_then(number).filter(|_| state != State::Building);
                return Ok(run_id.map_or(Looked::None, |run_id| {
                    Looked::Stored(StoredRing { path: path.to_owned(), pid, run_id })
                }));
            }
            (run.uuid, None)
        }
        Err(Refused::Io(error)) => return Err(error.into()),
        // It is being made, or its process has died over that: nothing is in it.
        Err(Refused::Nameless) if reader.state()? == State::Building => return Ok(Looked::None),
        Err(refused) => {
            let run = place::run_of(path).unwrap_or_default().to_owned();
            (run, Some(refused.about(path).to_string()))
        }
    };
    let was_closed = state == State::Closed;
    Ok(Looked::Waits(WaitingRing { path: path.to_owned(), owner, pid, was_closed, run, refused }))
}

/// Whether the profile has this run, and not its end.
fn has_begun(profile: &mut Option<ReadOnly>, database: &Path, uuid: &str) -> bool {
    if profile.is_none() {
        *profile = ReadOnly::open(database).ok();
    }
    let ended = profile.as_ref().and_then(|profile| has_ended_in(profile, uuid).ok().flatten());
    ended == Some(false)
}

/// Whether a ring whose names say this is of the profile.
pub(super) fn is_of(profile: &mut Option<ReadOnly>, database: &Path, run: &DeadRun) -> bool {
    match whose::is_of(run, database) {
        None => false,
        Some(By::Path) => true,
        Some(By::File) => {
            if profile.is_none() {
                *profile = ReadOnly::open(database).ok();
            }
            let has = |profile: &mut ReadOnly| has_ended_in(profile, &run.uuid).ok().flatten();
            profile.as_mut().and_then(has).is_some()
        }
    }
}

/// Whether the profile says that nothing of this ring is needed. One that cannot be read says nothing.
pub(super) fn is_done_with(
    profile: &mut Option<ReadOnly>,
    database: &Path,
    state: State,
    ring: &RingId,
    uuid: &str,
) -> bool {
    if profile.is_none() {
        *profile = ReadOnly::open(database).ok();
    }
    let Some(profile) = profile else { return false };
    let drained = drained_in(profile, ring).unwrap_or_default();
    has_nothing(state, &drained, has_ended_in(profile, uuid).unwrap_or(None))
}
