//! Ring files that processes have left behind, of which the profile does not have everything yet.

use std::path::Path;

/// A ring that waits to be recovered.
pub(crate) struct WaitingRings {
    /// In a sentence.
    pub(crate) what: String,
}

/// The rings of a profile whose processes are gone, if there are any.
#[cfg(feature = "crash-proof")]
pub(crate) fn waiting(database: &Path) -> Option<WaitingRings> {
    use spandrel::recover::{RingOwner, waiting};

    use crate::output::text;

    // A look at a folder that fails says nothing of the profile.
    let rings = waiting(database).ok()?;
    let dead: Vec<_> = rings.iter().filter(|ring| ring.owner == RingOwner::Dead).collect();
    let first = dead.first()?;
    let who = match dead.len() {
        1 if first.was_closed => format!("process {} was closed before all was stored", first.pid),
        1 => format!("process {} has died", first.pid),
        many => format!("{} have ended", text::counted(many as u64, "process")),
    };
    Some(WaitingRings {
        what: format!("{who}, and what it recorded last is not in the profile yet"),
    })
}

#[cfg(not(feature = "crash-proof"))]
pub(crate) fn waiting(_: &Path) -> Option<WaitingRings> {
    None
}

/// The same as a line below a table, with the command that helps; also of rings that nobody collects.
pub(crate) fn waiting_note(database: &Path, runs: &[spandrel_query::Run]) -> Option<String> {
    let waits = waiting(database).map(|waiting| format!("! {}: `spandrel recover`", waiting.what));
    waits.or_else(|| {
        let Uncollected { what, way_out } = uncollected(database, runs)?;
        let command = way_out.split_inclusive('`').take(2).collect::<String>();
        Some(format!("! {}: {command}", crate::output::text::clean(&what)))
    })
}

/// Rings for which nobody comes: what is so, and the way out.
#[derive(Debug)]
pub(crate) struct Uncollected {
    pub(crate) what: String,
    pub(crate) way_out: String,
}

/// A collector looks twice a second, however little there is to do, unless a commit takes long.
#[cfg(feature = "collected")]
const COLLECTOR_SILENT_NS: u64 = 10_000_000_000;

/// The rings of runs of this profile that are collected, if no collector looks at them.
#[cfg(feature = "collected")]
pub(crate) fn uncollected(database: &Path, runs: &[spandrel_query::Run]) -> Option<Uncollected> {
    use std::collections::BTreeSet;

    use spandrel::recover::{FolderRing, RingOwner, in_folder};

    use crate::output::text;

    let going_on = || runs.iter().filter(|run| run.ended_unix_ns.is_none());
    let mut folders = BTreeSet::new();
    folders.extend(going_on().filter_map(crate::open_rings::collected_from));
    folders.into_iter().find_map(|folder| {
        // A look at a folder that fails says nothing of the profile.
        let mut rings = in_folder(&folder).ok()?;
        rings.retain(|ring| going_on().any(|run| run.info.uuid == ring.run));
        let is_left = |ring: &FolderRing| ring.looked_ago_ns.is_none_or(|ns| ns > COLLECTOR_SILENT_NS);
        if rings.is_empty() || !rings.iter().all(is_left) {
            return None;
        }
        let dead = rings.iter().filter(|ring| ring.owner == RingOwner::Dead).count() as u64;
        let alive = rings.len() as u64 - dead;
        let mut who = Vec::new();
        if alive > 0 {
            who.push(text::counted_with(alive, "program", ("records", "record")));
        }
        if dead > 0 {
            who.push(text::counted_with(dead, "program", ("that has ended recorded", "that have ended recorded")));
        }
        let shown = folder.display();
        Some(Uncollected {
            what: format!("{} into ring files in {shown}, and no collector looks at them", who.join(" and ")),
            way_out: format!(
                "`spandrel collect {shown} -o {}` goes on where the last one ended; the rings keep what they have \
                 room for",
                database.display()
            ),
        })
    })
}

#[cfg(not(feature = "collected"))]
pub(crate) fn uncollected(_: &Path, _: &[spandrel_query::Run]) -> Option<Uncollected> {
    None
}

/// Rings of processes that have died, whose profiles are not at their paths, and none of which is this one: what each is,
/// and the way out.
#[cfg(feature = "crash-proof")]
pub(crate) fn homeless(database: &Path) -> Vec<Uncollected> {
    use crate::output::text;

    let rings = spandrel::recover::homeless(database);
    let told = rings.iter().take(HOMELESS_SHOWN).map(|ring| {
        let path = ring.path.display();
        Uncollected {
            what: format!(
                "process {} has died, and the profile of its ring file is not at its path, {}",
                ring.pid,
                ring.database.display()
            ),
            way_out: format!(
                "`spandrel recover --ring {path} --db NEW.db` makes a profile of it, and `spandrel recover --db FILE` if \
                 the profile was only renamed; to remove it frees {} of memory",
                text::bytes(ring.bytes)
            ),
        }
    });
    let mut told: Vec<_> = told.collect();
    if let Some(more) = rings.len().checked_sub(HOMELESS_SHOWN).filter(|more| *more > 0)
        && let Some(last) = told.last_mut()
    {
        last.what.push_str(&format!(" (and {more} more like that)"));
    }
    told
}

/// Rings without a profile that are named.
#[cfg(feature = "crash-proof")]
const HOMELESS_SHOWN: usize = 3;

#[cfg(not(feature = "crash-proof"))]
pub(crate) fn homeless(_: &Path) -> Vec<Uncollected> {
    Vec::new()
}
