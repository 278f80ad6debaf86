//! What a recovery has come to, or would.

use std::path::{Path, PathBuf};

use super::scan::Scan;
use crate::error::Error;
use crate::recorder::stats::Ledger;

/// Spans that were open, to be told of.
const OPEN_TOLD: usize = 1_000;

/// What was recovered from a ring file, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The ring file.
    pub ring: PathBuf,
    /// The process that has died.
    pub pid: u64,
    /// Whether it had closed the recording, but could not store all in time.
    pub was_closed: bool,
    /// Its program.
    pub program: String,
    /// The run in the profile, if there was anything to store.
    pub run_id: Option<i64>,
    /// Spans that had closed, and were moved.
    pub spans: u64,
    /// Events that were moved.
    pub events: u64,
    /// Links that were moved.
    pub links: u64,
    /// Entries that were moved.
    pub entries: u64,
    /// Samples of gauges that were moved.
    pub gauges: u64,
    /// Spans that were open, and are stored as crashed.
    pub crashed: u64,
    /// How many of these have lost fields that were just being changed.
    pub torn: u64,
    /// What was found and makes no sense.
    pub damaged: u64,
    /// The spans of the whole run; all zeros if nothing was stored.
    pub ledger: Ledger,
    /// The same of its events.
    pub events_ledger: Ledger,
    /// How many spans of the run other profiles have, or tell to be lost: then what is here is a part of it.
    pub elsewhere: u64,
    /// Spans that were open, the oldest first, a thousand at most.
    pub open: Vec<OpenAtDeath>,
}

/// A span that was open when its process died.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenAtDeath {
    /// Its id.
    pub id: u64,
    /// The id of the span that it is in; 0 if it is in none.
    pub parent_id: u64,
    /// Its name.
    pub name: String,
    /// Its target.
    pub target: String,
    /// The thread that made it.
    pub thread: String,
    /// For how long it had been open by the last moment that is known, in nanoseconds.
    pub age_ns: i64,
    /// Whether a thread was inside at that moment.
    pub entries: u64,
}

/// What a recovery has come to, file by file.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// What was recovered, or would be.
    pub rings: Vec<Recovery>,
    /// Why files were left where they are, each with its path. One that cannot be recovered holds up no other.
    pub refused: Vec<Error>,
}

impl Scan {
    /// What is in it, as far as it is known before anything is stored.
    pub(super) fn told(&self, path: &Path) -> Recovery {
        let run = self.names.run.as_ref();
        let [spans, events, links, entries, gauges] = self.sound;
        let now_ns = self.timeline.now_ns();
        let open = self.open.iter().take(OPEN_TOLD).map(|left| {
            let seen = &left.seen;
            let site = self.names.callsites.get(&seen.callsite);
            let thread = self.names.threads.get(&seen.thread);
            let name = thread.and_then(|thread| thread.name.clone());
            OpenAtDeath {
                id: seen.id,
                parent_id: seen.parent,
                name: site.map(|site| site.name().to_owned()).unwrap_or_default(),
                target: site.map(|site| site.target().to_owned()).unwrap_or_default(),
                thread: name.unwrap_or_else(|| {
                    format!("thread {}", thread.map_or(0, |thread| thread.os_id))
                }),
                age_ns: (now_ns - self.timeline.start_ns(seen.start, now_ns)).max(0),
                entries: seen.entries.count,
            }
        });
        Recovery {
            ring: path.to_owned(),
            pid: run.map_or(0, |run| run.pid),
            was_closed: false,
            program: run.map(|run| run.program.clone()).unwrap_or_default(),
            run_id: None,
            spans,
            events,
            links,
            entries,
            gauges,
            crashed: self.open.len() as u64,
            torn: self.open.iter().filter(|left| left.is_torn).count() as u64,
            damaged: self.damaged.iter().sum::<u64>() + self.open_damaged + self.clock_damaged,
            ledger: Ledger::default(),
            events_ledger: Ledger::default(),
            elsewhere: self.in_earlier[0],
            open: open.collect(),
        }
    }
}
