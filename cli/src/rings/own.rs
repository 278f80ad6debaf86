//! Ring files of programs that write their profile themselves, with `crash_proof`.

use std::path::Path;

use spandrel::recover::{Recovery, RingOwner, WaitingRing, recover, waiting as waiting_rings};
use spandrel_query::Run;

use super::{Left, SPANS, process, refused, waits};
use crate::output::text;

/// Rings that are named; of others it is said how many there are.
const SHOWN: usize = 3;

/// What was found at the last look.
#[derive(Debug, Default)]
pub(super) struct Known {
    rings: Vec<WaitingRing>,
    left: Vec<Left>,
}

impl Known {
    /// What processes that are gone have left for this profile, and what was refused of it.
    pub(super) fn waiting(&mut self, database: &Path, runs: &[Run]) -> Vec<Left> {
        // A look at a folder that fails says nothing of the profile.
        let mut rings = waiting_rings(database).unwrap_or_default();
        rings.retain(|ring| ring.refused.is_some() || ring.owner != RingOwner::Alive);
        if rings != self.rings {
            self.left = look(database, &rings, runs);
            self.rings = rings;
        }
        self.left.clone()
    }
}

/// Reads rings to their end.
fn look(database: &Path, rings: &[WaitingRing], runs: &[Run]) -> Vec<Left> {
    // Changes nothing.
    let found = recover(database, true).ok();
    let told = rings.iter().filter_map(|ring| match (&ring.refused, ring.owner) {
        (Some(_), _) if goes_on_without_it(runs, &ring.run) => None,
        (Some(why), _) => Some(refused(&ring.run, ring.pid, why)),
        (None, RingOwner::Unknown) => unknown(ring, runs),
        (None, _) => {
            let Some(found) = &found else { return Some(waits_in(database, ring, None)) };
            if let Some(would_be) = found.rings.iter().find(|one| one.ring == ring.path) {
                return Some(waits_in(database, ring, Some(would_be)));
            }
            let path = ring.path.display().to_string();
            let mut why = found.refused.iter().map(ToString::to_string);
            let why = why.find(|why| why.starts_with(&path))?;
            Some(refused(&ring.run, ring.pid, &why))
        }
    });
    in_short(told.collect())
}

/// Whether nothing is needed of the ring file of this run: its process stores all by itself, or has done so.
fn goes_on_without_it(runs: &[Run], uuid: &str) -> bool {
    use crate::recorder::State;

    let run = runs.iter().find(|run| run.info.uuid == uuid);
    run.is_some_and(|run| matches!(State::of(run), State::Live | State::Ended | State::Crashed))
}

/// Whether the process of this run has left one.
pub(super) fn is_left(database: &Path, run: &Run) -> bool {
    let rings = waiting_rings(database).unwrap_or_default();
    rings.iter().any(|ring| ring.run == run.info.uuid && ring.owner != RingOwner::Alive)
}

/// The first ones, and how many more there are.
fn in_short(mut told: Vec<Left>) -> Vec<Left> {
    let more = told.len().saturating_sub(SHOWN);
    told.truncate(SHOWN);
    if more > 0
        && let Some(last) = told.last_mut()
    {
        last.what.push_str(&format!(" (and {more} more like that)"));
    }
    told
}

fn waits_in(database: &Path, ring: &WaitingRing, found: Option<&Recovery>) -> Left {
    let program = found.map_or("", |found| found.program.as_str());
    let who = process(ring.pid, program);
    let who = match ring.was_closed {
        true => format!("{who} was closed before all was stored"),
        false => format!("{who} has died"),
    };
    let what = found.map_or_else(
        || waits(&[]),
        |found| {
            waits(&[
                (found.spans, SPANS),
                (found.events, ("event", "events")),
                (found.crashed, ("span that was open", "spans that were open")),
            ])
        },
    );
    Left {
        run: ring.run.clone(),
        what: format!("{who}: {what} in its ring file {}", ring.path.display()),
        way_out: format!(
            "`spandrel recover --db {}` moves it into the profile; the next recording into it does so by itself",
            text::shell(&database.display().to_string())
        ),
        is_missing: true,
        was_closed: ring.was_closed,
        ..Left::default()
    }
}

/// Of one that may live in another container, and may as well be dead.
fn unknown(ring: &WaitingRing, runs: &[Run]) -> Option<Left> {
    let is_going_on = |run: &&Run| run.info.uuid == ring.run && run.ended_unix_ns.is_none();
    runs.iter().find(is_going_on)?;
    Some(Left {
        run: ring.run.clone(),
        what: format!(
            "whether process {} lives cannot be told from here; what it recorded last is in its ring file {}",
            ring.pid,
            ring.path.display()
        ),
        way_out: "`spandrel recover`, where it ran, moves it into the profile if it has died"
            .into(),
        is_missing: false,
        ..Left::default()
    })
}

/// Rings of processes that have died, whose profiles are not at their paths, and none of which is this one: what each is,
/// and the way out.
pub(super) fn homeless(database: &Path) -> Vec<Left> {
    let rings = spandrel::recover::homeless(database);
    let told = rings.iter().map(|ring| Left {
        run: String::new(),
        what: format!(
            "process {} has died, and the profile of its ring file is not at its path, {}",
            ring.pid,
            ring.database.display()
        ),
        way_out: format!(
            "`spandrel recover --ring {} --db NEW.db` makes a profile of it, and `spandrel recover --db FILE` if \
             the profile was only renamed; to remove it frees {} of memory",
            text::shell(&ring.path.display().to_string()),
            text::bytes(ring.bytes)
        ),
        is_missing: false,
        ..Left::default()
    });
    in_short(told.collect())
}
