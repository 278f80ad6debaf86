//! The slowest spans, and the longest entries of those that live long: among the slowest they stand for
//! themselves, by their own length, and the span's lifetime does not. Spans that were never entered come behind all
//! others, however long they were open, as nobody worked in them.
//!
//! [`Slowest`] is fed any selection of calls and keeps as many as are wanted. Where it goes by name or
//! time only, [`Reader::slowest`] knows more: of a run an index has them in order; without one, or of a
//! window, commits say how long their longest spans are (`commit_map.rs`), and SQLite passes over
//! whatever is quicker than those that were found so far.

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
use crate::reader::{LookUp, Reader, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// Which part of all that commits say of their rows is looked at, commit by commit, before a single pass
/// over all rows is begun instead.
const PASS_PART: u64 = 4;

/// For how many roots that were never entered it is looked up whether a thread worked in their traces.
const ROOTS_LOOKED_INTO: usize = 20;
/// At most this many, even if more are asked for.
const ROOTS_ASKED: usize = 1_000;

/// Callsites of which one transaction looks into an index.
const PIECE_CALLSITES: usize = 10_000;

/// When a span was left for the last time; of one that was entered once that is known by other columns.
pub(super) const LAST_EXIT: &str = "(CASE WHEN entries = 1
    THEN coalesce(last_exit_ns, first_entry_ns + busy_ns) ELSE last_exit_ns END)";

/// By which time spans are slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowBy {
    /// From creation to close.
    #[default]
    Duration,
    /// Not in their children.
    SelfTime,
    /// Inside the span.
    Busy,
    /// Not inside the span: waiting.
    Idle,
    /// From creation to the last exit: without what kept the span open after its work.
    Work,
}

impl SlowBy {
    /// The time of a span or an entry; `None` where it is not known, as the duration of an unfinished span, or
    /// where it says nothing, as of a span whose entries count.
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

/// Of which spans the slowest are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which<'a> {
    /// Of all.
    #[default]
    All,
    /// Of those of a name.
    Named(&'a str),
    /// Of those without a parent, so that they are the slowest traces.
    Roots,
}

/// Keeps the slowest spans of those that it is fed; of equally slow ones those with the higher ids. Those that were
/// never entered are kept only where others leave room.
#[derive(Debug, Clone)]
pub struct Slowest {
    by: SlowBy,
    limit: usize,
    /// The quickest on top.
    kept: BinaryHeap<Reverse<RankedSpan>>,
    /// No quicker ones are wanted.
    floor_ns: Option<i64>,
    seen: u64,
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
        Self { by, limit, kept: BinaryHeap::new(), floor_ns: None, seen: 0 }
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
        self.seen += 1;
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

    /// How many spans it was fed that have such a time.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The spans, the slowest in front.
    pub fn into_spans(self) -> Vec<Span> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(kept)| kept.span).collect()
    }

    /// What a span must at least take to be kept, where all that it is fed were entered, or none was.
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

/// The slowest so far, and where to look.
struct Search {
    slowest: Slowest,
    long: Long,
    /// As SQL that begins with ` AND `, or nothing.
    which: String,
    /// Whose rows are looked at, if not those of all commits.
    batch_id: Option<i64>,
    /// No quicker ones are wanted, as far as is known from elsewhere.
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

/// Which spans are looked at.
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

/// What to do with spans that live long, whose entries count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Long {
    LeftOut,
    RankedSpan,
}

impl Search {
    fn add(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        match self.long {
            Long::LeftOut => self.slowest.add(span),
            // Its lifetime, as if it were work.
            Long::RankedSpan => self.slowest.keep(self.slowest.by.of_lifetime(span), span),
        }
        ControlFlow::Continue(())
    }
}

impl Reader {
    /// The slowest spans of what a scan looks at, with their fields; of spans that live long, the longest
    /// entries ([`Span::entry`]). Of roots, spans only.
    ///
    /// # Blocking
    ///
    /// Some milliseconds for a whole run of a profile with indexes when it goes by duration; otherwise
    /// looks at the commits with the longest spans, or, by busy time or where that is of no use, at all
    /// that the scan does, but hands out next to nothing of it.
    pub fn slowest(
        &self,
        scan: &Scan,
        which: Which<'_>,
        by: SlowBy,
        limit: usize,
    ) -> Result<Vec<Span>, Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let new = || Slowest::new(by, limit);
        let (entered, never) = (Entered::AtLeastOnce, Entered::Never);
        let mut slowest = self.slowest_spans(scan, (which, entered), new(), Long::LeftOut)?;
        if which == Which::Roots {
            // Only those can lead that were open for as long as the others.
            let most = limit.max(ROOTS_LOOKED_INTO);
            let idle = Slowest { floor_ns: slowest.bound_ns(), ..Slowest::new(by, most) };
            let idle = self.slowest_spans(scan, (which, never), idle, Long::LeftOut)?;
            self.add_idle_roots(scan.run_id, &mut slowest, &idle.into_spans())?;
            // Where all others live long, one that was open for long is better than none.
            if !slowest.kept.iter().any(|Reverse(kept)| kept.entered) {
                let long = self.slowest_spans(scan, (which, entered), new(), Long::RankedSpan)?;
                for span in &long.into_spans() {
                    let span = SpanRef::from(span);
                    slowest.keep(by.of_lifetime(&span), &span);
                }
            }
            return Ok(slowest.into_spans());
        }
        if by != SlowBy::Idle && self.has_entries(scan.run_id)? {
            let callsites = match which {
                Which::Named(_) => Some(self.callsites_of(which)?),
                _ => None,
            };
            slowest = self.with_entries(scan, callsites.as_deref(), slowest)?;
        }
        let room = limit.saturating_sub(slowest.kept.len());
        let mut spans = slowest.into_spans();
        if room > 0 {
            let idle = Slowest::new(by, room);
            let idle = self.slowest_spans(scan, (which, never), idle, Long::LeftOut)?;
            spans.extend(idle.into_spans());
        }
        self.read_owners(&mut spans)?;
        Ok(spans)
    }

    /// Puts roots that were never entered among the others: something may have been entered below them, so that
    /// they are traces like any other, as those of a span that is only ever named as a parent.
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

    /// Those of these roots below which a span was entered. Without an index, SQLite looks at all spans behind them.
    fn roots_of_work(&self, run_id: i64, roots: &[Span]) -> Result<HashSet<u64>, Error> {
        let ids: Vec<u64> = roots.iter().take(ROOTS_ASKED).map(|root| root.id).collect();
        let Some(first) = ids.iter().min() else { return Ok(HashSet::new()) };
        // Ids are taken by blocks: a child can have a lower one than its root, but hardly all of them have.
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
        (which, entered): (Which<'_>, Entered),
        slowest: Slowest,
        long: Long,
    ) -> Result<Slowest, Error> {
        let (by, limit) = (slowest.by, slowest.limit);
        let indexes = self.indexes()?;
        if by == SlowBy::Duration && scan.is_whole() && long == Long::LeftOut {
            match which {
                Which::Roots if indexes.roots => {
                    let place = format!("INDEXED BY {ROOTS_BY_DURATION} WHERE parent_id IS NULL");
                    return self.by_index(scan.run_id, &place, entered, &[0], slowest);
                }
                Which::All | Which::Named(_) if indexes.durations => {
                    let place = format!("INDEXED BY {BY_DURATION} WHERE callsite_id = ?4");
                    let callsites = self.callsites_of(which)?;
                    return self.by_index(scan.run_id, &place, entered, &callsites, slowest);
                }
                _ => {}
            }
        }
        let mut condition = match which {
            Which::All => String::new(),
            Which::Roots => " AND parent_id IS NULL".into(),
            Which::Named(_) => {
                format!(" AND callsite_id IN ({})", list(&self.callsites_of(which)?))
            }
        };
        condition.push_str(entered.sql());
        if long == Long::LeftOut {
            condition.push_str(" AND (self_ns IS NOT NULL OR duration_ns IS NULL)");
        }
        let mut search = Search { slowest, long, which: condition, batch_id: None, floor_ns: None };
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

    /// Looks at commits in the order of their longest spans, until no other can have one that is slow
    /// enough; for times that are not longer than the duration. Says whether that was it: not if commits
    /// do not tell, or if so much has to be looked at that a single pass is quicker.
    fn by_commit(&self, scan: &Scan, search: &mut Search) -> Result<bool, Error> {
        let Some(mut ranges) = self.commit_ranges(scan.run_id)? else { return Ok(false) };
        // Ranges of several commits overlap, and are looked at for each.
        let total: u64 = ranges.iter().map(CommitRange::width).sum();
        let mut left = total / PASS_PART;
        ranges.retain(|range| range.longest_ns.is_some() && range.is_in_window(scan));
        ranges.sort_unstable_by_key(|range| Reverse(range.longest_ns));
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
    fn callsites_of(&self, which: Which<'_>) -> Result<Vec<i64>, Error> {
        let name = if let Which::Named(name) = which { Some(name) } else { None };
        self.query("read the callsites", |tx| {
            let sql = "SELECT id FROM callsite WHERE kind = 'span' AND (?1 IS NULL OR name = ?1)
                       ORDER BY id";
            tx.prepare(sql)?.query_map([name], |row| row.get(0))?.collect()
        })
    }

    /// Of a place in an index for each of these callsites (`?4`), the slowest spans.
    fn by_index(
        &self,
        run_id: i64,
        place: &str,
        entered: Entered,
        callsites: &[i64],
        mut slowest: Slowest,
    ) -> Result<Slowest, Error> {
        let mut rows = Rows::new(run_id, Columns::All);
        let limit = i64::try_from(slowest.limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {} FROM span {place} AND run_id = ?1 AND duration_ns >= ?2
               AND self_ns IS NOT NULL{}
             ORDER BY duration_ns DESC, id DESC LIMIT ?3",
            rows.selected(),
            entered.sql()
        );
        // Statements that were made once: there can be half a million callsites.
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

/// Numbers as SQL has them in a list.
fn list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}
