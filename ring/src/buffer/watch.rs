//! The thread that knows the time: intervals, next attempts, and attempts that are overdue. It runs nothing that is the
//! user's, so that nothing can hold it up.

use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use super::control::{Control, Running};
use super::core::Core;
use super::error::Failure;
use super::options::AfterTimeOut;
use super::partition::Wake;
use super::store::Store;
use super::sync::{MutexGuard, NEVER, Time, lock, nanos, wait};

/// After so long the watch tries again to make a thread.
const SPAWN_AGAIN: Time = 100_000_000;

pub(crate) fn run<S: Store>(core: &Arc<Core<S>>, id: u64) {
    let mut control = lock(&core.control);
    while !control.stop {
        control = core.turn(control);
    }
    control.has_watch = false;
    control.ended.push(id);
    core.note_change(&mut control);
}

type Guard<'a, S> = MutexGuard<'a, Control<<S as Store>::Item>>;

impl<S: Store> Core<S> {
    /// Does what is next, or sleeps until there is something.
    fn turn<'a>(self: &'a Arc<Self>, mut control: Guard<'a, S>) -> Guard<'a, S> {
        let now = self.clock.now();
        if let Some(running) = control.overdue(now) {
            // The place of a thread that hangs is to be filled.
            control.spawn_at = 0;
            self.note_change(&mut control);
            drop(control);
            self.set_aside(running);
            return lock(&self.control);
        }
        if control.spawn_at <= now {
            control.spawn_at = NEVER;
            let missing = control.options.workers.saturating_sub(control.workers);
            drop(control);
            let made = (0..missing).try_for_each(|_| self.spawn_worker());
            control = lock(&self.control);
            if made.is_err() {
                control.spawn_at = now.saturating_add(SPAWN_AGAIN);
            }
            return control;
        }
        for _ in 0..control.retry(now) {
            self.work.notify_one();
        }
        if std::mem::take(&mut control.look) || control.look_at <= now {
            drop(control);
            let (due, next) = self.look(now);
            control = lock(&self.control);
            control.look_at = next;
            due.iter().for_each(|_| _ = self.work.notify_one());
            control.ready.extend(due);
            return control;
        }
        if control.is_abandoned {
            let changes = control.changes;
            drop(control);
            let is_done = self.numbers().all(|at| self.partition(at).depth() == 0);
            if is_done {
                self.stop();
            }
            control = lock(&self.control);
            if is_done || control.look || control.changes != changes {
                return control;
            }
        }
        let until = control.next();
        control.asleep_until = until;
        control = wait(&self.watch, control, &self.clock, until);
        control.asleep_until = 0;
        control
    }

    /// Looks at all partitions: which are due, and when to look again. If nothing waits anywhere, those who
    /// put the next item will say so.
    fn look(&self, now: Time) -> (Vec<u32>, Time) {
        let mut due = Vec::new();
        let mut next = NEVER;
        for may_rest in [false, true] {
            for at in self.numbers() {
                let mut partition = self.partition(at);
                if partition.is_scheduled {
                    continue;
                }
                if partition.schedule(now) {
                    due.push(at);
                } else if let Some((_, since)) = partition.store.oldest() {
                    partition.is_watched = true;
                    next = next.min(since.saturating_add(partition.interval));
                } else if may_rest {
                    partition.is_watched = false;
                }
            }
            if next != NEVER {
                break;
            }
        }
        (due, next)
    }

    /// An attempt is overdue: its batch is no longer waited for.
    fn set_aside(&self, running: Running<S::Item>) {
        let at = running.partition;
        let (what, tries) = {
            let control = lock(&self.control);
            (control.options.after_time_out, control.options.tries)
        };
        let attempts = {
            let mut partition = self.partition(at);
            // Not the last one, as the flight has one, too: dropping it drops nothing of the user's.
            drop(running);
            let Some(flight) = &mut partition.flight else { return };
            flight.is_running = false;
            if what == AfterTimeOut::SetAside || flight.attempts >= tries {
                // By a worker: what is dropped then is the user's.
                flight.given_up = Some(Failure::TimedOut);
            }
            flight.given_up.is_none().then_some(flight.attempts)
        };
        let mut control = lock(&self.control);
        match attempts {
            Some(attempts) => {
                let backoff = nanos(control.options.backoff_after(attempts));
                let then = self.clock.now().saturating_add(backoff);
                control.retries.push((then, at));
            }
            None => self.note(&mut control, at, Wake::Worker),
        }
    }
}
