//! Requests of the program to the writer thread. They do not go through the ring, which may be full.

use std::sync::{Arc, Weak};

use crossbeam_channel::{Receiver, Sender};

/// How many flushes may wait. The writer reads them between two batches.
pub(crate) const FLUSHES_MAX: usize = 1_024;

/// A flush: commit everything that was published before, then answer.
#[derive(Debug)]
pub(crate) struct Flush {
    done: Sender<()>,
    waiter: Weak<()>,
}

/// The end that waits for the answer. When it is dropped, nobody waits.
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
        // Nobody hears it if the other side has given up.
        let _unheard = self.done.try_send(());
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.waiter.strong_count() == 0
    }
}
