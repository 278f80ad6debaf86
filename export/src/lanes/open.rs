//! What is drawn, and what is known of it while it is open.

use std::sync::Arc;

use spandrel_query::{Callsite, Span, Thread};
use spandrel_storage::Status;

/// A span from its begin to its end, or an entry.
pub(crate) struct Slice<'a> {
    pub(crate) from_ns: i64,
    /// `None`: it never ends.
    pub(crate) to_ns: Option<i64>,
    pub(crate) callsite: &'a Arc<Callsite>,
    /// The thread that was inside, for longest if it is a span.
    pub(crate) thread: &'a Arc<Thread>,
    pub(crate) what: What<'a>,
}

/// What a slice is.
#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
    /// A span; if it is a call, also the one entry into it.
    Span(&'a Span),
    /// An entry into a span.
    Entry(&'a Entry),
}

/// An entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) span_id: u64,
    /// The span that the thread was in around it.
    pub(crate) around_id: Option<u64>,
    pub(crate) self_ns: Option<i64>,
    /// Those before it that were not recorded one by one, and the time inside over those.
    pub(crate) earlier: (u64, i64),
    /// The number of the arrow from the entry before it.
    pub(crate) arrives: Option<u64>,
    /// The number of the arrow to the next one.
    pub(crate) leaves: Option<u64>,
}

/// Where a slice belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into the lane of its parent: in a run without entries, all slices are spans.
    WithParent,
    /// A span that was entered once by the thread that made it, and was open for no longer than that: it lies
    /// in its parent, or in what the thread was in.
    Call,
    /// Into what the thread was in.
    OnThread,
    /// Beside what threads did.
    Open {
        /// Some of what threads did inside of it is shown.
        has_entries: bool,
    },
}

/// An open slice.
pub(crate) struct Open {
    /// The number of the slice.
    pub(crate) number: u64,
    pub(crate) end_ns: i64,
    pub(crate) is_unfinished: bool,
    pub(crate) is_crashed: bool,
    pub(crate) callsite: Arc<Callsite>,
    pub(super) span_id: u64,
    /// It is the span itself, and not just an entry.
    pub(super) is_span: bool,
    pub(super) has_entries: bool,
}

impl Slice<'_> {
    /// From start to end; an unfinished span has none, and nothing ends before it starts.
    pub(super) fn interval(&self) -> (i64, i64) {
        (self.from_ns, self.to_ns.map_or(i64::MAX, |to| to.max(self.from_ns)))
    }

    /// Whether it is a span that was open when its process died.
    pub(crate) fn is_crashed(&self) -> bool {
        matches!(self.what, What::Span(span) if span.status == Status::Crashed)
    }

    pub(super) fn parent_id(&self) -> Option<u64> {
        match self.what {
            What::Span(span) => span.parent_id,
            What::Entry(_) => None,
        }
    }

    /// What its thread was in around it, if that is known.
    pub(super) fn around_id(&self) -> Option<u64> {
        match self.what {
            What::Span(span) => span.parent_id,
            What::Entry(entry) => entry.around_id,
        }
    }
}

impl<'a> Slice<'a> {
    /// A span as long as it was open.
    pub(crate) fn of_span(span: &'a Span) -> Self {
        Self {
            from_ns: span.start_ns,
            to_ns: span.duration_ns.map(|ns| span.start_ns.saturating_add(ns.max(0))),
            callsite: &span.callsite,
            thread: &span.longest_thread,
            what: What::Span(span),
        }
    }
}

impl Open {
    pub(super) fn new(number: u64, slice: &Slice<'_>, place: Place, end_ns: i64) -> Self {
        let (span_id, is_span) = match slice.what {
            What::Span(span) => (span.id, true),
            What::Entry(entry) => (entry.span_id, false),
        };
        Self {
            number,
            end_ns,
            is_unfinished: slice.to_ns.is_none(),
            is_crashed: slice.is_crashed(),
            callsite: slice.callsite.clone(),
            span_id,
            is_span,
            has_entries: place == (Place::Open { has_entries: true }),
        }
    }
}
