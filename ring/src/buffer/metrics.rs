//! What a buffer says of itself.

use std::time::Duration;

use super::core::Core;
use super::error::Failure;
use super::partition::Counts;
use super::store::Store;
use super::sync::lock;

/// Numbers of a buffer, since it was made unless they say "now".
///
/// Each item that was accepted is in one of these, exactly so at each moment for each partition, and for
/// all of them when nothing moves: `updates`, `processed`, `dead`, `taken`, `deleted`, `waiting`, `in_flight`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Items that wait now.
    pub waiting: usize,
    /// Items in batches now, which are with the processor, or wait for their next attempt.
    pub in_flight: usize,
    /// Items now for which room is taken: those two, and dead letters.
    pub held: u64,
    /// The same in bytes, as they are weighed.
    pub held_bytes: u64,
    /// For how long the oldest item has been waiting or in flight, at most; none if there is none. (A queue notes the time
    /// of the first of at most 64 items.)
    pub oldest: Option<Duration>,

    /// Items that were taken.
    pub accepted: u64,
    /// Of a map: values that were replaced while they waited.
    pub updates: u64,
    /// Items that were processed.
    pub processed: u64,
    /// Items that were given up as dead letters, and have not succeeded since.
    pub dead: u64,
    /// Items that `take` has handed over.
    pub taken: u64,
    /// Of a map: values that were deleted while they waited.
    pub deleted: u64,

    /// Refused, as there was no room.
    pub refused_full: u64,
    /// Refused, as there was none for as long as the caller was ready to wait.
    pub refused_timed_out: u64,
    /// Refused, as there never is.
    pub refused_too_large: u64,
    /// Of a map: refused by `put_newer`.
    pub refused_older: u64,
    /// Refused, as the buffer is closed.
    pub refused_closed: u64,
    /// Calls that had to wait for room, whatever became of them.
    pub blocked: u64,

    /// Attempts that were begun.
    pub attempts: u64,
    /// Of these, those that were not the first of their batch.
    pub retries: u64,
    /// Attempts that have succeeded in time.
    pub batches: u64,
    /// Attempts that have failed, as the processor said so.
    pub errors: u64,
    /// Attempts that have panicked; and so have clones of keys.
    pub panics: u64,
    /// Attempts that have run out of time.
    pub time_outs: u64,
    /// Of these, those that have succeeded all the same, later.
    pub late_successes: u64,
    /// Of these, those that still run now. Each holds a thread.
    pub hung: usize,
    /// Why the last attempt that failed has done so.
    pub last_failure: Option<Failure>,

    /// How long the last attempt has taken that ended in time.
    pub flush_last: Duration,
    /// The longest.
    pub flush_max: Duration,
    /// All of them, each after the other: divided by `batches`, `errors` and `panics` it is the mean.
    pub flush_sum: Duration,

    /// Items in dead letters that are kept now.
    pub dead_kept: usize,
    /// Items in dead letters that were dropped, as they were more than `dead_letters_max`.
    pub dead_dropped: u64,
    /// Of a map: versions that are remembered now.
    pub versions: usize,
    /// Of a map: versions that were forgotten, as they were more than `versions_max`.
    pub versions_forgotten: u64,
}

impl<S: Store> Core<S> {
    /// With the versions that a partition remembers, and has forgotten.
    pub(crate) fn metrics(&self, versions: impl Fn(&S) -> (usize, u64)) -> Metrics {
        let mut all = Counts::default();
        let (mut waiting, mut in_flight, mut since) = (0, 0, None);
        let (mut remembered, mut forgotten) = (0, 0);
        for at in self.numbers() {
            let partition = self.partition(at);
            all.add(&partition.counts);
            waiting += partition.store.waiting();
            in_flight += partition.in_flight();
            let oldest = partition.flight.as_ref().map(|flight| flight.since);
            let oldest = oldest.or_else(|| partition.store.oldest().map(|(_, since)| since));
            since = oldest
                .map_or(since, |oldest| Some(since.map_or(oldest, |since| oldest.min(since))));
            let (now, gone) = versions(&partition.store);
            remembered += now;
            forgotten += gone;
        }
        let now = self.clock.now();
        let oldest = since.map(|since| Duration::from_nanos(now.saturating_sub(since)));
        let (held, held_bytes) = self.pool.held();
        let (totals, hung) = {
            let control = lock(&self.control);
            (control.totals.clone(), control.hung)
        };
        let (dead_kept, dead_dropped) = {
            let letters = lock(&self.letters);
            (letters.items, letters.dropped)
        };
        Metrics {
            waiting,
            in_flight,
            held,
            held_bytes,
            oldest,
            accepted: all.accepted,
            updates: all.updates,
            processed: all.processed + all.revived,
            dead: all.dead.saturating_sub(all.revived),
            taken: all.taken,
            deleted: all.deleted,
            refused_full: all.refused_full,
            refused_timed_out: all.refused_timed_out,
            refused_too_large: all.refused_too_large,
            refused_older: all.refused_older,
            refused_closed: all.refused_closed,
            blocked: all.blocked,
            attempts: totals.attempts,
            retries: totals.retries,
            batches: totals.batches,
            errors: totals.errors,
            panics: totals.panics,
            time_outs: totals.time_outs,
            late_successes: totals.late_successes,
            hung,
            last_failure: totals.last_failure,
            flush_last: Duration::from_nanos(totals.flush_last),
            flush_max: Duration::from_nanos(totals.flush_max),
            flush_sum: Duration::from_nanos(totals.flush_sum),
            dead_kept,
            dead_dropped,
            versions: remembered,
            versions_forgotten: forgotten,
        }
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.updates += other.updates;
        self.processed += other.processed;
        self.dead += other.dead;
        self.revived += other.revived;
        self.taken += other.taken;
        self.deleted += other.deleted;
        self.refused_full += other.refused_full;
        self.refused_timed_out += other.refused_timed_out;
        self.refused_too_large += other.refused_too_large;
        self.refused_older += other.refused_older;
        self.refused_closed += other.refused_closed;
        self.blocked += other.blocked;
    }
}
