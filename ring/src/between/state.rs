//! The state of a slot, in one word: for which lap, what is in it, and whose it is.
//!
//! A slot's laps only grow, and within a lap its state changes at most twice: so no word comes again, and whoever changes one
//! by a compare-and-swap changes what it has looked at.

/// Bits of the owner: an index of the table of participants.
const OWNER_BITS: u32 = 12;
const PHASE_BITS: u32 = 4;
const LAP_SHIFT: u32 = OWNER_BITS + PHASE_BITS;
/// Most participants.
pub(super) const OWNERS: usize = 1 << OWNER_BITS;
/// The last lap, far enough from what would wrap.
const LAPS: u64 = (1 << (64 - LAP_SHIFT)) - 8;

/// All of this, as a number that changes with it.
pub(super) const LAYOUT: u64 = (OWNER_BITS as u64) << 8 | PHASE_BITS as u64;

/// What is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing yet, in lap 0.
    Free,
    /// Its owner writes.
    Claimed,
    /// Its owner writes still, for an earlier lap; this lap's sequence has no value.
    Passed,
    /// A value.
    Published,
    /// None: the claim was dropped, or its owner was passed over and has come back.
    Dropped,
    /// None: the owner of the claim was dead.
    Dead,
    /// Something that nobody writes.
    Damaged,
}

const PHASES: [Phase; 6] =
    [Phase::Free, Phase::Claimed, Phase::Passed, Phase::Published, Phase::Dropped, Phase::Dead];

/// A state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) lap: u64,
    pub(super) phase: Phase,
    pub(super) owner: usize,
}

impl State {
    pub(super) fn new(lap: u64, phase: Phase, owner: usize) -> Self {
        Self { lap, phase, owner }
    }

    #[inline(always)]
    pub(super) fn word(self) -> u64 {
        self.lap << LAP_SHIFT | (self.phase as u64) << OWNER_BITS | self.owner as u64
    }

    #[inline(always)]
    pub(super) fn of(word: u64) -> Self {
        let phase = (word >> OWNER_BITS) as usize & ((1 << PHASE_BITS) - 1);
        Self {
            lap: word >> LAP_SHIFT,
            phase: PHASES.get(phase).copied().unwrap_or(Phase::Damaged),
            owner: word as usize & (OWNERS - 1),
        }
    }

    /// Whether a word says that there is a value of this lap.
    #[inline(always)]
    pub(super) fn is_published(word: u64, lap: u64) -> bool {
        word >> OWNER_BITS == lap << PHASE_BITS | Phase::Published as u64
    }

    /// Whether a word says that the slot is done with in the lap before, so that it may be claimed.
    #[inline(always)]
    pub(super) fn is_free_for(word: u64, lap: u64) -> bool {
        let phase = word >> OWNER_BITS & ((1 << PHASE_BITS) - 1);
        word >> LAP_SHIFT == lap - 1
            && phase != Phase::Claimed as u64
            && phase != Phase::Passed as u64
    }

    /// Whether somebody may be writing there.
    #[inline(always)]
    pub(super) fn is_in_hand(self) -> bool {
        matches!(self.phase, Phase::Claimed | Phase::Passed)
    }
}

/// Sequences as laps of a ring, whose first one is 1: slots in lap 0 were never claimed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Laps {
    shift: u32,
    mask: u64,
}

impl Laps {
    /// Of a ring of so many slots, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        Self { shift: slots.trailing_zeros(), mask: slots as u64 - 1 }
    }

    #[inline(always)]
    pub(super) fn of(self, sequence: u64) -> u64 {
        (sequence >> self.shift) + 1
    }

    /// The sequence that the slot of another one has in a lap, from 1 on.
    #[inline(always)]
    pub(super) fn sequence(self, lap: u64, slot_of: u64) -> u64 {
        (lap - 1) << self.shift | (slot_of & self.mask)
    }

    /// How many sequences there are. (A ring of a thousand slots has them for 80 years at 100 million a second.)
    #[inline(always)]
    pub(super) fn sequences(self) -> u64 {
        // No more than a sum with the slots can be said of.
        if self.shift > 14 { 1 << 62 } else { LAPS << self.shift }
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_the_state_was() {
        for phase in PHASES {
            for (lap, owner) in [(0, 0), (1, 4_095), (LAPS, 7), ((1 << 48) - 1, 4_095)] {
                let state = State::new(lap, phase, owner);
                assert_eq!(State::of(state.word()), state);
            }
        }
        for state in PHASES.map(|phase| State::new(7, phase, 4_095)) {
            let (word, is_value) = (state.word(), state.phase == Phase::Published);
            assert_eq!(
                [7, 8, 6].map(|lap| State::is_published(word, lap)),
                [is_value, false, false]
            );
            let is_free = !state.is_in_hand();
            assert_eq!([8, 7, 9].map(|lap| State::is_free_for(word, lap)), [is_free, false, false]);
        }
        assert_eq!(State::of(0), State::new(0, Phase::Free, 0));
        assert_eq!(State::of(u64::MAX).phase, Phase::Damaged);
    }

    #[test]
    fn a_sequence_is_a_lap_and_a_slot() {
        for slots in [2_usize, 64, 1 << 20] {
            let laps = Laps::new(slots);
            for sequence in [0, 1, slots as u64, 12_345_678, laps.sequences() - 1] {
                let lap = laps.of(sequence);
                assert!((1..=LAPS).contains(&lap));
                assert_eq!(laps.sequence(lap, sequence), sequence);
                assert_eq!(laps.sequence(lap, sequence + slots as u64), sequence);
            }
        }
    }
}
