//! What can be asked of the writer thread. Nothing of it travels through the ring, which may be full.

use std::sync::{Arc, Weak};

use crossbeam_channel::{Receiver, Sender};

/// Flushes that the writer has not read yet, which it does between two batches.
pub(crate) const FLUSHES_MAX: usize = 1_024;

/// Somebody wants everything committed that was published before, and an answer then.
#[derive(Debug)]
pub(crate) struct Flush {
    done: Sender<()>,
    waiter: Weak<()>,
}

/// Who waits for the answer. Dropped, it wants none.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) answer: Receiver<()>,
    _alive: Arc<()>,
}

impl Flush {
    pub(crate) fn new() -> (Self, Waiter) {
        let (done, answer) = crossbeam_channel::bounded(1);
        let alive = Arc::new(());
        (Self { done, waiter: Arc::downgrade(&alive) }, Waiter { answer, _alive: alive })
    }

    /// Says that it is done.
    pub(crate) fn answer(&self) {
        // Whoever has given up waiting has dropped the other end.
        let _unheard = self.done.try_send(());
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.waiter.strong_count() == 0
    }
}
