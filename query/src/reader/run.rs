//! Runs, and how much they hold.

use rusqlite::{OptionalExtension, Row};

use super::Reader;
use super::names::too_long;
use spandrel_storage::Error;
use spandrel_storage::RunInfo;

/// A recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// Its number in the file.
    pub id: i64,
    /// What was known when it began.
    pub info: RunInfo,
    /// Wall-clock end; `None` while it is live, and when it was killed.
    pub ended_unix_ns: Option<i64>,
    /// The report of its end, a JSON object; while it has no end, what went wrong so far, if anything.
    pub report: Option<String>,
    /// The ids of its spans and events are at least this.
    pub first_id: u64,
    /// The largest id in its rows.
    pub last_id: u64,
    /// The latest moment in its rows, nanoseconds since it began.
    pub last_ns: i64,
    /// When the writer last wrote its state, nanoseconds since the start of the run; 0 if it never did.
    pub told_ns: i64,
    /// Spans stored, unfinished and pruned ones included.
    pub spans: u64,
    /// Spans stored that never closed: unfinished ones, and those over which the process crashed.
    pub unfinished: u64,
    /// Events stored, pruned ones included.
    pub events: u64,
    /// Links stored, pruned ones included.
    pub links: u64,
    /// Entries stored one by one, pruned ones included.
    pub entries: u64,
    /// Spans that were dropped.
    pub dropped_spans: u64,
    /// Events that were dropped.
    pub dropped_events: u64,
    /// Entries that were dropped, of those that are recorded one by one.
    pub dropped_entries: u64,
    /// Spans that retention deleted.
    pub pruned_spans: u64,
    /// Events that retention deleted.
    pub pruned_events: u64,
    /// Entries that retention deleted.
    pub pruned_entries: u64,
    /// Whether a check has found that rows are missing without being counted, or are impossible. False when it is
    /// read: see [`Reader::contradictions`].
    pub is_contradicted: bool,
}

/// What of a run is in other profiles: its file was renamed while it was recorded into, or a collector with another
/// profile has gone on with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elsewhere {
    /// Spans that others have.
    pub spans: u64,
    /// Events.
    pub events: u64,
    /// Entries.
    pub entries: u64,
    /// Whether it goes on in another one, which has what came later: nobody knows here how much that is.
    pub goes_on: bool,
}

/// How many rows a run has in the file, counted row by row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Spans, unfinished ones included.
    pub spans: u64,
    /// Events.
    pub events: u64,
    /// Follows-from links.
    pub links: u64,
    /// Entries that are recorded one by one.
    pub entries: u64,
    /// Spans that never closed, unfinished or crashed.
    pub unfinished: u64,
}

/// Memory for all runs of a file at most: some 50,000 runs.
const RUNS_BYTES_MAX: usize = 64 << 20;

const COLUMNS: &str = "id, uuid, label, started_unix_ns, pid, program, args, host, os, cpus,
    clock, settings, ended_unix_ns, report, first_id, last_id, last_ns, spans, unfinished, events,
    links, dropped_spans, dropped_events, pruned_spans, pruned_events,
    (SELECT coalesce(max(at_ns), 0) FROM writer_stat WHERE writer_stat.run_id = run.id),
    entries, dropped_entries, pruned_entries";

impl Run {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let count = |at: usize| -> rusqlite::Result<u64> { Ok(row.get::<_, i64>(at)? as u64) };
        Ok(Self {
            id: row.get(0)?,
            info: RunInfo {
                uuid: row.get(1)?,
                label: row.get(2)?,
                started_unix_ns: row.get(3)?,
                pid: row.get(4)?,
                program: row.get(5)?,
                args: row.get(6)?,
                host: row.get(7)?,
                os: row.get(8)?,
                cpus: row.get(9)?,
                clock: row.get(10)?,
                settings: row.get(11)?,
            },
            ended_unix_ns: row.get(12)?,
            report: row.get(13)?,
            first_id: count(14)?,
            last_id: count(15)?,
            last_ns: row.get(16)?,
            spans: count(17)?,
            unfinished: count(18)?,
            events: count(19)?,
            links: count(20)?,
            dropped_spans: count(21)?,
            dropped_events: count(22)?,
            pruned_spans: count(23)?,
            pruned_events: count(24)?,
            told_ns: row.get(25)?,
            entries: count(26)?,
            dropped_entries: count(27)?,
            pruned_entries: count(28)?,
            is_contradicted: false,
        })
    }

    /// Its approximate size in memory.
    fn bytes(&self) -> usize {
        let info = &self.info;
        let texts = [&info.uuid, &info.program, &info.args, &info.host, &info.os, &info.settings];
        let maybe = [&info.label, &self.report];
        let texts = texts.into_iter().chain(maybe.into_iter().flatten());
        size_of::<Self>() + texts.map(String::len).sum::<usize>()
    }

    /// The length of the run so far, by its own clock, which stamps its spans: system time can be set meanwhile.
    /// Nanoseconds.
    pub fn length_ns(&self) -> i64 {
        let own = self.last_ns.max(self.told_ns).max(0);
        match self.ended_unix_ns {
            // The writer always does so at its end; another program's file may lack it.
            Some(ended) if self.told_ns == 0 => {
                own.max(ended.saturating_sub(self.info.started_unix_ns))
            }
            _ => own,
        }
    }

    /// Whether busy times were measured; if not, there are no idle times and no lengths of entries either. True for a
    /// file that does not say.
    pub fn has_busy_times(&self) -> bool {
        let settings = serde_json::from_str::<serde_json::Value>(&self.info.settings);
        settings.map_or(true, |settings| settings["busy_time"] != false)
    }

    /// Whether its process died and was recovered: the run has no end, and will have none; all that was recorded up
    /// to the last moment is stored, or counted as dropped.
    pub fn has_crashed(&self) -> bool {
        let report = self.report.as_deref().filter(|_| self.ended_unix_ns.is_none());
        let report = report.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        report.is_some_and(|report| report["crashed"] == true)
    }

    /// Whether somebody has cut its ring file short while it was collected: the run ends there, whatever its program did after
    /// that, and what was open is not in it.
    pub fn was_cut(&self) -> bool {
        // Few say so, and this is asked of each run.
        let report = self.report.as_deref().filter(|text| text.contains("\"ring_was_cut\""));
        let report = report.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        report.is_some_and(|report| report["ring_was_cut"] == true)
    }

    /// What of it is in other profiles, if anything is.
    pub fn elsewhere(&self) -> Option<Elsewhere> {
        let texts = [Some(&self.info.settings), self.report.as_ref()];
        let mut found = Elsewhere::default();
        for text in texts.into_iter().flatten() {
            // Few say so, and this is asked of each run.
            if !text.contains("\"elsewhere\"") && !text.contains("\"goes_on\"") {
                continue;
            }
            let Ok(said) = serde_json::from_str::<serde_json::Value>(text) else { continue };
            let count = |kind: &str| said["elsewhere"][kind].as_u64().unwrap_or(0);
            found.spans = found.spans.max(count("spans"));
            found.events = found.events.max(count("events"));
            found.entries = found.entries.max(count("entries"));
            found.goes_on |= said["goes_on"] == true;
        }
        (found != Elsewhere::default()).then_some(found)
    }

    /// Spans, events and entries that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped_spans.saturating_add(self.dropped_events).saturating_add(self.dropped_entries)
    }

    /// Spans, events and entries that retention deleted.
    pub fn pruned(&self) -> u64 {
        self.pruned_spans.saturating_add(self.pruned_events).saturating_add(self.pruned_entries)
    }

    /// Whether the run has ended, all of it is in this profile, nothing was dropped or pruned, and no check has found
    /// anything missing.
    pub fn is_complete(&self) -> bool {
        let is_whole = self.dropped() == 0 && self.pruned() == 0;
        let has_ended = self.ended_unix_ns.is_some();
        has_ended
            && is_whole
            && !self.is_contradicted
            && self.elsewhere().is_none()
            && !self.was_cut()
    }
}

impl Reader {
    /// All runs, the oldest first.
    pub fn runs(&self) -> Result<Vec<Run>, Error> {
        self.query("read the runs", |tx| {
            let mut query = tx.prepare(&format!("SELECT {COLUMNS} FROM run ORDER BY id"))?;
            let mut bytes = 0;
            let read = |row: &Row<'_>| {
                let run = Run::read(row)?;
                bytes += run.bytes();
                if bytes > RUNS_BYTES_MAX { Err(too_long()) } else { Ok(run) }
            };
            query.query_map([], read)?.collect()
        })
    }

    /// The run that began last.
    pub fn latest_run(&self) -> Result<Option<Run>, Error> {
        self.query("read the latest run", |tx| {
            let sql = format!("SELECT {COLUMNS} FROM run ORDER BY id DESC LIMIT 1");
            tx.query_row(&sql, [], Run::read).optional()
        })
    }

    /// The run with this number.
    pub fn run(&self, id: i64) -> Result<Option<Run>, Error> {
        self.query("read a run", |tx| {
            let sql = format!("SELECT {COLUMNS} FROM run WHERE id = ?1");
            tx.query_row(&sql, [id], Run::read).optional()
        })
    }

    /// Counts the rows of a run, some 10 ms for a million; the totals in [`Run`] are cheap.
    pub fn counts(&self, run_id: i64) -> Result<Counts, Error> {
        self.query("count the rows of a run", |tx| {
            let range = "id BETWEEN (SELECT first_id FROM run WHERE id = ?1)
                         AND (SELECT last_id FROM run WHERE id = ?1) AND run_id = ?1";
            let spans = format!(
                "SELECT count(*), coalesce(sum(status IN ('unfinished', 'crashed')), 0) FROM span WHERE {range}"
            );
            let (spans, unfinished): (i64, i64) =
                tx.query_row(&spans, [run_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let events = format!("SELECT count(*) FROM event WHERE {range}");
            let events: i64 = tx.query_row(&events, [run_id], |row| row.get(0))?;
            let links = "SELECT count(*) FROM link WHERE run_id = ?1";
            let links: i64 = tx.query_row(links, [run_id], |row| row.get(0))?;
            let entries = format!("SELECT count(*) FROM entry WHERE {range}");
            let entries: i64 = tx.query_row(&entries, [run_id], |row| row.get(0))?;
            Ok(Counts {
                spans: spans as u64,
                events: events as u64,
                links: links as u64,
                entries: entries as u64,
                unfinished: unfinished as u64,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_which_a_part_is_in_another_profile_is_not_complete() {
        let run = |settings: &str, report: &str| {
            let info = RunInfo { settings: settings.into(), ..RunInfo::default() };
            let report = Some(report.to_owned());
            Run { info, ended_unix_ns: Some(1), report, ..Run::default() }
        };
        let whole = run(r#"{"filter":"elsewhere=info"}"#, r#"{"last_error":"\"goes_on\""}"#);
        assert!(whole.is_complete() && whole.elsewhere().is_none());
        let counts = r#"{"elsewhere":{"spans":3,"events":2,"links":1,"entries":4}}"#;
        let part = Elsewhere { spans: 3, events: 2, entries: 4, goes_on: false };
        for (settings, report) in [(counts, "{}"), ("{}", counts), (counts, counts)] {
            let run = run(settings, report);
            assert_eq!(run.elsewhere(), Some(part));
            assert!(!run.is_complete());
        }
        let left = run("{}", r#"{"goes_on":true}"#);
        assert_eq!(left.elsewhere(), Some(Elsewhere { goes_on: true, ..Elsewhere::default() }));
        assert!(!left.is_complete());
    }
}
