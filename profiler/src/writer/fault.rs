//! Faults that tests ask for, with the feature `faults`. Applications have none of this.

/// A fault that the writer causes by itself, to test what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Panic while the batch of this number is converted; the first is 1.
    PanicInBatch(u64),
    /// Lose the batch of this number and tell nobody, so that the ledger is wrong.
    LoseBatch(u64),
}
