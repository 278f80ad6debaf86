//! Stages, the places of their consumers, and what these hold back.
//!
//! A consumer has a *gate* in a place of its stage: the sequence below which it needs nothing any more. Producers may
//! claim up to a lap past the least gate; a consumer of a later stage may read up to the least gate of all stages
//! before its own.
//!
//! Whoever competes for the slots of a stage takes them from its [`Work`], the sequence below which everything is
//! taken, and has a gate only while it handles something: `IDLE` else.
//!
//! A stage that is *held* has a gate while it is empty, too: its `floor`, below which somebody who has left was done
//! with everything. Who joins begins at the oldest slot that is held, so that what comes while nobody is there
//! is for the next one.
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
//! # A gate is never above what is published
//!
//! A newcomer starts at the end of what is published without a gap. So a slot below a gate is not being written; and
//! where there is no gate at all, producers themselves look how far everything is published.

use std::fmt;

use crossbeam_utils::CachePadded;

use super::sync::raise;
use super::work::{self, Work};
use crate::size::{TooLarge, try_collect};
use crate::sync::{AtomicU64, Ordering};

/// A place without a consumer: holds nobody.
pub(crate) const VACANT: u64 = u64::MAX;
/// A place whose worker has nothing in hand: holds nobody.
pub(crate) const IDLE: u64 = u64::MAX - 1;
/// A place whose worker is leaving: no worker's any more, and not yet to be had.
const LEAVING: u64 = u64::MAX - 2;
/// In the gate of a worker that has something in hand, or joins.
const WORKER: u64 = 1 << 62;

/// The sequence of a gate; at least `LEAVING` if it holds nobody.
fn sequence(gate: u64) -> u64 {
    if gate >= LEAVING { gate } else { gate & !WORKER }
}

fn is_worker(gate: u64) -> bool {
    gate == IDLE || gate < LEAVING && gate & WORKER != 0
}

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
    work: CachePadded<Work>,
    /// Of a stage that is held: below, somebody who has left was done with everything.
    floor: Option<CachePadded<AtomicU64>>,
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
        places: usize,
        is_held: bool,
        begin: u64,
    ) -> Result<Self, TooLarge> {
        Ok(Self {
            name,
            before: [].into(),
            is_before_others: false,
            places: try_collect(places, || CachePadded::new(AtomicU64::new(VACANT)))?,
            used: AtomicU64::new(0),
            announced: AtomicU64::new(begin),
            work: CachePadded::new(Work::new(begin)),
            floor: is_held.then(|| CachePadded::new(AtomicU64::new(begin))),
        })
    }

    /// The same behind others, and perhaps before others.
    pub(crate) fn behind(self, before: Box<[usize]>, is_before_others: bool) -> Self {
        Self { before, is_before_others, ..self }
    }

    /// The least gate; at least `LEAVING` if nothing is held.
    fn least(&self) -> u64 {
        // Before the places: who leaves raises it before its place is vacant. Acquire: pairs with the Release in there.
        let floor = self.floor.as_ref().map(|floor| floor.load(Ordering::Acquire));
        let mut taken = self.work.now();
        let least = loop {
            // Behind `taken`: who has moved that so far has set its gate before. Acquire, all of them: pair with the
            // Release of whoever set them; its reads of the slots are over.
            let gates = self.used().iter().map(|place| sequence(place.load(Ordering::Acquire)));
            let least = gates.min().unwrap_or(VACANT);
            if !taken.is_vacant() {
                break least.min(taken.until());
            }
            // A first worker has moved it before its place became idle. If it is there now, that place says nothing
            // of what it has taken since; so once more, now that there is something to go by.
            taken = self.work.now();
            if taken.is_vacant() {
                break least;
            }
        };
        match floor {
            Some(floor) if least >= LEAVING => floor,
            _ => least,
        }
    }

    fn used(&self) -> &[CachePadded<AtomicU64>] {
        // Acquire: pairs with the Release in `join`.
        &self.places[..self.used.load(Ordering::Acquire) as usize]
    }

    /// How many can be there at once.
    pub(crate) fn places(&self, competes: bool) -> usize {
        self.places.len().min(if competes { work::PLACES } else { usize::MAX })
    }

    /// The gates of those that are there, for figures; none of a worker that waits.
    pub(crate) fn gates(&self) -> impl Iterator<Item = (usize, Option<u64>)> {
        // Relaxed: figures.
        let gates = self.used().iter().map(|place| place.load(Ordering::Relaxed)).enumerate();
        let gates = gates.filter(|(_, gate)| *gate != VACANT && *gate != LEAVING);
        gates.map(|(place, gate)| (place, (gate != IDLE).then_some(sequence(gate))))
    }

    /// Where the workers are, for figures; none without any.
    pub(crate) fn work(&self) -> Option<u64> {
        Some(self.work.figure()).filter(|taken| !taken.is_vacant()).map(work::Taken::until)
    }

    /// What the stage holds while it is empty, for figures; none if it is not held.
    pub(crate) fn floor(&self) -> Option<u64> {
        // Relaxed: a figure.
        self.floor.as_ref().map(|floor| floor.load(Ordering::Relaxed))
    }

    /// Says below what a consumer needs nothing any more.
    #[inline]
    pub(crate) fn release(&self, place: usize, gate: u64) {
        // Release: pairs with the Acquire in `least`; the reads of the slots come before.
        self.places[place].store(gate, Ordering::Release);
    }

    /// Says below what a worker needs nothing any more.
    pub(crate) fn release_work(&self, place: usize, gate: u64) {
        self.release(place, gate | WORKER);
    }

    /// Takes up to `most` of what is visible, for a worker. `visible` is asked for the end of what there is from some
    /// sequence on. `let_go` is called if there was a gate, for nothing.
    pub(crate) fn take(
        &self,
        place: usize,
        most: u64,
        visible: impl Fn(u64) -> u64,
        let_go: impl FnOnce(),
    ) -> Option<(u64, u64)> {
        loop {
            let taken = self.work.now();
            let first = taken.until();
            let end = visible(first).min(first.saturating_add(most));
            if end <= first {
                break;
            }
            // The gate first: who sees that more is taken sees this, or a later one.
            self.release_work(place, first);
            if self.work.take(taken, end) {
                return Some((first, end));
            }
        }
        // One that was set in vain, or is there since a batch was forgotten. Relaxed: nobody else sets it.
        if self.places[place].load(Ordering::Relaxed) != IDLE {
            self.release(place, IDLE);
            let_go();
        }
        None
    }

    /// A consumer that was done with everything below a sequence leaves.
    pub(crate) fn leave(&self, place: usize, next: u64) {
        self.raise_floor(next);
        self.release(place, VACANT);
    }

    /// A worker leaves.
    pub(crate) fn leave_work(&self, place: usize) {
        self.release(place, LEAVING);
        let is_last = || {
            // Acquire: see `work`.
            !self.used().iter().any(|place| is_worker(place.load(Ordering::Acquire)))
        };
        self.work.leave(place, is_last, |taken| self.raise_floor(taken));
        self.release(place, VACANT);
    }

    fn raise_floor(&self, to: u64) {
        if let Some(floor) = &self.floor {
            raise(floor, to);
        }
    }
}

impl Stages {
    pub(crate) fn new(stages: Box<[Stage]>, capacity: u64, begin: u64) -> Self {
        Self { announced: CachePadded::new(AtomicU64::new(begin)), stages, capacity }
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
        let free = if gate >= LEAVING {
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
        let end = if gate >= LEAVING { published(from) } else { gate };
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
        // Acquire: as in `room`. Low enough: nothing at or above was ever given away.
        let low = self.announced.load(Ordering::Acquire);
        let low = if competes { low | WORKER } else { low };
        let place = stage.places[..stage.places(competes)].iter().position(|place| {
            // AcqRel: the reads of who had the place before are over, for whoever sees this gate.
            place.compare_exchange(VACANT, low, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })?;
        // Release, in there: pairs with the Acquire in `used`.
        raise(&stage.used, place as u64 + 1);
        // AcqRel, twice: see the module.
        let producers = self.announced.fetch_add(0, Ordering::AcqRel);
        let behind = stage.announced.fetch_add(0, Ordering::AcqRel);
        let oldest = producers.max(behind);
        let start = match &stage.floor {
            // Acquire: what is below, somebody was done with.
            Some(floor) => oldest.max(floor.load(Ordering::Acquire)),
            None => published(oldest),
        };
        if competes {
            stage.work.join(start);
            // After that; see `least`.
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
