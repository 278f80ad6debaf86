//! A span, borrowed from the current row of a scan.

use std::sync::{Arc, LazyLock};

use crate::SpanContext;
use crate::reader::{Callsite, CountedBy, Entry, Span, Thread};
use spandrel_storage::Status;

/// A span, closed or unfinished, borrowed from the row that a scan stands on.
///
/// See [`Span`] for the meaning of the columns.
#[derive(Debug, Clone, Copy)]
pub struct SpanRef<'a> {
    /// Its id, unique in the file.
    pub id: u64,
    /// The run it belongs to.
    pub run_id: i64,
    /// The enclosing span.
    pub parent_id: Option<u64>,
    /// The outermost ancestor, itself for a root.
    pub root_id: u64,
    /// Where in the source.
    pub callsite: &'a Arc<Callsite>,
    /// The thread that created it.
    pub thread: &'a Arc<Thread>,
    /// When it was created, nanoseconds since the start of the run.
    pub start_ns: i64,
    /// From creation to close; `None` for an unfinished span.
    pub duration_ns: Option<i64>,
    /// Time inside the span; `None` where the run did not measure it.
    pub busy_ns: Option<i64>,
    /// From creation to the last exit, less the union of the same intervals of its children; `None` for an unfinished
    /// span, and for one that [counts by its entries](Self::counts_by_entries).
    pub self_ns: Option<i64>,
    /// Busy time less the time of its threads in other spans meanwhile. Only if the scan reads entries.
    pub self_busy_ns: Option<i64>,
    /// How many times it was entered.
    pub entries: u64,
    /// From creation to the first entry. Like the next three, only if the scan reads entries.
    pub first_entry_ns: Option<i64>,
    /// The longest entry.
    pub longest_entry_ns: Option<i64>,
    /// From creation to the last exit.
    pub last_exit_ns: Option<i64>,
    /// The thread of the longest entry; else the one that created it.
    pub longest_thread: &'a Arc<Thread>,
    /// How it ended.
    pub status: Status,
    /// Its fields, a JSON object; `None` also when the scan was not asked for them.
    pub fields: Option<&'a str>,
    /// Set if this is an entry of a long-lived span, which is a [call](Self::counted). Then start, duration, busy and
    /// self time, the longest entry and both threads are the entry's, and all else is the span's.
    pub entry: Option<&'a Entry>,
    /// The ids of other systems; only if the scan reads fields, too.
    pub context: Option<SpanContext>,
}

impl SpanRef<'_> {
    /// What a call of it is.
    pub fn counted(&self) -> CountedBy {
        match self.entry.is_some() || self.counts_by_entries() {
            true => CountedBy::Entries,
            false => CountedBy::Lifetime,
        }
    }

    /// The length of the call; `None` if this is no call: a span that has not closed, or one whose entries count.
    pub fn call_ns(&self) -> Option<i64> {
        self.duration_ns.filter(|_| !self.counts_by_entries())
    }

    /// When it closed; `None` for an unfinished span.
    pub fn end_ns(&self) -> Option<i64> {
        Some(self.start_ns.saturating_add(self.duration_ns?))
    }

    /// The last exit, nanoseconds since the start of the run; what is after it is nobody's work. The start if it was
    /// never entered, and the end if the last exit is not known; `None` for an unfinished span. Only if the scan
    /// reads entries.
    pub(crate) fn worked_until_ns(&self) -> Option<i64> {
        let end_ns = self.end_ns()?;
        Some(match self.last_exit_ns {
            Some(last_exit_ns) => self.start_ns.saturating_add(last_exit_ns).min(end_ns),
            // Before version 3 of the file, there was self time in it.
            None if self.entries == 0 && self.self_ns == Some(0) => self.start_ns,
            None => end_ns,
        })
    }

    /// Duration less busy time, but at least zero, as several threads can be inside at once. `None` if one of the two
    /// is unknown.
    pub fn idle_ns(&self) -> Option<i64> {
        Some(self.duration_ns?.saturating_sub(self.busy_ns?).max(0))
    }

    /// Whether it has closed and counts by its entries: it was long-lived, and its lifetime is no work.
    pub fn counts_by_entries(&self) -> bool {
        self.duration_ns.is_some() && self.self_ns.is_none()
    }

    /// Whether no thread was ever inside: then its duration is nobody's work.
    pub fn was_never_entered(&self) -> bool {
        self.entries == 0 && self.entry.is_none()
    }

    /// A copy that outlives the row.
    pub fn to_span(&self) -> Span {
        Span {
            id: self.id,
            run_id: self.run_id,
            parent_id: self.parent_id,
            root_id: self.root_id,
            callsite: self.callsite.clone(),
            thread: self.thread.clone(),
            start_ns: self.start_ns,
            duration_ns: self.duration_ns,
            busy_ns: self.busy_ns,
            self_ns: self.self_ns,
            self_busy_ns: self.self_busy_ns,
            entries: self.entries,
            first_entry_ns: self.first_entry_ns,
            longest_entry_ns: self.longest_entry_ns,
            last_exit_ns: self.last_exit_ns,
            longest_thread: self.longest_thread.clone(),
            status: self.status,
            fields: self.fields.map(str::to_owned),
            entry: self.entry.copied(),
            context: self.context,
        }
    }
}

/// An empty span, to be changed with `..`.
pub(crate) fn nothing() -> SpanRef<'static> {
    static NOTHING: LazyLock<Span> = LazyLock::new(Span::default);
    SpanRef::from(&*NOTHING)
}

impl<'a> From<&'a Span> for SpanRef<'a> {
    fn from(span: &'a Span) -> Self {
        Self {
            id: span.id,
            run_id: span.run_id,
            parent_id: span.parent_id,
            root_id: span.root_id,
            callsite: &span.callsite,
            thread: &span.thread,
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            busy_ns: span.busy_ns,
            self_ns: span.self_ns,
            self_busy_ns: span.self_busy_ns,
            entries: span.entries,
            first_entry_ns: span.first_entry_ns,
            longest_entry_ns: span.longest_entry_ns,
            last_exit_ns: span.last_exit_ns,
            longest_thread: &span.longest_thread,
            status: span.status,
            fields: span.fields.as_deref(),
            entry: span.entry.as_ref(),
            context: span.context,
        }
    }
}
