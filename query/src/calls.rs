//! A scan over calls. A call is a closed span, by its lifetime, or an entry of a long-lived span.
//!
//! A long-lived span, such as a connection or a system of a game, is open all the time and works only while a thread
//! is inside. So each of its entries is handed out as if it were a span ([`SpanRef::entry`]): times and thread are
//! the entry's, all else is the span's. Analyses then count calls, and filters test calls: `dur>10ms` tests the
//! length of an entry.
//!
//! The long-lived spans are handed out, too ([`SpanRef::counts_by_entries`]): their status says which of them failed,
//! and their longest entry may be one without a row of its own.
//!
//! Like spans, entries of a window are looked for only in the id ranges of commits with rows of that time.

pub(super) mod owners;

use std::collections::HashSet;
use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Transaction, params};

use self::owners::{Find, Owners};
use super::commit_map::{self, Kind};
use super::id_range::Range;
use super::rows::{OwnerLookup, Rows};
use super::scanning::{PIECE_ROWS, Pushdown, SpanSink, of_run};
use super::{Columns, Filter, Scan, SpanRef};
use crate::reader::{ENTRY_COLUMNS, Entry, LIVES_LONG, Reader, Span};
use spandrel_storage::Error;
use spandrel_storage::internals::Context;
use spandrel_storage::internals::lived_long_to_the_end;

/// Which entries a scan hands out, and what it reads with them.
pub(super) struct Pass<'a> {
    scan: &'a Scan,
    pub(super) filter: &'a Filter,
    /// Whether more of the entry's span is needed than its callsite.
    needs_owners: bool,
    /// Whether earlier entries, which have no rows of their own, count, too.
    has_earlier: bool,
}

impl<'a> Pass<'a> {
    pub(super) fn new(scan: &'a Scan, filter: &'a Filter) -> Self {
        Self {
            scan,
            filter,
            needs_owners: scan.columns == Columns::All || filter.looks_at_owners(),
            has_earlier: !filter.looks_at_calls(),
        }
    }

    /// Whether the longest entry of a span counts, whenever it was.
    pub(super) fn has_longest(&self) -> bool {
        self.has_earlier && self.scan.is_whole()
    }
}

impl Reader {
    /// Calls `each` for each call that matches a scan and a filter: first for each closed span that counts by its
    /// lifetime, in order of id, then for each entry that counts, in the order of storing. Spans that are no calls
    /// come among the first: those that have not closed, and [long-lived](SpanRef::counts_by_entries) ones.
    ///
    /// The window tests when a span or an entry began. For a long-lived span, the filter tests its longest entry.
    ///
    /// # Blocking
    ///
    /// As [`scan_filtered`](Self::scan_filtered), with entries for rows, too.
    pub fn scan_calls(
        &self,
        scan: &Scan,
        filter: &Filter,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if !self.has_entries(scan.run_id)? {
            return self.scan_filtered(scan, filter, each);
        }
        self.scan_spans_and_entries(scan, filter, &mut each)
    }

    fn scan_spans_and_entries(
        &self,
        scan: &Scan,
        filter: &Filter,
        each: &mut SpanSink<'_>,
    ) -> Result<(), Error> {
        let pass = Pass::new(scan, filter);
        let mut pushdown = self.pushdown_of(filter, Pushdown::of_calls)?;
        let mut matcher = filter.matcher();
        let columns = scan.columns.max(filter.columns()).max(Columns::Entries);
        let mut flow = ControlFlow::Continue(());
        let mut open = Vec::new();
        self.scan_if(&scan.columns(columns), &mut pushdown, |_, span| {
            let lived_long = lived_long_to_the_end(span.entries, span.last_exit_ns);
            if pass.has_longest() && !span.status.has_closed() && lived_long {
                open.push(span.to_span());
            }
            flow = hand_out(&pass, span, |span| matcher.matches(span), each);
            flow
        })?;
        if flow.is_continue() {
            self.scan_entries(&pass, open, each)?;
        }
        Ok(())
    }

    /// Whether entries were recorded in the run, so that some may count.
    pub(super) fn has_entries(&self, run_id: i64) -> Result<bool, Error> {
        self.query("look for entries", |tx| {
            let sql = "SELECT entries > 0 FROM run WHERE id = ?1";
            Ok(tx.query_row(sql, [run_id], |row| row.get(0)).optional()?.unwrap_or(false))
        })
    }

    /// Calls `each` for each entry that counts and matches, and for open long-lived spans.
    pub(super) fn add_entries(
        &self,
        scan: &Scan,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if self.has_entries(scan.run_id)? {
            self.scan_entries(&Pass::new(scan, &Filter::all()), Vec::new(), &mut each)?;
        }
        Ok(())
    }

    /// Calls `each` for the entries that count, began in the window of the scan, and have ids in a range, both ends
    /// included. Ids grow with the time of storing, so the range bounds what is read.
    pub fn scan_entries_between(
        &self,
        scan: &Scan,
        first: u64,
        last: u64,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if !self.has_entries(scan.run_id)? {
            return Ok(());
        }
        let bound = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
        let range = Range { after: bound(first).saturating_sub(1), last: bound(last) };
        self.entries_of_ranges(&Scan { ids: None, ..*scan }, vec![range], "", &mut each)
    }

    /// Calls `each` for the entries that count in some id ranges and pass a condition: SQL that begins with ` AND `.
    pub(super) fn entries_of_ranges(
        &self,
        scan: &Scan,
        ranges: Vec<Range>,
        condition: &str,
        each: &mut SpanSink<'_>,
    ) -> Result<(), Error> {
        let (scan, filter) = (scan.columns(Columns::Numbers), Filter::all());
        self.entries_in(&Pass::new(&scan, &filter), ranges, condition, each).map(|_goes_on| ())
    }

    /// `open`: spans that were open at the end and may be long-lived.
    pub(super) fn scan_entries(
        &self,
        pass: &Pass<'_>,
        open: Vec<Span>,
        each: &mut SpanSink<'_>,
    ) -> Result<(), Error> {
        let pushdown = self.pushdown_of(pass.filter, |pushdown| pushdown.sql_of_entries())?;
        let ranges = self.ranges_of_entries(pass.scan)?;
        let mut callsites = HashSet::new();
        let flow = self.entries_in(pass, ranges, &pushdown, &mut |span| {
            callsites.insert(span.callsite.id);
            each(span)
        })?;
        if flow.is_continue() && pass.has_longest() {
            self.scan_open_long_lived(pass, open, &callsites, each)?;
        }
        Ok(())
    }

    /// The id ranges that can hold entries of a scan.
    pub(super) fn ranges_of_entries(&self, scan: &Scan) -> Result<Vec<Range>, Error> {
        self.query("find the entries", |tx| {
            let Some(all) = of_run(tx, scan.run_id)? else { return Ok(Vec::new()) };
            if !scan.has_window() {
                return Ok(vec![all]);
            }
            let commits = commit_map::ranges(tx, scan.run_id, Kind::Entry)?;
            Ok(commits.map_or_else(|| vec![all], |commits| commit_map::in_window(&commits, scan)))
        })
    }

    /// Hands out the entries in some ranges that pass a condition in SQL and the filter.
    fn entries_in(
        &self,
        pass: &Pass<'_>,
        ranges: Vec<Range>,
        pushdown: &str,
        each: &mut SpanSink<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let scan = pass.scan;
        let ids = scan.ids.map(|(first, last)| format!(" AND span_id BETWEEN {first} AND {last}"));
        let condition = format!("{}{}{pushdown}", scan.condition(), ids.unwrap_or_default());
        let mut matcher = pass.filter.matcher();
        let mut rows = Rows::new(scan.run_id, scan.columns);
        let mut owners = Owners::default();
        for mut range in ranges {
            while range.after < range.last {
                let tx = self.begin()?;
                let piece =
                    range.entries(&tx, &mut rows, &mut owners, pass, &condition, &mut |span| {
                        if matcher.matches(span) { each(span) } else { ControlFlow::Continue(()) }
                    });
                if piece.context(self.path(), "read the entries")?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Hands out the open long-lived spans of callsites whose entries count, since their longest entries count.
    fn scan_open_long_lived(
        &self,
        pass: &Pass<'_>,
        at_the_end: Vec<Span>,
        callsites: &HashSet<i64>,
        each: &mut SpanSink<'_>,
    ) -> Result<(), Error> {
        let now = self.open_spans_if(pass.scan.run_id, &format!(" AND {LIVES_LONG}"))?;
        let mut matcher = pass.filter.matcher();
        let open = now.into_iter().map(|open| open.span).chain(at_the_end);
        for open in open.filter(|open| callsites.contains(&open.callsite.id)) {
            let span = SpanRef::from(&open);
            // Handed out as a closed span, whose lifetime means nothing.
            let lifetime = span.last_exit_ns.unwrap_or(0);
            let span = SpanRef { duration_ns: Some(lifetime), self_ns: None, ..span };
            if hand_out(pass, &span, |span| matcher.matches(span), each).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Adds what comes from the span to rows of entries that were read without it.
    pub fn read_owners(&self, spans: &mut [Span]) -> Result<(), Error> {
        self.query("read the spans of entries", |tx| {
            let mut owners = Owners::default();
            let mut find = Find::new(tx)?;
            for span in spans.iter_mut().filter(|span| span.entry.is_some()) {
                // If the span was pruned, or is not stored yet, only what the entry says is known.
                if let Some(owner) = owners.get(&mut find, span.id)? {
                    let Span { parent_id, root_id, entries, first_entry_ns, .. } = *owner;
                    let (last_exit_ns, status) = (owner.last_exit_ns, owner.status);
                    let fields = owner.fields.clone();
                    let known =
                        Span { parent_id, root_id, entries, first_entry_ns, ..span.clone() };
                    *span = Span { last_exit_ns, status, fields, ..known };
                }
            }
            Ok(())
        })
    }
}

/// Hands out a span if it matches; a long-lived one if its longest entry does.
pub(super) fn hand_out(
    pass: &Pass<'_>,
    span: &SpanRef<'_>,
    mut matches: impl FnMut(&SpanRef<'_>) -> bool,
    each: &mut SpanSink<'_>,
) -> ControlFlow<()> {
    if !span.counts_by_entries() {
        return if matches(span) { each(span) } else { ControlFlow::Continue(()) };
    }
    let longest = span.longest_entry_ns;
    let as_entry = SpanRef { duration_ns: longest, busy_ns: longest, self_ns: longest, ..*span };
    if !matches(&as_entry) {
        return ControlFlow::Continue(());
    }
    each(&SpanRef { longest_entry_ns: longest.filter(|_| pass.has_longest()), ..*span })
}

impl Range {
    /// Hands out the first entries of the range and removes them from it.
    fn entries(
        &mut self,
        tx: &Transaction<'_>,
        rows: &mut Rows,
        owners: &mut Owners,
        pass: &Pass<'_>,
        condition: &str,
        each: &mut SpanSink<'_>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        // As for spans: this bounds the rows of a transaction, also those that SQLite skips.
        let end = "SELECT id FROM entry WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1 OFFSET ?3";
        let params = params![self.after, self.last, PIECE_ROWS - 1];
        let end = tx.query_row(end, params, |row| row.get(0)).optional()?.unwrap_or(self.last);
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM entry WHERE id > ?1 AND id <= ?2 AND run_id = ?3
               AND self_ns IS NOT NULL{condition} ORDER BY id"
        );
        let params = params![self.after, end, rows.run_id()];
        let mut asked = NeededOwners { pass, owners, find: Find::new(tx)? };
        let read = rows.read_entries(tx, &sql, params, &mut asked, each);
        self.after = end;
        read
    }
}

/// Looks up the spans of entries, if the scan needs more than the callsite.
struct NeededOwners<'a> {
    pass: &'a Pass<'a>,
    owners: &'a mut Owners,
    find: Find<'a>,
}

impl OwnerLookup for NeededOwners<'_> {
    fn owner(&mut self, entry: &mut Entry) -> rusqlite::Result<Option<&Span>> {
        let Pass { scan, needs_owners, has_earlier, .. } = *self.pass;
        let asks = needs_owners || (entry.earlier_entries > 0 && has_earlier && scan.has_window());
        let owner = if asks { self.owners.get(&mut self.find, entry.span_id)? } else { None };
        // Earlier entries count only if all of them were in the window.
        let is_within = |from| owner.is_some_and(|owner| owner.start_ns >= from);
        if !(has_earlier && scan.from_ns.is_none_or(is_within)) {
            (entry.earlier_entries, entry.earlier_ns) = (0, 0);
        }
        if let Some(owner) = owner.filter(|_| entry.earlier_entries > 0 && scan.has_window()) {
            let left_ns = owner.last_exit_ns.or(owner.duration_ns).unwrap_or(i64::MAX);
            let is_over = |until| owner.start_ns.saturating_add(left_ns) <= until;
            let longest = owner.longest_entry_ns.filter(|_| scan.until_ns.is_none_or(is_over));
            entry.longest_of_span_ns = longest.unwrap_or(0);
        }
        Ok(owner)
    }
}

#[cfg(test)]
mod tests;
