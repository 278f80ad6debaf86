//! What other threads did during a span: entries of long-lived spans that are no part of its trace.
//!
//! A game engine runs the systems of a frame on the threads of a pool, inside no span: only time tells that they
//! belong to that frame. So they are no nodes of the tree and in none of its sums. Of an entry that began before the
//! span or ended after it, the common time counts.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Transaction;

use super::layout::is_long_lived;
use super::owners::Owners;
use crate::order_rows::OrderRows as _;
use crate::reader::{Callsite, Entry, Names, Span, Thread};
use spandrel_storage::internals::FastHashMap;

/// Pairs of span and thread that are told apart while entries are read; of more, those with the longest entries are
/// kept.
const SPANS_MAX: usize = 65_536;
/// Rows that are kept.
const ROWS_MAX: usize = 1_000;

/// What other threads did during a span.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Meanwhile {
    /// The span: the one that was asked for, or the root.
    pub span_id: u64,
    /// The row with the longest entry first.
    pub rows: Vec<MeanwhileRow>,
    /// Entries in that time that are in no row.
    pub more: u64,
    /// The sum of their time during the span, nanoseconds.
    pub more_ns: i64,
    /// There were more entries at that time than are read: rows may lack some.
    pub left_out: bool,
}

/// Spans that have callsite and fields in common.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MeanwhileRow {
    /// The span of the longest entry.
    pub span_id: u64,
    /// Where in the source they are made.
    pub callsite: Arc<Callsite>,
    /// Their fields, a JSON object.
    pub fields: Option<Arc<str>>,
    /// Entries during the span, those that had begun before included.
    pub calls: u64,
    /// The sum of their time during the span, nanoseconds; may exceed it if several threads were inside at once.
    pub total_ns: i64,
    /// The longest of these entries, counting its time during the span, ...
    pub longest_ns: i64,
    /// ... its start, nanoseconds since the start of the run, ...
    pub longest_from_ns: i64,
    /// ... and its thread.
    pub thread: Arc<Thread>,
    /// On how many threads they were entered.
    pub threads: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    callsite_id: i64,
    calls: u64,
    total_ns: i64,
    longest_ns: i64,
    longest_from_ns: i64,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        if self.longest_ns < other.longest_ns {
            self.longest_ns = other.longest_ns;
            self.longest_from_ns = other.longest_from_ns;
        }
    }
}

/// Sums up entries, in any order.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    span_id: u64,
    from_ns: i64,
    until_ns: i64,
    /// Threads of the span.
    threads: [i64; 2],
    /// By span and thread.
    sums: FastHashMap<(u64, i64), Sum>,
    others: Sum,
    left_out: bool,
}

impl Sums {
    /// For the time of a span; `None` if it is long-lived.
    pub(super) fn over(span: &Span, last_ns: i64) -> Option<Self> {
        if is_long_lived(span, last_ns) {
            return None;
        }
        let until_ns = match span.duration_ns {
            Some(ns) => span.start_ns.saturating_add(ns.max(0)),
            None => last_ns.max(span.start_ns),
        };
        Some(Self {
            span_id: span.id,
            from_ns: span.start_ns,
            until_ns,
            threads: [span.thread.id, span.longest_thread.id],
            sums: FastHashMap::default(),
            others: Sum::default(),
            left_out: false,
        })
    }

    /// Empty sums for the same time.
    pub(super) fn again(&self) -> Self {
        let (sums, others) = (FastHashMap::default(), Sum::default());
        Self { sums, others, left_out: false, ..*self }
    }

    /// Notes that not all entries were read.
    pub(super) fn leave_out(&mut self) {
        self.left_out = true;
    }

    pub(super) fn time(&self) -> (i64, i64) {
        (self.from_ns, self.until_ns)
    }

    pub(super) fn look_at(&mut self, entry: &Entry) {
        let counts = entry.self_ns.is_some() && entry.around_id.is_none();
        if !counts || self.threads.contains(&entry.thread_id) {
            return;
        }
        let (from_ns, until_ns) =
            (entry.start_ns.max(self.from_ns), entry.end_ns().min(self.until_ns));
        let is_then = entry.start_ns < self.until_ns && entry.end_ns() > self.from_ns;
        if !is_then {
            return;
        }
        let ns = until_ns.saturating_sub(from_ns);
        if self.sums.len() >= SPANS_MAX {
            self.keep_the_longest();
        }
        let of = self.sums.entry((entry.span_id, entry.thread_id)).or_default();
        of.callsite_id = entry.callsite_id;
        of.add(&Sum {
            callsite_id: 0,
            calls: 1,
            total_ns: ns,
            longest_ns: ns,
            longest_from_ns: from_ns,
        });
    }

    fn keep_the_longest(&mut self) {
        let mut all: Vec<_> = self.sums.drain().collect();
        all.select_nth_unstable_by_key(SPANS_MAX / 2, |(key, sum)| (Reverse(sum.longest_ns), *key));
        all.drain(SPANS_MAX / 2..).for_each(|(_, sum)| self.others.add(&sum));
        self.sums.extend(all);
        self.left_out = true;
    }

    /// The rows, without spans of this trace; `None`: there are none.
    pub(super) fn named(
        self,
        tx: &Transaction<'_>,
        root_id: u64,
    ) -> rusqlite::Result<Option<Meanwhile>> {
        let mut names = Names::new(tx)?;
        let mut owners = Owners::new(tx)?;
        let mut groups: HashMap<(i64, Option<Arc<str>>), Group> = HashMap::new();
        for ((span_id, thread_id), sum) in self.sums {
            let (root, fields) = owners.get(span_id)?;
            if root != root_id {
                let group = groups.entry((sum.callsite_id, fields)).or_default();
                group.add(span_id, thread_id, &sum);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.order_by_key(|(_, group)| {
            (Reverse((group.sum.longest_ns, group.sum.total_ns)), group.span_id)
        });
        let mut more = self.others;
        groups.drain(ROWS_MAX.min(groups.len())..).for_each(|(_, group)| more.add(&group.sum));
        let mut rows = Vec::with_capacity(groups.len());
        for ((callsite_id, fields), mut group) in groups {
            group.threads.sort_unstable();
            group.threads.dedup();
            let Sum { calls, total_ns, longest_ns, longest_from_ns, .. } = group.sum;
            rows.push(MeanwhileRow {
                span_id: group.span_id,
                callsite: names.callsite(callsite_id)?,
                fields,
                calls,
                total_ns,
                longest_ns,
                longest_from_ns,
                thread: names.thread(group.thread_id)?,
                threads: group.threads.len() as u64,
            });
        }
        let (span_id, left_out) = (self.span_id, self.left_out);
        let found = Meanwhile { span_id, rows, more: more.calls, more_ns: more.total_ns, left_out };
        Ok(Some(found).filter(|found| !found.rows.is_empty()))
    }
}

/// Spans of a callsite with the same fields.
#[derive(Default)]
struct Group {
    sum: Sum,
    /// Of the longest entry.
    span_id: u64,
    thread_id: i64,
    threads: Vec<i64>,
}

impl Group {
    fn add(&mut self, span_id: u64, thread_id: i64, sum: &Sum) {
        // Of equally long ones always the same, in whichever order they come.
        let longest = |ns, span_id, thread_id| (Reverse(ns), span_id, thread_id);
        let is_first = self.threads.is_empty();
        if is_first
            || longest(sum.longest_ns, span_id, thread_id)
                < longest(self.sum.longest_ns, self.span_id, self.thread_id)
        {
            (self.span_id, self.thread_id) = (span_id, thread_id);
            self.sum.longest_from_ns = sum.longest_from_ns;
        }
        self.sum.add(sum);
        self.threads.push(thread_id);
    }
}

#[cfg(test)]
mod tests;
