//! Ring files in folders from which runs of a profile are collected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use spandrel::recover::{FolderRing, RingOwner, in_folder};
use spandrel_query::Run;

use super::{Left, SPANS, process, refused, removed, waits};
use crate::open_rings::collected_from;
use crate::output::text;

/// A collector looks twice a second, however little there is to do, unless a commit takes long.
const COLLECTOR_SILENT_NS: u64 = 10_000_000_000;
/// It commits twice a second: what waits for so long is not about to be stored.
const WAITS_NS: u64 = 3_000_000_000;

/// What becomes of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// A collector has it, and goes on.
    Collector,
    /// A process has it, and has not looked for long.
    Silent,
    Nobody,
}

impl Comes {
    fn of(ring: &FolderRing) -> Self {
        let is_silent = ring.looked_ago_ns.is_none_or(|ns| ns > COLLECTOR_SILENT_NS);
        match (ring.is_drained, is_silent) {
            (Some(false), _) => Self::Nobody,
            (Some(true) | None, false) => Self::Collector,
            (Some(true), true) => Self::Silent,
            // Where nobody tells of locks.
            (None, true) => Self::Nobody,
        }
    }
}

fn folders<'a>(runs: impl Iterator<Item = &'a Run>) -> BTreeSet<PathBuf> {
    runs.filter_map(collected_from).collect()
}

/// Of runs without an end: what waits, and whether a collector comes for it.
pub(super) fn of_runs(database: &Path, runs: &[Run]) -> Vec<Left> {
    let going_on: Vec<&Run> =
        runs.iter().filter(|run| run.ended_unix_ns.is_none() && !run.has_crashed()).collect();
    let mut left = Vec::new();
    for folder in folders(going_on.iter().copied()) {
        let here: Vec<&Run> = going_on
            .iter()
            .copied()
            .filter(|run| collected_from(run).as_ref() == Some(&folder))
            .collect();
        match in_folder(&folder) {
            Ok(rings) => left.extend(in_one(database, &folder, &here, &rings)),
            Err(error) => left.push(Left {
                run: String::new(),
                what: format!(
                    "ring files that runs are collected from cannot be looked at: {error}"
                ),
                way_out: "what is in them comes into the profile once they can be read".into(),
                is_missing: false,
                ..Left::default()
            }),
        }
    }
    left
}

/// Whether there is one of this run.
pub(super) fn is_left(run: &Run) -> bool {
    let rings = collected_from(run).and_then(|folder| in_folder(&folder).ok()).unwrap_or_default();
    rings.iter().any(|ring| ring.run == run.info.uuid)
}

fn in_one(database: &Path, folder: &Path, runs: &[&Run], rings: &[FolderRing]) -> Vec<Left> {
    let mut left = Vec::new();
    let mut nobodys: Vec<(&Run, &FolderRing)> = Vec::new();
    for run in runs {
        let Some(ring) = rings.iter().find(|ring| ring.run == run.info.uuid) else {
            left.extend(removed::gone(database, folder, run));
            continue;
        };
        if let Some(why) = &ring.refused {
            left.push(refused(&ring.run, ring.pid, why));
        } else if is_in_another(run, ring) {
            left.push(in_another(run, ring));
        } else {
            match Comes::of(ring) {
                Comes::Nobody => nobodys.push((run, ring)),
                Comes::Silent => left.push(silent(run, ring)),
                Comes::Collector if ring.owner == RingOwner::Dead => {
                    left.push(about_to_come(run, ring));
                }
                Comes::Collector => left.extend(not_taken(run, ring)),
            }
        }
    }
    // Whoever collects the others has not taken these.
    let collector = rings.iter().find(|ring| Comes::of(ring) == Comes::Collector);
    match (nobodys.as_slice(), collector) {
        ([], _) => {}
        (alone, Some(collector)) => {
            left.extend(alone.iter().map(|(run, ring)| left_alone(run, ring, collector)));
        }
        ([(run, ring)], None) if ring.owner == RingOwner::Dead => {
            left.push(of_dead(database, folder, run, ring));
        }
        (several, None) => left.push(of_several(database, folder, several)),
    }
    left
}

fn stored(run: &Run) -> u64 {
    run.spans.saturating_sub(run.unfinished)
}

pub(super) fn waiting(run: &Run, ring: &FolderRing) -> String {
    waits(&[(ring.spans_waiting(stored(run)), SPANS)])
}

fn goes_on(database: &Path, folder: &Path) -> String {
    format!(
        "`spandrel collect {} -o {}` goes on where the last one ended; the rings keep what they have room for",
        text::shell(&folder.display().to_string()),
        text::shell(&database.display().to_string())
    )
}

fn of_dead(database: &Path, folder: &Path, run: &Run, ring: &FolderRing) -> Left {
    let how = if ring.was_closed { "has ended" } else { "has died" };
    Left {
        run: ring.run.clone(),
        what: format!(
            "{} {how}: {} in its ring file {}, and no collector runs",
            process(ring.pid, &ring.program),
            waiting(run, ring),
            ring.path.display()
        ),
        way_out: goes_on(database, folder),
        is_missing: true,
        was_closed: ring.was_closed,
        ..Left::default()
    }
}

fn of_several(database: &Path, folder: &Path, rings: &[(&Run, &FolderRing)]) -> Left {
    let is_dead = |(_, ring): &&(&Run, &FolderRing)| ring.owner == RingOwner::Dead;
    let dead = rings.iter().filter(is_dead).count() as u64;
    let alive = rings.len() as u64 - dead;
    let mut who = Vec::new();
    if alive > 0 {
        who.push(text::counted_with(alive, "program", ("records", "record")));
    }
    if dead > 0 {
        let words = ("that has ended recorded", "that have ended recorded");
        who.push(text::counted_with(dead, "program", words));
    }
    let spans = rings
        .iter()
        .map(|(run, ring)| ring.spans_waiting(stored(run)))
        .fold(0, u64::saturating_add);
    let files = match rings {
        [(_, ring)] => ring.path.display().to_string(),
        _ => format!("{} ring files there", rings.len()),
    };
    let waiting = match spans {
        0 => String::new(),
        spans => format!(", and {} in {files}", waits(&[(spans, SPANS)])),
    };
    let run = match rings {
        [(_, ring)] => ring.run.clone(),
        _ => String::new(),
    };
    Left {
        run,
        what: format!(
            "{} into ring files in {}, and no collector runs{waiting}",
            who.join(" and "),
            folder.display()
        ),
        way_out: goes_on(database, folder),
        is_missing: spans > 0 || dead > 0,
        ..Left::default()
    }
}

/// What is in a folder, for somebody who has no profile of it.
pub(super) fn of_folder(folder: &Path) -> Option<Left> {
    // What is wrong with it is said by whoever looks at what is open.
    let rings = in_folder(folder).ok()?;
    let readable: Vec<_> = rings.iter().filter(|ring| ring.refused.is_none()).collect();
    let shown = folder.display();
    let is_dead = |ring: &&&FolderRing| ring.owner == RingOwner::Dead;
    if let Some(ring) = readable.iter().find(|ring| Comes::of(ring) == Comes::Collector) {
        return readable.iter().any(|ring| is_dead(&ring)).then(|| Left {
            what: format!(
                "what has died waits in its ring file, and {} stores it",
                collector(ring)
            ),
            way_out: "look at its profile".into(),
            ..Left::default()
        });
    }
    let left = readable.iter().filter(|ring| Comes::of(ring) == Comes::Nobody);
    let spans = left.clone().map(|ring| ring.spans_waiting(0)).fold(0, u64::saturating_add);
    let files = left.clone().count() as u64;
    let once = if left.clone().all(|ring| is_dead(&ring)) { " --once" } else { "" };
    let in_files = text::counted(files, "ring file");
    let waiting = match spans {
        0 => format!("no collector runs for {in_files}"),
        spans => format!("no collector runs: {} in {in_files}", waits(&[(spans, SPANS)])),
    };
    (files > 0).then(|| Left {
        what: waiting,
        way_out: format!(
            "`spandrel collect {} -o FILE{once}` makes a profile of it",
            text::shell(&shown.to_string())
        ),
        is_missing: true,
        ..Left::default()
    })
}

/// A collector has it, and does not look.
fn silent(run: &Run, ring: &FolderRing) -> Left {
    let who = collector(ring);
    let since = match ring.looked_ago_ns {
        Some(ns) => format!("has not looked at it for {}", long(ns)),
        None => "has never looked at it".to_owned(),
    };
    Left {
        run: ring.run.clone(),
        what: format!(
            "{} in the ring file {}, and {who} {since}",
            waiting(run, ring),
            ring.path.display()
        ),
        way_out: "is it stopped, or does it wait for its profile? What comes meanwhile is kept as long as the ring has \
                  room; another collector goes on when this one has ended"
            .into(),
        is_missing: true,
        ..Left::default()
    }
}

/// Its process is dead, and a collector is there.
fn about_to_come(run: &Run, ring: &FolderRing) -> Left {
    Left {
        run: ring.run.clone(),
        what: format!(
            "{} is gone: {} in its ring file {}, and {} is about to store it",
            process(ring.pid, &ring.program),
            waiting(run, ring),
            ring.path.display(),
            collector(ring)
        ),
        way_out: "look again in a moment".into(),
        is_missing: true,
        comes: true,
        was_closed: ring.was_closed,
    }
}

/// A collector looks at it, and stores nothing of it.
fn not_taken(run: &Run, ring: &FolderRing) -> Option<Left> {
    let waits_ns = ring.waits_ns.filter(|ns| *ns >= WAITS_NS)?;
    Some(Left {
        run: ring.run.clone(),
        what: format!(
            "{} in the ring file {} for {} now, and {}, which looks at it, stores nothing",
            waiting(run, ring),
            ring.path.display(),
            long(waits_ns),
            collector(ring)
        ),
        way_out: "the collector says why: the disk of its profile is full, or somebody else writes to the profile and does not \
                  end; the ring keeps what it has room for, and the rest is lost (ring_full)"
            .into(),
        is_missing: true,
        ..Left::default()
    })
}

/// A collector is there, and does not have it.
fn left_alone(run: &Run, ring: &FolderRing, collected: &FolderRing) -> Left {
    let (who, waiting) = (collector(collected), waiting(run, ring));
    let path = ring.path.display();
    let (what, way_out) = match &ring.left_alone {
        Some(why) => (
            format!(
                "{waiting} in the ring file {path}, and {who}, which collects the others there, has refused it: {why}"
            ),
            "the next collector tries again, and one into another profile takes it where this profile is the reason",
        ),
        None => {
            let since = match collected.looked_ago_ns {
                Some(ns) => format!(", and has looked at those {} ago", long(ns)),
                None => String::new(),
            };
            (
                format!(
                    "{waiting} in the ring file {path}, and {who}, which collects the others there, has not taken it \
                     yet{since}"
                ),
                "look again in a moment: it may be slow, or stopped; what comes meanwhile is kept as long as the ring has \
                 room",
            )
        }
    };
    Left {
        run: ring.run.clone(),
        what,
        way_out: way_out.into(),
        is_missing: true,
        ..Left::default()
    }
}

fn long(ns: u64) -> String {
    text::duration_in_words(i64::try_from(ns).unwrap_or(i64::MAX))
}

pub(super) fn collector(ring: &FolderRing) -> String {
    match ring.drained_by() {
        Some(pid) => format!("a collector (process {pid})"),
        None => "a collector".to_owned(),
    }
}

/// Whether it was collected into another profile since: each says how much earlier ones have.
fn is_in_another(run: &Run, ring: &FolderRing) -> bool {
    let before = run.elsewhere().map_or(0, |elsewhere| elsewhere.spans);
    ring.spans_in_earlier() != before
}

fn in_another(run: &Run, ring: &FolderRing) -> Left {
    let when = match ring.is_drained {
        Some(true) => format!("is collected into another profile now, by {}", collector(ring)),
        _ => "was collected into another profile last".to_owned(),
    };
    let before = run.elsewhere().map_or(0, |elsewhere| elsewhere.spans);
    let others = ring.spans_collected().saturating_sub(before).saturating_sub(stored(run));
    Left {
        run: ring.run.clone(),
        what: format!(
            "run {} {when}, which has {} of it that {} not here",
            run.id,
            text::counted(others, "span"),
            text::agree(others, "is", "are")
        ),
        way_out: "a run that is collected into two profiles is in both, a part each: look at the other one, too".into(),
        is_missing: true,
        ..Left::default()
    }
}

/// Rings in folders of this profile's runs that no collector has ever had, and none has now.
pub(super) fn of_no_profile(database: &Path, runs: &[Run]) -> Vec<Left> {
    let mut left = Vec::new();
    for folder in folders(runs.iter()) {
        // What is wrong with it is said of its runs.
        let rings = in_folder(&folder).unwrap_or_default();
        let is_known = |ring: &FolderRing| runs.iter().any(|run| run.info.uuid == ring.run);
        for ring in rings.iter().filter(|ring| ring.refused.is_some() && !is_known(ring)) {
            left.push(refused(&ring.run, ring.pid, ring.refused.as_deref().unwrap_or_default()));
        }
        let is_new = |ring: &&FolderRing| {
            ring.refused.is_none()
                && !is_known(ring)
                && !ring.was_collected()
                && Comes::of(ring) == Comes::Nobody
        };
        let new: Vec<_> = rings.iter().filter(is_new).collect();
        let spans = new.iter().map(|ring| ring.spans_waiting(0)).fold(0, u64::saturating_add);
        if !new.is_empty() {
            left.push(Left {
                run: String::new(),
                what: format!(
                    "{} into ring files in {} that {} no run in this profile yet, and no collector runs: {} there",
                    text::counted_with(new.len() as u64, "program", ("has recorded", "have recorded")),
                    folder.display(),
                    text::agree(new.len() as u64, "has", "have"),
                    waits(&[(spans, SPANS)])
                ),
                way_out: goes_on(database, &folder),
                is_missing: false,
                ..Left::default()
            });
        }
    }
    left
}
