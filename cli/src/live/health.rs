//! The state of the recording: whether it goes on, how far behind it is, and what it has lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use spandrel_query::OrderRows as _;
use spandrel_query::{Reader, Run, WriterStat};
use spandrel_storage::Error;

use super::page::State;
use super::window::SECOND_NS;

/// A live recording stores something at least once a second, if only about itself.
const SILENT_NS: i64 = 5 * SECOND_NS;

/// What was dropped, by reason; read again when there is more of it.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    run_id: i64,
    total: u64,
    by_reason: Vec<(String, u64)>,
}

impl Dropped {
    pub(crate) fn read(&mut self, reader: &Reader, run: &Run) -> Result<Vec<(String, u64)>, Error> {
        let total = run.dropped();
        if (self.run_id, self.total) != (run.id, total) {
            let mut by_reason = BTreeMap::<String, u64>::new();
            for loss in reader.losses(run.id)? {
                let total = loss.total();
                let sum = by_reason.entry(loss.reason).or_default();
                *sum = sum.saturating_add(total);
            }
            let mut by_reason: Vec<_> = by_reason.into_iter().collect();
            by_reason.order_by_key(|(_, count)| std::cmp::Reverse(*count));
            *self = Self { run_id: run.id, total, by_reason };
        }
        Ok(self.by_reason.clone())
    }
}

/// Whether a process records, given the age of the newest row.
pub(crate) fn state(run: &Run, age_ns: i64, is_alive: impl FnOnce(&Run) -> Option<bool>) -> State {
    if run.ended_unix_ns.is_some() {
        return State::Ended;
    }
    if run.has_crashed() {
        return State::Crashed;
    }
    match is_alive(run) {
        Some(false) => State::Killed,
        Some(true) if age_ns < SILENT_NS => State::Recording,
        Some(true) => State::Silent(age_ns),
        None if age_ns.abs() < SILENT_NS => State::Recording,
        None => State::Unknown,
    }
}

/// The most of the ring that was ever in use, of one.
pub(crate) fn ring_share(run: &Run, stat: Option<&WriterStat>) -> Option<f64> {
    let settings: serde_json::Value = serde_json::from_str(&run.info.settings).ok()?;
    let slots = settings.get("ring_capacity")?.as_u64().filter(|slots| *slots > 0)?;
    Some(stat?.ring_high_water as f64 / slots as f64)
}

/// How many entries were stored each second, between the first of these rows and the last.
pub(crate) fn entries_rate(stats: &[WriterStat]) -> Option<f64> {
    let (first, last) = (stats.first()?, stats.last()?);
    let ns = last.at_ns.saturating_sub(first.at_ns);
    let stored = last.entries_stored.saturating_sub(first.entries_stored);
    (ns > 0 && stored > 0).then(|| stored as f64 * SECOND_NS as f64 / ns as f64)
}

pub(crate) fn bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(path).saturating_add(size(Path::new(&log)))
}
