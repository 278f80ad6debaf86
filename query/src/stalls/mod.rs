//! What blocked the executor: the longest entries of spans on threads that run futures, by name.
//!
//! While a thread is inside a span it polls no other future, so all other tasks of a runtime's thread wait for a long
//! entry. The longest entry of each span is known, and further ones if entries were recorded one by one
//! (`long_entries.rs`).
//!
//! Names are sorted by the time that their longest entries spent themselves: a future that only polls another one,
//! which blocks, is not to blame (`inner_spans.rs`).
//!
//! Which threads run futures, and from when to when, is inferred from the spans on them (`threads.rs`): names of
//! threads do not tell, as tokio's blocking pool has the same. An entry around a runtime, such as `block_on` in a
//! span, blocks nothing: it began before the first future of the thread, or the thread's futures were first entered
//! within it (`around.rs`).

mod around;
mod find;
mod inner_spans;
mod long_entries;
mod threads;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::SpanRef;
use crate::order_rows::OrderRows as _;
use crate::reader::{Callsite, Reader, Span};
use spandrel_storage::Error;

pub use self::inner_spans::InnerSpan;
pub use self::threads::RuntimeThreads;

/// Spans that were entered once and are tested for being around a runtime; further ones count without that test.
const SINGLE_MAX: usize = 100_000;

/// Spans of one name and target with an entry that was too long.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stall {
    /// The span with the longest entry. For a window, its longest entry is the longest one in the window.
    pub worst: Span,
    /// Spans with an entry that was too long.
    pub spans: u64,
    /// When that entry began, if it was recorded by itself; nanoseconds since the start of the run.
    pub start_ns: Option<i64>,
    /// Other spans inside that entry, most time first.
    pub inside: Vec<InnerSpan>,
    /// The length of that entry less known entries inside it that are stalls of other listed names.
    pub self_ns: i64,
}

impl Stall {
    fn new(worst: Span, start_ns: Option<i64>) -> Self {
        let self_ns = worst.longest_entry_ns.unwrap_or(0);
        Self { worst, spans: 1, start_ns, inside: Vec::new(), self_ns }
    }

    /// The longest entry.
    pub fn longest_ns(&self) -> i64 {
        self.worst.longest_entry_ns.unwrap_or(0)
    }

    /// When that entry began: the earliest and the latest possible time.
    pub fn began(&self) -> (i64, i64) {
        let known = self.start_ns.map(|start_ns| (start_ns, start_ns));
        known.unwrap_or_else(|| longest_entry_began(&SpanRef::from(&self.worst)))
    }
}

/// When the longest entry of a span began: the earliest and the latest possible time, nanoseconds since the start of
/// the run. They are equal for a span that was entered once; for others only the first entry and the last exit are
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

/// On which threads entries count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallsOn {
    /// On threads that run futures, while they do.
    #[default]
    Runtimes,
    /// On all threads.
    AllThreads,
}

/// Hands out the spans of a part of a run at each call.
pub(super) type ScanFn<'a> = dyn FnMut(&mut dyn FnMut(&SpanRef<'_>)) -> Result<(), Error> + 'a;

/// A fold over spans that keeps those with too long entries, by name and target.
#[derive(Debug)]
pub struct Stalls {
    limit_ns: i64,
    /// `None`: all count.
    threads: Option<RuntimeThreads>,
    found: HashMap<(String, Arc<str>), Stall>,
    /// Spans that were entered once: they may be around a runtime.
    single: Vec<Span>,
    callsites: HashMap<i64, Arc<Callsite>>,
    /// Ids that were counted, if both spans and their entries are added; `None`: only spans are.
    counted: Option<HashSet<u64>>,
}

impl Stalls {
    /// For the spans of a run; entries of `limit_ns` or longer are too long.
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

    /// The threads that run futures, if they matter.
    pub fn threads(&self) -> Option<&RuntimeThreads> {
        self.threads.as_ref()
    }

    /// Looks at a span of a scan with [`Columns::Entries`](crate::Columns::Entries) at least.
    pub fn add(&mut self, span: &SpanRef<'_>) {
        self.add_at(span, None);
    }

    /// The same, with the begin of its longest entry if that is known.
    fn add_at(&mut self, span: &SpanRef<'_>, start_ns: Option<i64>) {
        if span.longest_entry_ns.is_none_or(|ns| ns < self.limit_ns) {
            return;
        }
        let Some(threads) = &self.threads else { return self.count(span.to_span(), start_ns) };
        if threads.may_be_future(span) {
            return self.count(span.to_span(), start_ns);
        }
        let began = start_ns.unwrap_or_else(|| longest_entry_began(span).0);
        if !threads.runs_at(span.longest_thread.id, began) {
            return;
        }
        // An entry that is handed out as a span is no span that was entered once.
        if self.single.len() < SINGLE_MAX && span.entries <= 1 && span.entry.is_none() {
            self.single.push(span.to_span());
        } else {
            self.count(span.to_span(), start_ns);
        }
    }

    /// The names, the longest entry first, without inner spans. Scans for futures once more if spans that were
    /// entered once are among them.
    pub fn finish(mut self, reader: &Reader, run_id: i64) -> Result<Vec<Stall>, Error> {
        let single = around::without(reader, run_id, std::mem::take(&mut self.single))?;
        Ok(self.with(single))
    }

    fn with(mut self, single: Vec<Span>) -> Vec<Stall> {
        single.into_iter().for_each(|span| self.count(span, None));
        let mut found: Vec<Stall> = self.found.into_values().collect();
        sort(&mut found);
        found
    }

    fn count(&mut self, mut span: Span, start_ns: Option<i64>) {
        // Share one callsite among all spans.
        let callsite =
            self.callsites.entry(span.callsite.id).or_insert_with(|| span.callsite.clone());
        span.callsite = callsite.clone();
        let key = (span.callsite.name.clone(), span.callsite.target.clone());
        let is_new = self.counted.as_mut().is_none_or(|counted| counted.insert(span.id));
        match self.found.get_mut(&key) {
            Some(stall) => {
                let spans = stall.spans + u64::from(is_new);
                if (span.longest_entry_ns, span.id) > (stall.worst.longest_entry_ns, stall.worst.id)
                {
                    *stall = Stall::new(span, start_ns);
                }
                stall.spans = spans;
            }
            None => {
                self.found.insert(key, Stall::new(span, start_ns));
            }
        }
    }
}

/// Sorts by the time spent themselves; those that are no stalls without their inner spans come last.
fn sort(found: &mut [Stall]) {
    found.order_by_key(|stall| {
        std::cmp::Reverse((stall.self_ns, stall.longest_ns(), stall.worst.id))
    });
}

#[cfg(test)]
mod tests;
