//! The slowest spans, and the longest entries of those that live long: among the slowest they stand for
//! themselves, by their own length, and the span's lifetime does not.
//!
//! [`Slowest`] is fed any selection of calls and keeps as many as are wanted. Where it goes by name or
//! time only, [`Reader::slowest`] knows more: of a run an index has them in order; without one, or of a
//! window, commits say how long their longest spans are (`commit_map.rs`), and SQLite passes over
//! whatever is quicker than those that were found so far.

mod entries;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::commit_map::Place;
use super::rows::Rows;
use super::scanning::Condition;
use super::{Columns, Scan, SpanRef};
use crate::indexes::{BY_DURATION, ROOTS_BY_DURATION};
use crate::reader::{LookUp, Reader, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// Which part of all that commits say of their rows is looked at, commit by commit, before a single pass
/// over all rows is begun instead.
const PASS_PART: u64 = 4;

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

/// Keeps the slowest spans of those that it is fed; of equally slow ones those with the higher ids.
#[derive(Debug, Clone)]
pub struct Slowest {
    by: SlowBy,
    limit: usize,
    /// The quickest on top.
    kept: BinaryHeap<Reverse<Kept>>,
    seen: u64,
}

#[derive(Debug, Clone)]
struct Kept {
    ns: i64,
    span: Span,
}

impl Slowest {
    /// Keeps at most `limit` spans.
    pub fn new(by: SlowBy, limit: usize) -> Self {
        Self { by, limit, kept: BinaryHeap::new(), seen: 0 }
    }

    /// Looks at a span.
    pub fn add(&mut self, span: &SpanRef<'_>) {
        self.keep(self.by.of(span), span);
    }

    fn keep(&mut self, ns: Option<i64>, span: &SpanRef<'_>) {
        let Some(ns) = ns else { return };
        self.seen += 1;
        if self.kept.len() >= self.limit {
            let entry = span.entry.map_or(0, |entry| entry.id);
            match self.kept.peek() {
                Some(Reverse(quickest)) if (ns, span.id, entry) > quickest.key() => {
                    self.kept.pop();
                }
                _ => return,
            }
        }
        self.kept.push(Reverse(Kept { ns, span: span.to_span() }));
    }

    /// How many spans it was fed that have such a time.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The spans, the slowest in front.
    pub fn into_spans(self) -> Vec<Span> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(kept)| kept.span).collect()
    }

    /// What a span must at least take to be kept.
    fn bound_ns(&self) -> Option<i64> {
        let Reverse(quickest) = self.kept.peek()?;
        (self.kept.len() >= self.limit).then_some(quickest.ns)
    }
}

impl Kept {
    fn key(&self) -> (i64, u64, u64) {
        (self.ns, self.span.id, self.span.entry.map_or(0, |entry| entry.id))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
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

impl Condition for Search {
    fn sql(&self) -> String {
        let (which, time) = (&self.which, self.slowest.by.sql());
        let commit = self.batch_id.map(|id| format!(" AND batch_id = {id}")).unwrap_or_default();
        match self.slowest.bound_ns().max(self.floor_ns) {
            Some(bound) => format!("{commit}{which} AND {time} >= {bound}"),
            None => format!("{commit}{which} AND {time} IS NOT NULL"),
        }
    }
}

/// What to do with spans that live long, whose entries count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Long {
    LeftOut,
    Kept,
}

impl Search {
    fn add(&mut self, span: &SpanRef<'_>) -> ControlFlow<()> {
        match self.long {
            Long::LeftOut => self.slowest.add(span),
            // Its lifetime, as if it were work.
            Long::Kept => self.slowest.keep(self.slowest.by.of_lifetime(span), span),
        }
        ControlFlow::Continue(())
    }
}

impl Reader {
    /// The slowest spans of what a scan looks at, with their fields; of spans that live long, the longest
    /// entries ([`Span::entry`]). Of roots, spans only.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
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
        let mut slowest = self.slowest_spans(scan, which, new(), Long::LeftOut)?;
        if which == Which::Roots {
            // Where all of them live long, one that was open for long is better than none.
            let is_empty = slowest.kept.is_empty();
            let all = is_empty.then(|| self.slowest_spans(scan, which, new(), Long::Kept));
            return Ok(all.transpose()?.unwrap_or(slowest).into_spans());
        }
        if by != SlowBy::Idle && self.has_entries(scan.run_id)? {
            let callsites = match which {
                Which::Named(_) => Some(self.callsites_of(which)?),
                _ => None,
            };
            slowest = self.with_entries(scan, callsites.as_deref(), slowest)?;
        }
        let mut spans = slowest.into_spans();
        self.read_owners(&mut spans)?;
        Ok(spans)
    }

    fn slowest_spans(
        &self,
        scan: &Scan,
        which: Which<'_>,
        slowest: Slowest,
        long: Long,
    ) -> Result<Slowest, Error> {
        let (by, limit) = (slowest.by, slowest.limit);
        let indexes = self.indexes()?;
        if by == SlowBy::Duration && scan.is_whole() && long == Long::LeftOut {
            match which {
                Which::Roots if indexes.roots => {
                    let place = format!("INDEXED BY {ROOTS_BY_DURATION} WHERE parent_id IS NULL");
                    return self.by_index(scan.run_id, &place, &[0], slowest);
                }
                Which::All | Which::Named(_) if indexes.durations => {
                    let place = format!("INDEXED BY {BY_DURATION} WHERE callsite_id = ?4");
                    return self.by_index(scan.run_id, &place, &self.callsites_of(which)?, slowest);
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
        let Some(mut places) = self.places(scan.run_id)? else { return Ok(false) };
        // Ranges of several commits overlap, and are looked at for each.
        let total: u64 = places.iter().map(Place::width).sum();
        let mut left = total / PASS_PART;
        places.retain(|place| place.longest_ns.is_some() && place.is_in_window(scan));
        places.sort_unstable_by_key(|place| Reverse(place.longest_ns));
        for place in places {
            let bound = search.slowest.bound_ns();
            if bound.is_some_and(|bound| place.longest_ns < Some(bound)) {
                break;
            }
            let Some(rest) = left.checked_sub(place.width()) else { return Ok(false) };
            left = rest;
            search.batch_id = Some(place.batch_id);
            self.scan_ranges(scan, vec![scan.cut(place.range())], search, Search::add)?;
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
        callsites: &[i64],
        mut slowest: Slowest,
    ) -> Result<Slowest, Error> {
        let mut rows = Rows::new(run_id, Columns::All);
        let limit = i64::try_from(slowest.limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {} FROM span {place} AND run_id = ?1 AND duration_ns >= ?2
               AND self_ns IS NOT NULL
             ORDER BY duration_ns DESC, id DESC LIMIT ?3",
            rows.selected()
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
