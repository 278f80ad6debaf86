//! A span as the collectors see it: numbers only.

use spandrel_storage::Status;

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
}

impl Row {
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
        }
    }
}
