//! What ring files have of the runs of a profile, and the profile has not: what waits in them, what was refused, and
//! whether somebody comes for it.
//!
//! A run without an end whose process is gone has not simply lost its last moments, as long as its ring file is there. So
//! whoever says something of such a run asks here first.

#[cfg(feature = "collected")]
mod collected;
#[cfg(feature = "crash-proof")]
mod own;
#[cfg(feature = "collected")]
mod removed;

use std::path::Path;

use spandrel_query::Run;

#[cfg(feature = "crash-proof")]
use crate::output::text;

/// Something that a profile does not have, or that may not come into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// The run's `uuid`; empty for several runs.
    pub(crate) run: String,
    /// What is so.
    pub(crate) what: String,
    /// The way out, with a command if one helps.
    pub(crate) way_out: String,
    /// Whether something that was recorded is not in the profile now.
    pub(crate) is_missing: bool,
    /// Whether somebody is about to store it.
    pub(crate) comes: bool,
    /// Whether its program has closed the recording.
    pub(crate) was_closed: bool,
}

impl Left {
    /// Whether it is of this run, or of several of which that may be one.
    pub(crate) fn is_of(&self, run: &Run) -> bool {
        self.run.is_empty() || self.run == run.info.uuid
    }

    /// In one line, with the command that helps.
    pub(crate) fn line(&self) -> String {
        let what = crate::output::text::clean(&self.what);
        let command: String = self.way_out.split_inclusive('`').take(2).collect();
        match command.ends_with('`').then(|| command.split_once('`')).flatten() {
            Some((_, command)) => {
                format!("! {what}: `{}", crate::output::text::clean(command))
            }
            None => format!("! {what}"),
        }
    }
}

/// What was found before: a ring of a process that is gone is read once to its end, however often it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Known {
    #[cfg(feature = "crash-proof")]
    own: own::Known,
}

impl Known {
    /// What there is of these runs.
    fn of_runs(&mut self, database: &Path, runs: &[Run]) -> Vec<Left> {
        let mut left = Vec::new();
        #[cfg(feature = "crash-proof")]
        left.extend(self.own.waiting(database, runs));
        #[cfg(feature = "collected")]
        left.extend(collected::of_runs(database, runs));
        _ = (database, runs, &mut left);
        left
    }

    /// What there is of one run, if that has no end.
    pub(crate) fn of_run(&mut self, database: &Path, run: &Run) -> Option<Left> {
        if run.ended_unix_ns.is_some() || run.has_crashed() {
            return None;
        }
        let left = self.of_runs(database, std::slice::from_ref(run));
        left.into_iter().find(|left| left.is_of(run))
    }
}

/// What there is of these runs.
pub(crate) fn of_runs(database: &Path, runs: &[Run]) -> Vec<Left> {
    Known::default().of_runs(database, runs)
}

/// What there is in a folder that is collected, if no collector comes for it.
pub(crate) fn of_folder(folder: &Path) -> Option<Left> {
    #[cfg(feature = "collected")]
    return collected::of_folder(folder);
    #[cfg(not(feature = "collected"))]
    {
        _ = folder;
        None
    }
}

/// What there is of one run, if that has no end.
pub(crate) fn of_run(database: &Path, run: &Run) -> Option<Left> {
    Known::default().of_run(database, run)
}

/// Whether there is a ring file of a run without an end whose process is gone: a look at first pages only.
pub(crate) fn is_left(database: &Path, run: &Run) -> bool {
    if run.ended_unix_ns.is_some() || run.has_crashed() {
        return false;
    }
    #[cfg(feature = "crash-proof")]
    if own::is_left(database, run) {
        return true;
    }
    #[cfg(feature = "collected")]
    if collected::is_left(run) {
        return true;
    }
    _ = (database, run);
    false
}

/// Ring files that are at hand and in no profile: nobody comes for them, or not into this one.
pub(crate) fn others(database: &Path, runs: &[Run]) -> Vec<Left> {
    let mut left = Vec::new();
    #[cfg(feature = "collected")]
    left.extend(collected::of_no_profile(database, runs));
    #[cfg(feature = "crash-proof")]
    left.extend(own::homeless(database));
    _ = (database, runs, &mut left);
    left
}

/// One and many of what waits.
#[cfg(feature = "crash-proof")]
const SPANS: (&str, &str) = ("span", "spans");

/// What waits, with its verb: `12 spans and 3 events wait`, `1 span waits`.
#[cfg(feature = "crash-proof")]
fn waits(counts: &[(u64, (&str, &str))]) -> String {
    let parts = counts.iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts
        .map(|(n, (one, many))| format!("{} {}", text::count(*n), text::agree(*n, one, many)))
        .collect();
    let total = counts.iter().fold(0_u64, |sum, (n, _)| sum.saturating_add(*n));
    match parts.split_last() {
        None => "what it recorded last waits".to_owned(),
        Some((one, [])) => format!("{one} {}", text::agree(total, "waits", "wait")),
        Some((last, others)) => format!("{} and {last} wait", others.join(", ")),
    }
}

/// The name of a program behind its process: `process 4121 (shop)`.
#[cfg(feature = "crash-proof")]
fn process(pid: u64, program: &str) -> String {
    match Path::new(program).file_name() {
        Some(name) => format!("process {pid} ({})", name.to_string_lossy()),
        None => format!("process {pid}"),
    }
}

/// A ring file that cannot be read; `why` names it.
#[cfg(feature = "crash-proof")]
fn refused(run: &str, pid: u64, why: &str) -> Left {
    let (why, remedy) = why.split_once("; ").unwrap_or((why, ""));
    let remedy = match remedy {
        "" => {
            "keep the file if what is in it matters, as the fault may be ours; to remove it frees its memory"
        }
        remedy => remedy,
    };
    Left {
        run: run.to_owned(),
        what: format!("what process {pid} recorded last is in a ring file that was refused: {why}"),
        way_out: format!("what was stored before is here; {remedy}"),
        is_missing: true,
        ..Left::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_is_so_and_the_first_command() {
        let left = |way_out: &str| Left {
            what: "7 spans wait".into(),
            way_out: way_out.into(),
            ..Left::default()
        };
        assert_eq!(left("run `a b`, or `c`").line(), "! 7 spans wait: `a b`");
        assert_eq!(left("nothing helps").line(), "! 7 spans wait");
    }

    #[cfg(feature = "crash-proof")]
    #[test]
    fn what_waits_is_counted_in_words() {
        let said = |spans, events, open| {
            waits(&[(spans, SPANS), (events, ("event", "events")), (open, ("place", "places"))])
        };
        assert_eq!(said(1, 0, 0), "1 span waits");
        assert_eq!(said(1_200, 0, 0), "1,200 spans wait");
        assert_eq!(said(12, 3, 1), "12 spans, 3 events and 1 place wait");
        assert_eq!(said(0, 0, 0), "what it recorded last waits");
    }
}
