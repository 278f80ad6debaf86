//! The words that all processes share, and what is done with those of slots.
//!
//! All numbers that are found here are somebody else's. None is used as a position but through the
//! layout, which masks it; no loop goes on for as long as one of them says.

use super::layout::{HINT, LOOKS, Layout, WRITERS_EVER};
use super::lives::Lives;
use super::patience::Patience;
use super::role::Role;
use super::state::{Laps, Phase, State};
use crate::broadcast::sync::spin_loop;
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering};
use crate::zeros::Zeros;

/// Memory that processes share, as this one has it.
#[derive(Debug)]
pub(super) struct Shared {
    words: Zeros<AtomicU64>,
    pub(super) layout: Layout,
    pub(super) laps: Laps,
    pub(super) lives: Box<dyn Lives>,
    /// The file, to ask whether somebody has cut it; none of memory that is no file.
    whole: Option<std::sync::Arc<Region>>,
}

/// Where a writer is; its own.
#[derive(Debug)]
pub(super) struct Turn {
    /// Where its next claim may be: nothing before it is free.
    pub(super) next: u64,
    /// Up to where nobody holds it back, for all that it has seen.
    limit: u64,
    patience: Patience,
}

impl Turn {
    pub(super) fn new(next: u64, patience: Patience) -> Self {
        Self { next, limit: 0, patience }
    }
}

/// Why nothing was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Somebody holds writers back, or writes still where the claim would be.
    Full,
    /// There are no sequences any more.
    Exhausted,
    /// The file was cut.
    Cut,
}

/// What there is of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody has claimed it.
    NotYet,
    /// Its owner writes.
    InHand,
    Value,
    NoValue,
    /// The slot is of a later one.
    Gone,
}

impl Shared {
    pub(super) fn new(
        words: Zeros<AtomicU64>,
        layout: Layout,
        lives: Box<dyn Lives>,
        whole: Option<std::sync::Arc<Region>>,
    ) -> Self {
        assert!(words.len() >= layout.words, "there is room for all of it");
        Self { words, layout, laps: Laps::new(layout.sizes.slots), lives, whole }
    }

    #[inline(always)]
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        &self.words[at]
    }

    #[inline(always)]
    pub(super) fn state(&self, sequence: u64) -> &AtomicU64 {
        &self.words[self.layout.state_at(sequence)]
    }

    /// The words of a slot's bytes.
    #[inline(always)]
    pub(super) fn payload(&self, sequence: u64) -> &[AtomicU64] {
        &self.words[self.layout.payload_at(sequence)]
    }

    #[cold]
    pub(super) fn count(&self, counter: usize) {
        // Relaxed: a count. Whoever dies right before it is not counted.
        self.word(counter).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counted(&self, counter: usize) -> u64 {
        // Relaxed: a count.
        self.word(counter).load(Ordering::Relaxed)
    }

    /// Whether somebody has been found to have cut the file.
    pub(super) fn was_cut(&self) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.was_cut())
    }

    /// Steps after which a loop ends that others may make longer.
    fn steps_max(&self) -> u64 {
        self.layout.capacity().saturating_mul(4).saturating_add(1_000)
    }

    /// Where others are, if what says so is right.
    fn hint(&self) -> Option<u64> {
        // Acquire: pairs with the Release in `try_claim`: the claim is seen below.
        let hint = self.word(HINT).load(Ordering::Acquire);
        let Some(before) = hint.checked_sub(1) else { return Some(0) };
        let is_right = before < self.laps.sequences() && self.is_claimed(before);
        is_right.then_some(hint)
    }

    fn is_claimed(&self, sequence: u64) -> bool {
        // Acquire: pairs with the claim.
        State::of(self.state(sequence).load(Ordering::Acquire)).lap >= self.laps.of(sequence)
    }

    /// Where to go on from a slot that is of this lap, or of a later one.
    #[inline(always)]
    fn behind(&self, sequence: u64, state: State) -> u64 {
        if state.lap == self.laps.of(sequence) {
            sequence + 1
        } else {
            self.laps.sequence(state.lap, sequence).min(self.laps.sequences()) + 1
        }
    }

    /// The first sequence that nobody has claimed: at least all that the caller knows to be claimed come before it. None if others were
    /// always faster.
    pub(super) fn tail(&self) -> Option<u64> {
        let mut sequence = self.hint().unwrap_or_else(|| self.search());
        for _ in 0..self.steps_max() {
            if sequence >= self.laps.sequences() {
                return Some(self.laps.sequences());
            }
            // Acquire: pairs with the claim.
            let state = State::of(self.state(sequence).load(Ordering::Acquire));
            if state.lap < self.laps.of(sequence) {
                return Some(sequence);
            }
            sequence = self.behind(sequence, state);
        }
        None
    }

    /// The same where nobody says where to begin: looks at all slots.
    #[cold]
    fn search(&self) -> u64 {
        let behind = |slot: u64| {
            // Acquire: as above.
            let state = State::of(self.state(slot).load(Ordering::Acquire));
            if state.lap == 0 { 0 } else { self.behind(slot, state) }
        };
        (0..self.layout.capacity()).map(behind).max().unwrap_or(0)
    }

    /// Claims the next sequence.
    #[inline]
    pub(super) fn try_claim(&self, me: usize, turn: &mut Turn) -> Result<u64, Refused> {
        let sequence = turn.next;
        if sequence < turn.limit {
            // Acquire: what whoever had the slot did there comes before.
            let word = self.state(sequence).load(Ordering::Acquire);
            let lap = self.laps.of(sequence);
            if State::is_free_for(word, lap) && self.claim(me, turn, word, lap) {
                return Ok(sequence);
            }
        }
        self.try_claim_slowly(me, turn)
    }

    #[inline(always)]
    fn claim(&self, me: usize, turn: &mut Turn, word: u64, lap: u64) -> bool {
        let sequence = turn.next;
        let claimed = State::new(lap, Phase::Claimed, me).word();
        // AcqRel: that it is claimed is seen by whoever sees what is written there (Release, later), and where the
        // others were is seen by whoever sees this.
        let done = self.state(sequence).compare_exchange(
            word,
            claimed,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if done.is_err() {
            return false;
        }
        let hint = self.word(HINT);
        // Relaxed: a guess, which may also sink.
        if hint.load(Ordering::Relaxed) <= sequence {
            // Release: pairs with the Acquire in `hint`.
            hint.store(sequence + 1, Ordering::Release);
        }
        turn.next = sequence + 1;
        true
    }

    /// The same where the next sequence is not known, or somebody is in the way.
    #[cold]
    fn try_claim_slowly(&self, me: usize, turn: &mut Turn) -> Result<u64, Refused> {
        for _ in 0..self.steps_max() {
            let sequence = turn.next;
            if sequence >= turn.limit {
                self.look_for_room(turn)?;
            }
            // Acquire: what whoever had the slot did there comes before.
            let word = self.state(sequence).load(Ordering::Acquire);
            let (state, lap) = (State::of(word), self.laps.of(sequence));
            if state.lap >= lap {
                turn.next = self.behind(sequence, state).max(self.hint().unwrap_or(0));
                continue;
            }
            if state.is_in_hand() {
                self.wait_or_pass(word, turn)?;
                continue;
            }
            if state.lap + 1 < lap && self.was_cut() {
                return Err(Refused::Cut);
            }
            if self.claim(me, turn, word, lap) {
                return Ok(sequence);
            }
            spin_loop();
        }
        Err(Refused::Full)
    }

    /// Looks how far whoever holds writers back is.
    #[cold]
    fn look_for_room(&self, turn: &mut Turn) -> Result<(), Refused> {
        let next = turn.next;
        if next >= self.laps.sequences() {
            return Err(Refused::Exhausted);
        }
        if self.was_cut() {
            return Err(Refused::Cut);
        }
        // AcqRel: of this and that of whoever joins one comes second. If it is this one, its gate is seen below. If it is
        // the other, that participant sees all that this writer knows to be claimed, and begins behind it.
        self.word(LOOKS).fetch_add(1, Ordering::AcqRel);
        let capacity = self.layout.capacity();
        let mut limit = next.saturating_add(capacity).min(self.laps.sequences());
        let mut asks = None;
        for index in self.places() {
            let gate = match self.life(index).role() {
                // Acquire: pairs with the Release of whoever moves it: he has read what comes before.
                Role::Holding => self.gate(index).load(Ordering::Acquire),
                Role::HoldingWorker(group) => match self.group(group).load(Ordering::Acquire) {
                    0 => continue,
                    place => place - 1,
                },
                _ => continue,
            };
            let end = gate.saturating_add(capacity);
            if next >= end {
                // Once for all that are in the way.
                let asks = *asks.get_or_insert_with(|| turn.patience.look(!next).asks);
                if asks && self.is_dead(index) {
                    continue;
                }
            }
            limit = limit.min(end);
        }
        if next >= limit {
            return Err(Refused::Full);
        }
        turn.limit = limit;
        Ok(())
    }

    /// Somebody writes still where the next claim would be: he is dead, or is given some time, or is passed over.
    #[cold]
    fn wait_or_pass(&self, word: u64, turn: &mut Turn) -> Result<(), Refused> {
        let (sequence, state) = (turn.next, State::of(word));
        let seen = turn.patience.look(word);
        if seen.asks && self.is_owner_gone(state.owner) {
            self.skip(sequence, word);
            return Ok(());
        }
        if !seen.is_over {
            return Err(Refused::Full);
        }
        let passed = State::new(self.laps.of(sequence), Phase::Passed, state.owner).word();
        // AcqRel: as of a claim. Whoever fails looks again.
        let done = self.state(sequence).compare_exchange(
            word,
            passed,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if done.is_ok() {
            self.count(super::layout::PASSED);
            turn.next = sequence + 1;
        }
        Ok(())
    }

    /// Ends a claim. `false` if its owner was passed over meanwhile, so that there is no value.
    #[inline]
    pub(super) fn end_claim(&self, me: usize, sequence: u64, phase: Phase) -> bool {
        let lap = self.laps.of(sequence);
        let claimed = State::new(lap, Phase::Claimed, me).word();
        let ended = State::new(lap, phase, me).word();
        // Release: pairs with the Acquire of whoever looks; the slot was written before.
        let done = self.state(sequence).compare_exchange(
            claimed,
            ended,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match done {
            Ok(_) => true,
            Err(found) => {
                self.come_back(me, sequence, found);
                false
            }
        }
    }

    /// Gives back the slot of a claim that was passed over.
    #[cold]
    fn come_back(&self, me: usize, slot_of: u64, mut found: u64) {
        for _ in 0..self.steps_max() {
            let state = State::of(found);
            if state.phase != Phase::Passed || state.owner != me {
                return;
            }
            let dropped = State::new(state.lap, Phase::Dropped, me).word();
            // AcqRel: as in `end_claim`.
            let word = self.state(slot_of);
            match word.compare_exchange(found, dropped, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => found = now,
            }
        }
    }

    /// What there is of a sequence, and the word that says so.
    #[inline]
    pub(super) fn look(&self, sequence: u64) -> (Look, u64) {
        // Acquire: pairs with the Release of whoever has ended the claim.
        let word = self.state(sequence).load(Ordering::Acquire);
        let state = State::of(word);
        let look = match state.lap.cmp(&self.laps.of(sequence)) {
            std::cmp::Ordering::Less => Look::NotYet,
            std::cmp::Ordering::Greater => Look::Gone,
            std::cmp::Ordering::Equal => match state.phase {
                Phase::Published => Look::Value,
                Phase::Claimed => Look::InHand,
                _ => Look::NoValue,
            },
        };
        (look, word)
    }

    /// Whether a slot still says what it said before it was copied.
    #[inline]
    pub(super) fn is_still(&self, sequence: u64, word: u64) -> bool {
        // Relaxed: whoever has loaded a word of a later lap (Acquire, before this) sees that it was claimed before.
        self.state(sequence).load(Ordering::Relaxed) == word
    }

    /// Whether nobody writes any more. There was somebody.
    pub(super) fn has_ended(&self, asks: bool) -> bool {
        // Acquire: pairs with whoever has counted himself, before he was seen.
        self.word(WRITERS_EVER).load(Ordering::Acquire) > 0 && !self.has_writers(asks)
    }

    /// Where a group is: a sequence and one more, or 0.
    pub(super) fn group(&self, group: usize) -> &AtomicU64 {
        self.word(Layout::group_at(group % super::layout::GROUPS))
    }
}
