//! Ring files that nobody comes for: their profile is not where it was.

use std::path::{Path, PathBuf};

use spandrel_ring::file::{Liveness, OpenError, Reader, State};
use spandrel_storage::{ReadOnly, Store, StoreOptions, has_ended_in, run_number_in};

use super::scan;
use super::{Recovered, Refused, RingOwner, about, is_over, recover_one, waiting};
use crate::error::Error;
use crate::panics;
use crate::recorder::ring_file::dead_names::DeadRun;
use crate::recorder::ring_file::place;

/// A ring file of a process that has died, whose profile is not at its path any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HomelessRing {
    /// The file.
    pub path: PathBuf,
    /// Its size, which is memory.
    pub bytes: u64,
    /// The process.
    pub pid: u64,
    /// Its program.
    pub program: String,
    /// Where its profile was.
    pub database: PathBuf,
}

/// What a file is, if it is a ring of ours in which anything is.
struct Seen {
    reader: Reader<std::fs::File>,
    run: DeadRun,
    liveness: Liveness,
    owner: RingOwner,
}

/// `None` also if it cannot be looked at: it is told of with its own profile.
fn seen(path: &Path) -> Option<Seen> {
    look(path).ok()
}

/// The same, or what is wrong with it.
fn look(path: &Path) -> Result<Seen, Error> {
    let io = |error: std::io::Error| about(path, &error);
    let mut reader = Reader::open(path).map_err(|error| match error {
        OpenError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => about(
            path,
            &"there is no such file; check the path: `spandrel doctor` names ring files for which nobody comes",
        ),
        OpenError::NoRing => about(
            path,
            &"this is no ring file, or one whose process has died before anything was in it; check the path",
        ),
        error => about(path, &error),
    })?;
    let (liveness, state) = (reader.liveness().map_err(io)?, reader.state().map_err(io)?);
    if state == State::Building {
        return Err(about(path, &"its process was about to begin, and nothing is in it"));
    }
    let owner = match liveness {
        _ if is_over(liveness, state) => RingOwner::Dead,
        Liveness::Alive => RingOwner::Alive,
        Liveness::Dead => RingOwner::Dead,
        Liveness::Unknown => RingOwner::Unknown,
    };
    let names = scan::names(&mut reader, owner == RingOwner::Dead);
    let run = names.and_then(|names| names.run.ok_or(Refused::Nameless));
    let run = run.map_err(|refused| refused.about(path))?;
    Ok(Seen { reader, run, liveness, owner })
}

/// The rings of processes that have died, in the folder where this user's programs put them, whose profiles are not at their
/// paths: perhaps nobody will recover them, and they take memory. Without those of a profile that is at hand, whatever it
/// was called before.
#[must_use]
pub fn homeless(at_hand: &Path) -> Vec<HomelessRing> {
    // By its number it finds its rings also where it was renamed. If it cannot be asked, it has none.
    let its_own = waiting(at_hand).unwrap_or_default();
    let found = place::files_of_user().into_iter().filter_map(|path| {
        if its_own.iter().any(|ring| ring.path == path) {
            return None;
        }
        let Seen { reader, run, liveness, .. } = panics::catch(|| seen(&path)).ok()??;
        let database = PathBuf::from(&run.database);
        // One that cannot be looked for may be there.
        let is_gone = liveness == Liveness::Dead
            && database.is_absolute()
            && database.try_exists().is_ok_and(|is_there| !is_there);
        let bytes = reader.source().metadata().map_or(0, |file| file.len());
        let (pid, program) = (run.pid, run.program);
        is_gone.then_some(HomelessRing { path, bytes, pid, program, database })
    });
    found.collect()
}

/// Recovers one ring, whatever its profile was, into a profile that is made for it. For one whose own profile is gone.
///
/// # Errors
///
/// If there is a file of this name already, its process lives, its own profile is there, all of it is in a profile already, or
/// it is of a recording that is collected; and as [`recover`](super::recover).
///
/// # Blocking
///
/// As [`recover`](super::recover).
pub fn recover_ring(ring: &Path, database: &Path) -> Result<Recovered, Error> {
    let Seen { run, owner, .. } = panics::catch(|| look(ring)).unwrap_or_else(|_| {
        Err(about(ring, &"to look at it has panicked; it stays where it is"))
    })?;
    match owner {
        RingOwner::Dead => {}
        RingOwner::Alive => {
            return Err(about(ring, &format!("process {} records into it", run.pid)));
        }
        RingOwner::Unknown => {
            let why = format!(
                "whether process {} lives cannot be told from here; recover it where it ran",
                run.pid
            );
            return Err(about(ring, &why));
        }
    }
    if run.database.is_empty() {
        let folder = ring.parent().unwrap_or(ring).display();
        return Err(about(
            ring,
            &format!("it is collected: `spandrel collect {folder} -o FILE --once`"),
        ));
    }
    for profile in [Path::new(&run.database), database] {
        if let Some(number) = run_that_has_all(profile, &run.uuid) {
            return Err(about(
                ring,
                &format!(
                    "all that it has is in {} already, run {number}: nobody needs it, and it can be removed",
                    profile.display()
                ),
            ));
        }
    }
    if Path::new(&run.database).exists() {
        return Err(about(ring, &its_profile_is_there(ring, Path::new(&run.database))));
    }
    // One that this has begun to make, and was killed over, is gone on with.
    if database.exists() && !is_begun(database, &run.uuid) {
        return Err(about(database, &"there is such a file already: name one that is not there"));
    }
    let mut store = Store::open(database, &StoreOptions::default())?;
    let mut recovered = Recovered::default();
    match panics::catch(|| recover_one(&mut store, None, ring)) {
        Ok(Ok(recovery)) => recovered.rings.extend(recovery),
        Ok(Err(error)) => recovered.refused.push(error),
        Err(_) => {
            recovered.refused.push(about(ring, &"its recovery has panicked; it stays where it is"));
        }
    }
    if store.run_id().is_some() {
        store.leave_run()?;
    }
    store.close()?;
    Ok(recovered)
}

/// The number of the run in a profile that has ended, so that nothing of its ring is needed.
fn run_that_has_all(profile: &Path, uuid: &str) -> Option<i64> {
    let file = profile.is_file().then(|| ReadOnly::open(profile).ok()).flatten()?;
    let has_ended = has_ended_in(&file, uuid).is_ok_and(|ended| ended == Some(true));
    has_ended.then(|| run_number_in(&file, uuid).ok().flatten())?
}

/// What to do with a ring whose own profile can have it.
fn its_profile_is_there(ring: &Path, profile: &Path) -> String {
    let command = format!("`spandrel recover --db {}`", profile.display());
    let is_found = |path: &Path| {
        let files = place::canonical(profile).map(|canonical| place::files_of(&canonical));
        files.is_ok_and(|files| files.found.iter().any(|file| file == path))
    };
    if ring.canonicalize().is_ok_and(|path| is_found(&path)) || is_found(ring) {
        return format!("its profile is there: {command}");
    }
    let folder = place::folders().into_iter().find(|it| it.parent().is_some_and(Path::is_dir));
    let folder = folder.unwrap_or_default();
    format!(
        "its profile is there: {command} finds it in {}, under the name that it had",
        folder.display()
    )
}

/// Whether a file is what a recovery of this run leaves that is killed: it has the run, or no run yet, or nothing at all.
fn is_begun(database: &Path, uuid: &str) -> bool {
    if database.metadata().is_ok_and(|found| found.is_file() && found.len() == 0) {
        return true;
    }
    let Ok(file) = ReadOnly::open(database) else { return false };
    let has_it = spandrel_storage::has_ended_in(&file, uuid).is_ok_and(|ended| ended.is_some());
    has_it || spandrel_storage::has_runs_in(&file).is_ok_and(|has_runs| !has_runs)
}
