//! How a span has ended.

/// In the bits of a record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok = 0,
    Error = 1,
    /// It closed while its thread was unwinding.
    Panicked = 2,
    /// It has not: what is told of a span that is open.
    Unfinished = 3,
}
