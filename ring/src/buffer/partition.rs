//! A part of the buffer with a lock of its own: what waits, and the one batch that is in flight.
//!
//! One batch at a time, so that order is kept also through failures. Who serves a partition has its `scheduled`: it is
//! in the list of those that are ready, with a worker, or waits for its next attempt, and in one of these only.

use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use super::batch::Items;
use super::error::Failure;
use super::options::Options;
use super::store::Store;
use super::sync::{Time, nanos};

/// So many items are moved while the lock is held.
pub(crate) const SLICE: usize = 32;

/// What has become of the values of this partition: `accepted` is the sum of the others that are of values taken, and of what waits or
/// is in flight.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    /// Replaced while they waited.
    pub(crate) updates: u64,
    pub(crate) processed: u64,
    pub(crate) dead: u64,
    /// Of those that are dead, as one thought.
    pub(crate) revived: u64,
    pub(crate) taken: u64,
    pub(crate) deleted: u64,
    /// Of values that were not taken.
    pub(crate) refused_full: u64,
    pub(crate) refused_timed_out: u64,
    pub(crate) refused_too_large: u64,
    pub(crate) refused_older: u64,
    pub(crate) refused_closed: u64,
    /// Calls that had to wait for room.
    pub(crate) blocked: u64,
}

pub(crate) enum Body<T> {
    /// It is moved out of what waits, slice by slice, up to so many items.
    Collecting {
        list: Vec<T>,
        wanted: usize,
    },
    Whole(Arc<Items<T>>),
    /// It is done with, or being so.
    Gone,
}

/// What is in flight.
pub(crate) struct Flight<T> {
    pub(crate) body: Body<T>,
    /// The number of its first item, and since when that waited.
    pub(crate) first: u64,
    pub(crate) since: Time,
    /// How many there are, once it is whole.
    pub(crate) items: usize,
    pub(crate) units: u64,
    pub(crate) attempts: u32,
    pub(crate) is_running: bool,
    /// It is to be given up, by a worker.
    pub(crate) given_up: Option<Failure>,
}

impl<T> Flight<T> {
    pub(crate) fn len(&self) -> usize {
        match &self.body {
            // Asked of the list itself: collecting may end in a panic.
            Body::Collecting { list, .. } => list.len(),
            Body::Whole(_) | Body::Gone => self.items,
        }
    }
}

pub(crate) struct Partition<S: Store> {
    pub(crate) store: S,
    pub(crate) flight: Option<Flight<S::Item>>,
    /// Somebody serves it, or will.
    pub(crate) is_scheduled: bool,
    /// If it is not scheduled: the watch looks at it, at the latest after an interval.
    pub(crate) is_watched: bool,
    pub(crate) is_closed: bool,
    /// Items with smaller numbers are due.
    pub(crate) flush_to: u64,
    pub(crate) batch_size: usize,
    pub(crate) interval: Time,
    pub(crate) counts: Counts,
}

/// Whom to wake when the lock is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Nobody,
    /// The watch, which has not known that something waits.
    Watch,
    /// A worker: it is scheduled.
    Worker,
}

impl<S: Store> Partition<S> {
    pub(crate) fn new(store: S, options: &Options) -> Self {
        Self {
            store,
            flight: None,
            is_scheduled: false,
            is_watched: false,
            is_closed: false,
            flush_to: 0,
            batch_size: options.batch_size,
            interval: nanos(options.interval),
            counts: Counts::default(),
        }
    }

    /// When something has begun to wait.
    #[inline]
    pub(crate) fn has_more(&mut self) -> Wake {
        if self.is_scheduled {
            Wake::Nobody
        } else if self.store.waiting() >= self.batch_size {
            self.is_scheduled = true;
            Wake::Worker
        } else if !self.is_watched {
            self.is_watched = true;
            Wake::Watch
        } else {
            Wake::Nobody
        }
    }

    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.store.oldest().is_some_and(|(first, since)| {
            self.is_closed
                || self.store.waiting() >= self.batch_size
                || first < self.flush_to
                || now >= since.saturating_add(self.interval)
        })
    }

    /// When nothing is in flight any more: schedules it again, or leaves it to the watch.
    pub(crate) fn rest(&mut self, now: Time) -> Wake {
        self.is_scheduled = self.is_due(now);
        self.is_watched = !self.is_scheduled && self.store.waiting() > 0;
        match (self.is_scheduled, self.is_watched) {
            (true, _) => Wake::Worker,
            (_, true) => Wake::Watch,
            _ => Wake::Nobody,
        }
    }

    /// Schedules it, unless it is, or there is no need.
    pub(crate) fn schedule(&mut self, now: Time) -> bool {
        let is_new = !self.is_scheduled && self.is_due(now);
        self.is_scheduled |= is_new;
        is_new
    }

    /// All items with smaller numbers are gone.
    pub(crate) fn settled_to(&self) -> u64 {
        let waiting = self.store.oldest().map_or(self.store.next(), |(first, _)| first);
        self.flight.as_ref().map_or(waiting, |flight| flight.first.min(waiting))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flight.as_ref().map_or(0, Flight::len)
    }

    pub(crate) fn depth(&self) -> usize {
        self.store.waiting() + self.in_flight()
    }
}
