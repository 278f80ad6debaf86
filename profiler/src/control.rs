//! What can be asked of the writer thread.

use std::time::Instant;

use crossbeam_channel::Sender;

/// A message to the writer. It never travels through the ring, which may be full.
#[derive(Debug)]
pub(crate) enum Control {
    /// Commit everything that was published before this message, then answer.
    Flush(Sender<()>),
    /// The poison pill: drain, commit, and end by the deadline at the latest.
    Close(Instant),
}
