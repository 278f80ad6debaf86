//! Flush, hand-over, and the end.

use std::fmt;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over
use std::time::Duration;

use super::core::Core;
use super::error::FlushError;
use super::letters::DeadLetter;
use super::partition::{Body, Flight, SLICE};
use super::store::Store;
use super::sync::{Thread, Time, lock};
use super::worker::dispose;

/// How a flush has ended in which all was processed or given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flushed {
    /// So many items were given up while it waited, whoever had put them.
    pub dead: u64,
}

/// What was left when a buffer was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Items that were processed while the buffer was there.
    pub processed: u64,
    /// Items that still wait, also for another attempt: `take` has them.
    pub waiting: usize,
    /// Items that the processor had when time was out. It may still succeed, which the metrics show then; if not, they wait.
    pub in_flight: usize,
    /// Items of dead letters that are still there: `dead_letters` has them.
    pub dead: usize,
    /// Attempts that are overdue and still run.
    pub hung: usize,
}

impl Closed {
    /// Whether all that was put is processed, replaced, deleted or taken.
    pub fn is_complete(&self) -> bool {
        self.waiting == 0 && self.in_flight == 0 && self.dead == 0
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processed, waiting, in_flight, dead, hung } = self;
        write!(
            f,
            "{processed} processed, {waiting} waiting, {in_flight} in flight, {dead} dead, {hung} attempts overdue"
        )
    }
}

impl<S: Store> Core<S> {
    /// Has all processed that was put before.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<Flushed, FlushError> {
        let until = self.until(timeout);
        let before = self.dead();
        let targets = self.make_due(false);
        self.wait_until_settled(&targets, until)?;
        Ok(Flushed { dead: self.dead().saturating_sub(before) })
    }

    fn dead(&self) -> u64 {
        self.numbers().map(|at| self.partition(at).counts.dead).sum()
    }

    /// Makes due what waits now: the numbers up to which that is. Or all, in the end.
    fn make_due(&self, is_end: bool) -> Vec<u64> {
        let now = self.clock.now();
        let mut ready = Vec::with_capacity(self.partitions.len());
        let targets = self.numbers().map(|at| {
            let mut partition = self.partition(at);
            partition.is_closed |= is_end;
            partition.flush_to = partition.flush_to.max(partition.store.next());
            if partition.schedule(now) {
                ready.push(at);
            }
            partition.store.next()
        });
        let targets = targets.collect();
        let mut control = lock(&self.control);
        control.ready.extend(ready);
        self.work.notify_all();
        targets
    }

    pub(crate) fn close(&self, deadline: Duration) -> Closed {
        let until = self.until(deadline);
        let targets = self.make_due(true);
        // Who waits for room learns that there is no more.
        self.has_changed();
        let _ = self.wait_until_settled(&targets, until); // the report says it
        self.stop();
        self.join(until);
        self.numbers().for_each(|at| self.finish_if_succeeded(at));
        self.report()
    }

    /// Waits for the threads, unless they have something in hand when time is out.
    fn join(&self, until: Time) {
        loop {
            let mut control = lock(&self.control);
            let changes = control.changes;
            if control.workers == 0 && !control.has_watch {
                let threads: Vec<(u64, Thread)> = control.threads.drain(..).collect();
                let ended = std::mem::take(&mut control.ended);
                drop(control);
                // The others are overdue.
                for (_, thread) in threads.into_iter().filter(|(id, _)| ended.contains(id)) {
                    let _ = thread.join(); // they catch what panics
                }
                return;
            }
            drop(control);
            if !self.wait_for_change(changes, until) {
                return;
            }
        }
    }

    fn report(&self) -> Closed {
        let (mut processed, mut waiting, mut in_flight) = (0, 0, 0);
        for at in self.numbers() {
            let partition = self.partition(at);
            processed += partition.counts.processed + partition.counts.revived;
            waiting += partition.store.waiting();
            match &partition.flight {
                Some(flight) if flight.is_running || flight.given_up.is_some() => {
                    in_flight += flight.len();
                }
                Some(flight) => waiting += flight.len(),
                None => {}
            }
        }
        let hung = lock(&self.control).hung;
        let dead = lock(&self.letters).items;
        Closed { processed, waiting, in_flight, dead, hung }
    }

    /// Nobody has it any more: its threads process what is there, and end.
    pub(crate) fn abandon(&self) {
        lock(&self.control).is_abandoned = true;
        self.make_due(true);
        self.has_changed();
    }

    /// Takes all that waits, also for another attempt.
    pub(crate) fn take(&self) -> Vec<S::Item> {
        let mut taken = Vec::new();
        for at in self.numbers() {
            self.take_resting(at, &mut taken);
            let mut left = self.partition(at).store.waiting();
            while left > 0 {
                let (mut units, mut garbage) = (0, Vec::new());
                let before = taken.len();
                {
                    let mut partition = self.partition(at);
                    partition.store.hand_over(
                        left.min(SLICE),
                        &mut taken,
                        &mut units,
                        &mut garbage,
                    );
                    partition.counts.taken += (taken.len() - before) as u64;
                }
                dispose(garbage);
                let count = taken.len() - before;
                self.pool.release(count, units);
                // What came meanwhile stays, or it might never end.
                left = if count == 0 { 0 } else { left - count };
            }
        }
        self.has_changed();
        taken
    }

    /// Takes a batch that waits for another attempt, unless an earlier one still looks at it.
    fn take_resting(&self, at: u32, taken: &mut Vec<S::Item>) {
        self.finish_if_succeeded(at);
        let Some(then) = self.unschedule(at) else { return };
        let has_batch = {
            let mut partition = self.partition(at);
            match partition.flight.as_mut().map(|flight| &mut flight.body) {
                // In this order: nobody looks at it any more, so nobody can yet say that it has succeeded.
                Some(Body::Whole(items)) => Arc::get_mut(items).is_some() && !items.has_succeeded(),
                Some(Body::Collecting { .. }) => true,
                _ => false,
            }
        };
        if !has_batch {
            // As it was.
            lock(&self.control).retries.push((then, at));
            self.watch.notify_one();
            return;
        }
        loop {
            let mut garbage = Vec::new();
            let is_settled = self.partition(at).store.settle(SLICE, &mut garbage);
            dispose(garbage);
            if is_settled {
                break;
            }
        }
        let (wake, units, count) = {
            let mut partition = self.partition(at);
            let Some(Flight { body, units, .. }) = partition.flight.take() else { return };
            let list = match body {
                Body::Whole(items) => {
                    Arc::try_unwrap(items).map_or_else(|_| Vec::new(), |items| items.list)
                }
                Body::Collecting { list, .. } => list,
                Body::Gone => Vec::new(),
            };
            partition.counts.taken += list.len() as u64;
            let count = list.len();
            taken.extend(list);
            (partition.rest(self.clock.now()), units, count)
        };
        self.pool.release(count, units);
        self.wake(at, wake);
    }

    /// Of a batch that waits for another attempt while an earlier one has succeeded, late.
    fn finish_if_succeeded(&self, at: u32) {
        let Some(then) = self.unschedule(at) else { return };
        let has_succeeded = matches!(
            &self.partition(at).flight,
            Some(Flight { body: Body::Whole(items), .. }) if items.has_succeeded()
        );
        if has_succeeded {
            self.finish(at, None);
        } else {
            lock(&self.control).retries.push((then, at));
            self.watch.notify_one();
        }
    }

    /// Takes a partition from those who would serve it, if it waits for them: and when it was to be.
    fn unschedule(&self, at: u32) -> Option<Time> {
        let mut control = lock(&self.control);
        if let Some(place) = control.retries.iter().position(|&(_, waits)| waits == at) {
            return Some(control.retries.swap_remove(place).0);
        }
        if let Some(place) = control.held.iter().position(|&waits| waits == at) {
            control.held.swap_remove(place);
            return Some(0);
        }
        let place = control.ready.iter().position(|&waits| waits == at)?;
        control.ready.remove(place);
        Some(0)
    }

    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter<S::Item>> {
        let kept = lock(&self.letters).take();
        let letters = kept.into_iter().map(|kept| {
            self.pool.release(kept.len(), kept.units);
            kept.letter
        });
        let letters = letters.collect();
        self.has_changed();
        letters
    }
}

/// Closes the buffer when the last handle is gone.
pub(crate) struct Shared<S: Store>(pub(crate) Arc<Core<S>>);

impl<S: Store> Drop for Shared<S> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
