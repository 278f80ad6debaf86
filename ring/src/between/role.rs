//! The word of a place: which generation has it, and as what.

/// Bits of a role in a word; the generation is above.
const ROLE_BITS: u32 = 8;
/// As what somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Free,
    /// It has the place, and nobody knows yet as what.
    Joining,
    Writer,
    /// It is overtaken.
    Reader,
    /// It holds writers back by its gate.
    Holding,
    /// It competes within a group.
    Worker(usize),
    /// The same, and where the group is holds writers back.
    HoldingWorker(usize),
    Dead,
    /// Something that nobody writes.
    Damaged,
}

const WORKER: u64 = 16;
const HOLDING_WORKER: u64 = 32;

impl Role {
    fn number(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Joining => 1,
            Self::Writer => 2,
            Self::Reader => 3,
            Self::Holding => 4,
            Self::Dead => 5,
            Self::Damaged => 6,
            Self::Worker(group) => WORKER + group as u64,
            Self::HoldingWorker(group) => HOLDING_WORKER + group as u64,
        }
    }

    fn of(number: u64) -> Self {
        const GROUPS: u64 = super::layout::GROUPS as u64;
        match number {
            0 => Self::Free,
            1 => Self::Joining,
            2 => Self::Writer,
            3 => Self::Reader,
            4 => Self::Holding,
            5 => Self::Dead,
            _ if (WORKER..WORKER + GROUPS).contains(&number) => {
                Self::Worker((number - WORKER) as usize)
            }
            _ if (HOLDING_WORKER..HOLDING_WORKER + GROUPS).contains(&number) => {
                Self::HoldingWorker((number - HOLDING_WORKER) as usize)
            }
            _ => Self::Damaged,
        }
    }
}

/// A place's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life(u64);

impl Life {
    pub(super) fn of(word: u64) -> Self {
        Self(word)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    pub(super) fn role(self) -> Role {
        Role::of(self.0 & ((1 << ROLE_BITS) - 1))
    }

    pub(super) fn as_role(self, role: Role) -> Self {
        Self(self.0 >> ROLE_BITS << ROLE_BITS | role.number())
    }

    pub(super) fn next(self, role: Role) -> Self {
        Self((self.0 >> ROLE_BITS).wrapping_add(1) << ROLE_BITS | role.number())
    }
}
