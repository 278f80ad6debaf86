//! Readers that nobody waits for.

use std::fmt;
use std::time::Duration;

use super::cells::{Readable, Words};
use super::error::ReadError;
use super::multi::Multi;
use super::plain::Plain;
use super::sequencer::{Look, Producers};
use super::shared::{Shared, wait_for};
use super::wait::{SpinYield, WaitStrategy};
use crate::sync::Arc;

/// Reads copies of the values, holds nobody back, and is told exactly how many slots it has missed.
///
/// Producers do nothing for it, and do not know of it. It copies a slot, looks whether any producer has claimed so
/// far that the slot may have been overwritten meanwhile, and throws the copy away if so.
///
/// What was read and what was missed is, together, everything that was published since it began; slots without a
/// value (of claims that were dropped) are left out, or count as missed if they were overwritten before.
pub struct Reader<T, P: Producers = Multi, W: WaitStrategy = SpinYield, A: Words<T> = Readable> {
    shared: Arc<Shared<T, P, W, A>>,
    next: u64,
    missed: u64,
    skipped: u64,
}

impl<T: Plain, P: Producers, W: WaitStrategy, A: Words<T>> Reader<T, P, W, A> {
    pub(crate) fn new(shared: Arc<Shared<T, P, W, A>>, next: u64) -> Self {
        Self { shared, next, missed: 0, skipped: 0 }
    }

    /// A copy of the next value.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// [`ReadError::Empty`] if there is nothing, [`ReadError::Closed`] if there will be nothing any more,
    /// [`ReadError::Overtaken`] with the number of slots that are gone, behind which the next call reads.
    pub fn try_read(&mut self) -> Result<T, ReadError> {
        match self.look() {
            Err(ReadError::Empty) if self.shared.has_ended() => {
                self.look().map_err(ReadError::at_end)
            }
            found => found,
        }
    }

    fn look(&mut self) -> Result<T, ReadError> {
        let shared = &*self.shared;
        loop {
            let at = self.next;
            let look = shared.sequencer.look(at);
            let value = match look {
                Look::NotYet => return Err(shared.nothing_at(at)),
                Look::Gone => None,
                Look::Published | Look::Skipped => Some(shared.cells.at(at).copy()),
            };
            // What may have been written before this, the copy may have in it.
            let begun = shared.sequencer.begun();
            let Some(value) = value.filter(|_| begun <= at + shared.cells.capacity()) else {
                return Err(ReadError::Overtaken(self.go_behind(begun)));
            };
            self.next += 1;
            if look == Look::Published {
                return Ok(value);
            }
            self.skipped += 1;
        }
    }

    /// A copy of the next value, when there is one.
    ///
    /// # Blocking
    ///
    /// Until there is one, the reader was overtaken, the ring is closed, or so much time has passed.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read), with [`ReadError::TimedOut`] for `Empty`.
    pub fn read(&mut self, timeout: Duration) -> Result<T, ReadError> {
        let shared = Arc::clone(&self.shared);
        wait_for(&shared.arrivals, timeout, || self.try_read())
    }

    /// Copies values until the buffer is full or nothing is left, and says how many.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read), if there is not even one.
    pub fn try_read_many(&mut self, buffer: &mut [T]) -> Result<usize, ReadError> {
        let mut read = 0;
        for place in buffer {
            match self.try_read() {
                Ok(value) => *place = value,
                // The next call says so: nothing has changed. But of being overtaken this one must.
                Err(ReadError::Empty | ReadError::Closed) if read > 0 => break,
                Err(ReadError::Overtaken(missed)) if read > 0 => {
                    self.next -= missed;
                    self.missed -= missed;
                    break;
                }
                Err(why) => return Err(why),
            }
            read += 1;
        }
        Ok(read)
    }

    /// Leaves out what was published and not read. Says how many slots that were; they do not count as missed.
    pub fn skip_to_newest(&mut self) -> u64 {
        let before = self.next;
        self.next = self.shared.sequencer.tail().max(before);
        self.next - before
    }

    /// How many slots it has missed since it began.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// How many slots it has passed that have no value, as their claim was dropped.
    #[must_use]
    pub fn without_value(&self) -> u64 {
        self.skipped
    }

    /// How many slots there are behind it that it has not read; more than the ring has, if it was overtaken.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.shared.sequencer.tail().saturating_sub(self.next)
    }

    /// Goes on where the producers will not be at once, an eighth of the ring behind the oldest slot.
    #[cold]
    fn go_behind(&mut self, begun: u64) -> u64 {
        let capacity = self.shared.cells.capacity();
        let oldest = begun.saturating_sub(capacity - capacity / 8);
        // At least the slot that it wanted is gone; and none is that was not claimed.
        let next = oldest.min(self.shared.sequencer.tail()).max(self.next + 1);
        let missed = next - self.next;
        (self.next, self.missed) = (next, self.missed + missed);
        missed
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Words<T>> fmt::Debug for Reader<T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reader = f.debug_struct("Reader");
        reader.field("next", &self.next).field("missed", &self.missed).finish_non_exhaustive()
    }
}
