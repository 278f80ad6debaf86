//! Threads that collect batches and run the processor.
//!
//! While it runs, no lock is held. Whether an attempt was in time is decided by who takes it from the list of those that
//! run, under the lock of the control: its worker when it has ended, or the watch when its time is over. In the
//! latter case the watch has another worker in its place, and the attempt's own worker, should it ever come back, only notes
//! what has become of it, and ends.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use super::batch::{Batch, Items};
use super::control::Running;
use super::core::Core;
use super::error::Failure;
use super::letters::{DeadLetter, Kept};
use super::partition::{Body, Flight, SLICE, Wake};
use super::store::Store;
use super::sync::{NEVER, Time, lock, nanos, wait};

/// So much of a processor's words is kept.
const WORDS_MAX: usize = 1000;

/// Drops what is the user's, and may panic: the thread goes on.
pub(crate) fn dispose<T>(what: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(what))) {
        // A payload may panic in its turn.
        std::mem::forget(payload);
    }
}

/// What is to be done in a partition.
enum Picked<T> {
    Nothing,
    /// An attempt should begin, while too many hang.
    Held,
    GiveUp(Failure),
    Finish,
    Run(Arc<Items<T>>, u32),
}

pub(crate) fn run<S: Store>(core: &Arc<Core<S>>, id: u64) {
    while let Some(at) = core.next_ready(id) {
        // What is the user's, and runs here beside the processor, is the clone of keys.
        match catch_unwind(AssertUnwindSafe(|| core.serve(at, id))) {
            Ok(true) => {}
            Ok(false) => return,
            Err(payload) => {
                dispose(payload);
                core.serve_later(at);
            }
        }
    }
}

impl<S: Store> Core<S> {
    /// The next partition to be served, or none if the worker is to end.
    fn next_ready(&self, id: u64) -> Option<u32> {
        let mut control = lock(&self.control);
        loop {
            // One too many, if one that was overdue has come back while another one was made.
            if control.stop || control.workers > control.options.workers {
                control.workers -= 1;
                control.ended.push(id);
                // It may have been woken for a partition that is ready: then another one is.
                self.work.notify_one();
                self.note_change(&mut control);
                return None;
            }
            if let Some(at) = control.ready.pop_front() {
                return Some(at);
            }
            control = wait(&self.work, control, &self.clock, NEVER);
        }
    }

    /// Does the next thing in a partition that is scheduled. Says whether the worker goes on.
    fn serve(&self, at: u32, id: u64) -> bool {
        let may_begin = lock(&self.control).may_begin();
        match self.pick(at, may_begin) {
            Picked::Nothing => true,
            Picked::Held => {
                let mut control = lock(&self.control);
                if control.may_begin() {
                    self.note(&mut control, at, Wake::Worker);
                } else {
                    control.held.push(at);
                }
                true
            }
            Picked::GiveUp(failure) => {
                self.finish(at, Some(failure));
                true
            }
            Picked::Finish => {
                self.finish(at, None);
                true
            }
            Picked::Run(items, number) => self.attempt(at, items, number, id),
        }
    }

    /// When serving has panicked in the user's hands: what was collected is still there.
    fn serve_later(&self, at: u32) {
        let mut control = lock(&self.control);
        control.totals.panics += 1;
        let then = self.clock.now().saturating_add(nanos(control.options.backoff_max));
        control.retries.push((then, at));
        self.watch.notify_one();
    }

    fn pick(&self, at: u32, may_begin: bool) -> Picked<S::Item> {
        loop {
            let mut guard = self.partition(at);
            let partition = &mut *guard;
            match &mut partition.flight {
                None => {
                    let wake = partition.rest(self.clock.now());
                    if wake != Wake::Worker {
                        drop(guard);
                        self.wake(at, wake);
                        return Picked::Nothing;
                    }
                    if !may_begin {
                        return Picked::Held;
                    }
                    let wanted = partition.store.waiting().min(partition.batch_size);
                    drop(guard);
                    self.take_off(at, Vec::with_capacity(wanted), wanted);
                }
                Some(Flight { given_up: Some(failure), .. }) => {
                    return Picked::GiveUp(failure.clone());
                }
                Some(flight) => match &mut flight.body {
                    Body::Whole(items) if items.has_succeeded() => return Picked::Finish,
                    _ if !may_begin => return Picked::Held,
                    Body::Whole(items) => {
                        flight.is_running = true;
                        flight.attempts += 1;
                        return Picked::Run(Arc::clone(items), flight.attempts);
                    }
                    Body::Collecting { list, wanted } => {
                        let slice = SLICE.min(*wanted - list.len());
                        partition.store.collect(slice, list, &mut flight.units);
                        if list.is_empty() {
                            // Somebody else took it. Who waits for what is in flight has taken this for it.
                            partition.flight = None;
                            drop(guard);
                            self.has_changed();
                        } else if list.len() == *wanted || partition.store.waiting() == 0 {
                            flight.items = list.len();
                            flight.body = Body::Whole(Arc::new(Items::new(std::mem::take(list))));
                        }
                    }
                    // Whoever finishes a batch has the partition.
                    Body::Gone => return Picked::Nothing,
                },
            }
        }
    }

    /// Begins a batch, with memory that was allocated without the lock.
    fn take_off(&self, at: u32, list: Vec<S::Item>, wanted: usize) {
        let mut partition = self.partition(at);
        if let (None, Some((first, since))) = (&partition.flight, partition.store.oldest()) {
            let body = Body::Collecting { list, wanted };
            partition.flight = Some(Flight {
                body,
                first,
                since,
                items: 0,
                units: 0,
                attempts: 0,
                is_running: false,
                given_up: None,
            });
        }
    }

    /// Runs the processor. Says whether the worker goes on.
    fn attempt(&self, at: u32, items: Arc<Items<S::Item>>, number: u32, thread: u64) -> bool {
        let processor = Arc::clone(&lock(&self.processor));
        let (id, began, deadline) = self.begin(at, &items, number);
        let clock = self.clock;
        let batch = Batch { items, partition: at, attempt: number, deadline, clock };
        let outcome = catch_unwind(AssertUnwindSafe(|| processor(&batch)));
        let outcome = match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(words)) => Err(Failure::Error(shortened(words))),
            Err(payload) => {
                let words = words_of(&*payload);
                dispose(payload);
                Err(Failure::Panic(shortened(words)))
            }
        };
        let Batch { items, .. } = batch;
        dispose(processor); // the last one, if it was replaced meanwhile

        let mut control = lock(&self.control);
        let Some(place) = control.running.iter().position(|running| running.id == id) else {
            drop(control);
            return self.come_late(at, items, outcome.is_ok(), thread);
        };
        let running = control.running.swap_remove(place);
        let took = self.clock.now().saturating_sub(began);
        let totals = &mut control.totals;
        totals.flush_last = took;
        totals.flush_max = totals.flush_max.max(took);
        totals.flush_sum = totals.flush_sum.saturating_add(took);
        match &outcome {
            Ok(()) => totals.batches += 1,
            Err(Failure::Panic(_)) => totals.panics += 1,
            Err(_) => totals.errors += 1,
        }
        if let Err(failure) = &outcome {
            totals.last_failure = Some(failure.clone());
        }
        let (tries, backoff) = (control.options.tries, control.options.backoff_after(number));
        drop(control);
        // So that the flight has the only ones.
        dispose((running, items));
        match outcome {
            Ok(()) => self.finish(at, None),
            Err(failure) => self.fail(at, failure, tries, nanos(backoff)),
        }
        true
    }

    fn begin(&self, at: u32, items: &Arc<Items<S::Item>>, number: u32) -> (u64, Time, Time) {
        let mut control = lock(&self.control);
        let id = control.id();
        let began = self.clock.now();
        let deadline = began.saturating_add(nanos(control.options.time_out));
        control.running.push(Running { id, partition: at, items: Arc::clone(items), deadline });
        control.totals.attempts += 1;
        control.totals.retries += u64::from(number > 1);
        if deadline < control.asleep_until {
            self.watch.notify_one();
        }
        (id, began, deadline)
    }

    /// An attempt has failed in time: there is another one, unless there were enough.
    fn fail(&self, at: u32, failure: Failure, tries: u32, backoff: Time) {
        let is_last = {
            let mut partition = self.partition(at);
            let Some(flight) = &mut partition.flight else { return };
            flight.is_running = false;
            flight.attempts >= tries
        };
        if is_last {
            return self.finish(at, Some(failure));
        }
        let mut control = lock(&self.control);
        let then = self.clock.now().saturating_add(backoff);
        control.retries.push((then, at));
        self.watch.notify_one();
    }

    /// A batch has come to its end: it is processed, or dead. Who calls has the partition, and the processor not the batch.
    pub(crate) fn finish(&self, at: u32, failure: Option<Failure>) {
        loop {
            let mut garbage = Vec::new();
            let is_settled = self.partition(at).store.settle(SLICE, &mut garbage);
            dispose(garbage);
            if is_settled {
                break;
            }
        }
        let (items, count, units, attempts) = {
            let mut partition = self.partition(at);
            let Some(flight) = &mut partition.flight else { return };
            let Body::Whole(items) = std::mem::replace(&mut flight.body, Body::Gone) else {
                return;
            };
            (items, flight.items, flight.units, flight.attempts)
        };
        // Before the flight is over: whoever has waited for that finds the letter, and the room.
        let is_dead = match failure {
            None => self.is_processed(items, count, units),
            Some(failure) => self.keep_letter(
                Kept { letter: DeadLetter::new(items, at, attempts, failure), units },
                count,
            ),
        };
        let wake = {
            let mut partition = self.partition(at);
            partition.flight = None;
            let counts = &mut partition.counts;
            *(if is_dead { &mut counts.dead } else { &mut counts.processed }) += count as u64;
            partition.rest(self.clock.now())
        };
        let mut control = lock(&self.control);
        self.note(&mut control, at, wake);
        self.note_change(&mut control);
    }

    fn is_processed(&self, items: Arc<Items<S::Item>>, count: usize, units: u64) -> bool {
        dispose(items);
        self.pool.release(count, units);
        false
    }

    /// Says whether the batch is dead.
    fn keep_letter(&self, kept: Kept<S::Item>, count: usize) -> bool {
        let units = kept.units;
        let kept = lock(&self.letters).keep(kept);
        match kept {
            Ok(dropped) => {
                self.drop_letters(dropped);
                true
            }
            // It has succeeded after all, between the last look and now.
            Err(kept) => {
                dispose(kept);
                self.pool.release(count, units);
                false
            }
        }
    }

    /// An attempt has ended that was overdue: its batch may be anywhere.
    fn come_late(
        &self,
        at: u32,
        items: Arc<Items<S::Item>>,
        is_success: bool,
        thread: u64,
    ) -> bool {
        // First of all: whoever looks later than this finds it so.
        items.has_ended(is_success);
        let letter = if is_success { lock(&self.letters).remove(&items) } else { None };
        dispose(items);
        if let Some(kept) = letter {
            let (count, units) = (kept.len(), kept.units);
            dispose(kept);
            self.pool.release(count, units);
            self.partition(at).counts.revived += count as u64;
        }
        let mut control = lock(&self.control);
        control.hung -= 1;
        control.totals.late_successes += u64::from(is_success);
        let held = std::mem::take(&mut control.held);
        control.ready.extend(held);
        // What has succeeded need not wait for its next attempt. It may be another batch by now, which is early then.
        if is_success
            && let Some(place) = control.retries.iter().position(|&(_, partition)| partition == at)
        {
            control.retries.swap_remove(place);
            control.ready.push_back(at);
        }
        self.work.notify_all();
        self.note_change(&mut control);
        // In the place of one that could not be made.
        let goes_on = !control.stop && control.workers < control.options.workers;
        if goes_on {
            control.workers += 1;
        } else {
            control.ended.push(thread);
        }
        goes_on
    }

    pub(crate) fn drop_letters(&self, dropped: Vec<Kept<S::Item>>) {
        for kept in dropped {
            let (count, units) = (kept.len(), kept.units);
            dispose(kept);
            self.pool.release(count, units);
        }
    }
}

fn words_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it did not say why").to_owned()
}

fn shortened(mut words: String) -> String {
    let end = (0..=WORDS_MAX.min(words.len())).rev().find(|&end| words.is_char_boundary(end));
    words.truncate(end.unwrap_or(0));
    words.shrink_to_fit();
    words
}
