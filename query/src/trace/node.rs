//! What a trace is made of.

use std::sync::Arc;

use crate::reader::{Callsite, Entry, Span, Thread};

/// An entry that belongs to a trace: its thread was inside one of the spans of the trace then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEntry {
    /// The entry.
    pub entry: Entry,
    /// Where in the source its span is made.
    pub callsite: Arc<Callsite>,
    /// The thread that was inside.
    pub thread: Arc<Thread>,
    /// The fields of its span, a JSON object.
    pub fields: Option<Arc<str>>,
}

/// A node of a trace.
#[derive(Debug, Clone, Copy)]
pub enum Node<'a> {
    /// A span.
    Span(&'a Span),
    /// An entry, which counts by itself.
    Entry(&'a TraceEntry),
}

impl<'a> Node<'a> {
    /// The id of the span, or of the entry's span.
    pub fn span_id(self) -> u64 {
        match self {
            Self::Span(span) => span.id,
            Self::Entry(one) => one.entry.span_id,
        }
    }

    /// Where in the source the span is made.
    pub fn callsite(self) -> &'a Arc<Callsite> {
        match self {
            Self::Span(span) => &span.callsite,
            Self::Entry(one) => &one.callsite,
        }
    }

    /// The thread of the span's longest entry, or of the entry.
    pub fn thread(self) -> &'a Arc<Thread> {
        match self {
            Self::Span(span) => &span.longest_thread,
            Self::Entry(one) => &one.thread,
        }
    }

    /// When it began, nanoseconds since the start of the run.
    pub fn start_ns(self) -> i64 {
        match self {
            Self::Span(span) => span.start_ns,
            Self::Entry(one) => one.entry.start_ns,
        }
    }

    /// How long it took; `None`: unfinished.
    pub fn duration_ns(self) -> Option<i64> {
        match self {
            Self::Span(span) => span.duration_ns,
            Self::Entry(one) => Some(one.entry.duration_ns),
        }
    }

    /// The self time of it.
    pub fn self_ns(self) -> Option<i64> {
        match self {
            Self::Span(span) => span.self_ns,
            Self::Entry(one) => one.entry.self_ns,
        }
    }

    /// The fields of the span, a JSON object.
    pub fn fields(self) -> Option<&'a str> {
        match self {
            Self::Span(span) => span.fields.as_deref(),
            Self::Entry(one) => one.fields.as_deref(),
        }
    }
}
