//! The handle of a ring: who joins, how far they are, and the end.

use std::fmt;

use super::cells::{Access, Gated, InPlace, Words};
use super::consumer::{Consumer, Worker};
use super::error::JoinError;
use super::lag::Lag;
use super::multi::Multi;
use super::plain::Plain;
use super::reader::Reader;
use super::sequencer::Producers;
use super::shared::Shared;
use super::stage::Stage;
use super::stages::Joined;
use super::wait::{SpinYield, WaitStrategy};
use crate::sync::{Arc, Ordering};

/// A ring: consumers join by it. Cheap to clone.
pub struct Ring<T, P: Producers = Multi, W: WaitStrategy = SpinYield, A: Access<T> = InPlace> {
    shared: Arc<Shared<T, P, W, A>>,
}

/// What has happened in a ring since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Claims that found no room and did not wait.
    pub refused: u64,
    /// Claims that found no room for as long as they were ready to wait.
    pub timed_out: u64,
    /// Slots whose claim was dropped.
    pub abandoned: u64,
    /// Slots whose claim was forgotten, and that were given up when its producer claimed again or was dropped; with
    /// several producers.
    pub forgotten: u64,
    /// Slots that were overwritten, in a ring that [overwrites](super::Builder::overwriting).
    pub overwritten: u64,
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Ring<T, P, W, A> {
    pub(crate) fn new(shared: Arc<Shared<T, P, W, A>>) -> Self {
        Self { shared }
    }

    /// No more is claimed: a claim that begins when this has returned fails, one that began before is published or dropped
    /// as any other. Consumers and readers are told `Closed` when they have read the rest.
    ///
    /// With several producers, that comes after all claims in hand: `Closed` is the last word.
    ///
    /// With one producer, it is final if the producer closes or is dropped, which it cannot with a claim in hand. If
    /// somebody else closes, nobody waits for such a claim: a consumer may be told `Closed`, and read the
    /// claim if it asks again after that was published. (To wait for it, consumers would have to know of it: a
    /// read-modify-write or a fence for each claim, which a ring with one producer is there to do without.) Until then
    /// [`lags`](Self::lags) has the slots of consumers that do not ask. Who needs a last word joins the producer's thread, or asks
    /// it to close.
    pub fn close(&self) {
        self.shared.close();
    }

    /// As [`close`](Self::close), and nobody waits for anybody any more: who finds nothing to read is told that the ring is
    /// closed, also if somebody has a claim in hand, or if a stage before has not given back what there is. For a
    /// ring in which somebody does not go on: [`pending`](Self::pending) and [`lags`](Self::lags) say who. What comes after all
    /// is seen by those who ask again, and by nobody else.
    pub fn close_now(&self) {
        self.shared.close_now();
    }

    /// Slots that are claimed, from the first one on that is not published: with several producers, nobody
    /// sees these yet. None if all are published, and always none with one producer.
    ///
    /// If it begins with the same slot for longer than any producer should have a claim in hand, the producer of
    /// that slot hangs, or was forgotten with its claim (see [`Claim`](super::Claim)).
    #[must_use]
    pub fn pending(&self) -> Option<std::ops::Range<u64>> {
        self.shared.sequencer.pending()
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.sequencer.end().is_some()
    }

    /// How many slots there are.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.cells.capacity() as usize
    }

    /// What has happened since the ring was made.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (shared, counts) = (&*self.shared, &self.shared.counts);
        let published = if A::OVERWRITES { shared.sequencer.tail() } else { 0 };
        // Relaxed: counts.
        Counts {
            refused: counts.refused.load(Ordering::Relaxed),
            timed_out: counts.timed_out.load(Ordering::Relaxed),
            abandoned: counts.abandoned.load(Ordering::Relaxed),
            forgotten: counts.forgotten.load(Ordering::Relaxed),
            overwritten: published.saturating_sub(shared.cells.capacity()),
        }
    }

    /// How far each consumer is behind. Workers of a stage, which have nothing of their own while they wait,
    /// count as their stage does; so does a stage that is [held](super::Builder::held_stage) and has nobody.
    #[must_use]
    pub fn lags(&self) -> Vec<Lag> {
        let shared = &*self.shared;
        let capacity = shared.cells.capacity();
        let lags = shared.stages.iter().flat_map(|stage| {
            // The tail last: no gate is above it.
            let floor = stage.floor();
            let gates: Vec<_> = stage.gates().collect();
            let work = stage.work();
            let tail = shared.sequencer.tail();
            let held = floor.filter(|_| gates.is_empty()).map(|floor| (None, floor));
            let gates = gates.into_iter();
            let gates =
                gates.map(move |(place, gate)| (Some(place), gate.or(work).unwrap_or(tail)));
            let gates = gates.chain(held);
            gates.map(move |(place, gate)| Lag::new(&stage.name, place, gate, tail, capacity))
        });
        lags.collect()
    }

    fn join(&self, stage: usize, competes: bool) -> Result<Joined, JoinError> {
        let shared = &*self.shared;
        let published = |from| shared.sequencer.published(from, u64::MAX);
        let joined = shared.stages.join(stage, competes, published).ok_or_else(|| {
            let stage = shared.stages.get(stage);
            JoinError::NoPlace { stage: stage.name.clone(), places: stage.places(competes) }
        });
        // Its first gate may have been too low for somebody, who waits since.
        shared.signal_release(true);
        joined
    }

    fn index_of(&self, stage: Stage) -> Result<usize, JoinError> {
        stage.of(self.shared.number).ok_or(JoinError::ForeignStage)
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Gated<T>> Ring<T, P, W, A> {
    /// Joins the first stage. Sees everything that is claimed from now on.
    ///
    /// # Errors
    ///
    /// [`JoinError::NoPlace`] beyond [`Builder::consumers_max`](super::Builder::consumers_max).
    pub fn consumer(&self) -> Result<Consumer<T, P, W, A>, JoinError> {
        self.consumer_at(0)
    }

    /// Joins a stage. Sees everything that is claimed from now on, once the stages before have.
    ///
    /// # Errors
    ///
    /// [`JoinError::NoPlace`] beyond [`Builder::consumers_max`](super::Builder::consumers_max);
    /// [`JoinError::ForeignStage`] if it is not of this ring.
    pub fn consumer_of(&self, stage: Stage) -> Result<Consumer<T, P, W, A>, JoinError> {
        self.consumer_at(self.index_of(stage)?)
    }

    /// Joins the first stage, and competes with its other workers. They are 254 at most.
    ///
    /// # Errors
    ///
    /// As [`consumer`](Self::consumer).
    pub fn worker(&self) -> Result<Worker<T, P, W, A>, JoinError> {
        self.worker_at(0)
    }

    /// Joins a stage, and competes with its other workers. They are 254 at most.
    ///
    /// # Errors
    ///
    /// As [`consumer_of`](Self::consumer_of).
    pub fn worker_of(&self, stage: Stage) -> Result<Worker<T, P, W, A>, JoinError> {
        self.worker_at(self.index_of(stage)?)
    }

    fn consumer_at(&self, stage: usize) -> Result<Consumer<T, P, W, A>, JoinError> {
        let joined = self.join(stage, false)?;
        Ok(Consumer::new(Arc::clone(&self.shared), stage, joined))
    }

    fn worker_at(&self, stage: usize) -> Result<Worker<T, P, W, A>, JoinError> {
        let joined = self.join(stage, true)?;
        Ok(Worker::new(Arc::clone(&self.shared), stage, joined))
    }
}

impl<T: Plain, P: Producers, W: WaitStrategy, A: Words<T>> Ring<T, P, W, A> {
    /// Reads what is claimed from now on.
    #[must_use]
    pub fn reader(&self) -> Reader<T, P, W, A> {
        Reader::new(Arc::clone(&self.shared), self.shared.sequencer.tail())
    }

    /// Reads what the ring still has, from the oldest slot on.
    #[must_use]
    pub fn reader_from_oldest(&self) -> Reader<T, P, W, A> {
        let shared = &self.shared;
        let oldest = shared.sequencer.begun().saturating_sub(shared.cells.capacity());
        Reader::new(Arc::clone(shared), oldest.min(shared.sequencer.tail()))
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Clone for Ring<T, P, W, A> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> fmt::Debug for Ring<T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ring = f.debug_struct("Ring");
        ring.field("capacity", &self.capacity()).field("stages", &self.shared.stages);
        ring.finish_non_exhaustive()
    }
}
