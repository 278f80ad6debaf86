//! Where somebody begins.

/// Where somebody begins who joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With what is published next.
    #[default]
    Next,
    /// With the oldest that is there: it may be gone before it is read, and counts as missed then.
    Oldest,
}
