//! A scan over the spans of a run in constant memory.
//!
//! Rows are read in pieces with a transaction each, so that a live recording can empty its write-ahead log meanwhile;
//! of what it commits meanwhile, some is seen and some is not. Names are looked up once each and cached, up to a
//! bound.
//!
//! What SQLite can test is left to SQLite, since a row that it skips costs a tenth of one that is handed out: the
//! window, and, for analyses in this crate, a [`Predicate`]. If the profile has zones (`indexes.rs`), only the zones
//! that the window touches are read, otherwise the id ranges of commits (`commit_map.rs`) with spans of that time.

mod side_by_side;

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

pub(super) use self::side_by_side::{LookUp, SideBySide, Sums};
use super::commit_map::{self, Kind};
use super::id_range::{Range, join};
use super::id_set::IdSet;
use super::rows::{RowConsumer, Rows};
use super::span_pages::{Callsites, Ended, PageQuery, Pause, SpanPages};
use super::zone_lookup::touched_zones;
use super::{Filter, Scan, SpanRef};
use crate::reader::{Reader, Shared};

/// Rows that one read transaction reads at most.
pub(super) const PIECE_ROWS: u32 = 50_000;

/// A further condition on the spans of a scan.
pub trait Predicate {
    /// SQL that begins with ` AND `, made of numbers and column names only; empty if there is no condition. It is
    /// asked for again for each piece, as it may become narrower.
    fn sql(&self) -> String;

    /// Whether the caller tests the condition itself, too. Then rows may be read without SQL, and all of them are
    /// handed out.
    fn is_hint(&self) -> bool {
        false
    }

    /// If it is a hint: the callsites whose spans can match; `None`: all.
    fn callsites(&self) -> Option<&[i64]> {
        None
    }

    /// If it is a hint: the spans whose children can match; `None`: all spans, also roots.
    fn parents(&self) -> Option<&IdSet> {
        None
    }

    /// A piece is done; this many rows were read in it, by SQLite or by us. Breaking ends the scan.
    fn looked_at(&mut self, _rows: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// No condition.
impl Predicate for () {
    fn sql(&self) -> String {
        String::new()
    }

    fn is_hint(&self) -> bool {
        true
    }
}

/// The pushdown of a filter; the caller tests the whole filter.
pub(super) struct Pushdown {
    sql: String,
    callsites: Option<Vec<i64>>,
}

impl Pushdown {
    /// For a scan of spans.
    pub(super) fn of_spans(known: &super::filter::Pushdown<'_>) -> Self {
        Self { sql: known.sql(), callsites: known.callsites().map(<[_]>::to_vec) }
    }

    /// For a scan of calls.
    pub(super) fn of_calls(known: &super::filter::Pushdown<'_>) -> Self {
        Self { sql: known.sql_of_calls(), ..Self::of_spans(known) }
    }
}

impl Predicate for Pushdown {
    fn sql(&self) -> String {
        self.sql.clone()
    }

    fn is_hint(&self) -> bool {
        true
    }

    fn callsites(&self) -> Option<&[i64]> {
        self.callsites.as_deref()
    }
}

/// A hint: only the children of some spans are needed.
pub(super) struct ChildrenOf<'a>(pub(super) Option<&'a IdSet>);

impl Predicate for ChildrenOf<'_> {
    fn sql(&self) -> String {
        String::new()
    }

    fn is_hint(&self) -> bool {
        true
    }

    fn parents(&self) -> Option<&IdSet> {
        self.0
    }
}

/// Takes the spans of a scan, and has its condition. By `dyn`, so that a scan, which contains a reader of pages, is
/// compiled once.
trait Consumer {
    fn condition(&mut self) -> &mut dyn Predicate;

    fn row(&mut self, span: &SpanRef<'_>) -> ControlFlow<()>;
}

/// A condition that `each` may change.
struct Conditional<'a, C, F> {
    condition: &'a mut C,
    each: F,
}

impl<C: Predicate, F: FnMut(&mut C, &SpanRef<'_>) -> ControlFlow<()>> Consumer
    for Conditional<'_, C, F>
{
    fn condition(&mut self) -> &mut dyn Predicate {
        self.condition
    }

    fn row(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        (self.each)(self.condition, span)
    }
}

/// Takes the spans of a scan without a condition, likewise.
pub(super) type SpanSink<'e> = dyn FnMut(&SpanRef<'_>) -> ControlFlow<()> + 'e;

impl Reader {
    /// Calls `each` for each span that `scan` asks for, in the order of ids, which is roughly that
    /// of their starts. Ends early when `each` breaks.
    ///
    /// # Blocking
    ///
    /// Reads the rows of the run: some 0.4 s for a million in a run that is being recorded, and a quarter of that in
    /// a file that nobody records into. For a window, reads the rows around it; but all of them, some 0.08 s for a
    /// million, in a run that was recorded before version 3 of the schema and has no indexes.
    pub fn scan(
        &self,
        scan: &Scan,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.scan_if(scan, &mut (), |(), span| each(span))
    }

    /// A scan of the spans that match a filter; faster than testing all spans where SQLite can test the filter.
    /// Columns that the filter needs are read, too.
    ///
    /// # Blocking
    ///
    /// As [`scan`](Self::scan) at most.
    pub fn scan_filtered(
        &self,
        scan: &Scan,
        filter: &Filter,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if filter.is_empty() {
            return self.scan(scan, each);
        }
        self.scan_matching(scan, filter, &mut each)
    }

    /// With `dyn`, compiled once: a filter takes longer than a call.
    fn scan_matching(
        &self,
        scan: &Scan,
        filter: &Filter,
        each: &mut SpanSink<'_>,
    ) -> Result<(), Error> {
        let mut pushdown = self.pushdown_of(filter, Pushdown::of_spans)?;
        let mut matcher = filter.matcher();
        let scan = &scan.columns(scan.columns.max(filter.columns()));
        self.scan_if(scan, &mut pushdown, |_, span| {
            if matcher.matches(span) { each(span) } else { ControlFlow::Continue(()) }
        })
    }

    /// Of the spans with these ids, open ones included, the ids of those that match a filter.
    #[doc(hidden)]
    pub fn matching(&self, run_id: i64, ids: &[u64], filter: &Filter) -> Result<Vec<u64>, Error> {
        /// Ids in one statement.
        const IDS_MAX: usize = 500;
        /// The table of open spans with the columns of the table of spans.
        const OPEN: &str = "(SELECT *, NULL AS duration_ns, NULL AS self_ns, 'unfinished' AS status
            FROM open_span WHERE id NOT IN (SELECT id FROM span))";
        let mut rows = Rows::new(run_id, filter.columns());
        let (mut matcher, mut matching) = (filter.matcher(), Vec::new());
        for some in ids.chunks(IDS_MAX) {
            let listed = some.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",");
            for table in ["span", OPEN] {
                let sql = format!(
                    "SELECT {} FROM {table} WHERE id IN ({listed}) AND run_id = ?1",
                    rows.selected()
                );
                let tx = self.begin()?;
                let read = rows.read(&tx, &sql, [run_id], |span| {
                    if matcher.matches(span) {
                        matching.push(span.id);
                    }
                    ControlFlow::Continue(())
                });
                let _goes_on = read.context(self.path(), "read the spans of entries")?;
            }
        }
        Ok(matching)
    }

    /// The pushdown of a filter, as SQL for a [`Predicate`].
    #[doc(hidden)]
    pub fn pushdown(&self, filter: &Filter) -> Result<String, Error> {
        self.pushdown_of(filter, |pushdown| pushdown.sql())
    }

    /// The pushdown of a filter, converted by `needed`.
    pub(super) fn pushdown_of<T>(
        &self,
        filter: &Filter,
        needed: impl FnOnce(&super::filter::Pushdown<'_>) -> T,
    ) -> Result<T, Error> {
        Ok(needed(&self.whole_pushdown_of(filter)?))
    }

    fn whole_pushdown_of<'f>(
        &self,
        filter: &'f Filter,
    ) -> Result<super::filter::Pushdown<'f>, Error> {
        let mut pushdown = filter.pushdown();
        if pushdown.asks_for_callsites() {
            self.query("read the callsites", |tx| {
                let mut query = tx.prepare(
                    "SELECT kind, name, target, level, module, file, line, id
                     FROM callsite WHERE kind = 'span' ORDER BY id",
                )?;
                let (mut rows, mut shared) = (query.query([])?, Shared::default());
                while pushdown.asks_for_callsites()
                    && let Some(row) = rows.next()?
                {
                    pushdown.add(&Arc::new(shared.callsite(row.get(7)?, row)?));
                }
                Ok(())
            })?;
        }
        Ok(pushdown)
    }

    /// A scan with a further condition, which `each` may change.
    #[doc(hidden)]
    pub fn scan_if<C: Predicate>(
        &self,
        scan: &Scan,
        condition: &mut C,
        each: impl FnMut(&mut C, &SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let ranges = self.ranges(scan)?;
        self.scan_ranges(scan, ranges, condition, each)
    }

    /// A scan of some ranges only.
    pub(super) fn scan_ranges<C: Predicate>(
        &self,
        scan: &Scan,
        ranges: Vec<Range>,
        condition: &mut C,
        each: impl FnMut(&mut C, &SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.scan_ranges_for(scan, ranges, &mut Conditional { condition, each })
    }

    fn scan_ranges_for(
        &self,
        scan: &Scan,
        ranges: Vec<Range>,
        consumer: &mut dyn Consumer,
    ) -> Result<(), Error> {
        let mut rows = Rows::new(scan.run_id, scan.columns);
        for mut range in ranges {
            while range.after < range.last {
                let tx = self.begin()?;
                let tx = if consumer.condition().is_hint() {
                    let handed = RowSink::new(self, scan, consumer, tx);
                    match handed.read(&mut range, &mut rows)? {
                        ControlFlow::Break(()) => return Ok(()),
                        // SQLite reads the rest.
                        ControlFlow::Continue(Some(tx)) => tx,
                        ControlFlow::Continue(None) => continue,
                    }
                } else {
                    tx
                };
                let sql = scan.condition() + &consumer.condition().sql();
                let each = |span: &SpanRef<'_>| consumer.row(span);
                let piece = read_piece(&mut range, &tx, &mut rows, &sql, each);
                let (flow, looked_at) = piece.context(self.path(), "read the spans")?;
                drop(tx);
                if flow.is_break() || consumer.condition().looked_at(looked_at).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The id ranges that a scan has to read.
    pub(super) fn ranges(&self, scan: &Scan) -> Result<Vec<Range>, Error> {
        let tx = self.begin()?;
        let read = || -> rusqlite::Result<Vec<Range>> {
            let Some(all) = of_run(&tx, scan.run_id)? else { return Ok(Vec::new()) };
            if !scan.has_window() {
                return Ok(vec![all]);
            }
            let Some(zones) = touched_zones(&tx, scan)? else {
                let commits = commit_map::ranges(&tx, scan.run_id, Kind::Span)?;
                let of_window = |commits: Vec<_>| commit_map::in_window(&commits, scan);
                return Ok(commits.map_or_else(|| vec![all], of_window));
            };
            let mut ranges = Vec::new();
            zones.iter().for_each(|zone| join(&mut ranges, zone.range()));
            Ok(ranges)
        };
        let ranges = read().context(self.path(), "find the spans")?;
        Ok(ranges.into_iter().map(|range| scan.cut(range)).collect())
    }
}

/// Hands out rows that are read from pages.
struct RowSink<'r, 'a> {
    reader: &'r Reader,
    scan: &'a Scan,
    consumer: &'a mut dyn Consumer,
    /// `None` only while another one is begun, or if that fails.
    tx: Option<Transaction<'r>>,
    /// The number of the committed state, as SQLite counts it.
    version: i64,
    /// Rows that were read in this transaction.
    in_transaction: u64,
    /// Whether somebody has committed meanwhile.
    is_changed: bool,
    error: Option<Error>,
}

impl<'r, 'a> RowSink<'r, 'a> {
    fn new(
        reader: &'r Reader,
        scan: &'a Scan,
        consumer: &'a mut dyn Consumer,
        tx: Transaction<'r>,
    ) -> Self {
        let tx = Some(tx);
        let (version, in_transaction, is_changed, error) = (0, 0, false, None);
        Self { reader, scan, consumer, tx, version, in_transaction, is_changed, error }
    }

    /// Reads the first rows of a range from the pages of the file, or all of them if that is worth threads, and
    /// removes them from the range. Breaks when no more are wanted. Gives the transaction back if SQLite has to read
    /// what comes next.
    fn read(
        mut self,
        range: &mut Range,
        rows: &mut Rows,
    ) -> Result<ControlFlow<(), Option<Transaction<'r>>>, Error> {
        let ended = self.read_pages(range, rows);
        if let Some(error) = self.error {
            return Err(error);
        }
        let (ended, looked_at) = match ended.context(self.reader.path(), "read the spans")? {
            Some(ended) if !self.is_changed => ended,
            _ => return Ok(ControlFlow::Continue(self.tx)),
        };
        // Somebody may have begun to use the file meanwhile.
        self.reader.check_mode()?;
        Ok(match ended {
            Ended::Fallback => ControlFlow::Continue(self.tx),
            Ended::Stopped => ControlFlow::Break(()),
            Ended::Full | Ended::All => {
                self.tx = None;
                match self.consumer.condition().looked_at(looked_at) {
                    ControlFlow::Continue(()) => ControlFlow::Continue(None),
                    ControlFlow::Break(()) => ControlFlow::Break(()),
                }
            }
        })
    }

    /// How the reading has ended, and the rows that `looked_at` was not told of. `None`: there are no pages to read.
    fn read_pages(
        &mut self,
        range: &mut Range,
        rows: &mut Rows,
    ) -> rusqlite::Result<Option<(Ended, u64)>> {
        let reader = self.reader;
        let Some(tx) = &self.tx else { return Ok(None) };
        let Some(table) = SpanPages::of(tx, || reader.pages(tx))? else { return Ok(None) };
        self.version = data_version(tx)?;
        let callsites = self.consumer.condition().callsites().map(Callsites::new);
        let parents = self.consumer.condition().parents().cloned();
        let (run_id, columns) = (self.scan.run_id, self.scan.columns);
        let (callsites, parents) = (callsites.as_ref(), parents.as_ref());
        let query = PageQuery { run_id, columns, callsites, parents };
        let conn = reader.connection();
        let ahead = (&table, reader.ahead());
        if let Some(ended) = rows.read_ahead(ahead, conn, range, &query, self)? {
            return Ok(Some((ended, 0)));
        }
        let ended =
            rows.read_pages(&table, conn, range, (PIECE_ROWS, &query), |span| self.row(span))?;
        Ok(Some((ended, if ended == Ended::Full { u64::from(PIECE_ROWS) } else { 0 })))
    }

    /// Ends the transaction and begins another one. Says whether the file is unchanged.
    fn begin_again(&mut self) -> Result<bool, Error> {
        self.tx = None;
        let tx = self.tx.insert(self.reader.begin()?);
        let version = data_version(tx).context(self.reader.path(), "read the spans")?;
        Ok(version == self.version && self.reader.pages(tx).is_some())
    }
}

impl RowConsumer for RowSink<'_, '_> {
    fn row(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        if self.scan.has(span) { self.consumer.row(span) } else { ControlFlow::Continue(()) }
    }

    fn looked_at(&mut self, rows: u64, pause: &Pause) -> ControlFlow<()> {
        self.in_transaction += rows;
        if self.in_transaction >= u64::from(PIECE_ROWS) {
            self.in_transaction = 0;
            let _paused = pause.begin();
            match self.begin_again() {
                Ok(true) => {}
                Ok(false) => {
                    self.is_changed = true;
                    return ControlFlow::Break(());
                }
                Err(error) => {
                    self.error = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        self.consumer.condition().looked_at(rows)
    }
}

/// A number that changes when somebody else commits.
fn data_version(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// Reads the first rows of a range and removes them from it. Says how many were read; 0 if that was less than a
/// piece.
fn read_piece(
    range: &mut Range,
    tx: &Transaction<'_>,
    rows: &mut Rows,
    condition: &str,
    each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<(ControlFlow<()>, u64)> {
    // SQLite does not tell how many rows it skips, so the end of the piece is looked up before.
    let end = "SELECT id FROM span WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1 OFFSET ?3";
    let params = params![range.after, range.last, PIECE_ROWS - 1];
    let end = tx.query_row(end, params, |row| row.get(0)).optional()?;
    let looked_at = if end.is_some() { u64::from(PIECE_ROWS) } else { 0 };
    let end = end.unwrap_or(range.last);
    let sql = format!(
        "SELECT {} FROM span NOT INDEXED
         WHERE id > ?1 AND id <= ?2 AND run_id = ?3{condition} ORDER BY id",
        rows.selected()
    );
    let read = rows.read(tx, &sql, params![range.after, end, rows.run_id()], each);
    range.after = end;
    Ok((read?, looked_at))
}

pub(super) fn of_run(conn: &Connection, run_id: i64) -> rusqlite::Result<Option<Range>> {
    let sql = "SELECT first_id, last_id FROM run WHERE id = ?1";
    let read = |row: &Row<'_>| {
        Ok(Range { after: row.get::<_, i64>(0)?.saturating_sub(1), last: row.get(1)? })
    };
    conn.query_row(sql, [run_id], read).optional()
}

#[cfg(test)]
mod tests;
