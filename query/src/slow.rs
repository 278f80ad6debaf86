//! The slowest spans and the longest entries of long-lived spans, which are ranked by their own length; lifetimes of
//! long-lived spans are not ranked. Spans that were never entered come last, however long they were open, as nobody
//! worked in them.
//!
//! [`Slowest`] keeps the slowest of any selection of calls. [`Reader::slowest`] finds them faster where only name or
//! time is selected: for a whole run with an index; without one, or for a window, commits tell how long their longest
//! spans are (`commit_map.rs`), and SQLite skips spans that are faster than those found so far.

mod entries;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::ops::ControlFlow;

use rusqlite::Row;

use super::commit_map::CommitRange;
use super::rows::Rows;
use super::scanning::Predicate;
use super::{Columns, Scan, SpanRef};
use crate::indexes::{BY_DURATION, ROOTS_BY_DURATION};
use crate::order_rows::OrderRows as _;
use crate::reader::{LookUp, Reader, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// If more than one part in this many of all rows would be read commit by commit, a single scan is faster.
const PASS_PART: u64 = 4;

/// At least this many roots that were never entered are tested for work below them, ...
const ROOTS_LOOKED_INTO: usize = 20;
/// ... and at most this many, even if more are wanted.
const ROOTS_ASKED: usize = 1_000;

/// Callsites that are looked up in an index in one transaction.
const PIECE_CALLSITES: usize = 10_000;

/// The last exit of a span; computed from other columns if it was entered once.
pub(super) const LAST_EXIT: &str = "(CASE WHEN entries = 1
    THEN coalesce(last_exit_ns, first_entry_ns + busy_ns) ELSE last_exit_ns END)";

/// The time that spans are ranked by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowBy {
    /// From creation to close.
    #[default]
    Duration,
    /// Self time: not in their children.
    SelfTime,
    /// Busy time: inside the span.
    Busy,
    /// Not inside the span: waiting.
    Idle,
    /// From creation to the last exit: without the time for which others kept the span open.
    Work,
}

impl SlowBy {
    /// The time of a span or an entry; `None` where it is not known, such as the duration of an unfinished span, or
    /// means nothing, such as the lifetime of a span whose entries count.
    pub fn of(self, span: &SpanRef<'_>) -> Option<i64> {
        if span.counts_by_entries() { None } else { self.of_lifetime(span) }
    }

    fn of_lifetime(self, span: &SpanRef<'_>) -> Option<i64> {
        match self {
            Self::Duration => span.duration_ns,
            Self::SelfTime => span.self_ns,
            Self::Busy => span.busy_ns,
            Self::Idle => Some(span.duration_ns?.saturating_sub(span.busy_ns?)),
            Self::Work if span.entry.is_some() => span.duration_ns,
            Self::Work => span.duration_ns.and(span.last_exit_ns),
        }
    }

    /// Its column in the table of spans, or what it would be called there.
    pub fn column(self) -> &'static str {
        match self {
            Self::Idle => "idle_ns",
            Self::Work => "last_exit_ns",
            other => other.sql(),
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Duration => "duration_ns",
            Self::SelfTime => "self_ns",
            Self::Busy => "busy_ns",
            Self::Idle => "(duration_ns - busy_ns)",
            Self::Work => LAST_EXIT,
        }
    }
}

/// Among which spans the slowest are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowScope<'a> {
    /// All.
    #[default]
    All,
    /// Those of a name.
    Named(&'a str),
    /// Those without a parent: the slowest traces.
    Roots,
}

/// Keeps the slowest of the spans that are added; of equally slow ones those with the higher ids. Spans that were
/// never entered are kept only where there is room left.
#[derive(Debug, Clone)]
pub struct Slowest {
    by: SlowBy,
    limit: usize,
    /// The fastest on top.
    kept: BinaryHeap<Reverse<RankedSpan>>,
    /// Faster spans are not wanted.
    floor_ns: Option<i64>,
    offered: u64,
}

#[derive(Debug, Clone)]
struct RankedSpan {
    entered: bool,
    ns: i64,
    span: Span,
}

impl Slowest {
    /// Keeps at most `limit` spans.
    pub fn new(by: SlowBy, limit: usize) -> Self {
        Self { by, limit, kept: BinaryHeap::new(), floor_ns: None, offered: 0 }
    }

    /// Looks at a span.
    pub fn add(&mut self, span: &SpanRef<'_>) {
        self.keep(self.by.of(span), span);
    }

    fn keep(&mut self, ns: Option<i64>, span: &SpanRef<'_>) {
        self.keep_as(!span.was_never_entered(), ns, span);
    }

    fn keep_as(&mut self, entered: bool, ns: Option<i64>, span: &SpanRef<'_>) {
        let Some(ns) = ns else { return };
        self.offered += 1;
        if self.kept.len() >= self.limit {
            let entry = span.entry.map_or(0, |entry| entry.id);
            match self.kept.peek() {
                Some(Reverse(quickest)) if (entered, ns, span.id, entry) > quickest.key() => {
                    self.kept.pop();
                }
                _ => return,
            }
        }
        self.kept.push(Reverse(RankedSpan { entered, ns, span: span.to_span() }));
    }

    /// Spans that were added and have such a time.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// The spans, the slowest first.
    pub fn into_spans(self) -> Vec<Span> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(kept)| kept.span).collect()
    }

    /// The shortest time that is still kept, if either all added spans were entered, or none was.
    fn bound_ns(&self) -> Option<i64> {
        let is_full = self.kept.len() >= self.limit;
        let quickest = self.kept.peek().filter(|_| is_full);
        quickest.map(|Reverse(quickest)| quickest.ns).max(self.floor_ns)
    }
}

impl RankedSpan {
    fn key(&self) -> (bool, i64, u64, u64) {
        (self.entered, self.ns, self.span.id, self.span.entry.map_or(0, |entry| entry.id))
    }
}

impl PartialEq for RankedSpan {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for RankedSpan {}

impl PartialOrd for RankedSpan {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RankedSpan {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The slowest so far, and the condition for further ones.
struct Search {
    slowest: Slowest,
    long_lived: LongLived,
    /// As SQL that begins with ` AND `, or nothing.
    which: String,
    /// Only rows of this commit are read; `None`: of all.
    batch_id: Option<i64>,
    /// Faster spans are not wanted, as is known from other commits.
    floor_ns: Option<i64>,
}

impl Predicate for Search {
    fn sql(&self) -> String {
        let (which, time) = (&self.which, self.slowest.by.sql());
        let commit = self.batch_id.map(|id| format!(" AND batch_id = {id}")).unwrap_or_default();
        match self.slowest.bound_ns().max(self.floor_ns) {
            Some(bound) => format!("{commit}{which} AND {time} >= {bound}"),
            None => format!("{commit}{which} AND {time} IS NOT NULL"),
        }
    }
}

/// Whether a thread was ever inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entered {
    AtLeastOnce,
    Never,
}

impl Entered {
    fn sql(self) -> &'static str {
        match self {
            Self::AtLeastOnce => " AND entries > 0",
            Self::Never => " AND entries = 0",
        }
    }
}

/// What to do with long-lived spans, whose entries count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LongLived {
    LeftOut,
    ByLifetime,
}

impl Search {
    fn add(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        match self.long_lived {
            LongLived::LeftOut => self.slowest.add(span),
            // Its lifetime, as if it were work.
            LongLived::ByLifetime => self.slowest.keep(self.slowest.by.of_lifetime(span), span),
        }
        ControlFlow::Continue(())
    }
}

impl Reader {
    /// The slowest spans of a scan, with their fields; of long-lived spans, the longest entries ([`Span::entry`]). Of
    /// roots, spans only.
    ///
    /// # Blocking
    ///
    /// By duration, some milliseconds for a whole run of a profile with indexes; otherwise reads the commits with the
    /// longest spans. By busy time, or where commits do not help, SQLite reads all rows of the scan, but hands out
    /// few of them.
    pub fn slowest(
        &self,
        scan: &Scan,
        which: SlowScope<'_>,
        by: SlowBy,
        limit: usize,
    ) -> Result<Vec<Span>, Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let new = || Slowest::new(by, limit);
        let (entered, never) = (Entered::AtLeastOnce, Entered::Never);
        let mut slowest = self.slowest_spans(scan, (which, entered), new(), LongLived::LeftOut)?;
        if which == SlowScope::Roots {
            // Only roots that were open as long as the others can rank among them.
            let most = limit.max(ROOTS_LOOKED_INTO);
            let idle = Slowest { floor_ns: slowest.bound_ns(), ..Slowest::new(by, most) };
            let idle = self.slowest_spans(scan, (which, never), idle, LongLived::LeftOut)?;
            self.add_idle_roots(scan.run_id, &mut slowest, &idle.into_spans())?;
            // If there are only long-lived roots, rank them by their lifetime.
            if !slowest.kept.iter().any(|Reverse(kept)| kept.entered) {
                let long =
                    self.slowest_spans(scan, (which, entered), new(), LongLived::ByLifetime)?;
                for span in &long.into_spans() {
                    let span = SpanRef::from(span);
                    slowest.keep(by.of_lifetime(&span), &span);
                }
            }
            return Ok(slowest.into_spans());
        }
        if by != SlowBy::Idle && self.has_entries(scan.run_id)? {
            let callsites = match which {
                SlowScope::Named(_) => Some(self.callsites_of(which)?),
                _ => None,
            };
            slowest = self.with_entries(scan, callsites.as_deref(), slowest)?;
        }
        let room = limit.saturating_sub(slowest.kept.len());
        let mut spans = slowest.into_spans();
        if room > 0 {
            let idle = Slowest::new(by, room);
            let idle = self.slowest_spans(scan, (which, never), idle, LongLived::LeftOut)?;
            spans.extend(idle.into_spans());
        }
        self.read_owners(&mut spans)?;
        Ok(spans)
    }

    /// Ranks roots that were never entered: if something was entered below them, they are traces like any other, such
    /// as that of a span that is only ever named as a parent.
    fn add_idle_roots(
        &self,
        run_id: i64,
        slowest: &mut Slowest,
        idle: &[Span],
    ) -> Result<(), Error> {
        let with_work = self.roots_of_work(run_id, idle)?;
        for span in idle {
            let span = SpanRef::from(span);
            slowest.keep_as(with_work.contains(&span.id), slowest.by.of(&span), &span);
        }
        Ok(())
    }

    /// Of these roots, those below which a span was entered. Without an index, SQLite reads all spans behind them.
    fn roots_of_work(&self, run_id: i64, roots: &[Span]) -> Result<HashSet<u64>, Error> {
        let ids: Vec<u64> = roots.iter().take(ROOTS_ASKED).map(|root| root.id).collect();
        let Some(first) = ids.iter().min() else { return Ok(HashSet::new()) };
        // Threads take ids in blocks: a child can have a lower id than its root, but hardly all children do.
        let sql = format!(
            "SELECT DISTINCT root_id FROM span
             WHERE id > {first} AND id <= (SELECT last_id FROM run WHERE id = ?1)
               AND root_id IN ({}) AND entries > 0",
            ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
        );
        self.query("look below the slowest traces", |tx| {
            let read = |row: &Row<'_>| Ok(row.get::<_, i64>(0)? as u64);
            tx.prepare(&sql)?.query_map([run_id], read)?.collect()
        })
    }

    fn slowest_spans(
        &self,
        scan: &Scan,
        (which, entered): (SlowScope<'_>, Entered),
        slowest: Slowest,
        long_lived: LongLived,
    ) -> Result<Slowest, Error> {
        let (by, limit) = (slowest.by, slowest.limit);
        let indexes = self.indexes()?;
        if by == SlowBy::Duration && scan.is_whole() && long_lived == LongLived::LeftOut {
            match which {
                SlowScope::Roots if indexes.roots => {
                    let index = format!("INDEXED BY {ROOTS_BY_DURATION} WHERE parent_id IS NULL");
                    return self.by_index(scan.run_id, &index, entered, &[0], slowest);
                }
                SlowScope::All | SlowScope::Named(_) if indexes.durations => {
                    let index = format!("INDEXED BY {BY_DURATION} WHERE callsite_id = ?4");
                    let callsites = self.callsites_of(which)?;
                    return self.by_index(scan.run_id, &index, entered, &callsites, slowest);
                }
                _ => {}
            }
        }
        let mut condition = match which {
            SlowScope::All => String::new(),
            SlowScope::Roots => " AND parent_id IS NULL".into(),
            SlowScope::Named(_) => {
                format!(" AND callsite_id IN ({})", list(&self.callsites_of(which)?))
            }
        };
        condition.push_str(entered.sql());
        if long_lived == LongLived::LeftOut {
            condition.push_str(" AND (self_ns IS NOT NULL OR duration_ns IS NULL)");
        }
        let mut search =
            Search { slowest, long_lived, which: condition, batch_id: None, floor_ns: None };
        let scan = scan.columns(Columns::All);
        if by != SlowBy::Busy && self.by_commit(&scan, &mut search)? {
            return Ok(search.slowest);
        }
        let floor_ns = search.slowest.bound_ns();
        let slowest = Slowest::new(by, limit);
        let mut search = Search { slowest, floor_ns, batch_id: None, ..search };
        self.scan_if(&scan, &mut search, Search::add)?;
        Ok(search.slowest)
    }

    /// Reads commits in the order of their longest spans, until no other can have one that is slow enough; for times
    /// that are not longer than the duration. False if that was not possible: if commits do not tell, or if a single
    /// scan is faster.
    fn by_commit(&self, scan: &Scan, search: &mut Search) -> Result<bool, Error> {
        let Some(mut ranges) = self.commit_ranges(scan.run_id)? else { return Ok(false) };
        // Ranges of commits overlap; overlaps are read for each.
        let total: u64 = ranges.iter().map(CommitRange::width).sum();
        let mut left = total / PASS_PART;
        ranges.retain(|range| range.longest_ns.is_some() && range.is_in_window(scan));
        ranges.order_by_key(|range| Reverse(range.longest_ns));
        for range in ranges {
            let bound = search.slowest.bound_ns();
            if bound.is_some_and(|bound| range.longest_ns < Some(bound)) {
                break;
            }
            let Some(rest) = left.checked_sub(range.width()) else { return Ok(false) };
            left = rest;
            search.batch_id = Some(range.batch_id);
            self.scan_ranges(scan, vec![scan.cut(range.range())], search, Search::add)?;
        }
        Ok(true)
    }

    /// The callsites of spans with a name, or of all.
    fn callsites_of(&self, which: SlowScope<'_>) -> Result<Vec<i64>, Error> {
        let name = if let SlowScope::Named(name) = which { Some(name) } else { None };
        self.query("read the callsites", |tx| {
            let sql = "SELECT id FROM callsite WHERE kind = 'span' AND (?1 IS NULL OR name = ?1)
                       ORDER BY id";
            tx.prepare(sql)?.query_map([name], |row| row.get(0))?.collect()
        })
    }

    /// The slowest spans of each of these callsites (`?4`), from an index.
    fn by_index(
        &self,
        run_id: i64,
        index: &str,
        entered: Entered,
        callsites: &[i64],
        mut slowest: Slowest,
    ) -> Result<Slowest, Error> {
        let mut rows = Rows::new(run_id, Columns::All);
        let limit = i64::try_from(slowest.limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {} FROM span {index} AND run_id = ?1 AND duration_ns >= ?2
               AND self_ns IS NOT NULL{}
             ORDER BY duration_ns DESC, id DESC LIMIT ?3",
            rows.selected(),
            entered.sql()
        );
        // Prepared once: there can be half a million callsites.
        for piece in callsites.chunks(PIECE_CALLSITES) {
            let tx = self.begin()?;
            let mut read = || -> rusqlite::Result<()> {
                let mut query = tx.prepare(&sql)?;
                let mut names = LookUp::new(&tx)?;
                let takes_callsite = query.parameter_count() == 4;
                for callsite in piece {
                    query.raw_bind_parameter(1, run_id)?;
                    query.raw_bind_parameter(2, slowest.bound_ns().unwrap_or(i64::MIN))?;
                    query.raw_bind_parameter(3, limit)?;
                    if takes_callsite {
                        query.raw_bind_parameter(4, callsite)?;
                    }
                    let _complete = rows.read_bound(&mut query, &mut names, |span| {
                        slowest.add(span);
                        ControlFlow::Continue(())
                    })?;
                }
                Ok(())
            };
            read().context(self.path(), "read the slowest spans")?;
        }
        Ok(slowest)
    }
}

/// Numbers as a list in SQL.
fn list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}
