//! Consumers: those that see everything, and those that compete.

use std::fmt;
use std::time::Duration;

use super::batch::{Batch, Owner};
use super::cells::{Access, InPlace};
use super::error::ReadError;
use super::lag::Lag;
use super::multi::Multi;
use super::sequencer::Producers;
use super::shared::{Shared, wait_for};
use super::stages::Joined;
use super::wait::{SpinYield, WaitStrategy};
use crate::sync::Arc;

/// Sees everything that is published after it has joined, and holds producers back while it lags.
///
/// Dropped, also by a panic, it leaves: nobody waits for it any more.
pub struct Consumer<T, P: Producers = Multi, W: WaitStrategy = SpinYield, A: Access<T> = InPlace> {
    shared: Arc<Shared<T, P, W, A>>,
    stage: usize,
    place: usize,
    /// Where it goes on; as its gate says.
    next: u64,
    /// How far it has learned that it may read.
    visible: u64,
}

/// Competes with the other workers of its stage: each slot is handled by one of them.
///
/// Dropped, also by a panic, it leaves; what it had in hand counts as handled.
pub struct Worker<T, P: Producers = Multi, W: WaitStrategy = SpinYield, A: Access<T> = InPlace> {
    shared: Arc<Shared<T, P, W, A>>,
    stage: usize,
    place: usize,
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Consumer<T, P, W, A> {
    pub(crate) fn new(shared: Arc<Shared<T, P, W, A>>, stage: usize, joined: Joined) -> Self {
        Self { shared, stage, place: joined.place, next: joined.start, visible: joined.start }
    }

    /// All that can be read now.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// [`ReadError::Empty`] if there is nothing, [`ReadError::Closed`] if there will be nothing any more.
    #[inline]
    pub fn try_read(&mut self) -> Result<Batch<'_, T, P, W, A>, ReadError> {
        self.try_read_many(usize::MAX)
    }

    /// So many slots of what can be read now, at most; one, if it is none that is asked for.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    #[inline]
    pub fn try_read_many(&mut self, most: usize) -> Result<Batch<'_, T, P, W, A>, ReadError> {
        let end = self.look_now(most)?;
        Ok(self.batch(end))
    }

    /// All that can be read, when there is something.
    ///
    /// # Blocking
    ///
    /// Until there is something, the ring is closed, or so much time has passed.
    ///
    /// # Errors
    ///
    /// [`ReadError::TimedOut`], or [`ReadError::Closed`] if there will be nothing any more.
    #[inline]
    pub fn read(&mut self, timeout: Duration) -> Result<Batch<'_, T, P, W, A>, ReadError> {
        self.read_many(usize::MAX, timeout)
    }

    /// So many slots of what can be read, at most, when there is something; one, if it is none that is asked for.
    ///
    /// # Blocking
    ///
    /// As [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_many(
        &mut self,
        most: usize,
        timeout: Duration,
    ) -> Result<Batch<'_, T, P, W, A>, ReadError> {
        let shared = Arc::clone(&self.shared);
        let end = wait_for(&shared.arrivals, timeout, || self.look_now(most))?;
        Ok(self.batch(end))
    }

    /// Leaves out what is published and not read. Says how many slots that were.
    pub fn skip_to_newest(&mut self) -> u64 {
        let before = self.next;
        self.look_again();
        self.move_to(self.visible);
        self.next - before
    }

    /// How far it is behind the producers.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let shared = &*self.shared;
        let name = &shared.stages.get(self.stage).name;
        Lag::new(
            name,
            Some(self.place),
            self.next,
            shared.sequencer.tail(),
            shared.cells.capacity(),
        )
    }

    #[inline]
    fn look_now(&mut self, most: usize) -> Result<u64, ReadError> {
        match self.look(most) {
            Err(ReadError::Empty) if self.shared.has_ended() => self.look_last(most),
            found => found,
        }
    }

    #[cold]
    fn look_last(&mut self, most: usize) -> Result<u64, ReadError> {
        self.look(most).map_err(ReadError::at_end)
    }

    /// The end of what can be read; anything below that has a value is at `next`.
    #[inline]
    fn look(&mut self, most: usize) -> Result<u64, ReadError> {
        if most as u64 > self.visible - self.next {
            self.look_again();
        }
        let next = self.skip();
        if next > self.next {
            self.move_to(next);
        }
        if self.next < self.visible {
            return Ok(self.visible.min(self.next.saturating_add(most.max(1) as u64)));
        }
        Err(self.shared.nothing_at(self.next))
    }

    #[inline]
    fn look_again(&mut self) {
        let shared = &*self.shared;
        let published = |from| shared.sequencer.published(from, u64::MAX);
        self.visible = shared.stages.visible(self.stage, self.visible, published);
    }

    /// The first slot with a value, of those that are visible.
    #[inline]
    fn skip(&self) -> u64 {
        if !self.shared.sequencer.has_skipped() {
            return self.next;
        }
        let is_skipped = |at: &u64| self.shared.sequencer.is_skipped(*at);
        (self.next..self.visible).find(|at| !is_skipped(at)).unwrap_or(self.visible)
    }

    fn move_to(&mut self, next: u64) {
        self.next = next;
        let stage = self.shared.stages.get(self.stage);
        stage.release(self.place, next);
        self.shared.signal_release(stage.is_before_others);
    }

    #[inline(always)]
    fn batch(&mut self, end: u64) -> Batch<'_, T, P, W, A> {
        Batch {
            shared: &self.shared,
            stage: self.stage,
            place: self.place,
            first: self.next,
            end,
            owner: Owner::Consumer(&mut self.next),
        }
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Worker<T, P, W, A> {
    pub(crate) fn new(shared: Arc<Shared<T, P, W, A>>, stage: usize, joined: Joined) -> Self {
        Self { shared, stage, place: joined.place }
    }

    /// Takes so many slots of those that nobody has taken, at most; one, if it is none that is asked for.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// [`ReadError::Empty`] if there is nothing, [`ReadError::Closed`] if there will be nothing any more.
    #[inline]
    pub fn try_take(&mut self, most: usize) -> Result<Batch<'_, T, P, W, A>, ReadError> {
        let (first, end) = self.look_now(most)?;
        Ok(self.batch(first, end))
    }

    /// Takes so many slots of those that nobody has taken, at most, when there are any; one, if it is none that is asked for.
    ///
    /// # Blocking
    ///
    /// Until there is something, the ring is closed, or so much time has passed.
    ///
    /// # Errors
    ///
    /// [`ReadError::TimedOut`], or [`ReadError::Closed`] if there will be nothing any more.
    pub fn take(
        &mut self,
        most: usize,
        timeout: Duration,
    ) -> Result<Batch<'_, T, P, W, A>, ReadError> {
        let (first, end) = wait_for(&self.shared.arrivals, timeout, || self.look_now(most))?;
        Ok(self.batch(first, end))
    }

    #[inline]
    fn look_now(&self, most: usize) -> Result<(u64, u64), ReadError> {
        match self.look(most) {
            Err(ReadError::Empty) if self.shared.has_ended() => self.look_last(most),
            found => found,
        }
    }

    #[cold]
    fn look_last(&self, most: usize) -> Result<(u64, u64), ReadError> {
        self.look(most).map_err(ReadError::at_end)
    }

    #[inline]
    fn look(&self, most: usize) -> Result<(u64, u64), ReadError> {
        let shared = &*self.shared;
        let stage = shared.stages.get(self.stage);
        let most = most.max(1) as u64;
        let visible = |from| {
            shared.stages.visible(self.stage, from, |from| shared.sequencer.published(from, most))
        };
        let let_go = || shared.signal_release(stage.is_before_others);
        loop {
            // Before it is looked whether there is anything.
            let end = shared.sequencer.end();
            let Some((first, last)) = stage.take(self.place, most, visible, let_go) else {
                // Relaxed is enough: what was taken is not given back.
                let is_over = stage.work().zip(end).is_some_and(|(work, end)| work >= end);
                return Err(if is_over { ReadError::Closed } else { ReadError::Empty });
            };
            if !shared.sequencer.has_skipped()
                || (first..last).any(|at| !shared.sequencer.is_skipped(at))
            {
                return Ok((first, last));
            }
            // Nothing in it has a value.
            drop(self.batch(first, last));
        }
    }

    #[inline]
    fn batch(&self, first: u64, end: u64) -> Batch<'_, T, P, W, A> {
        let (shared, owner) = (&*self.shared, Owner::Worker);
        Batch { shared, stage: self.stage, place: self.place, first, end, owner }
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Drop for Consumer<T, P, W, A> {
    fn drop(&mut self) {
        self.shared.stages.get(self.stage).leave(self.place, self.next);
        self.shared.signal_release(true);
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Drop for Worker<T, P, W, A> {
    fn drop(&mut self) {
        self.shared.stages.get(self.stage).leave_work(self.place);
        self.shared.signal_release(true);
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> fmt::Debug for Consumer<T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> fmt::Debug for Worker<T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("place", &self.place).finish_non_exhaustive()
    }
}
