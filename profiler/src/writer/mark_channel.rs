//! Marks on their way from the program to the writer.
//!
//! They have a channel of their own, of a fixed length: a mark never waits, takes no room from spans in
//! the ring, and is no part of their ledger. One that finds the channel full is dropped and counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use spandrel_storage::MARK_LABEL_BYTES_MAX;

use crate::recorder::mark::{LABEL_BYTES_MAX, Mark};

/// How many marks can wait for the writer. It takes them at least every 50 ms, as long as the store
/// accepts batches.
pub(crate) const MARKS_MAX: usize = 1_024;

const _: () = assert!(LABEL_BYTES_MAX == MARK_LABEL_BYTES_MAX, "no more is stored");

/// Why a mark was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelFull;

/// The channel, and counts of the marks. It belongs to the state of the writer, so that marks that are
/// sent during the close are still there when somebody asks for the ledger later.
#[derive(Debug)]
pub(crate) struct Marks {
    sender: Sender<Mark>,
    inbox: Receiver<Mark>,
    next_id: AtomicU64,
    stored: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Marks {
    fn default() -> Self {
        let (sender, inbox) = crossbeam_channel::bounded(MARKS_MAX);
        Self {
            sender,
            inbox,
            next_id: AtomicU64::new(1),
            stored: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }
}

// Relaxed, below: independent figures, and ids that only have to differ. The channel itself
// synchronises.
impl Marks {
    /// Ids below this are in the file.
    pub(crate) fn ids_begin_at(&self, id: u64) {
        self.next_id.fetch_max(id, Ordering::Relaxed);
    }

    pub(crate) fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands a mark to the writer. Never waits.
    pub(crate) fn send(&self, mark: Mark) -> Result<(), ChannelFull> {
        match self.sender.try_send(mark) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.drop_many(1);
                Err(ChannelFull)
            }
        }
    }

    /// The next one, in the order in which they were sent.
    pub(crate) fn take(&self) -> Option<Mark> {
        self.inbox.try_recv().ok()
    }

    /// How many wait for the writer.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox.len()
    }

    pub(crate) fn add_stored(&self, n: u64) {
        self.stored.fetch_add(n, Ordering::Relaxed);
    }

    /// The file in which so many marks were stored cannot be found any more.
    pub(crate) fn forget_stored(&self, n: u64) {
        self.stored.fetch_sub(n, Ordering::Relaxed);
        self.drop_many(n);
    }

    pub(crate) fn drop_many(&self, n: u64) {
        self.dropped.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(id: u64) -> Mark {
        Mark { id, at: id, until: None, label: String::new() }
    }

    #[test]
    fn a_full_channel_drops_and_counts_and_keeps_the_order() {
        let marks = Marks::default();
        for n in 0..MARKS_MAX as u64 {
            assert_eq!(marks.send(mark(n)), Ok(()));
        }
        assert_eq!(marks.send(mark(u64::MAX)), Err(ChannelFull));
        assert_eq!((marks.dropped(), marks.waiting()), (1, MARKS_MAX));
        let ids: Vec<_> = std::iter::from_fn(|| marks.take()).map(|mark| mark.id).collect();
        assert_eq!(ids, (0..MARKS_MAX as u64).collect::<Vec<_>>());
        assert_eq!(marks.send(mark(7)), Ok(()));
    }
}
