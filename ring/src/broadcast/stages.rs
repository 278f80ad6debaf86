//! Stages, the places of their consumers, and what these hold back.
//!
//! A consumer has a *gate* in a place of its stage: the sequence below which it needs nothing any more. Producers may
//! claim up to a lap past the least gate; a consumer of a later stage may read up to the least gate of all stages
//! before its own.
//!
//! Whoever competes for the slots of a stage takes them from its `work`, the sequence below which everything is
//! taken, and has a gate only while it handles something: `IDLE` else.
//!
//! # Joining, while it runs
//!
//! Somebody who has looked at all gates and goes by the least of them might not have seen a newcomer. So both sides
//! meet at one word, `announced`, which only grows, and is only changed by read-modify-writes:
//!
//! * who goes by the gates looks at them, *announces* what it has found (raises the word to that), *looks again*, and
//!   goes by the lesser of the two;
//! * who joins takes a place with a gate that is certainly low enough, then reads `announced` by a read-modify-write,
//!   and starts there, or later.
//!
//! One of the two read-modify-writes comes first. If it is the announcement, the newcomer starts no lower. If it is
//! the newcomer's, the second look finds its gate. (Somebody else may have announced as much already, so that nothing is
//! to be raised. Then the same is so of that announcement, which the second look comes after.) Either way nothing is given away at or above where it starts; and
//! that holds for limits that are used much later, too. No sequentially consistent operation is needed, and
//! nobody waits. There is one such word for producers, and one in each stage for the stages behind it.
//!
//! Only members of a competing stage join and leave under a lock, since the first and the last of them set `work`.
//!
//! # A gate is never above what is published
//!
//! A newcomer starts at the end of what is published without a gap. So a slot below a gate is not being written; and
//! where there is no gate at all, producers themselves look how far everything is published.

use std::fmt;

use crossbeam_utils::CachePadded;

use super::sync::{Mutex, lock, raise};
use crate::sync::{AtomicU64, Ordering};

/// A place without a consumer, and the `work` of a stage without workers: holds nobody.
pub(crate) const VACANT: u64 = u64::MAX;
/// A place whose worker has nothing in hand: holds nobody.
pub(crate) const IDLE: u64 = u64::MAX - 1;

/// All stages of a ring.
pub struct Stages {
    /// What producers have gone by; see the module.
    announced: CachePadded<AtomicU64>,
    stages: Box<[Stage]>,
    capacity: u64,
}

/// Consumers that each see everything, or compete.
pub(crate) struct Stage {
    pub(crate) name: String,
    /// All stages that come before, also before those.
    before: Box<[usize]>,
    pub(crate) is_before_others: bool,
    places: Box<[CachePadded<AtomicU64>]>,
    /// How many of the places were ever taken.
    used: AtomicU64,
    /// What consumers of stages behind this one have gone by; see the module.
    announced: AtomicU64,
    /// Everything below is taken by a worker. `VACANT` while there is none.
    work: CachePadded<AtomicU64>,
    /// Workers that have joined.
    workers: Mutex<usize>,
}

/// What a joined consumer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) place: usize,
    /// The first sequence that it will see.
    pub(crate) start: u64,
}

impl Stage {
    pub(crate) fn new(
        name: String,
        before: Box<[usize]>,
        is_before_others: bool,
        places: usize,
    ) -> Self {
        let places = (0..places).map(|_| CachePadded::new(AtomicU64::new(VACANT))).collect();
        Self {
            name,
            before,
            is_before_others,
            places,
            used: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            work: CachePadded::new(AtomicU64::new(VACANT)),
            workers: Mutex::new(0),
        }
    }

    /// The least gate; `IDLE` or `VACANT` if nothing is held.
    fn least(&self) -> u64 {
        // Acquire, all of them: pair with the Release of whoever set them; its reads of the slots are over.
        let mut work = self.work.load(Ordering::Acquire);
        loop {
            // After `work`: who has moved it so far has set its gate before.
            let gates = self.used().iter().map(|place| place.load(Ordering::Acquire));
            let least = gates.fold(work, u64::min);
            if work != VACANT {
                return least;
            }
            // A first worker has set `work` before its place became idle. If it is there now, that place says nothing
            // of what it has taken since; so once more, now that there is some `work` to go by.
            work = self.work.load(Ordering::Acquire);
            if work == VACANT {
                return least;
            }
        }
    }

    fn used(&self) -> &[CachePadded<AtomicU64>] {
        // Acquire: pairs with the Release in `join`.
        &self.places[..self.used.load(Ordering::Acquire) as usize]
    }

    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// The gates of those that are there, or `IDLE`; for figures.
    pub(crate) fn gates(&self) -> impl Iterator<Item = (usize, u64)> {
        // Relaxed: figures.
        let gates = self.used().iter().map(|place| place.load(Ordering::Relaxed)).enumerate();
        gates.filter(|(_, gate)| *gate != VACANT)
    }

    /// Where the workers are, for figures; none without any.
    pub(crate) fn work(&self) -> Option<u64> {
        // Relaxed: a figure.
        Some(self.work.load(Ordering::Relaxed)).filter(|work| *work != VACANT)
    }

    /// Says below what a consumer needs nothing any more.
    #[inline]
    pub(crate) fn release(&self, place: usize, gate: u64) {
        // Release: pairs with the Acquire in `least`; the reads of the slots come before.
        self.places[place].store(gate, Ordering::Release);
    }

    /// Takes up to `most` of what is visible, for a worker. `visible` is asked for the end of what there is from some
    /// sequence on. `let_go` is called if there was a gate for a moment, for nothing.
    pub(crate) fn take(
        &self,
        place: usize,
        most: u64,
        visible: impl Fn(u64) -> u64,
        let_go: impl FnOnce(),
    ) -> Option<(u64, u64)> {
        let mut is_idle = true;
        let taken = loop {
            // Acquire: pairs with the Release below, by whichever worker; what it has seen published is.
            let first = self.work.load(Ordering::Acquire);
            let end = visible(first).min(first.saturating_add(most));
            if end <= first {
                break None;
            }
            // The gate first: who sees `work` moved sees this, or a later one.
            self.release(place, first);
            is_idle = false;
            let moved = self.work.compare_exchange(first, end, Ordering::AcqRel, Ordering::Relaxed);
            if moved.is_ok() {
                break Some((first, end));
            }
        };
        if taken.is_none() && !is_idle {
            self.release(place, IDLE);
            let_go();
        }
        taken
    }

    pub(crate) fn leave(&self, place: usize) {
        self.release(place, VACANT);
    }

    pub(crate) fn leave_work(&self, place: usize) {
        let mut workers = lock(&self.workers);
        *workers -= 1;
        if *workers == 0 {
            // Release: as in `release`.
            self.work.store(VACANT, Ordering::Release);
        }
        self.leave(place);
    }
}

impl Stages {
    pub(crate) fn new(stages: Box<[Stage]>, capacity: u64) -> Self {
        Self { announced: CachePadded::new(AtomicU64::new(0)), stages, capacity }
    }

    pub(crate) fn get(&self, stage: usize) -> &Stage {
        &self.stages[stage]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter()
    }

    /// How far producers may claim, if that is `end` or more. `published` is asked for the end of what is published
    /// from some sequence on.
    #[cold]
    pub(crate) fn room(&self, end: u64, published: impl Fn(u64) -> u64) -> Option<u64> {
        let gate = least(self.stages.iter());
        let free = if gate >= IDLE {
            // Acquire: pairs with the announcement below; all before it is published.
            published(self.announced.load(Ordering::Acquire))
        } else {
            gate
        };
        if free + self.capacity < end {
            return None;
        }
        // AcqRel, in there: see the module.
        raise(&self.announced, free);
        let limit = free.min(least(self.stages.iter())) + self.capacity;
        (end <= limit).then_some(limit)
    }

    /// How far a consumer of this stage may read that has read up to `from`.
    #[inline]
    pub(crate) fn visible(&self, stage: usize, from: u64, published: impl Fn(u64) -> u64) -> u64 {
        let before = &*self.stages[stage].before;
        if before.is_empty() { published(from) } else { self.handled(before, from, published) }
    }

    /// How far the stages before have come.
    fn handled(&self, before: &[usize], from: u64, published: impl Fn(u64) -> u64) -> u64 {
        let stages = || before.iter().map(|stage| &self.stages[*stage]);
        let gate = least(stages());
        let end = if gate >= IDLE { published(from) } else { gate };
        if end <= from {
            return from;
        }
        for stage in stages() {
            // AcqRel, in there: see the module.
            raise(&stage.announced, end);
        }
        // A newcomer's first gate may lie below where this consumer is already.
        end.min(least(stages())).max(from)
    }

    /// Takes a place in a stage; none if all are taken. `published` as of [`room`](Self::room).
    pub(crate) fn join(
        &self,
        stage: usize,
        competes: bool,
        published: impl Fn(u64) -> u64,
    ) -> Option<Joined> {
        let stage = &self.stages[stage];
        let mut workers = competes.then(|| lock(&stage.workers));
        // Acquire: as in `room`. Low enough: nothing at or above was ever given away.
        let low = self.announced.load(Ordering::Acquire);
        let place = stage.places.iter().position(|place| {
            // AcqRel: the reads of who had the place before are over, for whoever sees this gate.
            place.compare_exchange(VACANT, low, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })?;
        // Release, in there: pairs with the Acquire in `used`.
        raise(&stage.used, place as u64 + 1);
        // AcqRel, twice: see the module.
        let producers = self.announced.fetch_add(0, Ordering::AcqRel);
        let behind = stage.announced.fetch_add(0, Ordering::AcqRel);
        let start = published(producers.max(behind));
        if let Some(workers) = &mut workers {
            if **workers == 0 {
                // Release: as in `release`; and before the place becomes idle.
                stage.work.store(start, Ordering::Release);
            }
            **workers += 1;
            stage.release(place, IDLE);
        } else {
            stage.release(place, start);
        }
        Some(Joined { place, start })
    }
}

fn least<'a>(stages: impl Iterator<Item = &'a Stage>) -> u64 {
    stages.map(Stage::least).min().unwrap_or(VACANT)
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|stage| &stage.name)).finish()
    }
}
