//! Why a time was not understood, or is none of the run.

use std::error;
use std::fmt;

use spandrel_storage::nearest;

/// Marks that a message lists at most.
const MARKS_NAMED_MAX: usize = 8;

/// A time that was not understood, or that the run does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeError(String);

impl TimeError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// There is no mark of this label; the message names those that there are.
    pub(super) fn unknown_mark(label: &str, known: &[&str]) -> Self {
        let mut labels: Vec<&str> = Vec::new();
        // The newest ones come first, after those that look alike.
        for known in nearest(label, known.iter().copied(), 3).iter().chain(known.iter().rev()) {
            if !labels.contains(known) {
                labels.push(known);
            }
        }
        if labels.is_empty() {
            return Self(format!("there is no mark {label:?}; the run has no marks"));
        }
        let more = labels.len().saturating_sub(MARKS_NAMED_MAX);
        let named: Vec<_> =
            labels.iter().take(MARKS_NAMED_MAX).map(|label| format!("{label:?}")).collect();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        Self(format!("there is no mark {label:?}; the run has {}{more}", named.join(", ")))
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for TimeError {}
