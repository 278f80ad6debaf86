//! A closed span, as a tap has it.

use std::fmt;

use spandrel_storage::Status;
use tracing_core::Metadata;

use crate::json_string::member;
use crate::writer::closed_span_parts::ClosedSpan;

/// A span that has closed. Its figures are those of its row in table `span`, under the names of the columns.
#[derive(Clone, PartialEq, Eq)]
pub struct TappedSpan {
    callsite: Option<&'static Metadata<'static>>,
    span: ClosedSpan,
}

impl TappedSpan {
    pub(super) fn new(callsite: Option<&'static Metadata<'static>>, span: ClosedSpan) -> Self {
        Self { callsite, span }
    }

    /// The name of its callsite.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.callsite.map_or("", Metadata::name)
    }

    /// Its callsite; none of a process other than this one.
    #[must_use]
    pub fn metadata(&self) -> Option<&'static Metadata<'static>> {
        self.callsite
    }

    /// Unique in the profile; grows with the time of creation.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.span.id
    }

    /// The enclosing span, 0 for none.
    #[must_use]
    pub fn parent_id(&self) -> u64 {
        self.span.parent_id
    }

    /// The outermost ancestor; the span's own id when it has no parent.
    #[must_use]
    pub fn root_id(&self) -> u64 {
        self.span.root_id
    }

    /// The thread that created it, in table `thread`.
    #[must_use]
    pub fn thread_id(&self) -> i64 {
        self.span.thread_id
    }

    /// When it was created, in nanoseconds since the run began.
    #[must_use]
    pub fn start_ns(&self) -> i64 {
        self.span.start_ns
    }

    /// From its creation to its close, in nanoseconds.
    #[must_use]
    pub fn duration_ns(&self) -> i64 {
        self.span.duration_ns
    }

    /// Time inside it, summed over its entries, in nanoseconds; `None` if that is not measured.
    #[must_use]
    pub fn busy_ns(&self) -> Option<i64> {
        self.span.busy_ns
    }

    /// Its duration without that of its children, in nanoseconds; `None` for one whose entries count instead. A child that
    /// the writer meets later is taken off the row in the profile, and not here.
    #[must_use]
    pub fn self_ns(&self) -> Option<i64> {
        self.span.self_ns
    }

    /// How many times it was entered.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.span.entries
    }

    /// How it ended.
    #[must_use]
    pub fn status(&self) -> Status {
        self.span.status
    }

    /// Its fields as a JSON object; empty if it has none.
    #[must_use]
    pub fn fields(&self) -> &str {
        &self.span.fields
    }

    /// A field as JSON: `"text"` in quotes, `3`, `true`, `{"nested":1}`. `None` if the span has no such field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        member(&self.span.fields, name)
    }

    /// Whether it has fields of some 450,000 bytes or more, which are in the profile only.
    #[must_use]
    pub fn is_without_fields(&self) -> bool {
        self.span.is_without_fields
    }
}

impl fmt::Debug for TappedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClosedSpan { id, parent_id, duration_ns, status, fields, .. } = &self.span;
        let mut span = f.debug_struct("TappedSpan");
        span.field("name", &self.name()).field("id", id).field("parent_id", parent_id);
        span.field("duration_ns", duration_ns).field("status", status).field("fields", fields);
        span.finish_non_exhaustive()
    }
}
