//! What the handles and the threads of a buffer share.

use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use crossbeam_utils::CachePadded;

use super::batch::Batch;
use super::control::Control;
use super::error::FlushError;
use super::letters::Letters;
use super::options::{Options, OptionsError};
use super::partition::{Partition, Wake};
use super::pool::Pool;
use super::store::Store;
use super::sync::{Clock, Condvar, Mutex, MutexGuard, Time, lock, nanos, wait};

/// Says why it has failed.
pub(crate) type Processor<T> = dyn Fn(&Batch<T>) -> Result<(), String> + Send + Sync;

pub(crate) struct Core<S: Store> {
    pub(crate) partitions: Box<[CachePadded<Mutex<Partition<S>>>]>,
    pub(crate) pool: Pool,
    pub(crate) control: Mutex<Control<S::Item>>,
    /// Wakes workers, the watch, and whoever waits for a change.
    pub(crate) work: Condvar,
    pub(crate) watch: Condvar,
    pub(crate) changed: Condvar,
    pub(crate) letters: Mutex<Letters<S::Item>>,
    pub(crate) processor: Mutex<Arc<Processor<S::Item>>>,
    pub(crate) clock: Clock,
}

impl<S: Store> Core<S> {
    pub(crate) fn partition(&self, at: u32) -> MutexGuard<'_, Partition<S>> {
        lock(&self.partitions[at as usize])
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<S> {
        0..self.partitions.len() as u32
    }

    pub(crate) fn options(&self) -> Options {
        lock(&self.control).options.clone()
    }

    /// Wakes who has to know of a change in a partition, whose lock is given back.
    #[inline]
    pub(crate) fn wake(&self, at: u32, wake: Wake) {
        if wake != Wake::Nobody {
            self.wake_somebody(at, wake);
        }
    }

    #[cold]
    fn wake_somebody(&self, at: u32, wake: Wake) {
        let mut control = lock(&self.control);
        self.note(&mut control, at, wake);
    }

    pub(crate) fn note(&self, control: &mut Control<S::Item>, at: u32, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Worker => {
                control.ready.push_back(at);
                self.work.notify_one();
            }
            Wake::Watch => {
                control.look = true;
                self.watch.notify_one();
            }
        }
    }

    /// Something has ended, or there may be more room.
    pub(crate) fn note_change(&self, control: &mut Control<S::Item>) {
        control.changes += 1;
        self.changed.notify_all();
        if control.is_abandoned {
            self.watch.notify_one();
        }
    }

    pub(crate) fn has_changed(&self) {
        self.note_change(&mut lock(&self.control));
    }

    pub(crate) fn changes(&self) -> u64 {
        lock(&self.control).changes
    }

    /// Waits for a change since there were so many; says whether it came in time.
    pub(crate) fn wait_for_change(&self, since: u64, until: Time) -> bool {
        let mut control = lock(&self.control);
        while control.changes == since {
            if self.clock.now() >= until {
                return false;
            }
            control = wait(&self.changed, control, &self.clock, until);
        }
        true
    }

    pub(crate) fn until(&self, timeout: std::time::Duration) -> Time {
        self.clock.now().saturating_add(nanos(timeout))
    }

    /// Changes what can change.
    pub(crate) fn change(&self, to: Options) -> Result<(), OptionsError> {
        let mut control = lock(&self.control);
        control.options.check_change(&to)?;
        let (batch_size, interval, dead_letters_max) =
            (to.batch_size, nanos(to.interval), to.dead_letters_max);
        let now = self.clock.now();
        // Also for what waits for its next attempt already.
        let latest = now.saturating_add(nanos(to.backoff_max));
        control.retries.iter_mut().for_each(|(then, _)| *then = latest.min(*then));
        control.options = to;
        drop(control);
        let mut ready = Vec::new();
        for at in self.numbers() {
            let mut partition = self.partition(at);
            partition.batch_size = batch_size;
            partition.interval = interval;
            if partition.schedule(now) {
                ready.push(at);
            }
        }
        let dropped = {
            let mut letters = lock(&self.letters);
            letters.max = dead_letters_max;
            letters.shorten()
        };
        self.drop_letters(dropped);
        let mut control = lock(&self.control);
        control.ready.extend(ready);
        self.work.notify_all();
        self.note(&mut control, 0, Wake::Watch);
        Ok(())
    }

    /// All threads are to end, as soon as they have nothing in hand.
    pub(crate) fn stop(&self) {
        let mut control = lock(&self.control);
        control.stop = true;
        self.note_change(&mut control);
        self.work.notify_all();
        self.watch.notify_all();
    }

    pub(crate) fn depth(&self) -> usize {
        self.numbers().map(|at| self.partition(at).depth()).sum()
    }

    /// Waits until all with smaller numbers than these are gone.
    pub(crate) fn wait_until_settled(
        &self,
        targets: &[u64],
        until: Time,
    ) -> Result<(), FlushError> {
        loop {
            let (changes, stop) = {
                let control = lock(&self.control);
                (control.changes, control.stop)
            };
            let mut numbers = self.numbers().zip(targets);
            if numbers.all(|(at, &target)| self.partition(at).settled_to() >= target) {
                return Ok(());
            }
            if stop {
                return Err(FlushError::Closed { left: self.depth() });
            }
            if !self.wait_for_change(changes, until) {
                return Err(FlushError::TimedOut { left: self.depth() });
            }
        }
    }
}
