//! What blocked the executor: the longest entries of spans on threads that run futures, by name.
//!
//! While a thread is inside a span it polls nobody else, so a long entry on a runtime's thread is what all
//! other tasks of that thread waited for. Only the longest entry of each span is known, not its others.
//!
//! Which threads those are, and from when to when, is seen by the spans on them (`threads.rs`): names of
//! threads do not tell, as tokio's blocking pool has the same. An entry that goes around a runtime, as
//! `block_on` in a span, blocks nobody: it began before the first future of the thread did, or the thread's
//! futures were first entered within it (`around.rs`).

mod around;
mod inside;
mod threads;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Columns, Filter, Scan, SpanRef};
use crate::reader::{Callsite, Reader, Span};
use spandrel_storage::Error;

pub use self::inside::Inside;
use self::inside::Insides;
use self::threads::Called;
pub use self::threads::RuntimeThreads;

/// Single entries that are looked at twice; further ones count without a look at what is in them.
const SINGLE_MAX: usize = 100_000;

/// Spans of one name and target with an entry that was too long.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stall {
    /// The span with the longest entry.
    pub worst: Span,
    /// Spans with an entry that was too long.
    pub spans: u64,
    /// When that entry began, if it was recorded one by one; nanoseconds since the start of the run.
    pub start_ns: Option<i64>,
}

impl Stall {
    /// The longest entry.
    pub fn longest_ns(&self) -> i64 {
        self.worst.longest_entry_ns.unwrap_or(0)
    }

    /// When that entry began, at the earliest and at the latest.
    pub fn began(&self) -> (i64, i64) {
        let known = self.start_ns.map(|start_ns| (start_ns, start_ns));
        known.unwrap_or_else(|| longest_entry_began(&SpanRef::from(&self.worst)))
    }
}

/// When the longest entry of a span began, at the earliest and at the latest, nanoseconds since the start of
/// the run. The same for a span that was entered once; of others only the first entry and the last exit are
/// known.
pub fn longest_entry_began(span: &SpanRef<'_>) -> (i64, i64) {
    let earliest = span.start_ns.saturating_add(span.first_entry_ns.unwrap_or(0));
    if span.entries <= 1 && span.first_entry_ns.is_some() {
        return (earliest, earliest);
    }
    let left = span.last_exit_ns.or(span.duration_ns).unwrap_or(0);
    let longest = span.longest_entry_ns.unwrap_or(0);
    let latest = span.start_ns.saturating_add(left).saturating_sub(longest);
    (earliest, latest.max(earliest))
}

/// Whose entries count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallsOn {
    /// Of threads that run futures, while they do.
    #[default]
    Runtimes,
    /// Of all threads.
    AllThreads,
}

/// Hands out the spans of a part of a run, each time that it is called.
pub(super) type Look<'a> = dyn FnMut(&mut dyn FnMut(&SpanRef<'_>)) -> Result<(), Error> + 'a;

/// A fold over spans that keeps those with entries that were too long, by name and target.
#[derive(Debug)]
pub struct Stalls {
    limit_ns: i64,
    /// `None`: all count.
    threads: Option<RuntimeThreads>,
    found: HashMap<(String, Arc<str>), Stall>,
    /// Spans that were entered once: they may go around a runtime.
    single: Vec<Span>,
    callsites: HashMap<i64, Arc<Callsite>>,
    /// Those that were counted, where a span and its entries may come; `None`: only spans do.
    counted: Option<HashSet<u64>>,
}

impl Stalls {
    /// For the spans of a run; entries that last `limit_ns` or longer are too long.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// Unless all threads count, SQLite looks at all spans of the run, some 0.1 s for a million.
    pub fn new(reader: &Reader, run_id: i64, limit_ns: i64, on: StallsOn) -> Result<Self, Error> {
        let threads = match on {
            StallsOn::Runtimes => Some(RuntimeThreads::read(reader, run_id)?),
            StallsOn::AllThreads => None,
        };
        Ok(Self::on(limit_ns, threads))
    }

    fn on(limit_ns: i64, threads: Option<RuntimeThreads>) -> Self {
        let (found, callsites) = (HashMap::new(), HashMap::new());
        Self { limit_ns, threads, found, single: Vec::new(), callsites, counted: None }
    }

    /// The threads that run futures, if it matters.
    pub fn threads(&self) -> Option<&RuntimeThreads> {
        self.threads.as_ref()
    }

    /// Looks at a span of a scan with [`Columns::Entries`] at least.
    pub fn add(&mut self, span: &SpanRef<'_>) {
        if span.longest_entry_ns.is_none_or(|ns| ns < self.limit_ns) {
            return;
        }
        let Some(threads) = &self.threads else { return self.count(span.to_span()) };
        if threads.may_be_future(span) {
            return self.count(span.to_span());
        }
        if !threads.runs_at(span.longest_thread.id, longest_entry_began(span).0) {
            return;
        }
        if self.single.len() < SINGLE_MAX && span.entries <= 1 {
            self.single.push(span.to_span());
        } else {
            self.count(span.to_span());
        }
    }

    /// The names, the longest entry in front. Looks once more at futures of the run if spans that were
    /// entered once are among them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn finish(mut self, reader: &Reader, run_id: i64) -> Result<Vec<Stall>, Error> {
        let single = around::without(reader, run_id, std::mem::take(&mut self.single))?;
        Ok(self.with(single))
    }

    fn with(mut self, single: Vec<Span>) -> Vec<Stall> {
        single.into_iter().for_each(|span| self.count(span));
        let mut found: Vec<Stall> = self.found.into_values().collect();
        found.sort_by_key(|stall| std::cmp::Reverse((stall.longest_ns(), stall.worst.id)));
        found
    }

    fn count(&mut self, mut span: Span) {
        // One place in memory for all spans of a callsite.
        let callsite =
            self.callsites.entry(span.callsite.id).or_insert_with(|| span.callsite.clone());
        span.callsite = callsite.clone();
        let key = (span.callsite.name.clone(), span.callsite.target.clone());
        let is_new = self.counted.as_mut().is_none_or(|counted| counted.insert(span.id));
        match self.found.get_mut(&key) {
            Some(stall) => {
                stall.spans += u64::from(is_new);
                if (span.longest_entry_ns, span.id) > (stall.worst.longest_entry_ns, stall.worst.id)
                {
                    stall.worst = span;
                }
            }
            None => {
                self.found.insert(key, Stall { worst: span, spans: 1, start_ns: None });
            }
        }
    }
}

impl Reader {
    /// The names of spans with entries of `limit_ns` or longer, of what a scan looks at and a filter means,
    /// spans that are still open included.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Blocking
    ///
    /// SQLite looks at all spans of the run, and of a window at those around it, some 0.2 s for a million;
    /// only those that are too long are handed out.
    pub fn stalls(
        &self,
        scan: &Scan,
        filter: &Filter,
        limit_ns: i64,
        on: StallsOn,
    ) -> Result<(Vec<Stall>, Option<RuntimeThreads>), Error> {
        let mut stalls = Stalls::new(self, scan.run_id, limit_ns, on)?;
        let wanted = filter.clone().and(Filter::longest_from(limit_ns));
        let scan = scan.columns(scan.columns.max(Columns::Entries));
        self.scan_filtered(&scan, &wanted, |span| {
            stalls.add(span);
            ControlFlow::Continue(())
        })?;
        for open in self.open_spans(scan.run_id)? {
            let span = SpanRef::from(&open.span);
            if scan.has(&span) && wanted.matches(&span) {
                stalls.add(&span);
            }
        }
        let threads = stalls.threads.clone();
        let mut found = stalls.finish(self, scan.run_id)?;
        self.read_starts(scan.run_id, limit_ns, &mut found)?;
        Ok((found, threads))
    }

    /// Looks among the entries that were recorded one by one for those that were too long, for when they began.
    fn read_starts(&self, run_id: i64, limit_ns: i64, stalls: &mut [Stall]) -> Result<(), Error> {
        if stalls.is_empty() || !self.has_entries(run_id)? {
            return Ok(());
        }
        let longest = stalls.iter().enumerate().map(|(at, stall)| (stall.worst.id, at));
        let longest: HashMap<u64, usize> = longest.collect();
        let sql = "SELECT span_id, duration_ns, start_ns FROM entry
            WHERE id BETWEEN (SELECT first_id FROM run WHERE id = ?1)
              AND (SELECT last_id FROM run WHERE id = ?1)
              AND run_id = ?1 AND duration_ns >= ?2 ORDER BY id";
        self.query("find when entries began", |tx| {
            let mut query = tx.prepare(sql)?;
            let mut rows = query.query([run_id, limit_ns])?;
            while let Some(row) = rows.next()? {
                let stall = longest.get(&(row.get::<_, i64>(0)? as u64));
                let Some(stall) = stall.and_then(|at| stalls.get_mut(*at)) else { continue };
                // Of several that are as long, the first.
                if stall.start_ns.is_none() && stall.longest_ns() == row.get::<_, i64>(1)? {
                    stall.start_ns = Some(row.get(2)?);
                }
            }
            Ok(())
        })
    }
}

impl Reader {
    /// The same of a part of a run, and by what is in it: which threads run futures, what goes around a runtime, and
    /// what was inside, as far as `look` hands out the spans that tell.
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
    ) -> Result<Vec<(Stall, Vec<Inside>)>, Error> {
        let mut called = Called::default();
        look(&mut |span| called.add(span))?;
        let mut threads = called.threads();
        look(&mut |span| threads.add(span))?;
        if threads.is_empty() {
            return Ok(Vec::new());
        }
        let mut stalls = Stalls::on(limit_ns, Some(threads));
        stalls.counted = Some(HashSet::new());
        look(&mut |span| stalls.add(span))?;
        let mut single = std::mem::take(&mut stalls.single);
        if !single.is_empty() {
            single = around::without_of(self, single, &mut look)?;
        }
        let mut found = stalls.with(single);
        look(&mut |span| {
            let stall = found.iter_mut().find(|stall| stall.worst.id == span.id);
            if let (Some(stall), true) = (stall, span.entry.is_some())
                && stall.start_ns.is_none()
                && span.duration_ns == Some(stall.longest_ns())
            {
                stall.start_ns = Some(span.start_ns);
            }
        })?;
        let worst: Vec<&Span> = found.iter().map(|stall| &stall.worst).collect();
        let mut insides = Insides::of(&worst);
        if !worst.is_empty() {
            look(&mut |span| insides.add(span))?;
        }
        let inside: Vec<_> = found.iter().map(|stall| insides.of_span(stall.worst.id)).collect();
        Ok(found.into_iter().zip(inside).collect())
    }
}

#[cfg(test)]
mod tests;
