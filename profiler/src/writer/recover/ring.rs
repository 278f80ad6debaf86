//! A ring file of a process that is gone: is it one, whose is it, and what becomes of it when it is done with.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use spandrel_ring::file::{Liveness, OpenError, Reader, State};
use spandrel_storage::{DrainedRow, RingId, Store};

use super::about;
use super::scan::{self, Refused, Scan};
use super::whose::{self, By};
use crate::error::Error;
use crate::panics;
use crate::recorder::ring_file::dead_names::DeadNames;
use crate::recorder::ring_file::place;

/// A process may have died while it made its ring file: then nothing is in it, and it goes. (If that fails, the next one
/// tries again.)
///
/// # Errors
///
/// If it was [emptied]; it goes all the same.
pub(crate) fn remove_unmade(path: &Path, has_run: Option<bool>) -> Result<(), Error> {
    if place::pid_of(path).is_none_or(lives) {
        return Ok(());
    }
    let emptied = emptied(path, has_run);
    let is_removed = spandrel_ring::file::remove_unmade(path).unwrap_or(false);
    match emptied.filter(|_| is_removed) {
        Some(what) => Err(about(path, &format!("{what}; it was removed"))),
        None => Ok(()),
    }
}

fn lives(pid: u32) -> bool {
    cfg!(target_os = "linux") && Path::new("/proc").join(pid.to_string()).exists()
}

/// What there is to say of a file without a header, of a process that is gone, which was a ring that somebody has emptied: what
/// was in it is lost, and that is not for us to hide. Whoever makes one reserves whole pages of it before he writes anything;
/// where he was killed before that, it looks the same. `has_run` says whether the profile has its run, and not its end: then
/// it was recorded into; without a profile that would have it, nobody knows.
fn emptied(path: &Path, has_run: Option<bool>) -> Option<&'static str> {
    /// No page is smaller.
    const PAGE_MIN: u64 = 4_096;
    let what = match has_run {
        Some(true) => {
            "nothing is in it: somebody has emptied it, so that what was in it and not stored is lost"
        }
        Some(false) => return None,
        None => {
            "nothing is in it: somebody has emptied it, or its process was killed as it made it"
        }
    };
    let found = path.symlink_metadata().ok()?;
    #[cfg(target_os = "linux")]
    let has_holes = {
        use std::os::unix::fs::MetadataExt;
        found.blocks().saturating_mul(512) < found.len()
    };
    #[cfg(not(target_os = "linux"))]
    let has_holes = false;
    (found.is_file() && (found.len() < PAGE_MIN || has_holes)).then_some(what)
}

/// The same by somebody who only looks.
pub(super) fn told_of_unmade(path: &Path, has_run: Option<bool>) -> Option<Error> {
    let what =
        emptied(path, has_run).filter(|_| place::pid_of(path).is_some_and(|pid| !lives(pid)));
    what.map(|what| about(path, &format!("{what}; whoever recovers or collects it removes it")))
}

/// The same for those of all databases: a profile that is never recorded into again would keep their memory.
pub(crate) fn remove_unmade_of_all() {
    for path in place::files_of_all() {
        // To open and close one of our own would give up its lock.
        if place::pid_of(&path) == Some(std::process::id()) {
            continue;
        }
        // One that cannot be looked at stays, and is told of with its own database.
        _ = panics::catch(|| match Reader::open_to_drain(&path) {
            // One that was emptied takes no memory, and is told of with its own profile.
            Err(OpenError::NoRing) if emptied(&path, None).is_some() => {}
            Err(OpenError::NoRing) => _ = remove_unmade(&path, Some(false)),
            Ok(mut reader) => {
                let is_unmade = reader.liveness().is_ok_and(|it| it == Liveness::Dead)
                    && reader.state().is_ok_and(|state| state == State::Building)
                    && reader.lock_to_drain().unwrap_or(false)
                    && is_still(&path, reader.source());
                if is_unmade {
                    _ = remove_file(&path);
                }
            }
            Err(_) => {}
        });
    }
}

pub(in crate::writer) fn is_done(drained: &[DrainedRow]) -> bool {
    drained.iter().any(|row| row.partition.is_none())
}

/// Whether nothing of a ring is needed: its process had not begun, its writer had stored all, or somebody has since.
pub(super) fn has_nothing(state: State, drained: &[DrainedRow], has_ended: Option<bool>) -> bool {
    state == State::Building || is_done(drained) || has_ended == Some(true)
}

/// Whether nobody records into it any more: its owner is dead, or has closed it and left what could not be stored.
pub(super) fn is_over(liveness: Liveness, state: State) -> bool {
    liveness == Liveness::Dead || state == State::Closed
}

/// A ring file of a process that is gone, of this profile.
pub(super) struct Ring {
    pub(super) reader: Reader<File>,
    pub(super) id: RingId,
    pub(super) uuid: String,
    /// By what it is the profile's.
    pub(super) by: By,
    names: Option<DeadNames>,
}

impl Ring {
    /// `None` if it is another profile's than this one, its process lives, or another process recovers it. `has_run` says
    /// whether the profile has a run, and not its end.
    pub(super) fn open(
        path: &Path,
        database: Option<&Path>,
        to_drain: bool,
        has_run: impl FnOnce(&str) -> bool,
    ) -> Result<Option<Self>, Error> {
        let opened = match to_drain {
            true => Reader::open_to_drain(path),
            false => Reader::open(path),
        };
        let mut reader = match opened {
            Ok(reader) => reader,
            // It is being made, or its process has died over that; or it is gone meanwhile.
            Err(OpenError::NoRing) => {
                let has_run = Some(place::run_of(path).is_some_and(has_run));
                return match to_drain {
                    true => remove_unmade(path, has_run).map(|()| None),
                    false => told_of_unmade(path, has_run).map_or(Ok(None), Err),
                };
            }
            Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(about(path, &error)),
        };
        let liveness = reader.liveness().map_err(|error| about(path, &error))?;
        if !is_over(liveness, reader.state().map_err(|error| about(path, &error))?) {
            return Ok(None);
        }
        if to_drain {
            let has_lock = reader.lock_to_drain().map_err(|error| about(path, &error))?;
            // Whoever had the lock before may have removed it.
            if !has_lock || !is_still(path, reader.source()) {
                return Ok(None);
            }
        }
        // Killed over it: there is nothing in it, perhaps not even a name.
        if reader.state().map_err(|error| about(path, &error))? == State::Building {
            return match to_drain {
                true => remove_file(path).map(|()| None),
                false => Ok(None),
            };
        }
        let names = scan::names(&mut reader, true).map_err(|refused| refused.about(path))?;
        let Some(run) = &names.run else { return Ok(None) };
        let by = database.map_or(Some(By::Path), |database| whose::is_of(run, database));
        let Some(by) = by else { return Ok(None) };
        let uuid = run.uuid.clone();
        Ok(Some(Self { id: reader.run(), reader, uuid, by, names: Some(names) }))
    }

    pub(super) fn scan(&mut self, path: &Path, drained: &[DrainedRow]) -> Result<Scan, Error> {
        let mut from = HashMap::new();
        // What was given back is in some file, which is perhaps not at this path any more; or it was lost with it.
        for partition in 0..self.reader.partitions() {
            let seen = self.reader.partition(partition).map_err(|error| about(path, &error))?;
            from.extend(seen.given_back.map(|position| (partition as u32, position)));
        }
        // This file knows better.
        from.extend(drained.iter().filter_map(|row| Some((row.partition?, row.position))));
        let names = self.names.take().unwrap_or_default();
        let from = |partition| from.get(&partition).copied().unwrap_or(0);
        Scan::of(&mut self.reader, names, from, None).map_err(|refused| refused.about(path))
    }
}

impl Refused {
    pub(in crate::writer) fn about(self, path: &Path) -> Error {
        match self {
            Self::OtherBuild => about(
                path,
                &"it was written by another version of spandrel; recover it with that one, or remove it",
            ),
            Self::Nameless => about(path, &"it does not say whose it is; remove it"),
            Self::OtherClock => about(
                path,
                &"its clock cannot be read here: look at it on the machine where it runs",
            ),
            Self::NotWhole => about(
                path,
                &"parts of it are not there, as somebody has cut it short: what is open cannot be read",
            ),
            Self::Io(error) => about(path, &error),
        }
    }
}

/// Whether the path still names this file.
pub(in crate::writer) fn is_still(path: &Path, file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |found: std::fs::Metadata| (found.dev(), found.ino());
        let (there, here) = (path.symlink_metadata().map(id), file.metadata().map(id));
        there.is_ok_and(|there| here.is_ok_and(|here| here == there))
    }
    #[cfg(not(unix))]
    {
        _ = file;
        path.exists()
    }
}

/// Renames a ring of which nothing can be stored: what is wrong may be what we take it for. Nothing is said of it in the
/// profile, so that it can be recovered under its old name.
pub(super) fn set_aside(path: &Path) -> Error {
    let mut name = path.as_os_str().to_owned();
    name.push(place::DAMAGED);
    let name = PathBuf::from(name);
    match std::fs::rename(path, &name) {
        Ok(()) => {
            let name = name.display();
            about(
                path,
                &format!(
                    "nothing in it makes sense; it was not recovered, and was renamed to {name}"
                ),
            )
        }
        Err(error) => about(
            path,
            &format!(
                "nothing in it makes sense; it was not recovered, and cannot be renamed: {error}"
            ),
        ),
    }
}

/// In this order: as long as the file is there, the profile says that nothing of it is needed.
pub(in crate::writer) fn remove(
    store: &mut Store,
    path: &Path,
    ring: &RingId,
) -> Result<(), Error> {
    remove_file(path)?;
    Ok(store.forget_drained(ring)?)
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(about(path, &format!("cannot be removed: {error}")))
        }
        _ => Ok(()),
    }
}
