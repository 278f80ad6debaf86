//! Queries for programs that read a profile again and again: their cost does not depend on the size of the profile.

use std::sync::Arc;

use rusqlite::{Row, params};

use crate::reader::{
    Callsite, CountedBy, Names, Reader, WRITER_STAT_COLUMNS, WriterStat, longest_open,
    read_histogram, read_writer_stat,
};
use spandrel_storage::Error;
use spandrel_storage::Histogram;

/// Rows that one read transaction reads at most.
const PIECE_ROWS: usize = 20_000;

/// The calls of one callsite that ended in one interval: closed spans, or entries of those that live long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rollup {
    /// Start of the interval, nanoseconds since the start of the run.
    pub at_ns: i64,
    /// Length of the interval.
    pub interval_ns: i64,
    /// The callsite; [`Reader::callsite`] knows its name.
    pub callsite_id: i64,
    /// What is counted.
    pub counted: CountedBy,
    /// How many calls.
    pub calls: u64,
    /// Closed spans that these calls are of.
    pub spans: u64,
    /// How many of them failed or panicked.
    pub errors: u64,
    /// Sum of their durations.
    pub sum_ns: i64,
    /// Sum of their busy times; `None` if those were not measured.
    pub busy_ns: Option<i64>,
    /// Sum of their self times.
    pub self_ns: i64,
    /// Sum of self busy times; `None` if they were not measured.
    pub self_busy_ns: Option<i64>,
    /// The longest duration.
    pub max_ns: i64,
    /// Their durations; any percentile is within 1 %.
    pub histogram: Histogram,
}

impl Rollup {
    fn read(row: &Row<'_>, counted: CountedBy) -> rusqlite::Result<Self> {
        Ok(Self {
            at_ns: row.get(0)?,
            callsite_id: row.get(1)?,
            interval_ns: row.get(2)?,
            counted,
            calls: row.get::<_, i64>(3)? as u64,
            spans: row.get::<_, i64>(10)? as u64,
            errors: row.get::<_, i64>(4)? as u64,
            sum_ns: row.get(5)?,
            busy_ns: row.get(6)?,
            self_ns: row.get(7)?,
            self_busy_ns: row.get(11)?,
            max_ns: row.get(8)?,
            histogram: read_histogram(row, 9)?,
        })
    }
}

impl Reader {
    /// Calls `each` for each rollup of the run whose interval starts in the window from `from_ns` to
    /// before `until_ns`: those of spans in the order of time, and then those of entries; of some callsites
    /// only, if any are named.
    pub fn rollups(
        &self,
        run_id: i64,
        from_ns: i64,
        until_ns: i64,
        callsites: &[i64],
        mut each: impl FnMut(Rollup),
    ) -> Result<(), Error> {
        let only: Vec<String> = callsites.iter().map(i64::to_string).collect();
        let only = match only.as_slice() {
            [] => String::new(),
            ids => format!("AND callsite_id IN ({})", ids.join(",")),
        };
        for counted in [CountedBy::Lifetime, CountedBy::Entries] {
            self.rollups_of(run_id, (from_ns, until_ns), &only, counted, &mut each)?;
        }
        Ok(())
    }

    fn rollups_of(
        &self,
        run_id: i64,
        (from_ns, until_ns): (i64, i64),
        only: &str,
        counted: CountedBy,
        each: &mut impl FnMut(Rollup),
    ) -> Result<(), Error> {
        let (table, columns) = counted.rollups();
        let sql = format!(
            "SELECT at_ns, callsite_id, interval_ns, {columns}
             FROM {table} WHERE run_id = ?1 AND (at_ns, callsite_id) > (?2, ?3) AND at_ns < ?4 {only}
             ORDER BY at_ns, callsite_id LIMIT {PIECE_ROWS}"
        );
        let mut after = (from_ns, i64::MIN);
        loop {
            let read = self.query("read the rollups", |tx| {
                let mut query = tx.prepare(&sql)?;
                let mut rows = query.query(params![run_id, after.0, after.1, until_ns])?;
                let mut read = 0;
                while let Some(row) = rows.next()? {
                    let rollup = Rollup::read(row, counted)?;
                    after = (rollup.at_ns, rollup.callsite_id);
                    read += 1;
                    each(rollup);
                }
                Ok(read)
            })?;
            if read < PIECE_ROWS {
                return Ok(());
            }
        }
    }

    /// By callsite, the longest entry of open long-lived spans: until they close, rollups have only entries that were
    /// recorded one by one. Only spans whose entries so far were all between these two moments, since it is not known
    /// when the longest one was.
    pub fn longest_open_entries(
        &self,
        run_id: i64,
        from_ns: i64,
        until_ns: i64,
    ) -> Result<Vec<(i64, i64)>, Error> {
        // In SQLite, sums that overflow an integer are real numbers.
        let within = " AND start_ns + coalesce(first_entry_ns, 0) >= ?2
              AND start_ns + coalesce(last_exit_ns, 0) <= ?3";
        self.query("read the open spans", |tx| {
            longest_open(tx, within, params![run_id, from_ns, until_ns])
        })
    }

    /// The callsite with this number; without a name if it is not in the file.
    pub fn callsite(&self, id: i64) -> Result<Arc<Callsite>, Error> {
        self.query("read a callsite", |tx| Names::new(tx)?.callsite(id))
    }

    /// The states of the writer from this moment on, in the order of time.
    pub fn writer_stats_since(&self, run_id: i64, from_ns: i64) -> Result<Vec<WriterStat>, Error> {
        self.query("read the state of the writer", |tx| {
            let sql = format!(
                "SELECT {WRITER_STAT_COLUMNS} FROM writer_stat
                 WHERE run_id = ?1 AND at_ns >= ?2 ORDER BY at_ns"
            );
            tx.prepare(&sql)?.query_map(params![run_id, from_ns], read_writer_stat)?.collect()
        })
    }
}
