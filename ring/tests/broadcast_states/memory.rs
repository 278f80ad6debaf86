//! What all threads share: the words of a ring of two slots, with two stages.

pub const CAPACITY: u8 = 2;
pub const PLACES: usize = 2;
/// A gate that holds nobody.
pub const VACANT: u8 = u8::MAX;
/// In the content of a slot: it is being written.
pub const WRITING: u8 = 0x80;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stage {
    pub gates: [u8; PLACES],
    pub used: u8,
    pub announced: u8,
    /// Of a stage that is held: below, somebody who has left was done with everything. `VACANT` else.
    pub floor: u8,
    /// No word of the ring: below, somebody who has left was done with everything.
    pub done: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Memory {
    pub tail: u8,
    pub limit: u8,
    pub announced: u8,
    /// The sequence after that for which each slot was published last.
    pub stamps: [u8; CAPACITY as usize],
    /// The same of what was written last, with `WRITING`.
    pub content: [u8; CAPACITY as usize],
    pub stages: [Stage; 2],
}

impl Memory {
    /// Whether the first stage is held.
    pub fn new(is_held: bool) -> Self {
        let stage =
            Stage { gates: [VACANT; PLACES], used: 0, announced: 0, floor: VACANT, done: 0 };
        let first = Stage { floor: if is_held { 0 } else { VACANT }, ..stage };
        Self {
            tail: 0,
            limit: CAPACITY,
            announced: 0,
            stamps: [0; CAPACITY as usize],
            content: [0; CAPACITY as usize],
            stages: [first, stage],
        }
    }

    pub fn slot(sequence: u8) -> usize {
        usize::from(sequence % CAPACITY)
    }
}

/// What is left out of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    ProducerAnnouncesNothing,
    ProducerLooksOnce,
    NewcomerBeginsWhereItSaysFirst,
    NewcomerTakesNoGate,
    ConsumerGivesBackBeforeItReads,
    NobodyGivesAnythingBack,
    PublishedBeforeItIsWritten,
    StageAnnouncesNothing,
    StageLooksOnce,
    StageGoesByWhatIsPublished,
    FloorStays,
}
