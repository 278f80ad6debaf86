//! What is known about a recording without looking at its spans.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use spandrel_query::sql::{Sql, SqlLimits};
use spandrel_query::{Elsewhere, KeptOpen, Loss, MostlyWaiting, NestedInItself, Run, WriterStat};
use spandrel_storage::{SCHEMA_VERSION, SqliteVersion};

use crate::commands::sql::Collected;
use crate::failure::Failure;
use crate::profile::Profile;
use crate::rings::Left;

/// Twice the size at which the writer merges the log by default ...
const KEPT_LOG_BYTES: u64 = 8 << 20;
/// ... and more than it becomes on a slow disk.
const KEPT_NS: i64 = 3_000_000_000;

/// The facts; `None` if something is not known.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) losses: Vec<Loss>,
    pub(super) stats: Vec<WriterStat>,
    pub(super) settings: Value,
    pub(super) clock: String,
    /// Spans, events and entries that were stored.
    pub(super) rows: u64,
    pub(super) unfinished: u64,
    /// Spans and events whose fields were cut or left out; known when the run has ended.
    pub(super) cut: u64,
    /// Records of the crate `log` that are stored without their target.
    pub(super) log_unplaced: u64,
    pub(super) dropped: u64,
    pub(super) ended: bool,
    pub(super) recorder_gone: bool,
    /// The run's `uuid`.
    pub(super) uuid: String,
    /// What ring files have of the runs, and the profile has not.
    pub(super) left: Vec<Left>,
    /// Ring files at hand that are of no profile: no collector looks, or their profiles are not at their paths.
    pub(super) left_others: Vec<Left>,
    /// What of the run is in other profiles.
    pub(super) elsewhere: Option<Elsewhere>,
    /// Its process has died, and the run was recovered.
    pub(super) crashed: bool,
    pub(super) earlier_killed: usize,
    pub(super) report_timed_out: bool,
    /// What was wrong between the writer and the database at the end, according to the report.
    pub(super) last_error: Option<String>,
    /// Why the database last refused a batch, according to the report.
    pub(super) last_refusal: Option<String>,
    /// Why a live recording takes no requests.
    pub(super) control_fault: Option<String>,
    /// Marks, and beginnings and ends of sections, that were lost, according to the report.
    pub(super) marks_dropped: u64,
    pub(super) callsites: i64,
    /// How many callsites were recorded, and how many below the level, according to the report.
    pub(super) callsites_shown: Option<(u64, u64)>,
    pub(super) threads: i64,
    /// Spans of all runs of the file.
    pub(super) stored: u64,
    pub(super) has_indexes: bool,
    pub(super) schema: i64,
    pub(super) file_bytes: u64,
    pub(super) log_bytes: u64,
    /// Free pages of the file, in bytes.
    pub(super) free_bytes: u64,
    /// Spans and events of the run that are still in the file, and that retention has deleted.
    pub(super) kept: u64,
    pub(super) pruned: u64,
    /// A name that is deep inside itself.
    pub(super) nested: Option<NestedInItself>,
    /// Spans that outlive their work.
    pub(super) kept_open: Option<KeptOpen>,
    /// A name whose self time is waiting.
    pub(super) waiting: Option<MostlyWaiting>,
    /// Permissions that other users have, such as `0o44`.
    pub(super) open_to_others: u32,
}

impl Facts {
    pub(super) fn collect(profile: &Profile) -> Result<Self, Failure> {
        let (reader, run) = (&profile.reader, &profile.run);
        let path = reader.path();
        let metadata = fs::metadata(path).ok();
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let mut sql = Sql::open(path, SqlLimits::default())?;
        let earlier = reader.runs()?;
        let killed = |other: &&Run| {
            use crate::recorder::State;
            other.id < run.id && matches!(State::of(other), State::Killed | State::NotEnded)
        };
        let stored = earlier.iter().map(|run| run.spans.saturating_sub(run.pruned_spans));
        let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        let report = run.report.as_deref().map_or(Value::Null, json);
        Ok(Self {
            losses: reader.losses(run.id)?,
            stats: reader.writer_stats(run.id)?,
            settings: json(&run.info.settings),
            clock: run.info.clock.clone(),
            rows: run.spans.saturating_add(run.events).saturating_add(run.entries),
            unfinished: run.unfinished,
            cut: report.get("cut").and_then(Value::as_u64).unwrap_or_default(),
            log_unplaced: report.get("log_unplaced").and_then(Value::as_u64).unwrap_or_default(),
            dropped: run.dropped(),
            ended: run.ended_unix_ns.is_some(),
            recorder_gone: crate::recorder::is_alive(run) == Some(false),
            uuid: run.info.uuid.clone(),
            left: Vec::new(),
            left_others: Vec::new(),
            elsewhere: run.elsewhere(),
            crashed: run.has_crashed(),
            earlier_killed: earlier.iter().filter(killed).count(),
            last_error: words(&report, "last_error"),
            last_refusal: words(&report, "last_refusal"),
            control_fault: crate::control_request::why_not(run)
                .filter(|_| crate::recorder::State::of(run) == crate::recorder::State::Live),
            marks_dropped: report
                .pointer("/marks/dropped")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            report_timed_out: report.get("timed_out") == Some(&Value::Bool(true)),
            callsites_shown: callsites(&report),
            callsites: number(&mut sql, "SELECT count(*) FROM callsite")?,
            threads: number(
                &mut sql,
                &format!("SELECT count(*) FROM thread WHERE run_id = {}", run.id),
            )?,
            stored: stored.fold(0, u64::saturating_add),
            has_indexes: reader.indexes()?.are_complete(),
            schema: number(&mut sql, "PRAGMA user_version")?,
            file_bytes: metadata.as_ref().map_or(0, fs::Metadata::len),
            log_bytes: fs::metadata(log).map_or(0, |metadata| metadata.len()),
            free_bytes: free_bytes(&mut sql)?,
            kept: run
                .spans
                .saturating_add(run.events)
                .saturating_add(run.entries)
                .saturating_sub(run.pruned()),
            pruned: run.pruned(),
            nested: reader.nested_in_itself(run.id)?,
            kept_open: reader.kept_open(run.id)?,
            waiting: reader.mostly_waiting(run.id)?,
            open_to_others: metadata.as_ref().map_or(0, open_to_others),
        })
    }

    /// Also looks at ring files: at all of the user's, which no others ask for.
    pub(super) fn with_left_rings(mut self, profile: &Profile) -> Result<Self, Failure> {
        let (path, runs) = (profile.reader.path(), profile.reader.runs()?);
        self.left = crate::rings::of_runs(path, &runs);
        self.left_others = crate::rings::others(path, &runs);
        Ok(self)
    }

    /// Whether something of the run, or of several, is in a ring file.
    pub(super) fn is_run_left(&self) -> bool {
        self.left.iter().any(|left| left.run.is_empty() || left.run == self.uuid)
    }

    /// A setting of the recording that is a number.
    pub(super) fn setting(&self, key: &str) -> Option<u64> {
        self.settings.get(key)?.as_u64()
    }

    /// A warning about the SQLite that has recorded.
    pub(super) fn sqlite_caution(&self) -> Option<String> {
        caution(&self.settings)
    }

    /// For how long the write-ahead log has only grown, without being merged: somebody keeps it. From
    /// the writer's own rows; `None` if there are none.
    pub(super) fn log_kept_for_ns(&self) -> Option<i64> {
        let last = self.stats.last()?;
        let mut since = last;
        for earlier in self.stats.iter().rev().skip(1) {
            if earlier.file_bytes != last.file_bytes || earlier.wal_bytes > since.wal_bytes {
                break;
            }
            since = earlier;
        }
        let grown = last.wal_bytes > since.wal_bytes && last.wal_bytes >= KEPT_LOG_BYTES;
        let ns = last.at_ns.saturating_sub(since.at_ns);
        (grown && ns >= KEPT_NS && !self.ended).then_some(ns)
    }

    /// How long rows have waited for the writer, at most; a lower bound: of what was recorded by some
    /// moment, a part was still not stored this much later. From the writer's own rows, of which there
    /// is one a second.
    pub(super) fn lag_ns(&self) -> i64 {
        let mut longest = 0;
        let mut recorded_by = 0;
        for stat in &self.stats {
            let done = accounted(stat);
            // The last row with no more recorded spans than are stored now; the spans of the next row
            // were not all stored.
            while self.stats.get(recorded_by + 1).is_some_and(|next| recorded(next) <= done) {
                recorded_by += 1;
            }
            let Some(waiting) = self.stats.get(recorded_by + 1) else { break };
            longest = longest.max(stat.at_ns.saturating_sub(waiting.at_ns));
        }
        longest
    }

    /// Whether the database still refused when the recording ended, and something was lost because of
    /// that.
    pub(super) fn was_refused_to_the_end(&self) -> bool {
        let is_lost = self.losses.iter().any(|loss| loss.reason == "store_error");
        is_lost && self.last_error.is_some() && self.last_error == self.last_refusal
    }

    pub(super) fn schema_is_older(&self) -> bool {
        self.schema < i64::from(SCHEMA_VERSION)
    }
}

fn free_bytes(sql: &mut Sql) -> Result<u64, Failure> {
    let pages = number(sql, "PRAGMA freelist_count")?.unsigned_abs();
    Ok(pages.saturating_mul(number(sql, "PRAGMA page_size")?.unsigned_abs()))
}

/// A warning about the SQLite in the settings of a run.
pub(in crate::commands) fn caution(settings: &Value) -> Option<String> {
    settings.get("sqlite")?.as_str()?.parse::<SqliteVersion>().ok()?.caution()
}

/// Spans, events and entries that were recorded.
fn recorded(stat: &WriterStat) -> u64 {
    stat.recorded.saturating_add(stat.events_recorded).saturating_add(stat.entries_recorded)
}

/// Those that are stored, or lost.
fn accounted(stat: &WriterStat) -> u64 {
    let dropped = |json: &str| -> u64 {
        let reasons: BTreeMap<String, u64> = serde_json::from_str(json).unwrap_or_default();
        reasons.into_values().fold(0, u64::saturating_add)
    };
    stat.stored
        .saturating_add(stat.events_stored)
        .saturating_add(dropped(&stat.dropped))
        .saturating_add(dropped(&stat.events_dropped))
        .saturating_add(stat.entries_stored)
        .saturating_add(dropped(&stat.entries_dropped))
}

/// What the report says about callsites; older reports say nothing.
fn callsites(report: &Value) -> Option<(u64, u64)> {
    let callsites = report.get("callsites")?;
    Some((callsites.get("kept")?.as_u64()?, callsites.get("below_level")?.as_u64()?))
}

fn words(report: &Value, key: &str) -> Option<String> {
    report.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(unix)]
fn open_to_others(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077
}

#[cfg(not(unix))]
fn open_to_others(_: &fs::Metadata) -> u32 {
    0
}

/// The single number that a query returns.
fn number(sql: &mut Sql, query: &str) -> Result<i64, Failure> {
    let mut found = Collected::default();
    sql.run(query, None, &mut found)?;
    let first = found.rows.first().and_then(|row| row.first());
    Ok(first.and_then(|cell| cell.value().as_i64()).unwrap_or(0))
}
