//! Moves what a process that is gone has left in its ring file into its profile.
//!
//! ```text
//!   ring file --scan--> raw --convert--> batches --append--> profile
//!   open spans --------------------------> the last batch: crashed spans, ledger, "nothing more is needed"
//!                                                                  then the file is removed
//! ```
//!
//! Each batch says, in its own transaction, up to which position of each partition it reaches, as the batches of the dead
//! writer did; and the last one says that the ring is done with. So whoever is killed here, at any moment, leaves either
//! a batch or none of it; and the next one goes on there. What the ring file says of its own positions
//! decides only where the profile says nothing: after it was renamed, say, where the rest belongs to the next one.
//!
//! Nothing in the file is trusted, see [`scan`] and [`check`]: what makes no sense is counted as damaged. Memory is that of
//! the file, some times over.

pub(super) mod check;
mod homeless;
pub(super) mod in_folder;
mod ledger;
pub(super) mod left_alone;
mod moving;
pub(super) mod of_dead;
mod open_at_death;
mod open_spans;
pub(super) mod pieces;
mod recovery;
mod removed;
mod ring;
pub(super) mod scan;
mod times;
mod waiting;
mod waits;
pub(super) mod whole;
mod whose;

use std::path::Path;

use spandrel_ring::file::Reader;
use spandrel_storage::Store;

pub use self::homeless::{HomelessRing, homeless, recover_ring};
pub use self::in_folder::{FolderRing, in_folder};
#[cfg(feature = "collected")]
pub(super) use self::ledger::Told;
#[cfg(any(test, feature = "collected"))]
pub(super) use self::moving::without_self_times;
pub(super) use self::moving::{End, Recover, loss};
#[cfg(feature = "collected")]
pub(super) use self::moving::{KnownChildren, STORED_LOOKED_AT, began_before};
pub use self::open_spans::{IdsInProfile, OpenInRing, OpenLook, OpenRings, RingOpen};
pub use self::recovery::{OpenAtDeath, Recovered, Recovery};
pub use self::removed::{RemovedRing, emptied, removed};
#[cfg(any(test, feature = "collected"))]
pub(super) use self::ring::is_done;
pub(super) use self::ring::is_still;
pub(super) use self::ring::remove;
#[cfg(feature = "collected")]
pub(super) use self::ring::remove_unmade;
pub(crate) use self::ring::remove_unmade_of_all;
use self::ring::{Ring, has_nothing, is_over, set_aside, told_of_unmade};
use self::scan::Refused;
pub use self::waiting::{RingOwner, StoredRing, WaitingRing, rings, waiting};
use self::whose::By;
use crate::error::{Error, ErrorKind};
use crate::panics;
use crate::recorder::record::FIRST_ID_MAX;
use crate::recorder::ring_file::layout::drainer;
use crate::recorder::ring_file::place;

/// Where ids of a run that the profile does not know may begin at the latest: most of them stay for other runs.
const FIRST_ID_LATEST: u64 = FIRST_ID_MAX / 2;

/// Recovers all rings of a profile whose processes are gone, and removes their files; `dry_run` only looks. Those of
/// living processes are left alone. A file that cannot be recovered stays, and what was stored of it is not stored again.
///
/// # Errors
///
/// If the profile cannot be opened, or not be closed.
///
/// # Blocking
///
/// Some 0.5 s for a ring of the usual size that is full; and half a second more if spans in it were open for long, as then
/// up to two million stored spans are looked at for their children.
pub fn recover(database: &Path, dry_run: bool) -> Result<Recovered, Error> {
    if dry_run {
        return look(database);
    }
    let options = spandrel_storage::StoreOptions::default();
    let mut store = Store::open(database, &options)?;
    let recovered = before_recording(&mut store, database);
    store.close()?;
    Ok(recovered)
}

/// The same with a store that is open, in which no run has begun. What cannot be recovered stays for the next time.
pub(crate) fn before_recording(store: &mut Store, database: &Path) -> Recovered {
    let Recovered { mut rings, refused: mut errors } = Recovered::default();
    let Ok(canonical) = place::canonical(database) else { return Recovered::default() };
    let files = place::files_of(&canonical);
    errors.extend(files.refused.iter().map(|(path, why)| about(path, why)));
    for path in files.found {
        // A fault of ours must not end the program that only wants to record.
        let recovered = panics::catch(|| recover_one(store, Some(&canonical), &path));
        match recovered {
            Ok(Ok(Some(recovery))) => rings.push(recovery),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => errors.push(error),
            Err(_) => errors.push(about(&path, &"its recovery has panicked; it stays where it is")),
        }
        if store.run_id().is_some()
            && let Err(error) = store.leave_run()
        {
            errors.push(error.into());
            break;
        }
    }
    // One that cannot be removed now is told by both, in case its run is deleted before the file is.
    if errors.is_empty()
        && let Err(error) = store.forget_drained_of_ended()
    {
        errors.push(error.into());
    }
    Recovered { rings, refused: errors }
}

/// Sees to it that no id of a ring of this profile that was left where it is, whatever the reason, becomes one of the run
/// that begins next: so it can be recovered later.
pub(crate) fn leave_ids_of_rings(store: &mut Store, database: &Path) {
    let Ok(canonical) = place::canonical(database) else { return };
    for path in place::files_of(&canonical).found {
        // If it cannot be read, nobody can recover it.
        let ids_end = panics::catch(|| {
            let mut reader = Reader::open(&path).ok()?;
            scan::ids_end(&mut reader).ok()
        });
        // Where that would leave the profile no ids, the ring will not be recovered into it either.
        if let Ok(Some(ids_end)) = ids_end
            && ids_end <= FIRST_ID_LATEST
        {
            store.leave_ids_below(ids_end);
        }
    }
}

/// What [`recover`] would do.
fn look(database: &Path) -> Result<Recovered, Error> {
    let canonical = place::canonical(database).map_err(|error| about(database, &error))?;
    let reader = spandrel_storage::ReadOnly::open(&canonical)?;
    let mut found = Recovered::default();
    let files = place::files_of(&canonical);
    found.refused.extend(files.refused.iter().map(|(path, why)| about(path, why)));
    for path in files.found {
        match panics::catch(|| look_at(&reader, &canonical, &path)) {
            Ok(Ok(would_be)) => found.rings.extend(would_be),
            Ok(Err(error)) => found.refused.push(error),
            Err(_) => {
                found.refused.push(about(&path, &"its recovery has panicked; it stays where it is"))
            }
        }
    }
    Ok(found)
}

fn look_at(
    reader: &spandrel_storage::ReadOnly,
    database: &Path,
    path: &Path,
) -> Result<Option<Recovery>, Error> {
    let has_run = |uuid: &str| {
        spandrel_storage::has_ended_in(reader, uuid).is_ok_and(|ended| ended == Some(false))
    };
    let Some(mut ring) = Ring::open(path, Some(database), false, has_run)? else { return Ok(None) };
    let drained = spandrel_storage::drained_in(reader, &ring.id)?;
    let has_ended = spandrel_storage::has_ended_in(reader, &ring.uuid)?;
    if ring.by == By::File && has_ended.is_none() {
        return Ok(None);
    }
    let state = ring.reader.state().map_err(|error| about(path, &error))?;
    if has_nothing(state, &drained, has_ended) {
        return Ok(None);
    }
    let scan = ring.scan(path, &drained)?;
    if has_ended.is_none() && !scan.has_any() {
        return Ok(None);
    }
    let was_closed = scan.end(state) != End::Crashed;
    Ok(Some(Recovery { was_closed, ..scan.told(path) }))
}

pub(super) fn about(path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::RingFile, format!("{}: {what}", path.display()))
}

/// Recovers one ring, of this profile if one is named. `None` if there was nothing to do.
pub(super) fn recover_one(
    store: &mut Store,
    database: Option<&Path>,
    path: &Path,
) -> Result<Option<Recovery>, Error> {
    let has_run = |uuid: &str| store.has_ended(uuid).is_ok_and(|ended| ended == Some(false));
    let Some(mut ring) = Ring::open(path, database, true, has_run)? else { return Ok(None) };
    let drained = store.drained(&ring.id)?;
    let state = ring.reader.state().map_err(|error| about(path, &error))?;
    let has_ended = store.has_ended(&ring.uuid)?;
    if ring.by == By::File && has_ended.is_none() {
        return Ok(None);
    }
    // Then only the file was left.
    if has_nothing(state, &drained, has_ended) {
        remove(store, path, &ring.id)?;
        return Ok(None);
    }
    let words = ring.reader.drainer().map_err(|error| about(path, &error))?;
    let threads_above = words.get(drainer::THREADS_ABOVE).filter(|word| **word != 0);
    let threads_above = threads_above.map(|word| word.wrapping_sub(1).cast_signed());
    let threads_above = match threads_above {
        // No thread in the file was above it when the run began, so none of its own is now.
        Some(above)
            if above <= store.thread_id(0)
                && store.threads_can_begin_above(&ring.uuid, above)? =>
        {
            Some(above)
        }
        _ => None,
    };
    let scan = ring.scan(path, &drained)?;
    if scan.makes_no_sense() {
        return Err(set_aside(path));
    }
    if has_ended.is_none() && !scan.has_any() {
        // The file that has the run, and all of it, has another name now.
        remove(store, path, &ring.id)?;
        return Ok(None);
    }
    let end = scan.end(state);
    let recovery =
        Recover::begin(store, path, (ring.id, &ring.uuid), scan, threads_above, end)?.run()?;
    remove(store, path, &ring.id)?;
    Ok(Some(recovery))
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod forged;
#[cfg(any(test, spandrel_fuzz))]
pub(super) mod left;
#[cfg(test)]
mod tests;
