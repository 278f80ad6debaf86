//! Finds the stalls of a run, or of a part of one.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::inner_spans::InnerSpans;
use super::long_entries::{LongEntries, LongEntry, SLACK_NS};
use super::threads::{Called, RuntimeThreads};
use super::{ScanFn, Stall, Stalls, StallsOn, around, longest_entry_began, sort};
use crate::calls::owners::Find;
use crate::reader::{Reader, Span};
use crate::scanning::Predicate;
use crate::{Columns, Filter, Scan, SpanRef};
use spandrel_storage::Error;

/// The pushdown of a filter, and a bound on when a span was entered, which is tested nowhere else.
struct Entered {
    filter: String,
    late_enough: String,
}

impl Predicate for Entered {
    fn sql(&self) -> String {
        format!("{}{}", self.filter, self.late_enough)
    }

    fn is_hint(&self) -> bool {
        self.late_enough.is_empty()
    }
}

impl Reader {
    /// The names of spans with entries of `limit_ns` or longer that match a scan and a filter, open spans included;
    /// names whose longest entries spent most time themselves come first.
    ///
    /// The window tests when entries began. Where that is not known exactly, spans match that began in it and those
    /// whose entry cannot have begun outside of it.
    ///
    /// # Blocking
    ///
    /// SQLite reads all spans of the run, and its entries, some 0.3 s for a million; only those that are too long are
    /// handed out.
    pub fn stalls(
        &self,
        scan: &Scan,
        filter: &Filter,
        limit_ns: i64,
        on: StallsOn,
    ) -> Result<(Vec<Stall>, Option<RuntimeThreads>), Error> {
        let mut stalls = Stalls::new(self, scan.run_id, limit_ns, on)?;
        let mut long = LongEntries::read(self, scan, limit_ns)?;
        let wanted = filter.clone().and(Filter::longest_from(limit_ns));
        let mut matcher = wanted.matcher();
        let columns = scan.columns.max(Columns::Entries).max(wanted.columns());
        let mut add = |span: &SpanRef<'_>| {
            let start_ns = long.start_of(span.id, span.longest_entry_ns);
            if is_meant(scan, span, start_ns) {
                long.forget(span.id);
                stalls.add_at(span, start_ns);
            }
        };
        // An older span may have been entered first in the window.
        let entered = |from| format!(" AND start_ns + coalesce(first_entry_ns, 0) >= {from}");
        let entered = scan.from_ns.map_or(String::new(), entered);
        let filter = self.pushdown(&wanted)?;
        let mut pushdown = Entered { filter, late_enough: entered };
        let older = Scan { from_ns: None, columns, ..*scan };
        self.scan_if(&older, &mut pushdown, |_, span| {
            if matcher.matches(span) {
                add(span);
            }
            ControlFlow::Continue(())
        })?;
        for open in self.open_spans(scan.run_id)? {
            let span = SpanRef::from(&open.span);
            if wanted.matches(&span) {
                add(&span);
            }
        }
        long.in_window(self, |span, start_ns| {
            let span = SpanRef::from(&span);
            let has = scan.ids.is_none_or(|(first, last)| (first..=last).contains(&span.id));
            if has && wanted.matches(&span) {
                stalls.add_at(&span, Some(start_ns));
            }
        })?;
        let threads = stalls.threads.clone();
        let mut found = stalls.finish(self, scan.run_id)?;
        let mut inner = InnerSpans::of(&found, limit_ns, &long);
        inner.read(self, scan.run_id)?;
        inner.put_into(&mut found);
        sort(&mut found);
        Ok((found, threads))
    }

    /// The same for a part of a run, from its spans alone: which threads run futures, what is around a runtime, and
    /// what was inside, as far as `look` hands out the spans for that. The spans of entries that come alone are
    /// looked up.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, and those of `look`.
    ///
    /// # Blocking
    ///
    /// Calls `look` six times at most, and looks up the ancestors of spans that were entered once.
    pub fn stalls_among(
        &self,
        limit_ns: i64,
        mut look: impl FnMut(&mut dyn FnMut(&SpanRef<'_>)) -> Result<(), Error>,
    ) -> Result<Vec<Stall>, Error> {
        let (mut called, mut long) = (Called::default(), LongEntries::default());
        look(&mut |span| {
            called.add(span);
            if let Some(entry) = span.entry.filter(|e| e.duration_ns >= limit_ns - SLACK_NS) {
                let (start_ns, ns, thread_id) =
                    (entry.start_ns, entry.duration_ns, entry.thread_id);
                long.add(span.id, LongEntry { start_ns, ns, thread_id });
            }
        })?;
        let owners = self.spans_of(called.unknown())?;
        owners.values().for_each(|owner| called.add(&SpanRef::from(owner)));
        let mut threads = called.threads();
        look(&mut |span| threads.add(span))?;
        owners.values().for_each(|owner| threads.add(&SpanRef::from(owner)));
        if threads.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.too_long(Stalls::on(limit_ns, Some(threads)), &long, &mut look)?;
        let mut inner = InnerSpans::of(&found, limit_ns, &long);
        if !found.is_empty() {
            look(&mut |span| inner.add_entry(span))?;
            look(&mut |span| inner.add(span))?;
        }
        inner.put_into(&mut found);
        sort(&mut found);
        Ok(found)
    }

    /// The calls with entries that are too long.
    fn too_long(
        &self,
        mut stalls: Stalls,
        long: &LongEntries,
        look: &mut ScanFn<'_>,
    ) -> Result<Vec<Stall>, Error> {
        stalls.counted = Some(HashSet::new());
        look(&mut |span| {
            let of_entry = span.entry.map(|entry| entry.start_ns);
            let start_ns = of_entry.or_else(|| long.start_of(span.id, span.longest_entry_ns));
            stalls.add_at(span, start_ns);
        })?;
        let mut single = std::mem::take(&mut stalls.single);
        if !single.is_empty() {
            single = around::without_of(self, single, look)?;
        }
        let mut found = stalls.with(single);
        let of_entries = found.iter().filter(|stall| stall.worst.entry.is_some());
        let owners = self.spans_of(of_entries.map(|stall| stall.worst.id).collect())?;
        for stall in &mut found {
            if stall.worst.entry.is_none() {
                continue;
            }
            // Values of the whole span, which the entry does not have.
            let longest_entry_ns = stall.worst.longest_entry_ns;
            let longest_thread = stall.worst.longest_thread.clone();
            match owners.get(&stall.worst.id).cloned() {
                Some(owner) => stall.worst = Span { longest_entry_ns, longest_thread, ..owner },
                None => stall.worst.busy_ns = None,
            }
        }
        Ok(found)
    }

    /// Looks up spans by id.
    fn spans_of(&self, ids: Vec<u64>) -> Result<HashMap<u64, Span>, Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        self.query("read the spans of entries", |tx| {
            let mut find = Find::new(tx)?;
            let mut found = HashMap::new();
            for id in ids {
                found.extend(find.span(id)?.map(|span| (id, span)));
            }
            Ok(found)
        })
    }
}

/// Whether the longest entry of a span belongs to a window.
fn is_meant(scan: &Scan, span: &SpanRef<'_>, start_ns: Option<i64>) -> bool {
    if !scan.has_window() {
        return scan.has(span);
    }
    let known = start_ns.map(|start_ns| (start_ns, start_ns));
    let (earliest, latest) = known.unwrap_or_else(|| longest_entry_began(span));
    let is_behind = |ns: i64| scan.until_ns.is_some_and(|until| ns >= until);
    let is_before = |ns: i64| scan.from_ns.is_some_and(|from| ns < from);
    if is_before(latest) || is_behind(earliest) {
        return false;
    }
    scan.has(span) || !(is_before(earliest) || is_behind(latest))
}
