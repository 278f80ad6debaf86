//! Sums and histograms by callsite and second, exact in each transaction: for spans, and separately for
//! entries that are recorded one by one.
//!
//! A closed span counts in the interval in which it ended. The rows of the present intervals are kept in
//! memory. A transaction works on copies and writes whole rows; so a failure changes nothing, and after
//! a kill the rows agree with the span rows. A span that arrives late is added to the row in the file.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use crate::fast_hash_map::FastHashMap;
use crate::histogram::{Hints, Histogram};
use crate::memory::MemoryUse;
use crate::record::{EntryRow, SpanRow, Status};

/// Length of an interval.
pub(crate) const INTERVAL_NS: i64 = 1_000_000_000;

/// How many intervals before the newest one stay in memory.
const INTERVALS_KEPT: i64 = 2;
/// Most rows that stay in memory, some 2 KiB each.
const ROWS_KEPT: usize = 4_096;

/// How many callsites are found without a look into the hash table.
const RECENT: usize = 64;

/// The sums of some closed spans, or of entries.
#[derive(Debug, Clone, Default)]
pub struct Rollup {
    /// Closed spans, or entries.
    pub calls: i64,
    /// Those of them that failed.
    pub errors: i64,
    /// Their durations.
    pub sum_ns: i64,
    /// `None` if it is not measured in this run.
    pub busy_ns: Option<i64>,
    /// The sum of their self times.
    pub self_ns: i64,
    /// The sum of their busy times of their own; `None` if it is not measured in this run.
    pub self_busy_ns: Option<i64>,
    /// The longest duration.
    pub max_ns: i64,
    /// How the durations are distributed.
    pub histogram: Histogram,
    /// Spans that have closed and whose calls these are.
    pub spans: i64,
}

/// What is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Spans,
    Entries,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Spans => "rollup",
            Self::Entries => "entry_rollup",
        }
    }

    /// The columns behind the key in the order of [`Rollup`].
    fn columns(self) -> &'static str {
        match self {
            Self::Spans => {
                "calls, errors, sum_ns, busy_ns, self_ns, max_ns, histogram, 0, self_busy_ns"
            }
            Self::Entries => {
                "entries, errors, sum_ns, NULL, self_ns, max_ns, histogram, spans, NULL"
            }
        }
    }
}

/// What a closed span adds to the sums.
#[derive(Debug, Clone, Copy)]
pub struct Summand {
    /// From its start to its end.
    pub duration_ns: i64,
    /// Its busy time; `None` if that is not measured.
    pub busy_ns: Option<i64>,
    /// Its self time; `None` if its entries count.
    pub self_ns: Option<i64>,
    /// The busy time of its own; `None` if that is not measured.
    pub self_busy_ns: Option<i64>,
    /// Whether it failed.
    pub is_error: bool,
}

impl Rollup {
    /// Adds a span. Always inline, so that the values stay in registers.
    #[inline(always)]
    pub fn add(&mut self, span: Summand, hints: &mut Hints) {
        // Saturating, all of it: hostile durations, and counts of earlier entries, must not stop the recording.
        self.calls = self.calls.saturating_add(1);
        self.errors = self.errors.saturating_add(i64::from(span.is_error));
        self.sum_ns = self.sum_ns.saturating_add(span.duration_ns);
        let and = |sum: Option<i64>, one: Option<i64>| match self.calls {
            1 => one,
            _ => sum.zip(one).map(|(sum, one)| sum.saturating_add(one)),
        };
        self.busy_ns = and(self.busy_ns, span.busy_ns);
        self.self_busy_ns = and(self.self_busy_ns, span.self_busy_ns);
        self.self_ns = self.self_ns.saturating_add(span.self_ns.unwrap_or(0));
        self.max_ns = self.max_ns.max(span.duration_ns);
        self.histogram.record_near(span.duration_ns.max(0) as u64, hints);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    at_ns: i64,
    callsite_id: i64,
}

impl Key {
    fn new(callsite_id: i64, end_ns: i64) -> Self {
        Self { at_ns: end_ns.div_euclid(INTERVAL_NS).saturating_mul(INTERVAL_NS), callsite_id }
    }

    /// Whether a span of this callsite that ends at this moment counts here. Needs no division.
    #[inline]
    fn has(&self, callsite_id: i64, end_ns: i64) -> bool {
        let after = end_ns.wrapping_sub(self.at_ns) as u64;
        // The very first interval is shorter: its start would overflow.
        let whole = self.at_ns != i64::MIN;
        self.callsite_id == callsite_id && after < INTERVAL_NS as u64 && whole
    }
}

type Rows = FastHashMap<Key, Rollup>;

/// The rows of the present intervals, as they are in the file.
#[derive(Debug)]
pub(crate) struct Rollups {
    table: Table,
    rows: Rows,
    /// The newest interval of the run in the file.
    newest_ns: i64,
    /// Memory of the copies on which the last transaction worked.
    staged: MemoryUse,
}

/// The rows that a transaction changes, with their new values.
#[derive(Debug)]
pub(crate) struct Staged {
    table: Table,
    rows: Vec<StagedRow>,
    row_of: FastHashMap<Key, usize>,
    /// Indexes of the rows that were changed last, by the last digits of their callsites: the next span
    /// of a callsite mostly ends in the same interval.
    recent: [u32; RECENT],
    newest_ns: i64,
}

#[derive(Debug)]
struct StagedRow {
    key: Key,
    rollup: Rollup,
    hints: Hints,
}

impl Rollups {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, rows: Rows::default(), newest_ns: i64::MIN, staged: MemoryUse::default() }
    }

    /// For a run that has rows in the file already.
    pub(crate) fn resumed(table: Table, conn: &Connection, run_id: i64) -> rusqlite::Result<Self> {
        let sql = format!("SELECT max(at_ns) FROM main.{} WHERE run_id = ?1", table.name());
        let newest: Option<i64> = conn.query_row(&sql, [run_id], |row| row.get(0))?;
        Ok(Self { newest_ns: newest.unwrap_or(i64::MIN), ..Self::new(table) })
    }

    pub(crate) fn stage(&self) -> Staged {
        Staged {
            table: self.table,
            rows: Vec::new(),
            row_of: FastHashMap::default(),
            recent: [0; RECENT],
            newest_ns: self.newest_ns,
        }
    }

    pub(crate) fn committed(&mut self, staged: Staged) {
        self.newest_ns = staged.newest_ns;
        self.staged = staged.memory();
        let oldest = self.newest_ns.saturating_sub(INTERVALS_KEPT * INTERVAL_NS);
        self.rows.extend(staged.rows.into_iter().map(|row| (row.key, row.rollup)));
        self.rows.retain(|key, _| key.at_ns >= oldest);
        if self.rows.len() > ROWS_KEPT {
            self.rows = Rows::default();
        }
    }

    /// Memory for the rows, and for a transaction's copies.
    pub(crate) fn memory(&self) -> MemoryUse {
        let map = self.rows.capacity() * (size_of::<(Key, Rollup)>() + 1);
        let histograms = self.rows.values().map(|row| row.histogram.memory());
        histograms.fold(MemoryUse::whole(map) + self.staged, |sum, one| sum + one)
    }

    /// Forgets the rows in memory; all of them are in the file.
    pub(crate) fn forget(&mut self) {
        self.rows = Rows::default();
    }
}

/// Reads rows that are not in memory.
pub(crate) struct Source<'a> {
    rollups: &'a Rollups,
    run_id: i64,
    conn: &'a Connection,
    /// Compiled when it is first needed: rarely.
    select: Option<Statement<'a>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(rollups: &'a Rollups, run_id: i64, conn: &'a Connection) -> Self {
        Self { rollups, run_id, conn, select: None }
    }

    /// Start of the newest interval in which a callsite has a row in the file.
    fn newest(&self, callsite_id: i64) -> rusqlite::Result<Option<i64>> {
        let table = self.rollups.table.name();
        let sql = format!(
            "SELECT at_ns FROM main.{table} WHERE run_id = ?1 AND callsite_id = ?2
             ORDER BY at_ns DESC LIMIT 1"
        );
        let mut query = self.conn.prepare(&sql)?;
        query.query_row([self.run_id, callsite_id], |row| row.get(0)).optional()
    }

    fn find(&mut self, key: Key) -> rusqlite::Result<Option<Rollup>> {
        if let Some(rollup) = self.rollups.rows.get(&key) {
            return Ok(Some(rollup.clone()));
        }
        if key.at_ns > self.rollups.newest_ns {
            return Ok(None);
        }
        let select = match &mut self.select {
            Some(select) => select,
            none => none.insert(self.conn.prepare(&format!(
                "SELECT {} FROM main.{}
                 WHERE run_id = ?1 AND at_ns = ?2 AND callsite_id = ?3",
                self.rollups.table.columns(),
                self.rollups.table.name()
            ))?),
        };
        select.query_row(params![self.run_id, key.at_ns, key.callsite_id], read).optional()
    }
}

fn is_error(span: &SpanRow) -> bool {
    matches!(span.status, Status::Error | Status::Panicked)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Rollup> {
    let histogram = Histogram::decode(row.get_ref(6)?.as_blob()?).map_err(|source| {
        rusqlite::Error::FromSqlConversionFailure(6, Type::Blob, Box::new(source))
    })?;
    Ok(Rollup {
        calls: row.get(0)?,
        errors: row.get(1)?,
        sum_ns: row.get(2)?,
        busy_ns: row.get(3)?,
        self_ns: row.get(4)?,
        max_ns: row.get(5)?,
        histogram,
        spans: row.get(7)?,
        self_busy_ns: row.get(8)?,
    })
}

impl Staged {
    fn memory(&self) -> MemoryUse {
        let map = self.row_of.capacity() * (size_of::<(Key, usize)>() + 1);
        let rows = MemoryUse::of(&self.rows) + MemoryUse::whole(map);
        self.rows.iter().fold(rows, |sum, row| sum + row.rollup.histogram.memory())
    }

    #[inline]
    pub(crate) fn add(
        &mut self,
        span: &SpanRow,
        end_ns: i64,
        source: &mut Source<'_>,
    ) -> rusqlite::Result<()> {
        let Some(duration_ns) = span.duration_ns else { return Ok(()) };
        let summand = Summand {
            duration_ns,
            busy_ns: span.busy_ns,
            self_ns: span.self_ns,
            self_busy_ns: span.self_busy(),
            is_error: is_error(span),
        };
        self.sum(span.callsite_id, end_ns, summand, source)
    }

    pub(crate) fn add_entry(
        &mut self,
        entry: &EntryRow,
        source: &mut Source<'_>,
    ) -> rusqlite::Result<()> {
        let EntryRow { callsite_id, duration_ns, self_ns, .. } = *entry;
        let (busy_ns, self_busy_ns) = (None, None);
        let summand = Summand { duration_ns, busy_ns, self_ns, self_busy_ns, is_error: false };
        let end_ns = entry.end_ns();
        self.sum(callsite_id, end_ns, summand, source)?;
        if entry.earlier_entries > 0
            && let Some(StagedRow { rollup, .. }) = self.row(callsite_id, end_ns, source)?
        {
            let earlier = i64::try_from(entry.earlier_entries).unwrap_or(i64::MAX);
            rollup.calls = rollup.calls.saturating_add(earlier);
            rollup.sum_ns = rollup.sum_ns.saturating_add(entry.earlier_ns);
        }
        Ok(())
    }

    /// Changes by how many entries, and how much time, the entry that ended then says came before it.
    pub(crate) fn add_earlier(
        &mut self,
        (callsite_id, end_ns): (i64, i64),
        (entries, ns): (i64, i64),
        source: &mut Source<'_>,
    ) -> rusqlite::Result<()> {
        if let Some(StagedRow { rollup, .. }) = self.row(callsite_id, end_ns, source)? {
            rollup.calls = rollup.calls.saturating_add(entries);
            rollup.sum_ns = rollup.sum_ns.saturating_add(ns);
        }
        Ok(())
    }

    /// Changes the self time of what ended then, and its busy time of its own.
    pub(crate) fn add_self(
        &mut self,
        (callsite_id, end_ns): (i64, i64),
        (ns, busy_ns): (i64, i64),
        source: &mut Source<'_>,
    ) -> rusqlite::Result<()> {
        if let Some(StagedRow { rollup, .. }) = self.row(callsite_id, end_ns, source)? {
            rollup.self_ns = rollup.self_ns.saturating_add(ns).max(0);
            rollup.self_busy_ns = rollup.self_busy_ns.map(|sum| sum.saturating_add(busy_ns).max(0));
        }
        Ok(())
    }

    /// Adds a closed span whose entries count.
    pub(crate) fn add_closed(
        &mut self,
        span: &SpanRow,
        end_ns: i64,
        source: &mut Source<'_>,
    ) -> rusqlite::Result<()> {
        if let Some(StagedRow { rollup, .. }) = self.row(span.callsite_id, end_ns, source)? {
            rollup.spans += 1;
            rollup.errors += i64::from(is_error(span));
            rollup.max_ns = rollup.max_ns.max(span.longest_ns().unwrap_or(0));
        }
        Ok(())
    }

    /// Adds a span that is open at the end, if entries of its callsite count: its longest entry may be
    /// one that was not recorded by itself.
    pub(crate) fn add_open(
        &mut self,
        span: &SpanRow,
        source: &mut Source<'_>,
    ) -> rusqlite::Result<()> {
        let (id, longest_ns) = (span.callsite_id, span.longest_ns().unwrap_or(0));
        let staged = self.rows.iter().filter(|row| row.key.callsite_id == id);
        let at_ns = match staged.map(|row| row.key.at_ns).max() {
            Some(at_ns) => Some(at_ns),
            None => source.newest(id)?,
        };
        if let Some(at_ns) = at_ns
            && let Some(StagedRow { rollup, .. }) = self.row(id, at_ns, source)?
        {
            rollup.max_ns = rollup.max_ns.max(longest_ns);
        }
        Ok(())
    }

    #[inline(always)]
    fn sum(
        &mut self,
        callsite_id: i64,
        end_ns: i64,
        summand: Summand,
        source: &mut Source<'_>,
    ) -> rusqlite::Result<()> {
        if let Some(StagedRow { rollup, hints, .. }) = self.row(callsite_id, end_ns, source)? {
            rollup.add(summand, hints);
        }
        Ok(())
    }

    /// The row for a callsite and a moment.
    #[inline(always)]
    fn row(
        &mut self,
        callsite_id: i64,
        end_ns: i64,
        source: &mut Source<'_>,
    ) -> rusqlite::Result<Option<&mut StagedRow>> {
        let index = self.recent[callsite_id as usize % RECENT] as usize;
        match self.rows.get(index).is_some_and(|row| row.key.has(callsite_id, end_ns)) {
            true => Ok(self.rows.get_mut(index)),
            false => self.find(Key::new(callsite_id, end_ns), source),
        }
    }

    /// The row for a key; at first as it is in the file.
    fn find(
        &mut self,
        key: Key,
        source: &mut Source<'_>,
    ) -> rusqlite::Result<Option<&mut StagedRow>> {
        let index = match self.row_of.get(&key) {
            Some(index) => *index,
            None => {
                let rollup = source.find(key)?.unwrap_or_default();
                self.newest_ns = self.newest_ns.max(key.at_ns);
                self.rows.push(StagedRow { key, rollup, hints: Hints::default() });
                self.row_of.insert(key, self.rows.len() - 1);
                self.rows.len() - 1
            }
        };
        self.recent[key.callsite_id as usize % RECENT] = index as u32;
        Ok(self.rows.get_mut(index))
    }

    pub(crate) fn write(&self, run_id: i64, conn: &Connection) -> rusqlite::Result<()> {
        match self.table {
            _ if self.rows.is_empty() => Ok(()),
            Table::Spans => self.write_spans(run_id, conn),
            Table::Entries => self.write_entries(run_id, conn),
        }
    }

    fn write_entries(&self, run_id: i64, conn: &Connection) -> rusqlite::Result<()> {
        let mut insert = conn.prepare(
            "INSERT OR REPLACE INTO main.entry_rollup (run_id, at_ns, callsite_id, interval_ns,
               entries, sum_ns, max_ns, histogram, self_ns, spans, errors)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        let mut blob = Vec::new();
        for StagedRow { key, rollup, .. } in &self.rows {
            rollup.histogram.encode_into(&mut blob);
            insert.execute(params![
                run_id,
                key.at_ns,
                key.callsite_id,
                INTERVAL_NS,
                rollup.calls,
                rollup.sum_ns,
                rollup.max_ns,
                blob,
                rollup.self_ns,
                rollup.spans,
                rollup.errors,
            ])?;
        }
        Ok(())
    }

    fn write_spans(&self, run_id: i64, conn: &Connection) -> rusqlite::Result<()> {
        let mut insert = conn.prepare(
            "INSERT OR REPLACE INTO rollup (run_id, at_ns, callsite_id, interval_ns, calls, errors,
               sum_ns, busy_ns, self_ns, max_ns, histogram, self_busy_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        let mut blob = Vec::new();
        for StagedRow { key, rollup, .. } in &self.rows {
            rollup.histogram.encode_into(&mut blob);
            insert.execute(params![
                run_id,
                key.at_ns,
                key.callsite_id,
                INTERVAL_NS,
                rollup.calls,
                rollup.errors,
                rollup.sum_ns,
                rollup.busy_ns,
                rollup.self_ns,
                rollup.max_ns,
                blob,
                rollup.self_busy_ns,
            ])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at_ns: i64, callsite_id: i64) -> StagedRow {
        let key = Key { at_ns, callsite_id };
        StagedRow { key, rollup: Rollup::default(), hints: Hints::default() }
    }

    #[test]
    fn memory_is_bounded_by_time_and_by_number() {
        let mut rollups = Rollups::new(Table::Spans);
        for second in 0..50 {
            let mut staged = rollups.stage();
            for callsite_id in 0..10 {
                let at_ns = second * INTERVAL_NS;
                staged.rows.push(row(at_ns, callsite_id));
                staged.newest_ns = at_ns;
            }
            rollups.committed(staged);
            assert!(rollups.rows.len() <= 10 * (1 + INTERVALS_KEPT as usize));
        }
        let mut staged = rollups.stage();
        for callsite_id in 0..=ROWS_KEPT as i64 {
            staged.rows.push(row(i64::MAX, callsite_id));
        }
        rollups.committed(staged);
        assert!(rollups.rows.len() <= ROWS_KEPT);
    }

    #[test]
    fn intervals_before_the_start_of_the_run_are_told_apart() {
        assert_eq!(Key::new(1, -1).at_ns, -INTERVAL_NS);
        assert_eq!(Key::new(1, 0).at_ns, 0);
        assert_eq!(Key::new(1, INTERVAL_NS - 1).at_ns, 0);
        assert_eq!(Key::new(1, INTERVAL_NS).at_ns, INTERVAL_NS);
    }
}
