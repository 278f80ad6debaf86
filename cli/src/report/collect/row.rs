//! A span as the collectors see it, or an entry of one that lives long: numbers only.

use spandrel_storage::Status;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A span that counts by its lifetime, or is unfinished.
    Span,
    /// A span that has closed and lived long, which is no call: its entries are.
    LivedLong { longest_ns: i64 },
    /// One that lives long and is still open, which comes for the sake of its longest entry.
    LivesLong { longest_ns: i64 },
    /// An entry, with the number and the sum of those before it that were not recorded.
    Entry { earlier: u64, earlier_ns: i64 },
}

/// A span, with its name and its thread as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub id: u64,
    pub parent: Option<u64>,
    pub root: u64,
    /// Number in the table of names, or one of the `NAME_` constants.
    pub name: i64,
    pub thread: u32,
    pub start_ns: i64,
    /// `None`: unfinished.
    pub duration_ns: Option<i64>,
    pub busy_ns: Option<i64>,
    pub self_ns: Option<i64>,
    pub status: Status,
    /// Whether no thread was ever inside.
    pub never_entered: bool,
    pub kind: Kind,
}

impl Row {
    /// Whether it is a span, and none that is there for something else.
    pub(crate) fn is_span(&self) -> bool {
        matches!(self.kind, Kind::Span | Kind::LivedLong { .. })
    }

    /// How long the call took that it is, if it is one.
    pub(crate) fn call_ns(&self) -> Option<i64> {
        self.duration_ns.filter(|_| matches!(self.kind, Kind::Span | Kind::Entry { .. }))
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self.status, Status::Error | Status::Panicked)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A closed span on thread 0 whose self time is its duration.
    pub(crate) fn span(id: u64, parent: u64, name: i64, start_ns: i64, duration_ns: i64) -> Row {
        Row {
            id,
            parent: (parent != 0).then_some(parent),
            root: 1,
            name,
            thread: 0,
            start_ns,
            duration_ns: Some(duration_ns),
            busy_ns: Some(duration_ns / 2),
            self_ns: Some(duration_ns),
            status: Status::Ok,
            never_entered: false,
            kind: Kind::Span,
        }
    }
}
