//! What the threads of a buffer tell each other, under one lock. It is never held together with that of a partition.

use std::collections::VecDeque;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use super::batch::Items;
use super::error::Failure;
use super::options::Options;
use super::sync::{NEVER, Thread, Time};

/// An attempt that is not overdue.
pub(crate) struct Running<T> {
    pub(crate) id: u64,
    pub(crate) partition: u32,
    pub(crate) items: Arc<Items<T>>,
    pub(crate) deadline: Time,
}

/// What is counted of attempts.
#[derive(Debug, Default, Clone)]
pub(crate) struct Totals {
    pub(crate) attempts: u64,
    pub(crate) batches: u64,
    pub(crate) errors: u64,
    pub(crate) panics: u64,
    pub(crate) time_outs: u64,
    pub(crate) retries: u64,
    pub(crate) late_successes: u64,
    pub(crate) last_failure: Option<Failure>,
    pub(crate) flush_last: Time,
    pub(crate) flush_max: Time,
    pub(crate) flush_sum: Time,
}

pub(crate) struct Control<T> {
    pub(crate) options: Options,
    /// Partitions for the next worker.
    pub(crate) ready: VecDeque<u32>,
    /// Those for which too many attempts hang.
    pub(crate) held: Vec<u32>,
    /// Those that are ready at a time.
    pub(crate) retries: Vec<(Time, u32)>,
    pub(crate) running: Vec<Running<T>>,
    /// Attempts that are overdue, and still run.
    pub(crate) hung: usize,
    /// The watch is to look at the partitions, at once or then.
    pub(crate) look: bool,
    pub(crate) look_at: Time,
    /// So long the watch sleeps; 0 if it does not.
    pub(crate) asleep_until: Time,
    /// Grows when something has ended, or there may be more room.
    pub(crate) changes: u64,
    /// All threads are to end.
    pub(crate) stop: bool,
    /// Nobody has the buffer any more: they end when all is processed.
    pub(crate) is_abandoned: bool,
    /// Workers that are not overdue.
    pub(crate) workers: usize,
    /// When the watch is to see to it that they are as many as they should be.
    pub(crate) spawn_at: Time,
    pub(crate) has_watch: bool,
    /// What has the number of an attempt or a thread.
    next_id: u64,
    pub(crate) threads: Vec<(u64, Thread)>,
    /// Threads that are about to end.
    pub(crate) ended: Vec<u64>,
    pub(crate) totals: Totals,
}

impl<T> Control<T> {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            ready: VecDeque::with_capacity(options.partitions),
            held: Vec::with_capacity(options.partitions),
            retries: Vec::with_capacity(options.partitions),
            options,
            running: Vec::new(),
            hung: 0,
            look: false,
            look_at: NEVER,
            asleep_until: 0,
            changes: 0,
            stop: false,
            is_abandoned: false,
            workers: 0,
            spawn_at: NEVER,
            has_watch: false,
            next_id: 0,
            threads: Vec::new(),
            ended: Vec::new(),
            totals: Totals::default(),
        }
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn may_begin(&self) -> bool {
        self.hung < self.options.hung_max
    }

    /// Moves what is to be tried again now. Says how many that are.
    pub(crate) fn retry(&mut self, now: Time) -> usize {
        let before = self.ready.len();
        let ready = &mut self.ready;
        self.retries.retain(|&(at, partition)| {
            if at <= now {
                ready.push_back(partition);
            }
            at > now
        });
        self.ready.len() - before
    }

    /// An attempt that is overdue now, which is noted.
    pub(crate) fn overdue(&mut self, now: Time) -> Option<Running<T>> {
        let at = self.running.iter().position(|running| running.deadline <= now)?;
        let running = self.running.swap_remove(at);
        running.items.is_overdue();
        self.hung += 1;
        self.workers -= 1;
        self.totals.time_outs += 1;
        self.totals.last_failure = Some(Failure::TimedOut);
        Some(running)
    }

    /// What the watch has to do next has this time.
    pub(crate) fn next(&self) -> Time {
        let deadlines = self.running.iter().map(|running| running.deadline);
        let retries = self.retries.iter().map(|&(at, _)| at);
        deadlines.chain(retries).chain([self.look_at, self.spawn_at]).min().unwrap_or(NEVER)
    }
}
