//! Ring files that nobody comes for: their profile is not where it was.

use std::path::{Path, PathBuf};

use spandrel_ring::file::{Liveness, Reader, State};
use spandrel_storage::{ReadOnly, Store, StoreOptions};

use super::scan;
use super::{Recovered, RingOwner, about, is_over, recover_one, waiting};
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
    let mut reader = Reader::open(path).ok()?;
    let (liveness, state) = (reader.liveness().ok()?, reader.state().ok()?);
    if state == State::Building {
        return None;
    }
    let owner = match liveness {
        _ if is_over(liveness, state) => RingOwner::Dead,
        Liveness::Alive => RingOwner::Alive,
        Liveness::Dead => RingOwner::Dead,
        Liveness::Unknown => RingOwner::Unknown,
    };
    let run = scan::names(&mut reader, owner == RingOwner::Dead).ok()?.run?;
    Some(Seen { reader, run, liveness, owner })
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
/// If there is a file of this name already, its process lives, its own profile is there, or it is of a recording that is
/// collected; and as [`recover`](super::recover).
///
/// # Blocking
///
/// As [`recover`](super::recover).
pub fn recover_ring(ring: &Path, database: &Path) -> Result<Recovered, Error> {
    let no_ring =
        || about(ring, &"it is no ring file of this version of spandrel, or nothing is in it");
    let Seen { run, owner, .. } =
        panics::catch(|| seen(ring)).ok().flatten().ok_or_else(no_ring)?;
    if owner != RingOwner::Dead {
        return Err(about(ring, &format!("process {} records into it", run.pid)));
    }
    if run.database.is_empty() {
        let folder = ring.parent().unwrap_or(ring).display();
        return Err(about(
            ring,
            &format!("it is collected: `spandrel collect {folder} -o FILE --once`"),
        ));
    }
    if Path::new(&run.database).exists() {
        return Err(about(
            ring,
            &format!("its profile is there: `spandrel recover --db {}`", run.database),
        ));
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

/// Whether a file is what a recovery of this run leaves that is killed: it has the run, or no run yet, or nothing at all.
fn is_begun(database: &Path, uuid: &str) -> bool {
    if database.metadata().is_ok_and(|found| found.is_file() && found.len() == 0) {
        return true;
    }
    let Ok(file) = ReadOnly::open(database) else { return false };
    let has_it = spandrel_storage::has_ended_in(&file, uuid).is_ok_and(|ended| ended.is_some());
    has_it || spandrel_storage::has_runs_in(&file).is_ok_and(|has_runs| !has_runs)
}
