//! Entries around a runtime: `block_on` within a span.
//!
//! The thread polls futures while it is inside such a span, so it blocks nothing. The span is recognized by futures
//! that were first entered within it, on its thread. It is different for a span inside of a future: `block_on` there
//! blocks the runtime that polls that future. (Outside of a future, code that enters a span of its own twice looks
//! the same.)

use std::collections::HashMap;
use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Row};

use super::threads::{MAY_BE_FUTURE, may_be_future};
use super::{ScanFn, longest_entry_began};
use crate::reader::{Reader, Span};
use crate::scanning::Predicate;
use crate::{Columns, Scan, SpanRef};
use spandrel_storage::Error;

/// Ancestors that are looked up at most.
const DEPTH_MAX: usize = 1_000;

/// Removes spans around a runtime from spans that were entered once.
pub(super) fn without(reader: &Reader, run_id: i64, spans: Vec<Span>) -> Result<Vec<Span>, Error> {
    let (Some(from), Some(until)) = (
        spans.iter().map(|span| span.start_ns).min(),
        spans.iter().map(|span| Entry::of(span, 0).until_ns).max(),
    ) else {
        return Ok(spans);
    };
    let mut entries = Entries::of(&spans);
    let scan = Scan::new(run_id).columns(Columns::Entries);
    reader.scan_if(&scan, &mut Futures { from, until }, |_, span| {
        entries.entered(span);
        ControlFlow::Continue(())
    })?;
    for open in reader.open_spans(run_id)? {
        let span = SpanRef::from(&open.span);
        if may_be_future(&span) {
            entries.entered(&span);
        }
    }
    entries.without_them(reader, spans)
}

/// The same for a part of a run; `look` hands out its spans.
pub(super) fn without_of(
    reader: &Reader,
    spans: Vec<Span>,
    look: &mut ScanFn<'_>,
) -> Result<Vec<Span>, Error> {
    let mut entries = Entries::of(&spans);
    look(&mut |span| {
        if may_be_future(span) {
            entries.entered(span);
        }
    })?;
    entries.without_them(reader, spans)
}

/// Whether an ancestor was entered more than once.
fn is_in_future(reader: &Reader, span: &Span) -> Result<bool, Error> {
    reader.query("read the ancestors of a span", |tx| {
        let of = |table: &str| format!("SELECT parent_id, entries FROM {table} WHERE id = ?1");
        let mut closed = tx.prepare(&of("span"))?;
        let mut open = tx.prepare(&of("open_span"))?;
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let mut next = span.parent_id.map(|id| id as i64);
        for _ in 0..DEPTH_MAX {
            let Some(id) = next else { break };
            let mut found: Option<(Option<i64>, i64)> = closed.query_row([id], read).optional()?;
            if found.is_none() {
                found = open.query_row([id], read).optional()?;
            }
            match found {
                Some((_, entries)) if entries > 1 => return Ok(true),
                Some((parent, _)) => next = parent,
                None => break,
            }
        }
        Ok(false)
    })
}

/// A condition: spans that may be futures entered within some time.
struct Futures {
    from: i64,
    until: i64,
}

impl Predicate for Futures {
    fn sql(&self) -> String {
        let Self { from, until } = self;
        format!(
            " AND {MAY_BE_FUTURE} AND start_ns <= {until} AND start_ns + coalesce(first_entry_ns, 0) >= {from}"
        )
    }
}

/// An entry of a span.
#[derive(Debug, Clone, Copy)]
struct Entry {
    from_ns: i64,
    until_ns: i64,
    /// The latest end of this entry and those before it.
    reach_ns: i64,
    has_futures: bool,
    /// The index of its span.
    at: usize,
}

impl Entry {
    fn of(span: &Span, at: usize) -> Self {
        let from_ns = longest_entry_began(&SpanRef::from(span)).0;
        let until_ns = from_ns.saturating_add(span.longest_entry_ns.unwrap_or(0));
        Self { from_ns, until_ns, reach_ns: until_ns, has_futures: false, at }
    }
}

/// The entries of each thread, in the order of their starts.
struct Entries {
    by_thread: HashMap<i64, Vec<Entry>>,
}

impl Entries {
    fn of(spans: &[Span]) -> Self {
        let mut by_thread: HashMap<i64, Vec<Entry>> = HashMap::new();
        for (at, span) in spans.iter().enumerate() {
            by_thread.entry(span.longest_thread.id).or_default().push(Entry::of(span, at));
        }
        for entries in by_thread.values_mut() {
            entries.sort_unstable_by_key(|entry| entry.from_ns);
            let mut reach_ns = i64::MIN;
            for entry in entries {
                reach_ns = reach_ns.max(entry.until_ns);
                entry.reach_ns = reach_ns;
            }
        }
        Self { by_thread }
    }

    /// A future was entered for the first time.
    fn entered(&mut self, future: &SpanRef<'_>) {
        let at_ns = future.start_ns.saturating_add(future.first_entry_ns.unwrap_or(0));
        let Some(entries) = self.by_thread.get_mut(&future.longest_thread.id) else { return };
        let begun = entries.partition_point(|entry| entry.from_ns < at_ns);
        let begun = entries.get_mut(..begun).unwrap_or_default();
        for entry in begun.iter_mut().rev().take_while(|entry| entry.reach_ns >= at_ns) {
            entry.has_futures |= entry.until_ns >= at_ns;
        }
    }

    /// The spans that are not around a runtime.
    fn without_them(self, reader: &Reader, spans: Vec<Span>) -> Result<Vec<Span>, Error> {
        let mut is_around = vec![false; spans.len()];
        for entry in self.by_thread.into_values().flatten().filter(|entry| entry.has_futures) {
            let Some((span, around)) = spans.get(entry.at).zip(is_around.get_mut(entry.at)) else {
                continue;
            };
            *around = !is_in_future(reader, span)?;
        }
        let kept = spans.into_iter().zip(is_around).filter(|(_, is_around)| !is_around);
        Ok(kept.map(|(span, _)| span).collect())
    }
}
