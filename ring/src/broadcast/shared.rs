//! What all handles of a ring share.

use std::time::{Duration, Instant};

use super::cells::{Access, Cells};
use super::error::ReadError;
use super::sequencer::Producers;
use super::stages::Stages;
use super::wait::WaitStrategy;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Shared<T, P, W, A: Access<T>> {
    pub(crate) cells: Cells<A::Cell>,
    pub(crate) sequencer: P,
    pub(crate) stages: Stages,
    /// Consumers and readers wait here.
    pub(crate) arrivals: W,
    /// Producers wait here.
    pub(crate) room: W,
    /// Handles that can publish.
    pub(crate) producers: AtomicU64,
    /// Whether nobody is to wait for anybody any more.
    pub(crate) ended: AtomicBool,
    pub(crate) claim_max: u64,
    /// Tells a stage of this ring from one of another.
    pub(crate) number: u64,
    pub(crate) counts: Counters,
}

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) refused: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) forgotten: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            refused: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }
}

/// Counts something.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    // Relaxed: a count.
    counter.fetch_add(by, Ordering::Relaxed);
}

/// The moment in which a wait ends; none if that is beyond all clocks.
pub(crate) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Shared<T, P, W, A> {
    pub(crate) fn close(&self) {
        self.sequencer.close();
        self.arrivals.signal();
        self.room.signal();
    }

    pub(crate) fn close_now(&self) {
        // Release: pairs with the Acquire in `look`; who is woken by the signal sees it.
        self.ended.store(true, Ordering::Release);
        self.close();
    }

    /// Gives up slots whose claim was forgotten.
    #[cold]
    pub(crate) fn give_up(&self, first: u64, slots: u64) {
        count(&self.counts.forgotten, slots);
        if self.sequencer.abandon(first, slots) {
            self.signal_publish();
        }
    }

    /// Whether nobody is to wait any more. Who finds that has to look once more.
    pub(crate) fn has_ended(&self) -> bool {
        // Acquire: pairs with the Release above: what was published before is found by the next look.
        self.ended.load(Ordering::Acquire)
    }

    /// Why there is nothing to read at a sequence.
    #[cold]
    pub(crate) fn nothing_at(&self, sequence: u64) -> ReadError {
        match self.sequencer.end() {
            Some(end) if sequence >= end => ReadError::Closed,
            _ => ReadError::Empty,
        }
    }

    /// Something is published, with a value or without.
    #[inline(always)]
    pub(crate) fn signal_publish(&self) {
        self.arrivals.signal();
        // Where no consumer holds, a slot is room when what was in it is published.
        if P::WAIT_FOR_EACH_OTHER {
            self.room.signal();
        }
    }

    /// Somebody has given slots back, or has gone.
    #[inline]
    pub(crate) fn signal_release(&self, is_before_others: bool) {
        self.room.signal();
        if is_before_others {
            self.arrivals.signal();
        }
    }
}

/// Waits for something to read. `try_read` says [`ReadError::Empty`] while there is nothing.
pub(crate) fn wait_for<W: WaitStrategy, R>(
    arrivals: &W,
    timeout: Duration,
    mut try_read: impl FnMut() -> Result<R, ReadError>,
) -> Result<R, ReadError> {
    match try_read() {
        Err(ReadError::Empty) => {}
        found => return found,
    }
    let mut look = || match try_read() {
        Err(ReadError::Empty) => None,
        found => Some(found),
    };
    arrivals.wait(deadline(timeout), &mut look).unwrap_or(Err(ReadError::TimedOut))
}
