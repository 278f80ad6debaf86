//! Slots that stay in the ring until what was in them is committed.
//!
//! Where the ring lies in a file, that outlives the process: what is in the writer's own memory does not. So there the writer
//! copies records out of the ring as ever, and gives their slots back when their rows are committed. How far a commit
//! reaches stands in the profile, in the transaction of the rows: whoever finds the file after a kill
//! goes on there, and neither loses a record nor stores one twice.
//!
//! A batch is committed in pieces, and a piece ends where a run of records of one partition does: there it is known up
//! to which position every partition has been taken.

use spandrel_ring::Consumer;
use spandrel_storage::{DrainedRow, RingId};

use crate::recorder::Recorder;
use crate::recorder::clock::Timeline;
use crate::recorder::record::Slot;
#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::pieces::Pieces;

/// What the writer knows of slots that it keeps.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// The identity of the ring; none if slots are given back as soon as they are read.
    ring: Option<RingId>,
    /// Up to where each partition has been made into rows, or was given up.
    passed: Vec<u64>,
    /// What of that the present file has.
    told: Vec<u64>,
    /// Whether the ring file was cut: nothing more is taken out of it.
    is_lost: bool,
}

impl Keeping {
    /// Of this recording: if its ring lies in a file, slots are kept from now on, and so are pieces of the timeline there.
    pub(super) fn of(
        recorder: &Recorder,
        timeline: &mut Timeline,
        consumer: &mut Consumer<Slot>,
    ) -> Self {
        #[cfg(feature = "crash-proof")]
        if let Some(file) = &recorder.file {
            if let Some(cells) = file.clock_pieces() {
                timeline.keep_in(Pieces::new(cells));
            }
            consumer.keep_slots();
            let none = vec![0; consumer.partitions()];
            let ring = Some(file.run());
            return Self { ring, passed: none.clone(), told: none, is_lost: false };
        }
        _ = (recorder, timeline, consumer);
        Self::default()
    }

    /// Whether slots are kept.
    pub(super) fn is_on(&self) -> bool {
        cfg!(feature = "crash-proof") && self.ring.is_some()
    }

    /// The ring file was cut. Says whether that was known already.
    #[cfg(feature = "crash-proof")]
    pub(super) fn lose(&mut self) -> bool {
        self.ring = None;
        std::mem::replace(&mut self.is_lost, true)
    }

    /// Whether the ring is lost, and nothing may be taken out of it.
    pub(super) fn is_lost(&self) -> bool {
        cfg!(feature = "crash-proof") && self.is_lost
    }

    /// A partition has been made into rows up to there, or was given up.
    pub(super) fn pass(&mut self, passed: impl Iterator<Item = (u32, u64)>) {
        for (partition, position) in passed {
            if let Some(known) = self.passed.get_mut(partition as usize) {
                *known = position.max(*known);
            }
        }
    }

    /// Whether the present file does not have all of it yet.
    pub(super) fn is_untold(&self) -> bool {
        self.is_on() && self.passed != self.told
    }

    /// Rows for what the present file does not have yet; and up to where slots may be given back when it has them.
    pub(super) fn tell(&self, rows: &mut Vec<DrainedRow>) -> Option<Vec<u64>> {
        let ring = self.ring.filter(|_| self.is_on())?;
        rows.clear();
        for (partition, (passed, told)) in self.passed.iter().zip(&self.told).enumerate() {
            if passed != told {
                let partition = Some(partition as u32);
                rows.push(DrainedRow { ring, partition, position: *passed });
            }
        }
        Some(self.passed.clone())
    }

    /// The file has it: the slots are the producers' again.
    pub(super) fn told(&mut self, positions: Vec<u64>, consumer: &mut Consumer<Slot>) {
        for (partition, position) in positions.iter().enumerate() {
            consumer.give_back(partition, *position);
        }
        self.told = positions;
    }

    /// Another file has taken the place of the one that had it.
    pub(super) fn begin_file(&mut self) {
        self.told.fill(0);
    }
}
