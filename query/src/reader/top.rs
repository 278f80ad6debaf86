//! Sums by callsite from the rollups: where the time went.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, Row, ToSql, params};

use super::Reader;
use super::names::{Callsite, Names};
use crate::order_rows::OrderRows as _;
use spandrel_storage::Error;
use spandrel_storage::Histogram;

/// What a call is: a span by its lifetime, or each entry of a long-lived span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CountedBy {
    /// Spans that have closed, from creation to close.
    #[default]
    Lifetime,
    /// Entries of long-lived spans.
    Entries,
    /// Some of each kind.
    Both,
}

impl CountedBy {
    /// The word for it in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lifetime => "lifetime",
            Self::Entries => "entries",
            Self::Both => "both",
        }
    }

    /// Whether entries are among the calls.
    pub const fn has_entries(self) -> bool {
        matches!(self, Self::Entries | Self::Both)
    }
}

/// The calls of one callsite in one run: its closed spans, or the entries of the long-lived ones. A callsite with
/// both has two of these.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Top {
    /// Where in the source.
    pub callsite: Arc<Callsite>,
    /// What is counted.
    pub counted: CountedBy,
    /// How many calls; exact, as are the sums and the maximum.
    pub calls: u64,
    /// Closed spans that these calls are of. Entries of open spans count, too.
    pub spans: u64,
    /// How many of them failed or panicked.
    pub errors: u64,
    /// Sum of the durations.
    pub sum_ns: i64,
    /// Sum of the busy times; `None` if they were not measured. For entries, the sum of their durations.
    pub busy_ns: Option<i64>,
    /// Sum of the self times, without entries from before the span was known to be long-lived.
    pub self_ns: i64,
    /// Sum of the self busy times: the part of self time in which a thread was inside. `None` if busy times were not
    /// measured.
    pub self_busy_ns: Option<i64>,
    /// The longest duration.
    pub max_ns: i64,
    /// The durations; any percentile is within 1 %. Some hundred or thousand entries of each span, from before it was
    /// known to be long-lived, are missing.
    pub histogram: Histogram,
}

impl Top {
    /// A percentile of the durations within 1 %, and no more than the longest; `None` without closed spans.
    pub fn percentile_ns(&self, q: f64) -> Option<i64> {
        let ns = self.histogram.percentile_up_to(q, self.max_ns);
        ns.map(|ns| i64::try_from(ns).unwrap_or(i64::MAX))
    }
}

impl CountedBy {
    /// The table of its rollups, and the columns that are read, in the order of [`Top::add_row`].
    pub(crate) const fn rollups(self) -> (&'static str, &'static str) {
        match self {
            Self::Entries => (
                "entry_rollup",
                "entries, errors, sum_ns, sum_ns, self_ns, max_ns, histogram, spans, self_ns",
            ),
            _ => (
                "rollup",
                "calls, errors, sum_ns, busy_ns, self_ns, max_ns, histogram, calls, self_busy_ns",
            ),
        }
    }
}

/// SQL: whether an open span is long-lived, by the rule of the recorder; its entries count if any of its callsite do.
pub(crate) const LIVES_LONG: &str =
    "(entries > 1000 OR (entries >= 100 AND seen_ns - start_ns >= 1000000000))";

impl Reader {
    /// The callsites of the run whose calls took the most time in sum, with percentiles. Reads the rollups
    /// and the open spans only, whatever the number of spans and entries.
    pub fn top(&self, run_id: i64, limit: usize) -> Result<Vec<Top>, Error> {
        let mut top = self.top_where("", params![run_id])?;
        top.truncate(limit);
        Ok(top)
    }

    /// The same for the callsites of a name. There can be half a million others.
    pub fn top_named(&self, run_id: i64, name: &str) -> Result<Vec<Top>, Error> {
        let named = " AND callsite_id IN (SELECT id FROM callsite WHERE name = ?2)";
        self.top_where(named, params![run_id, name])
    }

    /// Closed spans of a run that count by their lifetime, from its rollups.
    pub fn closed_spans(&self, run_id: i64) -> Result<u64, Error> {
        // `total` does not overflow, whatever a damaged file has there.
        let sql = "SELECT CAST(total(calls) AS INTEGER) FROM rollup WHERE run_id = ?1";
        let calls = self.query("read the rollups", |tx| {
            tx.query_row(sql, [run_id], |row| row.get::<_, i64>(0))
        })?;
        Ok(u64::try_from(calls).unwrap_or(0))
    }

    /// The sums that meet a condition in SQL, most time first.
    fn top_where(&self, condition: &str, params: &[&dyn ToSql]) -> Result<Vec<Top>, Error> {
        let mut top = self.query("read the rollups", |tx| {
            let mut names = Names::new(tx)?;
            let mut tops = Vec::new();
            for counted in [CountedBy::Lifetime, CountedBy::Entries] {
                let (table, columns) = counted.rollups();
                let mut query = tx.prepare(&format!(
                    "SELECT callsite_id, {columns} FROM {table} WHERE run_id = ?1{condition}"
                ))?;
                let mut rows = query.query(params)?;
                let mut by_callsite: HashMap<i64, Top> = HashMap::new();
                while let Some(row) = rows.next()? {
                    let id: i64 = row.get(0)?;
                    let top = match by_callsite.get_mut(&id) {
                        Some(top) => top,
                        None => {
                            let callsite = names.callsite_once(id)?;
                            by_callsite.entry(id).or_insert(Top::new(callsite, counted))
                        }
                    };
                    top.add_row(row, 1)?;
                }
                if counted == CountedBy::Entries && !by_callsite.is_empty() {
                    for (id, longest_ns) in longest_open(tx, condition, params)? {
                        if let Some(top) = by_callsite.get_mut(&id) {
                            top.max_ns = top.max_ns.max(longest_ns);
                        }
                    }
                }
                tops.extend(by_callsite.into_values());
            }
            Ok(tops)
        })?;
        top.order_by_key(|top| (std::cmp::Reverse(top.sum_ns), top.callsite.id, top.counted));
        Ok(top)
    }
}

/// The histogram in a column.
pub(crate) fn read_histogram(row: &Row<'_>, column: usize) -> rusqlite::Result<Histogram> {
    Histogram::decode(row.get_ref(column)?.as_blob()?).map_err(|source| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(source))
    })
}

/// By callsite, the longest entry of open long-lived spans: until they close, the rollups have only entries that were
/// recorded one by one.
pub(crate) fn longest_open(
    conn: &Connection,
    condition: &str,
    params: &[&dyn ToSql],
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut query = conn.prepare(&format!(
        "SELECT callsite_id, max(CASE WHEN entries = 1 THEN coalesce(longest_entry_ns, busy_ns)
           ELSE longest_entry_ns END) AS longest
         FROM open_span WHERE run_id = ?1{condition} AND {LIVES_LONG}
         GROUP BY callsite_id HAVING longest IS NOT NULL"
    ))?;
    query.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

impl Top {
    /// Empty sums.
    pub(crate) fn new(callsite: Arc<Callsite>, counted: CountedBy) -> Self {
        Self {
            callsite,
            counted,
            calls: 0,
            spans: 0,
            errors: 0,
            sum_ns: 0,
            busy_ns: Some(0),
            self_ns: 0,
            self_busy_ns: Some(0),
            max_ns: i64::MIN,
            histogram: Histogram::new(),
        }
    }

    /// Adds the sums of a row, in columns from `first` on: `calls`, `errors`, `sum_ns`, `busy_ns`, `self_ns`,
    /// `max_ns`, `histogram`, `spans`, `self_busy_ns`.
    pub(crate) fn add_row(&mut self, row: &Row<'_>, first: usize) -> rusqlite::Result<()> {
        let number = |at: usize| row.get::<_, i64>(first + at);
        let (calls, spans) = (number(0)?, number(7)?);
        if calls == 0 && spans == 0 {
            return Ok(());
        }
        let histogram = read_histogram(row, first + 6)?;
        self.calls = self.calls.saturating_add(calls as u64);
        self.spans = self.spans.saturating_add(spans as u64);
        self.errors = self.errors.saturating_add(number(1)? as u64);
        self.sum_ns = self.sum_ns.saturating_add(number(2)?);
        let busy: Option<i64> = row.get(first + 3)?;
        self.busy_ns = self.busy_ns.zip(busy).map(|(sum, busy)| sum.saturating_add(busy));
        self.self_ns = self.self_ns.saturating_add(number(4)?);
        let own: Option<i64> = row.get(first + 8)?;
        self.self_busy_ns = self.self_busy_ns.zip(own).map(|(sum, own)| sum.saturating_add(own));
        self.max_ns = self.max_ns.max(number(5)?);
        self.histogram.merge(&histogram);
        Ok(())
    }
}
