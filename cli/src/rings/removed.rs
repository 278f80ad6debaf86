//! Runs without an end whose ring file is not in the folder from which they are collected: it goes when all of it is stored, so
//! somebody has removed it, or the machine was started anew, or another profile has the end.

use std::path::Path;

use spandrel::recover::{FolderRing, RemovedRing, emptied, removed};
use spandrel_query::{Reader, Run};

use super::collected::{collector, waiting};
use super::{Left, process};

/// What there is to say of such a run.
pub(super) fn gone(database: &Path, folder: &Path, run: &Run) -> Option<Left> {
    if let Some(path) = emptied(folder, &run.info.uuid) {
        return Some(of_emptied(run, &path));
    }
    let left = match crate::recorder::is_alive(run) {
        Some(false) => of_dead(folder, run),
        Some(true) => match removed(run.info.pid, &run.info.uuid) {
            // Whoever drains it is about to end its run.
            RemovedRing::Open(ring) if ring.was_closed && ring.is_drained == Some(true) => None,
            RemovedRing::Open(ring) if ring.refused.is_none() => Some(of_living(run, &ring)),
            RemovedRing::Gone => Some(without_end(folder, run)),
            _ => Some(unseen(folder, run)),
        },
        None => None,
    };
    // It may have come to its end since the runs were read.
    left.filter(|_| !has_ended_meanwhile(database, run))
}

fn has_ended_meanwhile(database: &Path, run: &Run) -> bool {
    let now = Reader::open(database).and_then(|reader| reader.run(run.id));
    now.is_ok_and(|run| run.is_none_or(|run| run.ended_unix_ns.is_some() || run.has_crashed()))
}

/// Its process is gone, too.
fn of_dead(folder: &Path, run: &Run) -> Option<Left> {
    Some(Left {
        run: run.info.uuid.clone(),
        what: format!(
            "run {} has no end here, its process is gone, and so is its ring file in {}",
            run.id,
            folder.display()
        ),
        way_out: "it was collected to its end into another profile, or somebody has removed it, or the machine was \
                  started anew; what is here is sound"
            .into(),
        is_missing: true,
        ..Left::default()
    })
}

/// Its process has it open still.
fn of_living(run: &Run, ring: &FolderRing) -> Left {
    let who = process(ring.pid, &ring.program);
    let path = ring.path.display();
    let (what, way_out, is_missing) = if ring.is_drained == Some(true) {
        let drainer = collector(ring);
        (
            format!(
                "somebody has removed the ring file {path} of {who}; {drainer} that has it open goes on with it, and no other \
                 one can"
            ),
            "leave that collector running, and start the program anew when you can: then it has a ring file that others find"
                .to_owned(),
            false,
        )
    } else {
        let (closed, then, way_out) = if ring.was_closed {
            (
                ", which has closed it",
                "",
                "what is here is sound; leave ring files alone, a collector removes them when all of them is stored",
            )
        } else {
            (
                "",
                ", and so is all that it records until it is started anew",
                "start the program anew: then it has a ring file that a collector finds; what is here is sound, and the \
                 program itself counts the rest as file_removed",
            )
        };
        (
            format!(
                "somebody has removed the ring file {path} of {who}{closed}, and no collector has it open: {} in it, that \
                 is lost{then}",
                waiting(run, ring)
            ),
            way_out.to_owned(),
            true,
        )
    };
    Left {
        run: run.info.uuid.clone(),
        what,
        way_out,
        is_missing,
        was_closed: ring.was_closed,
        ..Left::default()
    }
}

/// Its process lives, and has no ring file of this run any more.
fn without_end(folder: &Path, run: &Run) -> Left {
    Left {
        run: run.info.uuid.clone(),
        what: format!(
            "run {} has no end here, and its ring file is in {} no more; {} has closed the recording",
            run.id,
            folder.display(),
            process(run.info.pid.into(), &run.info.program)
        ),
        way_out: "it was collected to its end into another profile, or somebody has removed it; what is here is sound".into(),
        is_missing: true,
        was_closed: true,
        ..Left::default()
    }
}

/// Its process lives, and what it has open cannot be seen from here.
fn unseen(folder: &Path, run: &Run) -> Left {
    Left {
        run: run.info.uuid.clone(),
        what: format!(
            "the ring file of {} is in {} no more, though it lives: only a collector that has it open goes on with it",
            process(run.info.pid.into(), &run.info.program),
            folder.display()
        ),
        way_out: "if no collector runs, what the program records is lost until it is started anew; its own \
                  Stats::crash_proof_error says so, too"
            .into(),
        is_missing: true,
        ..Left::default()
    }
}

/// The file is there, and nothing is in it.
fn of_emptied(run: &Run, path: &Path) -> Left {
    Left {
        run: run.info.uuid.clone(),
        what: format!(
            "somebody has emptied the ring file {} of run {}: what was not stored before is lost",
            path.display(),
            run.id
        ),
        way_out: "what is here is sound; remove the file, and start the program anew if it lives: it records nothing any more"
            .into(),
        is_missing: true,
        ..Left::default()
    }
}
