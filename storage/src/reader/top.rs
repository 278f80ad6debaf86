//! Where the time went, from the rollups.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Row, ToSql, params};

use super::Reader;
use super::names::{Callsite, Names};
use crate::error::Error;
use crate::histogram::Histogram;

/// The closed spans of one callsite in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Top {
    /// Where in the source.
    pub callsite: Arc<Callsite>,
    /// How many spans; exact, as are the sums and the maximum.
    pub calls: u64,
    /// How many of them failed or panicked.
    pub errors: u64,
    /// Sum of their durations.
    pub sum_ns: i64,
    /// Sum of their busy times; `None` if those were not measured.
    pub busy_ns: Option<i64>,
    /// Sum of their self times.
    pub self_ns: i64,
    /// The longest duration.
    pub max_ns: i64,
    /// Their durations; any percentile is within 1 %.
    pub histogram: Histogram,
}

impl Top {
    /// The median duration, within 1 %.
    pub fn p50_ns(&self) -> u64 {
        self.histogram.percentile_up_to(0.5, self.max_ns).unwrap_or(0)
    }

    /// The 95th percentile of the durations, within 1 %.
    pub fn p95_ns(&self) -> u64 {
        self.histogram.percentile_up_to(0.95, self.max_ns).unwrap_or(0)
    }

    /// The 99th percentile of the durations, within 1 %.
    pub fn p99_ns(&self) -> u64 {
        self.histogram.percentile_up_to(0.99, self.max_ns).unwrap_or(0)
    }
}

impl Reader {
    /// The callsites of the run whose spans took the most time in sum, with percentiles. Reads
    /// the rollups only, whatever the number of spans.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn top(&self, run_id: i64, limit: usize) -> Result<Vec<Top>, Error> {
        let mut top = self.top_where("", params![run_id])?;
        top.truncate(limit);
        Ok(top)
    }

    /// The callsites of spans of a name, likewise. There can be half a million others.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn top_named(&self, run_id: i64, name: &str) -> Result<Vec<Top>, Error> {
        let named = " AND callsite_id IN (SELECT id FROM callsite WHERE name = ?2)";
        self.top_where(named, params![run_id, name])
    }

    /// How many closed spans of all names a run has, by its rollups.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn closed_spans(&self, run_id: i64) -> Result<u64, Error> {
        // As a number that does not overflow, whatever a damaged file has there.
        let sql = "SELECT CAST(total(calls) AS INTEGER) FROM rollup WHERE run_id = ?1";
        let calls = self.query("read the rollups", |tx| {
            tx.query_row(sql, [run_id], |row| row.get::<_, i64>(0))
        })?;
        Ok(u64::try_from(calls).unwrap_or(0))
    }

    /// Those for which a condition in SQL holds, those that took the most time first.
    fn top_where(&self, condition: &str, params: &[&dyn ToSql]) -> Result<Vec<Top>, Error> {
        let mut top = self.query("read the rollups", |tx| {
            let mut names = Names::new(tx)?;
            let mut query = tx.prepare(&format!(
                "SELECT callsite_id, calls, errors, sum_ns, busy_ns, self_ns, max_ns, histogram
                 FROM rollup WHERE run_id = ?1{condition}"
            ))?;
            let mut rows = query.query(params)?;
            let mut by_callsite: HashMap<i64, Top> = HashMap::new();
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                let top = match by_callsite.get_mut(&id) {
                    Some(top) => top,
                    None => by_callsite.entry(id).or_insert(Top::new(names.callsite_once(id)?)),
                };
                top.add_row(row, 1)?;
            }
            Ok(by_callsite.into_values().collect::<Vec<_>>())
        })?;
        top.sort_unstable_by_key(|top| (std::cmp::Reverse(top.sum_ns), top.callsite.id));
        Ok(top)
    }
}

impl Top {
    /// No span yet.
    pub(crate) fn new(callsite: Arc<Callsite>) -> Self {
        Self {
            callsite,
            calls: 0,
            errors: 0,
            sum_ns: 0,
            busy_ns: Some(0),
            self_ns: 0,
            max_ns: i64::MIN,
            histogram: Histogram::new(),
        }
    }

    /// Adds the sums of a row: `calls`, `errors`, `sum_ns`, `busy_ns`, `self_ns`, `max_ns` and
    /// `histogram`, of which the first stands in this column.
    pub(crate) fn add_row(&mut self, row: &Row<'_>, first: usize) -> rusqlite::Result<()> {
        let number = |at: usize| row.get::<_, i64>(first + at);
        let calls = number(0)?;
        if calls == 0 {
            return Ok(());
        }
        let blob = row.get_ref(first + 6)?.as_blob()?;
        let histogram = Histogram::decode(blob).map_err(|source| {
            rusqlite::Error::FromSqlConversionFailure(first + 6, Type::Blob, Box::new(source))
        })?;
        self.calls = self.calls.saturating_add(calls as u64);
        self.errors = self.errors.saturating_add(number(1)? as u64);
        self.sum_ns = self.sum_ns.saturating_add(number(2)?);
        let busy: Option<i64> = row.get(first + 3)?;
        self.busy_ns = self.busy_ns.zip(busy).map(|(sum, busy)| sum.saturating_add(busy));
        self.self_ns = self.self_ns.saturating_add(number(4)?);
        self.max_ns = self.max_ns.max(number(5)?);
        self.histogram.merge(&histogram);
        Ok(())
    }
}
