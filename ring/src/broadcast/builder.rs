//! How a ring is made.

use std::fmt;
use std::marker::PhantomData;
// Not of `sync`: it tells builders apart, and is in no model.
use std::sync::atomic::{AtomicU64, Ordering};

use super::cells::{Access, Cells, InPlace, Overwriting, Readable};
use super::error::BuildError;
use super::multi::Multi;
use super::plain::Plain;
use super::producer::Producer;
use super::ring::Ring;
use super::sequencer::{Producers, Sizes};
use super::shared::{Counters, Shared};
use super::single::Single;
use super::stage::Stage;
use super::stages::{self, Stages};
use super::wait::{SpinYield, WaitStrategy};
use crate::sync::Arc;

/// Places of a stage, if nothing else is said.
const CONSUMERS_MAX: usize = 16;

/// What a builder builds, and has nothing of yet.
type Kind<T, P, A> = fn() -> (T, P, A);

/// A stage that is to be made.
#[derive(Debug)]
struct Wanted {
    name: String,
    after: Vec<Stage>,
    is_held: bool,
}

/// Makes a ring; see [`ring`](fn@super::ring).
#[must_use = "a builder makes nothing before `build`"]
pub struct Builder<T, P = Multi, W = SpinYield, A = InPlace> {
    number: u64,
    capacity: usize,
    claim_max: Option<usize>,
    consumers_max: usize,
    stages: Vec<Wanted>,
    /// The first sequence.
    begin: u64,
    wait: W,
    kind: PhantomData<Kind<T, P, A>>,
}

impl<T> Builder<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: each gets another one.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            number,
            capacity,
            claim_max: None,
            consumers_max: CONSUMERS_MAX,
            stages: Vec::new(),
            begin: 0,
            wait: SpinYield,
            kind: PhantomData,
        }
    }
}

impl<T, P, W, A> Builder<T, P, W, A> {
    /// One producer, which cannot be cloned: the fastest ring.
    pub fn single(self) -> Builder<T, Single, W, A> {
        self.with()
    }

    /// How threads wait, if they do. [`SpinYield`] if nothing is said.
    pub fn wait<V: WaitStrategy>(self, strategy: V) -> Builder<T, P, V, A> {
        let Self { number, capacity, claim_max, consumers_max, stages, begin, wait: _, kind: _ } =
            self;
        let (wait, kind) = (strategy, PhantomData);
        Builder { number, capacity, claim_max, consumers_max, stages, begin, wait, kind }
    }

    /// [Readers](super::Reader) may look in, too, for which nobody waits. Slots are written whole then, not in place.
    pub fn readable(self) -> Builder<T, P, W, Readable>
    where
        T: Plain,
    {
        self.with()
    }

    /// There are only [readers](super::Reader). The ring is never full: the oldest slot is overwritten, which is
    /// counted, and told to each reader that has not read it.
    ///
    /// With several producers, one of them may still find [`ClaimError::Full`](super::ClaimError::Full), when another
    /// has been writing for a whole lap into the slot that comes next.
    pub fn overwriting(self) -> Builder<T, P, W, Overwriting>
    where
        T: Plain,
    {
        self.with()
    }

    /// So many slots in one claim at most. If nothing is said, as many as the ring has; a quarter of them where
    /// there are readers, which leave alone what the next claim might overwrite.
    pub fn claim_max(mut self, slots: usize) -> Self {
        self.claim_max = Some(slots);
        self
    }

    /// So many consumers in each stage at the same time, at most. 16 if nothing is said; each takes 128 bytes.
    pub fn consumers_max(mut self, consumers: usize) -> Self {
        self.consumers_max = consumers;
        self
    }

    /// Adds a stage that comes after others: its consumers see a slot when all consumers of those have given it
    /// back. After none, it sees what is published, as all of those do.
    ///
    /// A stage without consumers holds nobody back: those behind it go by the stages before it, and it never sees what comes
    /// meanwhile. ([`held_stage`](Self::held_stage) makes one that does.) If no stage is added there is one, `"consumers"`; else the first one that was added is [the first](super::Ring::consumer).
    pub fn stage(&mut self, name: impl Into<String>, after: &[Stage]) -> Stage {
        self.add(name.into(), after, false)
    }

    /// Adds a stage that holds producers, and the stages behind it, back while it has no consumer, too: from the first
    /// slot on until somebody joins, and when the last one has left, also by a panic, from where those of the
    /// stage have come. Who joins begins with the oldest slot that is held. So this stage misses nothing, and the ring is full
    /// after a lap in which nobody was there; [`lags`](super::Ring::lags) says so.
    ///
    /// What a consumer or worker has in hand when it panics counts as handled.
    pub fn held_stage(&mut self, name: impl Into<String>, after: &[Stage]) -> Stage {
        self.add(name.into(), after, true)
    }

    fn add(&mut self, name: String, after: &[Stage], is_held: bool) -> Stage {
        self.stages.push(Wanted { name, after: after.to_vec(), is_held });
        Stage::new(self.number, self.stages.len() - 1)
    }

    /// Begins with a sequence, in tests.
    #[cfg(all(test, not(spandrel_loom)))]
    pub(crate) fn begin_at(mut self, sequence: u64) -> Self {
        self.begin = sequence;
        self
    }

    fn with<Q, B>(self) -> Builder<T, Q, W, B> {
        let Self { number, capacity, claim_max, consumers_max, stages, begin, wait, kind: _ } =
            self;
        let kind = PhantomData;
        Builder { number, capacity, claim_max, consumers_max, stages, begin, wait, kind }
    }
}

/// A producer and the handle of its ring.
type Made<T, P, W, A> = (Producer<T, P, W, A>, Ring<T, P, W, A>);

impl<T, P: Producers, W: WaitStrategy, A: Access<T>> Builder<T, P, W, A> {
    /// Makes the ring, with default values in its slots.
    ///
    /// # Errors
    ///
    /// [`BuildError`], which says what to ask for.
    pub fn build(self) -> Result<Made<T, P, W, A>, BuildError>
    where
        T: Default,
    {
        self.build_with(T::default)
    }

    /// Makes the ring. `value` is called for each slot, to say what is in it before it is first written:
    /// something with room for what comes, say.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with(mut self, value: impl FnMut() -> T) -> Result<Made<T, P, W, A>, BuildError> {
        let sizes = self.sizes()?;
        if self.consumers_max == 0 {
            return Err(BuildError::NoConsumers);
        }
        if self.stages.is_empty() {
            self.add("consumers".to_owned(), &[], false);
        }
        let shared = Shared {
            cells: Cells::new(self.capacity, value).map_err(BuildError::TooLarge)?,
            sequencer: P::new(sizes).map_err(BuildError::TooLarge)?,
            stages: Stages::new(self.make_stages()?, sizes.capacity, sizes.begin),
            arrivals: self.wait.clone(),
            room: self.wait,
            producers: crate::sync::AtomicU64::new(0),
            ended: crate::sync::AtomicBool::new(false),
            claim_max: sizes.claim_max,
            number: self.number,
            counts: Counters::new(),
        };
        let shared = Arc::new(shared);
        Ok((Producer::new(Arc::clone(&shared)), Ring::new(shared)))
    }

    fn sizes(&self) -> Result<Sizes, BuildError> {
        let has_readers = A::HAS_READERS;
        let least = if has_readers { 2 } else { 1 };
        let asked = self.capacity;
        if !asked.is_power_of_two() || asked < least {
            let next = asked.max(least).checked_next_power_of_two();
            return Err(BuildError::Capacity { asked, next });
        }
        let (most, usual) =
            if has_readers { (asked / 2, (asked / 4).max(1)) } else { (asked, asked) };
        let claim_max = self.claim_max.unwrap_or(usual);
        if !(1..=most).contains(&claim_max) {
            return Err(BuildError::ClaimMax { asked: claim_max, most });
        }
        let (capacity, claim_max) = (asked as u64, claim_max as u64);
        Ok(Sizes { capacity, claim_max, overwrites: A::OVERWRITES, begin: self.begin })
    }

    fn make_stages(&self) -> Result<Box<[stages::Stage]>, BuildError> {
        let mut all_before: Vec<Vec<usize>> = Vec::new();
        for (index, Wanted { name, after, is_held }) in self.stages.iter().enumerate() {
            if *is_held && A::OVERWRITES {
                return Err(BuildError::HeldAndOverwritten(name.clone()));
            }
            if self.stages[..index].iter().any(|other| other.name == *name) {
                return Err(BuildError::StageTwice(name.clone()));
            }
            let mut before = Vec::new();
            for stage in after {
                // Given by this builder, so earlier: there are no circles.
                let direct = stage.of(self.number);
                let direct = direct.ok_or_else(|| BuildError::ForeignStage(name.clone()))?;
                before.push(direct);
                before.extend_from_slice(&all_before[direct]);
            }
            before.sort_unstable();
            before.dedup();
            all_before.push(before);
        }
        let is_before_others = |index| all_before.iter().any(|before| before.contains(&index));
        let stages = self.stages.iter().zip(&all_before).enumerate();
        let stages = stages.map(|(index, (wanted, before))| {
            let name = wanted.name.clone();
            let stage = stages::Stage::new(name, self.consumers_max, wanted.is_held, self.begin);
            let stage = stage.map_err(BuildError::TooLarge)?;
            Ok(stage.behind(before.clone().into(), is_before_others(index)))
        });
        stages.collect()
    }
}

impl<T, P, W, A> fmt::Debug for Builder<T, P, W, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<_> = self.stages.iter().map(|stage| &stage.name).collect();
        let mut builder = f.debug_struct("Builder");
        builder.field("capacity", &self.capacity).field("claim_max", &self.claim_max);
        builder.field("consumers_max", &self.consumers_max).field("stages", &stages).finish()
    }
}
