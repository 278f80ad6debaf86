//! Slices, and what is kept of open ones.

use std::sync::Arc;

use spandrel_query::{Callsite, Span, Thread};
use spandrel_storage::Status;

/// A span or an entry to be drawn.
pub(crate) struct Slice<'a> {
    pub(crate) from_ns: i64,
    /// `None`: unfinished.
    pub(crate) to_ns: Option<i64>,
    pub(crate) callsite: &'a Arc<Callsite>,
    /// The thread that was inside; for a span, the thread of its longest entry.
    pub(crate) thread: &'a Arc<Thread>,
    pub(crate) what: What<'a>,
}

/// What a slice is.
#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
    /// A span; if it is a call, together with its only entry.
    Span(&'a Span),
    /// An entry into a span.
    Entry(&'a Entry),
}

/// An entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) span_id: u64,
    /// The span that the thread was in when it entered.
    pub(crate) around_id: Option<u64>,
    pub(crate) self_ns: Option<i64>,
    /// Number of earlier entries that were not recorded one by one, and the sum of their time.
    pub(crate) earlier: (u64, i64),
    /// The number of the arrow from the entry before it.
    pub(crate) arrives: Option<u64>,
    /// The number of the arrow to the next one.
    pub(crate) leaves: Option<u64>,
}

/// Where a slice is to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// In the lane of its parent: in a run without entries, all slices are spans.
    WithParent,
    /// A span that was entered once by the thread that created it, and was open for no longer than that: inside its
    /// parent, or inside what the thread was in.
    Call,
    /// Inside what the thread was in.
    OnThread,
    /// In an asynchronous lane.
    Open {
        /// Whether entries of it are shown.
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
    /// Whether it is the span itself and no entry.
    pub(super) is_span: bool,
    pub(super) has_entries: bool,
}

impl Slice<'_> {
    /// Start and end, not before the start; `i64::MAX` for an unfinished span.
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

    /// The span that its thread was in when it began, if that is known.
    pub(super) fn around_id(&self) -> Option<u64> {
        match self.what {
            What::Span(span) => span.parent_id,
            What::Entry(entry) => entry.around_id,
        }
    }
}

impl<'a> Slice<'a> {
    /// A span from creation to close.
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
    pub(super) fn new(number: u64, slice: &Slice<'_>, placement: Placement, end_ns: i64) -> Self {
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
            has_entries: placement == (Placement::Open { has_entries: true }),
        }
    }
}
