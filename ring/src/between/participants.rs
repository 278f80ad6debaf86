//! The table of participants: who is there, as what, and who is dead.
//!
//! A place has a word that says which generation has it and as what. A place is free, is taken by a compare-and-swap by
//! whoever has locked its byte before, and is said to be dead by whoever finds out. It is free again when each slot that
//! its owner had claimed was skipped.

use super::layout::{HIGH, participant};
use super::role::{Life, Role};
use super::shared::Shared;
use super::state::{OWNERS, Phase, State};
use crate::broadcast::sync::raise;
use crate::file::OwnerId;
use crate::sync::{Arc, AtomicU64, Ordering};

/// Attempts to skip a slot that others pass over meanwhile.
const ATTEMPTS: u32 = 64;

/// Loom's models need no more than one.
const WHO_WORDS_USED: usize = if cfg!(spandrel_loom) { 1 } else { participant::WHO_WORDS };

/// A place that is this participant's, as long as this is kept.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    life: Life,
    /// Killed, so that it does nothing more.
    #[cfg(test)]
    pub(super) is_dead: bool,
}

impl Seat {
    /// Takes a place. None if all are taken by participants who live.
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        // Places of dead ones are made free only if there are no others.
        [false, true].into_iter().find_map(|buries| {
            (0..shared.layout.sizes.participants).find_map(|index| {
                if buries {
                    shared.bury(index);
                }
                shared.take_place(index).map(|life| Self {
                    shared: Arc::clone(shared),
                    index,
                    life,
                    #[cfg(test)]
                    is_dead: false,
                })
            })
        })
    }

    /// From now on it is known as what it is there.
    pub(super) fn appear(&mut self, role: Role) {
        self.life = self.life.as_role(role);
        // Release: pairs with the Acquire in `life`; who it is, and its gate, come before.
        self.shared.life_word(self.index).store(self.life.word(), Ordering::Release);
    }

    pub(super) fn gate(&self) -> &AtomicU64 {
        self.shared.gate(self.index)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        #[cfg(test)]
        if self.is_dead {
            return;
        }
        let free = self.life.as_role(Role::Free);
        // Release: what it did comes before whoever has the place next. If somebody has said that it is dead, that stays: its
        // place is made free by others.
        let word = self.shared.life_word(self.index);
        _ = word.compare_exchange(
            self.life.word(),
            free.word(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        self.shared.lives.give_back(self.index);
    }
}

impl Shared {
    fn life_word(&self, index: usize) -> &AtomicU64 {
        self.word(self.layout.participant_at(index, participant::LIFE))
    }

    pub(super) fn gate(&self, index: usize) -> &AtomicU64 {
        self.word(self.layout.participant_at(index, participant::GATE))
    }

    pub(super) fn life(&self, index: usize) -> Life {
        // Acquire: pairs with the Release in `appear`.
        Life::of(self.life_word(index).load(Ordering::Acquire))
    }

    /// Places that were ever taken; the others are free.
    pub(super) fn places(&self) -> std::ops::Range<usize> {
        // Acquire: pairs with `raise`.
        let high = self.word(HIGH).load(Ordering::Acquire);
        0..usize::try_from(high).unwrap_or(OWNERS).min(self.layout.sizes.participants)
    }

    fn take_place(&self, index: usize) -> Option<Life> {
        let free = self.life(index);
        // The lock first: who dies behind it has left a place that is free, or one without a lock.
        if free.role() != Role::Free || !self.lives.take(index) {
            return None;
        }
        raise(self.word(HIGH), index as u64 + 1);
        let joining = free.next(Role::Joining);
        // Acquire: pairs with the Release of whoever had it before.
        let word = self.life_word(index);
        if word
            .compare_exchange(free.word(), joining.word(), Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            self.lives.give_back(index);
            return None;
        }
        let me = self.lives.me();
        let who =
            [me.pid, me.started, me.pid_namespace, me.boot[0], me.boot[1], u64::from(me.is_locked)];
        for (at, number) in who.into_iter().enumerate().take(WHO_WORDS_USED) {
            // Release: pairs with the Acquire in `who`. That all of it is there is said by the word, later.
            self.word(self.layout.participant_at(index, participant::WHO + at))
                .store(number, Ordering::Release);
        }
        Some(joining)
    }

    /// Who has a place, as long as its word says this.
    pub(super) fn who(&self, index: usize, life: Life) -> Option<OwnerId> {
        let word = |at: usize| {
            if at >= WHO_WORDS_USED {
                return 0;
            }
            // Acquire: what the place's word says below is not older than this.
            self.word(self.layout.participant_at(index, participant::WHO + at))
                .load(Ordering::Acquire)
        };
        let [pid, started, pid_namespace, boot, more, is_locked]: [u64; participant::WHO_WORDS] =
            std::array::from_fn(word);
        (self.life(index) == life).then_some(OwnerId {
            boot: [boot, more],
            pid,
            started,
            pid_namespace,
            is_locked: is_locked == 1,
        })
    }

    /// Whether whoever has this place is dead, or nobody has it: asks the system, and says in the table what it has learnt.
    pub(super) fn is_dead(&self, index: usize) -> bool {
        let life = self.life(index);
        let is_dead = match life.role() {
            Role::Free | Role::Dead => return true,
            Role::Joining | Role::Damaged => self.lives.is_dead(index, None),
            // None: it has left meanwhile.
            _ => self.who(index, life).is_none_or(|who| self.lives.is_dead(index, Some(&who))),
        };
        if is_dead {
            let dead = life.as_role(Role::Dead);
            // AcqRel: as of `appear`; whoever finds it dead knows what it left. Whoever fails has found that it has left, and
            // knows what it did before (Acquire); or that somebody else was first.
            let word = self.life_word(index);
            let said = word.compare_exchange(
                life.word(),
                dead.word(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if said.is_ok() {
                self.count(super::layout::DEAD_PARTICIPANTS);
            }
        }
        is_dead
    }

    /// Whether the owner of a claim is gone, so that nobody publishes it. To be asked when the claim was seen: then a
    /// place that somebody else has now says that the claim is none any more.
    pub(super) fn is_owner_gone(&self, owner: usize) -> bool {
        owner >= self.layout.sizes.participants
            || self.life(owner).role() != Role::Writer
            || self.is_dead(owner)
    }

    /// Makes the place of a dead participant free.
    pub(super) fn bury(&self, index: usize) {
        if self.life(index).role() == Role::Free || !self.is_dead(index) {
            return;
        }
        let dead = self.life(index);
        if dead.role() != Role::Dead || !self.skip_all_of(index, dead) {
            return;
        }
        // AcqRel: whoever takes it comes after what was skipped. If it fails somebody else has made it free.
        let free = dead.as_role(Role::Free);
        _ = self.life_word(index).compare_exchange(
            dead.word(),
            free.word(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// Skips each claim of a dead participant. `false` if somebody else has its place already, or was always faster.
    fn skip_all_of(&self, index: usize, dead: Life) -> bool {
        (0..self.layout.capacity()).all(|slot| {
            (0..ATTEMPTS).any(|_| {
                // Acquire: pairs with the claim. If it is one of whoever has this place now, so that is seen below.
                let word = self.state(slot).load(Ordering::Acquire);
                let state = State::of(word);
                let is_its = state.is_in_hand() && state.owner == index;
                !is_its || self.life(index) == dead && self.skip(slot, word)
            })
        })
    }

    /// Skips a claim whose owner is gone. Says whether it was this one.
    pub(super) fn skip(&self, slot_of: u64, word: u64) -> bool {
        let state = State::of(word);
        let skipped = State::new(state.lap, Phase::Dead, state.owner).word();
        // AcqRel: whoever claims the slot next comes after whoever wrote there.
        let done = self.state(slot_of).compare_exchange(
            word,
            skipped,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if done.is_ok() && state.phase == Phase::Claimed {
            self.count(super::layout::DEAD_CLAIMS);
        }
        done.is_ok()
    }

    /// Whether there is a writer who lives. `asks` the system about those who are there.
    pub(super) fn has_writers(&self, asks: bool) -> bool {
        self.places().any(|index| match self.life(index).role() {
            Role::Writer | Role::Joining => !asks || !self.is_dead(index),
            _ => false,
        })
    }
}
