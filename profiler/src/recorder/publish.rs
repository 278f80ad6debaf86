//! Records on their way into the ring.

use std::sync::atomic::Ordering;

use spandrel_ring::ClaimError;

use super::Recorder;
use crate::counters::Kind;
use crate::local;
use crate::record::Slot;
use crate::stats::DropReason;

impl Recorder {
    /// Publishes one record and counts it, or counts it as dropped.
    pub(super) fn publish(&self, kind: Kind, slots: usize, value: impl FnMut(usize) -> Slot) {
        if let Err(refused) = self.try_publish(kind, slots, value) {
            self.drop_refused(kind, refused);
        }
    }

    /// Publishes one record and counts it.
    ///
    /// A thread whose own partition is full goes on in the shared one, so that the whole ring is
    /// there for whoever needs it.
    pub(super) fn try_publish(
        &self,
        kind: Kind,
        slots: usize,
        mut value: impl FnMut(usize) -> Slot,
    ) -> Result<(), Refused> {
        let class = kind as usize;
        let own = local::with_lease(|lease| {
            (lease.partition(), lease.try_publish(class, slots, &mut value))
        });
        let shared = self.ring.shared_partition();
        // What is lost is counted where the thread is known.
        let partition = match own {
            Some((_, Ok(()))) => return Ok(()),
            Some((partition, Err(ClaimError::Full))) => partition,
            Some((partition, Err(error))) => return Err(Refused { partition, error }),
            None => shared,
        };
        let mut claim = self.ring.try_claim(slots).map_err(|error| Refused { partition, error })?;
        for index in 0..slots {
            *claim.slot(index) = value(index);
        }
        claim.publish_as(class);
        Ok(())
    }

    #[cold]
    pub(super) fn drop_refused(&self, kind: Kind, refused: Refused) {
        let reason = match refused.error {
            ClaimError::Closed => DropReason::AlreadyShutdown,
            ClaimError::Contended => DropReason::Contended,
            // Relaxed: a hint to the reason; the writer sets it long before the ring is full.
            _ if self.degraded.load(Ordering::Relaxed) => DropReason::StoreError,
            _ => DropReason::RingFull,
        };
        self.counters.partition(refused.partition).drop_one(kind, reason);
    }
}

/// A record that a partition did not take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) partition: usize,
    pub(super) error: ClaimError,
}
